"""Staffing as a mixed-integer programme: who goes where and who serves where, decided together (HiGHS).

It finds what no order of parties finds, and proves it when it has the time. Urgency tiers come one before the other by
weight, then those who are in a slot already, then fewer shifts, then the association whose share is largest is spared.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import highspy

from matching.staffing import Call, Region, StaffingPlan, plan_shifts

__all__ = ["best_staffing", "solve_staffing"]

_TIER: Final = (1e6, 1e3, 1.0)
"""What a person is worth by tier: a thousand of the next, more than wait in one plan."""
_KEPT: Final = 2e6
"""What it is worth that somebody who has a place keeps it."""
_PEAK: Final = 0.2
_SHIFT: Final = 5e-4
_VOLUNTEER: Final = 1e-5
_KILOMETRE: Final = 1e-7
"""All of these together weigh less than one person of the last tier."""

_Term = Any
"""An expression of the solver, or a number: its library says nothing of their types."""


@dataclass
class _Programme:
    """The model under way: binary moves of parties, volunteers that come, and what each is worth."""

    region: Region
    model: highspy.Highs = field(default_factory=highspy.Highs)
    goes: dict[tuple[int, int], _Term] = field(default_factory=dict)
    comes: dict[tuple[int, int], _Term] = field(default_factory=dict)
    shifts: defaultdict[int, list[tuple[int, date, _Term]]] = field(default_factory=lambda: defaultdict(list))
    kept: list[_Term] = field(default_factory=list)
    worth: list[_Term] = field(default_factory=list)

    def build(self) -> None:
        """Variables and constraints of the whole region."""
        for number, party in enumerate(self.region.parties):
            for choice, each in enumerate(party.choices):
                variable = self.goes[number, choice] = self.model.addBinary()
                self.worth.append((_TIER[party.tier] - _KILOMETRE * each.km) * party.people * variable)
            if party.choices:
                self._at_most(sum(self.goes[number, choice] for choice in range(len(party.choices))), 1)
        for slot in self.region.watches:
            self._open(slot)
        for crew in self.shifts:
            self._limit(crew)
        self._share()

    def _open(self, slot: int) -> None:
        watch = self.region.watches[slot]
        here = [key for key in self.goes if slot in self.region.parties[key[0]].choices[key[1]].slots]
        inside = sum(self.region.parties[number].people * self.goes[number, choice] for number, choice in here)
        is_open = self.model.addBinary()
        volunteers: _Term = watch.volunteers
        for crew, day in self.region.able.get(slot, ()):
            most = self.region.crews[crew].headcount
            come = self.comes[crew, slot] = self.model.addIntegral(0, most)
            shift = self.model.addBinary()
            self.shifts[crew].append((slot, day, shift))
            self._at_most(come - most * shift, 0)
            self.worth += [-_SHIFT * shift, -_VOLUNTEER * come]
            volunteers = volunteers + come
        kept: _Term = 0
        if watch.used:
            kept = self.model.addIntegral(0, watch.used)
            self._at_most(kept - watch.used * is_open, 0)
            self.kept.append(kept)
            self.worth.append(_KEPT * kept)
        if here:
            self._at_most(inside - max(watch.places - watch.used, 0) * is_open, 0)
        self._at_most(inside + kept - watch.each * volunteers + 0 * is_open, 0)
        self._at_most(max(1, watch.minimum) * is_open - volunteers, 0)

    def _limit(self, crew: int) -> None:
        mine = self.region.crews[crew]
        weeks: defaultdict[date, list[_Term]] = defaultdict(list)
        for _, day, shift in self.shifts[crew]:
            weeks[_monday(day)].append(shift)
        for monday, shifts in weeks.items():
            taken = sum(_monday(duty.day) == monday for duty in mine.duties)
            self._at_most(sum(shifts), max(0, mine.weekly - taken))
        for slot, _, _ in self.shifts[crew]:
            window = self.region.watches[slot].window
            busy = sum(duty.volunteers for duty in mine.duties if duty.window.overlaps(window))
            beside = [
                self.comes[crew, other]
                for other, _, _ in self.shifts[crew]
                if self.region.watches[other].window.overlaps(window)
            ]
            self._at_most(sum(beside), max(0, mine.headcount - busy))

    def _share(self) -> None:
        """The largest share of its weekly limits that any association serves is made small."""
        peak = self.model.addVariable(0, highspy.kHighsInf)
        self.worth.append(-_PEAK * peak)
        pledged: defaultdict[object, int] = defaultdict(int)
        served: defaultdict[object, _Term] = defaultdict(int)
        for number, crew in enumerate(self.region.crews):
            pledged[crew.organization] += crew.weekly
            served[crew.organization] += len(crew.duties) + sum(shift for _, _, shift in self.shifts.get(number, ()))
        for organization, shifts in served.items():
            self._at_most(shifts - pledged[organization] * peak, 0)

    def _at_most(self, expression: _Term, most: int) -> None:
        self.model.addConstr(expression <= most)


def best_staffing(region: Region, seconds: float) -> StaffingPlan:
    """The better of the greedy plan and the best that the programme finds in so many seconds."""
    greedy = plan_shifts(region, seed=0)
    found = solve_staffing(region, seconds)
    return greedy if found is None or greedy.merit > found.merit else found


def solve_staffing(region: Region, seconds: float) -> StaffingPlan | None:
    """The best plan found in so many seconds; `None` when none was."""
    programme = _Programme(region)
    model = programme.model
    model.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    for name, value in (("threads", 1), ("mip_rel_gap", 0.0), ("time_limit", seconds)):
        model.setOptionValue(name, value)
    programme.build()
    model.maximize(sum(programme.worth))
    found = model.getSolution().col_value
    if not found or model.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return None
    return _plan(programme, lambda variable: round(found[variable.index]))


def _plan(programme: _Programme, value: Callable[[_Term], int]) -> StaffingPlan:
    region = programme.region
    calls = tuple(
        Call(crew, slot, day, value(programme.comes[crew, slot]))
        for crew, shifts in programme.shifts.items()
        for slot, day, _ in shifts
        if value(programme.comes[crew, slot]) > 0
    )
    people, km = [0, 0, 0], 0
    for (number, choice), variable in programme.goes.items():
        if value(variable):
            party = region.parties[number]
            people[party.tier] += party.people
            km += party.choices[choice].km * party.people
    return StaffingPlan(calls, sum(map(value, programme.kept)), (people[0], people[1], people[2]), km)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
