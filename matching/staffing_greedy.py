"""A staffing plan in milliseconds: parties one by one, each to the site that costs the fewest further volunteers.

Crews are called where they are least loaded. The order decides what comes out, so many orders are tried and the best
plan is kept ("multi-start greedy": Martí, Resende and Ribeiro, European Journal of Operational Research 226, 2013).
Chance comes from the seed that is given.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Final, TypeAlias
from uuid import UUID

import numpy as np

from matching.staffing import Call, Choice, Duty, Party, Region, StaffingPlan, monday_of, volunteers_for

__all__ = ["plan_shifts"]

_TRIES: Final = 200
_TIERS: Final = 3
Habit: TypeAlias = Callable[[Party], list[int]]
"""In which order a party tries its choices."""


def plan_shifts(
    region: Region, *, seed: int, tries: int = _TRIES, goes_on: Callable[[], bool] = lambda: True
) -> StaffingPlan:
    """The best plan of many orders, of the first at least, and of others while it `goes_on`.

    Watches with too few volunteers for who is in them come first in every one.
    """
    chance = np.random.default_rng(seed)
    order = sorted(range(len(region.parties)), key=lambda party: region.parties[party].tier)
    first = _Draft(region)
    best = first.filled(order, first.cheapest)
    for attempt in range(tries):
        if not goes_on():
            break
        shaken = _shaken(order, region, chance, wild=attempt % 3 == 2)
        draft = _Draft(region)
        habits: tuple[Habit, ...] = (draft.cheapest, partial(draft.by_whim, chance=chance), draft.nearest)
        plan = draft.filled(shaken, habits[attempt % len(habits)])
        if plan.merit > best.merit:
            best, order = plan, shaken
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
    duties: dict[int, list[Duty]] = field(default_factory=dict)
    shifts: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    pledged: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        for watch in self.region.watches.values():
            self.people[watch.slot] = watch.used
            self.volunteers[watch.slot] = watch.volunteers
        for number, crew in enumerate(self.region.crews):
            self.duties[number] = list(crew.duties)
            self.shifts[crew.organization] += len(crew.duties)
            self.pledged[crew.organization] += crew.weekly

    def filled(self, order: Sequence[int], habit: Habit) -> StaffingPlan:
        """Staff who is in already, then place the parties in this order, each by habit where it goes first."""
        for slot in sorted(self.people):
            self._staff(slot, 0)
        kept = sum(self._kept(slot) for slot in self.people)
        served, km, seats = [0] * _TIERS, 0, []
        for number in order:
            party = self.region.parties[number]
            for chosen in habit(party):
                choice = party.choices[chosen]
                if all(self._room(slot) >= party.people for slot in choice.slots) and self._seat(party, choice):
                    served[party.tier] += party.people
                    km += choice.km * party.people
                    seats.append((number, chosen))
                    break
        opened = {call.slot for call in self.called.values() if self.region.watches[call.slot].volunteers == 0}
        people = (served[0], served[1], served[2])
        return StaffingPlan(tuple(self.called.values()), kept, people, km, len(opened), tuple(seats))

    def cheapest(self, party: Party) -> list[int]:
        """Choices by the volunteers that they lack, then by the slots they open, then by distance."""
        return sorted(range(len(party.choices)), key=lambda number: self._cost(party, number))

    def by_whim(self, party: Party, chance: np.random.Generator) -> list[int]:
        """The same, but that every third choice seems dearer than it is."""
        whims = [1.5 if chance.random() < 1 / 3 else 0.0 for _ in party.choices]

        def cost(number: int) -> tuple[float, int, int]:
            missing, opened, km = self._cost(party, number)
            return missing + whims[number], opened, km

        return sorted(range(len(party.choices)), key=cost)

    def nearest(self, party: Party) -> list[int]:
        """Choices by distance."""
        return sorted(range(len(party.choices)), key=lambda number: party.choices[number].km)

    def _cost(self, party: Party, number: int) -> tuple[float, int, int]:
        choice = party.choices[number]
        missing = sum(self._missing(slot, party.people) for slot in choice.slots)
        return missing, sum(self.volunteers[slot] == 0 for slot in choice.slots), choice.km

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
        made: list[Call] = []
        for slot in choice.slots:
            calls = self._crews_for(slot, self._missing(slot, party.people))
            if calls is None:
                for call in reversed(made):
                    self._dismiss(call)
                return False
            made += calls
        for slot in choice.slots:
            self.people[slot] += party.people
        return True

    def _staff(self, slot: int, more: int) -> None:
        """Call volunteers for so many people more, or as many as serve most of who is in."""
        if self._crews_for(slot, self._missing(slot, more)) is None:
            for fewer in range(self.people[slot] - 1, 0, -1):
                watch = self.region.watches[slot]
                missing = volunteers_for(fewer, watch.each, watch.minimum) - self.volunteers[slot]
                if missing <= 0 or self._crews_for(slot, missing) is not None:
                    return

    def _crews_for(self, slot: int, missing: int) -> list[Call] | None:
        """Call so many volunteers; `None`, and nobody called, when there are not enough."""
        made: list[Call] = []
        while missing > 0:
            offers = [
                (spare < missing, self._load(crew), -spare, crew, day, spare)
                for crew, day in self.region.able.get(slot, ())
                if (spare := self._spare(crew, slot, day))
            ]
            if not offers:
                for call in reversed(made):
                    self._dismiss(call)
                return None
            *_, crew, day, spare = min(offers)
            made.append(self._call(crew, slot, day, min(spare, missing)))
            missing -= made[-1].volunteers
        return made

    def _load(self, crew: int) -> float:
        """Shifts of the crew's association for each that it allows in a week."""
        mine = self.region.crews[crew].organization
        return self.shifts[mine] / self.pledged[mine]

    def _spare(self, crew: int, slot: int, day: date) -> int:
        """How many of the crew could still come; a shift it has here already may grow without counting twice."""
        mine, window = self.region.crews[crew], self.region.watches[slot].window
        busy = sum(duty.volunteers for duty in self.duties[crew] if duty.window.overlaps(window))
        if (crew, slot) not in self.called:
            week = sum(monday_of(duty.day) == monday_of(day) for duty in self.duties[crew])
            if week >= mine.weekly:
                return 0
        return max(0, mine.headcount - busy)

    def _call(self, crew: int, slot: int, day: date, volunteers: int) -> Call:
        """Call so many more of a crew; what is returned is what was added."""
        self._set(crew, slot, day, volunteers)
        return Call(crew, slot, day, volunteers)

    def _dismiss(self, call: Call) -> None:
        self._set(call.crew, call.slot, call.day, -call.volunteers)

    def _set(self, crew: int, slot: int, day: date, more: int) -> None:
        window, organization = self.region.watches[slot].window, self.region.crews[crew].organization
        before = self.called.pop((crew, slot), None)
        volunteers = more
        if before is not None:
            self.duties[crew].remove(Duty(window, day, before.volunteers))
            self.shifts[organization] -= 1
            volunteers += before.volunteers
        if volunteers:
            self.called[crew, slot] = Call(crew, slot, day, volunteers)
            self.duties[crew].append(Duty(window, day, volunteers))
            self.shifts[organization] += 1
        self.volunteers[slot] += more
