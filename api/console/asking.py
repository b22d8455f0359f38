"""What the forms for needs offer to choose from, and what was chosen; the likeliest is chosen already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from api.console.evenings import MOST_NIGHTS, evening_of, window_of
from api.console.forms import Form
from api.console.visits import Visit
from api.moments import country, day
from api.needs import MOST_PEOPLE
from api.wording import say
from db import boards, towns
from db.towns import TownFacts
from matching.needs import People
from matching.posting import NeedTerms
from matching.refusals import Invalid
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Coverage, Stay, Urgency

__all__ = ["FIRST_WISHES", "MORE_WISHES", "PARTIES", "Asked", "Choices", "Named", "named", "parties_in", "read_choices"]

_MOST_TOWNS: Final = 12
FIRST_WISHES: Final = ("step_free", "family_room", "women_only", "baby_equipment", "quiet", "pets")
"""What is asked for most; the rest is one tap away."""
MORE_WISHES: Final = tuple(sorted((ACCESS | PROTECTIVE) - set(FIRST_WISHES)))
PARTIES: Final = (Audience.FAMILIES, Audience.WOMEN, Audience.UNACCOMPANIED_MINORS, Audience.LGBTQ)
"""Whom a party may consist of, beyond anyone."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something to choose, as its form sends it and as it is said."""

    value: str
    words: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from, in the town that was chosen."""

    towns: list[TownFacts]
    categories: dict[str, Coverage]
    town: TownFacts | None
    now: datetime
    countries: list[Named]
    evenings: list[Named]

    @property
    def zone(self) -> ZoneInfo:
        """Whose clock says what an evening is."""
        return ZoneInfo(self.town.timezone if self.town else "UTC")

    @property
    def parties(self) -> tuple[Audience, ...]:
        """Whom a party may consist of, beyond anyone."""
        return PARTIES


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form says; what it does not say is likeliest."""

    category: str = "shelter"
    adults: int = 1
    minors: int = 0
    evening: str = ""
    nights: int = 1
    urgency: Urgency = Urgency.NORMAL
    parties: frozenset[str] = frozenset()
    wishes: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    divisible: bool = False
    find: bool = False
    counts: tuple[tuple[int, int], ...] = field(default=())
    """Of a queue: adults and minors of each party."""

    @classmethod
    def of(cls, form: Form) -> "Asked":
        """Read what was chosen; what is no choice of ours is left out."""
        urgency = form.first("urgency")
        return cls(
            category=form.first("category") or "shelter",
            adults=form.number("adults"),
            minors=form.number("minors"),
            evening=form.first("evening"),
            nights=form.number("nights", 1),
            urgency=Urgency(urgency) if urgency in list(Urgency) else Urgency.NORMAL,
            parties=frozenset(form.every("party")) & frozenset(PARTIES),
            wishes=frozenset(form.every("wish")) & (ACCESS | PROTECTIVE),
            countries=frozenset(form.every("country")),
            divisible=bool(form.first("divisible")),
            find=form.seeks,
            counts=parties_in(form),
        )

    def terms(self, choices: Choices, people: People | None = None) -> NeedTerms:
        """The need that this asks for. Raises `Invalid`."""
        coverage = choices.categories.get(self.category)
        if choices.town is None:
            raise Invalid.one("/town", "required")
        if coverage not in (Coverage.EVERY, Coverage.ANY):
            raise Invalid.one("/category", "unknown_category")
        if not 1 <= self.nights <= MOST_NIGHTS:
            raise Invalid.one("/until", "not_understood")
        starts, ends = window_of(self._evening(choices), self.nights, coverage, choices.now, choices.zone)
        return NeedTerms(
            category=self.category,
            town_id=choices.town.id,
            people=people or _people(self.adults, self.minors),
            starts=starts,
            ends=ends,
            urgency=self.urgency,
            stay=Stay.UNKNOWN,
            audience=frozenset(map(Audience, self.parties)) or frozenset({Audience.ANYONE}),
            requires=self.wishes,
            countries=frozenset({choices.town.country, *self._consented(choices)}),
            max_km=None,
            divisible=self.divisible,
            language=None,
        )

    def queue(self, choices: Choices) -> list[NeedTerms]:
        """A need for each party of the queue. Raises `Invalid`."""
        return [self.terms(choices, _people(adults, minors)) for adults, minors in self.counts]

    def _evening(self, choices: Choices) -> date:
        if not self.evening:
            return date.fromisoformat(choices.evenings[0].value)
        if self.evening not in {each.value for each in choices.evenings}:
            # A form that was kept since yesterday asks for a night that is over, and not for the next one.
            raise Invalid.one("/from", "in_the_past")
        return date.fromisoformat(self.evening)

    def _consented(self, choices: Choices) -> set[str]:
        return {each.value for each in choices.countries} & self.countries


def parties_in(form: Form) -> tuple[tuple[int, int], ...]:
    """The parties of a queue, in its order; rows in which nobody is counted are no parties."""
    adults, minors = form.numbers("adults"), form.numbers("minors")
    return tuple(pair for pair in zip(adults, minors, strict=False) if pair != (0, 0))


def named(prefix: str, codes: Iterable[str], language: str) -> list[Named]:
    """Words of a vocabulary to choose from, by the sentences under a key."""
    return [Named(str(code), say(f"{prefix}.{code}", language)) for code in codes]


async def read_choices(visit: Visit, town_id: int | None = None) -> Choices:
    """The towns of the organization, those found by name when one was looked for, and the rest in the town chosen.

    `town_id` is the town as it stands, which is listed first and stays chosen until another one is picked. Without one
    it is the first that was found, or of the organization's.
    """
    stands = [await towns.get(visit.tx, town_id)] if town_id is not None else []
    own = [await towns.get(visit.tx, each) for each in sorted(visit.who.towns)[:_MOST_TOWNS]]
    found = await _found(visit, own)
    # Who looked for a town means what was found, not what was chosen before; but looking changes nothing that stands.
    kept = bool(stands) or not found
    chosen = visit.form.first("town") or str(town_id or "") if kept else ""
    offered = list(dict.fromkeys([*stands, *found, *own]))
    town = next((each for each in offered if str(each.id) == chosen), None)
    if town is None and kept and chosen.isdecimal() and len(chosen) <= 9:
        town = await towns.get(visit.tx, int(chosen))
        offered = [town, *offered]
    town = town or (offered[0] if offered else None)
    now = await boards.clock(visit.tx)
    return Choices(
        towns=offered,
        categories=await boards.categories(visit.tx),
        town=town,
        now=now,
        countries=await _others(visit, town),
        evenings=_evenings(now, ZoneInfo(town.timezone if town else "UTC"), visit.language),
    )


async def _found(visit: Visit, own: Sequence[TownFacts]) -> list[TownFacts]:
    looked_for = visit.form.first("q")
    if not visit.form.seeks or not looked_for:
        return []
    near = own[0].point if own else None
    return await towns.search(visit.tx, looked_for, country=None, near=near, limit=6)


async def _others(visit: Visit, town: TownFacts | None) -> list[Named]:
    """Countries beside the town's own into which a party may agree to go."""
    if town is None:
        return []
    around = sorted(await towns.countries_around(visit.tx, town.point))
    return [Named(code, country(code, visit.language)) for code in around if code != town.country]


def _evenings(now: datetime, zone: ZoneInfo, language: str) -> list[Named]:
    first = evening_of(now, zone)
    return [
        Named(each.isoformat(), day(each, language)) for each in (first + timedelta(days=count) for count in range(7))
    ]


def _people(adults: int, minors: int) -> People:
    if not (0 <= adults <= MOST_PEOPLE and 0 <= minors <= MOST_PEOPLE):
        raise Invalid.one("/people", "not_understood")
    return People(adults, minors)
