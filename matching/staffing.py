"""Staffing: which sites to open with which volunteers, so that those who wait get a place.

Parties are taken one by one, each to the site that costs the fewest further volunteers; crews are called where they
are least loaded. The order decides what comes out, so many orders are tried and the best plan is kept ("multi-start
greedy": Martí, Resende and Ribeiro, European Journal of Operational Research 226, 2013). This gives a plan in
milliseconds; `staffing_programme` finds a better one where it has seconds. Nothing here knows a database or a clock,
and chance comes from the seed that is given.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import numpy as np

from matching.pledging import volunteers_for
from matching.windows import Window

__all__ = [
    "Call",
    "Choice",
    "Crew",
    "Duty",
    "Party",
    "Region",
    "StaffingPlan",
    "Watch",
    "plan_shifts",
    "volunteers_for",
]

_TRIES: Final = 30
_TIERS: Final = 3


@dataclass(frozen=True, slots=True)
class Watch:
    """A slot whose site asks for volunteers: who is in it, what its room has, and the volunteers it has already."""

    slot: int
    site: UUID
    window: Window
    used: int
    places: int
    volunteers: int
    each: int
    """People that one volunteer can serve."""
    minimum: int


@dataclass(frozen=True, slots=True)
class Duty:
    """A live shift of a crew."""

    window: Window
    day: date
    volunteers: int


@dataclass(frozen=True, slots=True)
class Crew:
    """A pledge's volunteers: how many at once, how many shifts a week at most, and the shifts they have."""

    pledge: UUID
    organization: UUID
    headcount: int
    weekly: int
    duties: tuple[Duty, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Slots of one offer that a party could take, one for each of its nights, if they were staffed."""

    slots: tuple[int, ...]
    km: int


@dataclass(frozen=True, slots=True)
class Party:
    """Who waits: people, tier (0 is vital) and where they could go."""

    people: int
    tier: int
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """All that one plan is made of.

    `able`: by slot, the crews (by position) that are near enough, skilled and willing all through it, each with the
    day on which that shift would count.
    """

    parties: tuple[Party, ...]
    watches: Mapping[int, Watch]
    crews: tuple[Crew, ...]
    able: Mapping[int, Sequence[tuple[int, date]]]


@dataclass(frozen=True, slots=True)
class Call:
    """A shift to plan: volunteers of a crew (by position) for a slot."""

    crew: int
    slot: int
    day: date
    volunteers: int


@dataclass(frozen=True, slots=True)
class StaffingPlan:
    """Shifts to plan, the people who keep their place by them, and those whom they give one, by tier."""

    calls: tuple[Call, ...]
    kept: int
    people: tuple[int, int, int]
    km: int

    @property
    def merit(self) -> tuple[int, ...]:
        """What is better: more who keep a place, more of the most urgent, of the others; fewer shifts; nearer."""
        return (self.kept, *self.people, -len(self.calls), -self.km)


def plan_shifts(region: Region, *, seed: int, tries: int = _TRIES) -> StaffingPlan:
    """The best plan of many orders. Watches with too few volunteers for who is in them come first in every one."""
    chance = np.random.default_rng(seed)
    order = sorted(range(len(region.parties)), key=lambda party: region.parties[party].tier)
    best = _Draft(region).filled(order, None)
    for attempt in range(tries):
        shaken = _shaken(order, region, chance, wild=attempt % 3 == 2)
        draft = _Draft(region).filled(shaken, chance if attempt % 2 else None)
        if draft.merit > best.merit:
            best, order = draft, shaken
    return best


def _shaken(order: Sequence[int], region: Region, chance: np.random.Generator, *, wild: bool) -> list[int]:
    """Another order: all anew within each tier, or a few moved to the front of theirs."""
    if wild:
        moved = [order[position] for position in chance.permutation(len(order))]
    else:
        first = {order[position] for position in chance.permutation(len(order))[: 1 + len(order) // 8]}
        moved = sorted(order, key=lambda party: party not in first)
    return sorted(moved, key=lambda party: region.parties[party].tier)


@dataclass
class _Draft:
    """A plan under way."""

    region: Region
    people: dict[int, int] = field(default_factory=dict)
    volunteers: dict[int, int] = field(default_factory=dict)
    called: dict[tuple[int, int], Call] = field(default_factory=dict)
    duties: dict[int, list[Duty]] = field(default_factory=lambda: defaultdict(list))
    shifts: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        for watch in self.region.watches.values():
            self.people[watch.slot] = watch.used
            self.volunteers[watch.slot] = watch.volunteers
        for number, crew in enumerate(self.region.crews):
            self.duties[number] = list(crew.duties)
            self.shifts[crew.organization] += len(crew.duties)

    def filled(self, order: Sequence[int], chance: np.random.Generator | None) -> StaffingPlan:
        """Staff who is in already, then place the parties in this order."""
        for slot in sorted(self.people):
            self._staff(slot, 0)
        kept = sum(self._kept(slot) for slot in self.people)
        served, km = [0] * _TIERS, 0
        for number in order:
            party = self.region.parties[number]
            for choice in self._from_cheapest(party, chance):
                if all(self._room(slot) >= party.people for slot in choice.slots) and self._seat(party, choice):
                    served[party.tier] += party.people
                    km += choice.km * party.people
                    break
        return StaffingPlan(tuple(self.called.values()), kept, (served[0], served[1], served[2]), km)

    def _from_cheapest(self, party: Party, chance: np.random.Generator | None) -> list[Choice]:
        def cost(choice: Choice) -> tuple[float, int, int]:
            more = [self._missing(slot, party.people) for slot in choice.slots]
            opened = sum(self.volunteers[slot] == 0 for slot in choice.slots)
            whim = 1.5 if chance is not None and chance.random() < 1 / 3 else 0.0
            return sum(more) + whim, opened, choice.km

        return sorted(party.choices, key=cost)

    def _kept(self, slot: int) -> int:
        watch, volunteers = self.region.watches[slot], self.volunteers[slot]
        return min(watch.used, volunteers * watch.each) if volunteers >= max(1, watch.minimum) else 0

    def _room(self, slot: int) -> int:
        return self.region.watches[slot].places - self.people[slot]

    def _missing(self, slot: int, more: int) -> int:
        watch = self.region.watches[slot]
        return max(0, volunteers_for(self.people[slot] + more, watch.each, watch.minimum) - self.volunteers[slot])

    def _seat(self, party: Party, choice: Choice) -> bool:
        """Staff all of a choice's slots for the party, or none."""
        before = (dict(self.called), {number: list(each) for number, each in self.duties.items()}, dict(self.shifts))
        volunteers = {slot: self.volunteers[slot] for slot in choice.slots}
        if all(self._staff(slot, party.people) for slot in choice.slots):
            for slot in choice.slots:
                self.people[slot] += party.people
            return True
        self.called, duties, shifts = before
        self.duties, self.shifts = defaultdict(list, duties), defaultdict(int, shifts)
        self.volunteers.update(volunteers)
        return False

    def _staff(self, slot: int, more: int) -> bool:
        """Call volunteers until the slot can serve so many people more; whether it can."""
        while missing := self._missing(slot, more):
            offers = [
                (spare < missing, self._load(crew), -spare, crew, day, spare)
                for crew, day in self.region.able.get(slot, ())
                if (spare := self._spare(crew, slot, day))
            ]
            if not offers:
                return False
            *_, crew, day, spare = min(offers)
            self._call(crew, slot, day, min(spare, missing))
        return True

    def _load(self, crew: int) -> float:
        """Shifts of the crew's association for each that it allows in a week, then its own share."""
        mine = self.region.crews[crew]
        pledged = sum(each.weekly for each in self.region.crews if each.organization == mine.organization)
        return self.shifts[mine.organization] / pledged

    def _spare(self, crew: int, slot: int, day: date) -> int:
        """How many of the crew could still come; a shift it has here already may grow without counting twice."""
        mine, window = self.region.crews[crew], self.region.watches[slot].window
        busy = sum(duty.volunteers for duty in self.duties[crew] if duty.window.overlaps(window))
        week = sum(_monday(duty.day) == _monday(day) for duty in self.duties[crew])
        if (crew, slot) not in self.called and week >= mine.weekly:
            return 0
        return max(0, mine.headcount - busy)

    def _call(self, crew: int, slot: int, day: date, volunteers: int) -> None:
        window = self.region.watches[slot].window
        before = self.called.get((crew, slot))
        if before is not None:
            self.duties[crew].remove(Duty(window, day, before.volunteers))
            volunteers += before.volunteers
        else:
            self.shifts[self.region.crews[crew].organization] += 1
        self.called[crew, slot] = Call(crew, slot, day, volunteers)
        self.duties[crew].append(Duty(window, day, volunteers))
        self.volunteers[slot] += volunteers - (before.volunteers if before else 0)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
