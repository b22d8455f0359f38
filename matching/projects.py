"""Projects: many parties that move together, placed as a whole: near each other, and at least so many of them.

A party is never divided, no house takes more than it has room for, and all houses of a plan lie within a distance of
each other. A plan that houses fewer people than the stated minimum is none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

import highspy

from geo.cells import Cell
from geo.distance import Kilometres, kilometres_between

__all__ = [
    "MOST_PARTIES",
    "House",
    "Household",
    "ProjectPlan",
    "ProjectState",
    "flaws_of_plan",
    "near_all",
    "plan_project",
]

MOST_PARTIES: Final = 60
_PERSON: Final = 1000.0
"""What one more person housed is worth, in kilometres of all others together: no plan sends a hundred people so far."""


class ProjectState(StrEnum):
    """Where a project stands."""

    OPEN = "open"
    """A plan is looked for."""
    PROPOSED = "proposed"
    """Places are on hold for a plan that the people's representatives have not answered yet; nobody else was asked."""
    ACCEPTED = "accepted"
    """They said yes: from then on the providers are asked."""
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Household:
    """One party: its people, and by house the kilometres from where it lives; only houses that fit it are named."""

    people: int
    houses: dict[int, Kilometres]


@dataclass(frozen=True, slots=True)
class House:
    """One offer over all nights of the project: where it lies, and how many people it has room for."""

    cell: Cell
    room: int


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """By party, in their order, the house that it goes to; `None` for who is left out."""

    houses: tuple[int | None, ...]

    def people(self, parties: Sequence[Household]) -> int:
        """How many people it houses."""
        return sum(party.people for party, house in zip(parties, self.houses, strict=True) if house is not None)


def near_all(cell: Cell, others: Sequence[Cell], together: Kilometres) -> bool:
    """Whether a house there would be near each of the others."""
    return all(kilometres_between(cell, other) <= together for other in others)


def plan_project(
    parties: Sequence[Household], houses: Sequence[House], together: Kilometres, minimum: int, seconds: float
) -> ProjectPlan | None:
    """The plan that houses most people, and of those the one with the shortest ways; `None` below the minimum.

    A mixed-integer programme (HiGHS) for so many seconds, which begins with the best of the plans around each house.
    """
    begin = max(_around_each(parties, houses, together), key=lambda plan: _worth(plan, parties), default=None)
    found = _Programme(parties, houses, together).solve(begin, seconds)
    plans = [plan for plan in (begin, found) if plan and not any(flaws_of_plan(plan, parties, houses, together))]
    best = max(plans, key=lambda plan: _worth(plan, parties), default=None)
    return best if best is not None and best.people(parties) >= max(minimum, 1) else None


def flaws_of_plan(
    plan: ProjectPlan, parties: Sequence[Household], houses: Sequence[House], together: Kilometres
) -> Iterator[str]:
    """What of a plan breaks a promise, in words of the rule; nothing where it may be proposed."""
    used: dict[int, int] = {}
    for party, house in zip(parties, plan.houses, strict=True):
        if house is None:
            continue
        if house not in party.houses:
            yield "unfit"
        used[house] = used.get(house, 0) + party.people
    if any(people > houses[house].room for house, people in used.items()):
        yield "full"
    cells = {houses[house].cell for house in used}
    if any(kilometres_between(one, other) > together for one, other in combinations(cells, 2)):
        yield "apart"


def _worth(plan: ProjectPlan, parties: Sequence[Household]) -> float:
    """People housed, then kilometres that they are spared."""
    pairs = zip(parties, plan.houses, strict=True)
    km = sum(party.people * party.houses[house] for party, house in pairs if house is not None)
    return _PERSON * plan.people(parties) - km


def _around_each(parties: Sequence[Household], houses: Sequence[House], together: Kilometres) -> Iterator[ProjectPlan]:
    """For each house a plan over it and those that are near it and each other, largest parties first."""
    for middle in range(len(houses)):
        chosen: list[int] = []
        for house in sorted(range(len(houses)), key=lambda each: (_km(houses, middle, each), each)):
            if all(_km(houses, house, each) <= together for each in chosen):
                chosen.append(house)
        yield _filled(parties, houses, chosen)


def _filled(parties: Sequence[Household], houses: Sequence[House], chosen: Sequence[int]) -> ProjectPlan:
    """The largest party first, each to the nearest of these houses that has room for it."""
    left = {house: houses[house].room for house in chosen}
    placed: list[int | None] = [None] * len(parties)
    for number in sorted(range(len(parties)), key=lambda each: (-parties[each].people, each)):
        party = parties[number]
        fitting = [house for house, room in left.items() if house in party.houses and room >= party.people]
        if fitting:
            nearest = min(fitting, key=lambda house: (party.houses[house], house))
            placed[number], left[nearest] = nearest, left[nearest] - party.people
    return ProjectPlan(tuple(placed))


def _km(houses: Sequence[House], one: int, other: int) -> Kilometres:
    return kilometres_between(houses[one].cell, houses[other].cell)


class _Programme:
    """The model: who goes where, and which cells are opened; two cells that are too far apart are never both."""

    def __init__(self, parties: Sequence[Household], houses: Sequence[House], together: Kilometres) -> None:
        self._solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self._parties = parties
        self._columns = 0
        self._goes: dict[tuple[int, int], int] = {}
        self._houses = houses
        for name, value in (("output_flag", False), ("threads", 1), ("mip_rel_gap", 0.0)):
            self._solver.setOptionValue(name, value)
        self._solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
        cells = sorted({house.cell for house in houses})
        self._opens = {cell: self._column(0.0) for cell in cells}
        for one, other in combinations(cells, 2):
            if kilometres_between(one, other) > together:
                self._at_most([(self._opens[one], 1.0), (self._opens[other], 1.0)], 1)
        for number, party in enumerate(parties):
            for house, km in party.houses.items():
                goes = self._goes[number, house] = self._column(party.people * (_PERSON - km))
                self._at_most([(goes, 1.0), (self._opens[houses[house].cell], -1.0)], 0)
            self._at_most([(self._goes[number, house], 1.0) for house in party.houses], 1)
        for house in range(len(houses)):
            inside = [
                (column, float(parties[number].people)) for (number, at), column in self._goes.items() if at == house
            ]
            self._at_most(inside, houses[house].room)

    def solve(self, begin: ProjectPlan | None, seconds: float) -> ProjectPlan | None:
        """The best plan found in so many seconds, from one to begin with."""
        if not self._goes:
            return None
        self._solver.setOptionValue("time_limit", seconds)
        if begin is not None:
            known = highspy.HighsSolution()
            known.col_value = self._values(begin)
            self._solver.setSolution(known)
        self._solver.run()
        if self._solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        values = self._solver.getSolution().col_value
        placed: list[int | None] = [None] * len(self._parties)
        for (number, house), column in self._goes.items():
            if values[column] > 0.5:
                placed[number] = house
        return ProjectPlan(tuple(placed))

    def _values(self, plan: ProjectPlan) -> list[float]:
        values = [0.0] * self._columns
        for number, house in enumerate(plan.houses):
            if house is not None:
                values[self._goes[number, house]] = 1.0
                values[self._opens[self._houses[house].cell]] = 1.0
        return values

    def _column(self, worth: float) -> int:
        self._solver.addVar(0.0, 1.0)
        self._solver.changeColCost(self._columns, worth)
        self._solver.changeColIntegrality(self._columns, highspy.HighsVarType.kInteger)
        self._columns += 1
        return self._columns - 1

    def _at_most(self, terms: Sequence[tuple[int, float]], most: float) -> None:
        if terms:
            columns, weights = zip(*terms, strict=True)
            self._solver.addRow(-highspy.kHighsInf, float(most), len(columns), list(columns), list(weights))
