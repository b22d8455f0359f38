"""Random worlds in which every rule fails sometimes: offers as the domain sees them, put into the tables as they are.

Times stand on a grid, so that edges meet: a door that closes as the party comes, an offer that grows stale now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import Offer as OfferRow
from db.tables import Site, SlotStaffing
from db.tables import Slot as SlotRow
from geo.cells import COARSE_RESOLUTION, RESOLUTION, Cell, Point, cell_of
from matching.needs import Language, Need, NeedId, OfferId, People
from matching.offers import Offer, Slot
from matching.states import OfferState
from matching.vocabulary import Audience, Coverage, Level, SiteKind, Stay, Urgency
from matching.windows import Window, nights_of
from tests.places import BRIANCON, point_text

__all__ = ["DAY", "NOW", "PARIS", "World"]

PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 12, 1)
NOW = datetime(2026, 12, 1, 20, tzinfo=PARIS).astimezone(UTC)
PLACES = {"shelter": Coverage.EVERY, "sanitation": Coverage.ANY, "language_class": Coverage.COURSE}
Value = TypeVar("Value")
_QUARTER = timedelta(minutes=15)
_HALF_HOUR = timedelta(minutes=30)
_FEATURES = ("step_free", "quiet", "women_only", "interpreter:ps")
_LANGUAGES = (Language("fr", Level.A1), Language("fr", Level.A2), Language("fr", None), Language("it", Level.A1))


@dataclass(frozen=True)
class World:
    """Offers and needs from one seed. Most wishes are granted, so that often one rule alone stands in the way."""

    offers: tuple[Offer, ...]
    needs: tuple[Need, ...]

    @classmethod
    def of(cls, seed: int, *, offers: int, needs: int) -> "World":
        """So many offers and needs, shared evenly by the three coverage rules."""
        random = Random(seed)  # noqa: S311 - worlds must be the same each time
        categories = list(PLACES)
        volunteers = Random(seed + 1)  # noqa: S311 - as above
        made = tuple(_short_of_volunteers(volunteers, _offer(random, categories[n % 3])) for n in range(offers))
        asked = tuple(_need(random, categories[n % 3], made) for n in range(needs))
        return cls(made, asked)

    async def build(self, tx: AsyncConnection, owner: UUID) -> "World":
        """Put the offers into the tables; the same world with the slots' ids of the database."""
        await tx.execute(insert(Site), [_site_row(offer, owner) for offer in self.offers])
        await tx.execute(insert(OfferRow), [_offer_row(offer, owner) for offer in self.offers])
        rows = [_slot_row(offer, slot) for offer in self.offers for slot in offer.slots]
        written = await tx.execute(insert(SlotRow).returning(SlotRow.id, SlotRow.offer_id, SlotRow.starts), rows)
        ids = {(row.offer_id, row.starts): row.id for row in written}
        short = [(ids[offer.id, slot.window.starts], slot) for offer in self.offers for slot in offer.slots]
        await tx.execute(
            insert(SlotStaffing),
            [
                {"slot_id": number, "places": slot.capacity + slot.unstaffed, "staffed": slot.capacity}
                for number, slot in short
                if slot.unstaffed
            ],
        )

        def numbered(offer: Offer) -> Offer:
            slots = tuple(replace(slot, id=ids[offer.id, slot.window.starts]) for slot in offer.slots)
            return replace(offer, organization_id=owner, slots=slots)

        return replace(self, offers=tuple(map(numbered, self.offers)))


def _cell(random: Random) -> Cell:
    """Mostly within the radius, a quarter of a degree around, sometimes far beyond it."""
    reach = random.choice((0.05, 0.25, 0.25, 0.8))
    point = Point(BRIANCON.longitude + random.uniform(-reach, reach), BRIANCON.latitude + random.uniform(-reach, reach))
    return cell_of(point, random.choice((RESOLUTION, RESOLUTION, COARSE_RESOLUTION)))


def _offer(random: Random, category: str) -> Offer:
    age = random.choice((0, 1, 20, 20)) if random.random() < 0.88 else random.choice((21, 22, 40))
    return Offer(
        id=OfferId(UUID(int=random.getrandbits(128), version=4)),
        organization_id=UUID(int=0),
        town_id=BRIANCON.id,
        category=_mostly(random, category, "meal"),
        state=_mostly(random, OfferState.OPEN, OfferState.PAUSED, OfferState.CLOSED),
        cell=_cell(random),
        country=_mostly(random, "FR", "IT"),
        site_kind=_mostly(random, SiteKind.MUNICIPAL_BUILDING, SiteKind.PRIVATE_HOME, SiteKind.PRIVATE_HOME),
        vetted=random.random() < 0.6,
        audience=frozenset(
            _mostly(
                random,
                (Audience.ANYONE,),
                (Audience.WOMEN,),
                (Audience.FAMILIES, Audience.LGBTQ),
                (Audience.WOMEN, Audience.ANYONE),
            )
        ),
        provides=frozenset(feature for feature in _FEATURES if random.random() < 0.7),
        language=random.choice(_LANGUAGES) if category == "language_class" else None,
        party_max=_mostly(random, None, 2, 3, 4),
        nights_max=_mostly(random, None, 1, 2, 3),
        verified_at=NOW - timedelta(days=age),
        slots=_SLOTS[category](random),
    )


def _mostly(random: Random, usual: Value, *rest: Value) -> Value:
    return usual if random.random() < 0.85 else random.choice(rest)


def _nights(random: Random) -> tuple[Slot, ...]:
    opens = random.choice((time(19), time(19), time(22), time(1)))
    nights = [DAY + timedelta(days=n) for n in range(-1, 6) if random.random() < 0.93]
    return tuple(_slot(random, day, *_hours(day, opens), random.randint(1, 12)) for day in nights)


def _hours(day: date, opens: time) -> tuple[datetime, timedelta]:
    evening = day if opens >= time(6) else day + timedelta(days=1)
    return _local(evening, opens), timedelta(hours=7)


def _showers(random: Random) -> tuple[Slot, ...]:
    first = _local(DAY, random.choice((time(17), time(19), time(21))))
    times = [first + n * _HALF_HOUR for n in range(8) if random.random() < 0.8]
    return tuple(_slot(random, DAY, starts, _HALF_HOUR, random.randint(1, 3)) for starts in times)


def _sessions(random: Random) -> tuple[Slot, ...]:
    first = DAY + timedelta(days=random.randint(-3, 4))
    days = [first + timedelta(days=3 * n) for n in range(random.randint(1, 5))]
    return tuple(_slot(random, day, _local(day, time(18)), 3 * _HALF_HOUR, random.randint(4, 8)) for day in days)


_SLOTS = {"shelter": _nights, "sanitation": _showers, "language_class": _sessions}


def _slot(random: Random, day: date, starts: datetime, length: timedelta, capacity: int) -> Slot:
    free = capacity if random.random() < 0.7 else random.randint(0, capacity)
    last = starts + length if random.random() < 0.7 else starts + random.choice((0, 0, 1, 2, 4, 8)) * _QUARTER
    return Slot(0, day, Window(starts, starts + length), min(last, starts + length), capacity, free)


def _short_of_volunteers(random: Random, offer: Offer) -> Offer:
    """One offer in eight stands where volunteers are asked for, and has some nights with fewer than its room needs."""
    if random.random() > 0.12:
        return offer
    missing = [random.randint(1, slot.free) if slot.free and random.random() < 0.5 else 0 for slot in offer.slots]
    slots = tuple(
        replace(slot, capacity=slot.capacity - less, free=slot.free - less, unstaffed=less)
        for slot, less in zip(offer.slots, missing, strict=True)
    )
    return replace(offer, slots=slots)


def _local(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, PARIS).astimezone(UTC)


def _need(random: Random, category: str, offers: Sequence[Offer]) -> Need:
    coverage = PLACES[category]
    window = _window(random, coverage)
    adults = random.choice((0, 1, 1, 2, 3))
    ahead = Window(max(window.starts, NOW), window.ends) if window.ends > NOW else None
    return Need(
        id=NeedId(UUID(int=random.getrandbits(128), version=4)),
        category=category,
        coverage=coverage,
        cell=_cell(random) if random.random() < 0.3 else BRIANCON.cell,
        people=People(adults, random.choice((0, 0, 1, 2)) or int(adults == 0)),
        window=window,
        days=nights_of(ahead, PARIS) if ahead and coverage is Coverage.EVERY else (),
        urgency=random.choice(list(Urgency)),
        stay=random.choice(list(Stay)),
        audience=frozenset(
            random.choice(
                (
                    {Audience.ANYONE},
                    {Audience.ANYONE},
                    {Audience.WOMEN},
                    {Audience.WOMEN, Audience.LGBTQ},
                    {Audience.UNACCOMPANIED_MINORS},
                )
            )
        ),
        requires=frozenset(random.sample(_FEATURES, random.choice((0, 0, 1, 2)))),
        countries=frozenset({"FR"}) if random.random() < 0.8 else frozenset({"FR", "IT"}),
        max_km=random.choice((None, None, None, 5, 20, 30, 90)),
        divisible=random.random() < 0.15,
        language=random.choice(_LANGUAGES) if category == "language_class" else None,
        turned_down=frozenset(offer.id for offer in offers if random.random() < 0.05),
    )


def _window(random: Random, coverage: Coverage) -> Window:
    starts = NOW + random.choice((-4, -1, 0, 1, 3, 4, 8)) * _HALF_HOUR
    if coverage is Coverage.ANY:
        starts += random.choice((0, 15, 20)) * timedelta(minutes=1)
        return Window(starts, starts + random.choice((1, 2, 6)) * _HALF_HOUR)
    if coverage is Coverage.COURSE:
        return Window(starts, starts + timedelta(days=random.choice((1, 2, 5, 9))))
    nights = random.choice((1, 1, 2, 3))
    return Window(starts, _local(DAY + timedelta(days=nights), time(9)))


def _site_row(offer: Offer, owner: UUID) -> dict[str, object]:
    return {
        "id": offer.id,
        "organization_id": owner,
        "town_id": offer.town_id,
        "name": "Gym",
        "kind": offer.site_kind,
        "cell": offer.cell,
        "visibility": "on_confirmation",
        # A site and its offer provide together.
        "provides": sorted(offer.provides)[::2],
        "vetted_at": NOW - timedelta(days=30) if offer.vetted else None,
        "vetted_by": owner if offer.vetted else None,
    }


def _offer_row(offer: Offer, owner: UUID) -> dict[str, object]:
    return {
        "id": offer.id,
        "site_id": offer.id,
        "organization_id": owner,
        "category": offer.category,
        "state": offer.state,
        "capacity": 12,
        "audience": sorted(offer.audience),
        "provides": sorted(offer.provides)[1::2],
        "confirmation": "each",
        "confirm_within_minutes": 60,
        "first_day": DAY,
        "last_day": DAY,
        "timezone": "Europe/Paris",
        "opens": time(19),
        "closes": time(8),
        "rrule": "FREQ=DAILY",
        "party_max": offer.party_max,
        "nights_max": offer.nights_max,
        "teaches": offer.language.teaches if offer.language else None,
        "level": offer.language.level if offer.language else None,
        "verified_at": offer.verified_at,
        "town_id": offer.town_id,
        "is_public": False,
        "country": offer.country,
        "cell": offer.cell,
        "point": point_text(offer.cell),
        "tie": offer.id.int >> 65,
    }


def _slot_row(offer: Offer, slot: Slot) -> dict[str, object]:
    return {
        "offer_id": offer.id,
        "day": slot.day,
        "starts": slot.window.starts,
        "ends": slot.window.ends,
        "last_arrival": slot.last_arrival,
        "capacity": slot.capacity,
        "used": slot.capacity - slot.free,
    }
