"""Builders for the pure domain: one need for tonight in Briançon, and one offer that suits it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from matching.needs import Need, NeedId, OfferId, People
from matching.offers import Offer, Slot
from matching.policy import FIRST_POLICY
from matching.rules import Circumstances
from matching.states import OfferState
from matching.vocabulary import Audience, Coverage, SiteKind, Stay, Urgency
from matching.windows import Window, nights_of
from tests.places import BRIANCON

__all__ = ["AT", "DAY", "NOW", "PARIS", "evening", "need", "night", "offer", "session", "shelter_window"]

PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 12, 1)
NOW = datetime(2026, 12, 1, 17, tzinfo=PARIS).astimezone(UTC)
AT = Circumstances(FIRST_POLICY, NOW)
OWNER = UUID("5a1d0c5e-0000-4000-8000-000000000001")


def evening(hour: int, day: int = 0, minute: int = 0) -> datetime:
    """An hour of the first day in Paris, or so many days later."""
    return datetime(2026, 12, 1 + day, hour, minute, tzinfo=PARIS).astimezone(UTC)


def shelter_window(nights: int = 1) -> Window:
    """From 18:00 of the first day to 09:00 after so many nights."""
    return Window(evening(18), evening(9, nights))


def night(
    day: int = 0, *, free: int = 10, capacity: int = 10, last_arrival: datetime | None = None, unstaffed: int = 0
) -> Slot:
    """A shelter night from 19:00 to 08:00."""
    window = Window(evening(19, day), evening(8, day + 1))
    return Slot(100 + day, DAY + timedelta(days=day), window, last_arrival or window.ends, capacity, free, unstaffed)


def session(starts: datetime, *, minutes: int = 30, free: int = 1, capacity: int = 1, number: int = 0) -> Slot:
    """A shower's half-hour, or one session of a class."""
    window = Window(starts, starts + timedelta(minutes=minutes))
    return Slot(200 + number, starts.astimezone(PARIS).date(), window, window.ends, capacity, free)


def need(
    *,
    people: int = 2,
    minors: int = 0,
    category: str = "shelter",
    coverage: Coverage = Coverage.EVERY,
    window: Window | None = None,
    **terms: object,
) -> Need:
    """A vital need of two adults for tonight in Briançon, within France, unless told otherwise."""
    asked = window or shelter_window()
    made = Need(
        id=NeedId(uuid4()),
        category=category,
        coverage=coverage,
        cell=BRIANCON.cell,
        people=People(people - minors, minors),
        window=asked,
        days=nights_of(asked, PARIS) if coverage is Coverage.EVERY else (),
        urgency=Urgency.VITAL,
        stay=Stay.TRANSIT,
        audience=frozenset({Audience.ANYONE}),
        requires=frozenset(),
        countries=frozenset({"FR"}),
        max_km=None,
        divisible=False,
        language=None,
    )
    return replace(made, **terms)  # type: ignore[arg-type]


def offer(*slots: Slot, **facts: object) -> Offer:
    """A municipal shelter in Briançon with ten free places tonight, unless told otherwise."""
    made = Offer(
        id=OfferId(uuid4()),
        organization_id=OWNER,
        town_id=BRIANCON.id,
        category="shelter",
        state=OfferState.OPEN,
        cell=BRIANCON.cell,
        country="FR",
        site_kind=SiteKind.MUNICIPAL_BUILDING,
        vetted=False,
        audience=frozenset({Audience.ANYONE}),
        provides=frozenset(),
        language=None,
        party_max=None,
        nights_max=None,
        verified_at=NOW,
        slots=slots or (night(),),
    )
    return replace(made, **facts)  # type: ignore[arg-type]
