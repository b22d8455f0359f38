"""Staffing as a mixed-integer programme: who goes where and who serves where, decided together (HiGHS).

It begins with a plan, so that it never ends with less, and proves the best one where it has the time. Urgency tiers
come one before the other by weight, after those who are in a slot already; among plans that serve as many, the one that
opens fewer slots, then asks for fewer shifts, then spares the association whose share is largest.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

import highspy
import numpy as np

from matching.staffing import Call, Region, StaffingPlan, monday_of, volunteers_for

__all__ = ["solve_staffing"]

_OPENING: Final = 2e-3
_SHIFT: Final = 2e-4
_PEAK: Final = 1e-4
_VOLUNTEER: Final = 1e-6
_KILOMETRE: Final = 1e-8
"""In people of the last tier; all of them together weigh less than one, in a territory of a usual size."""


def solve_staffing(
    region: Region, seconds: float, begin: StaffingPlan | None = None
) -> tuple[StaffingPlan | None, bool]:
    """The best plan found in so many seconds, from a plan to begin with, and whether it is proved; `None`: none was."""
    programme = _Programme(region)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    for name, value in (("threads", 1), ("mip_rel_gap", 0.0), ("mip_abs_gap", 1e-7), ("time_limit", seconds)):
        solver.setOptionValue(name, value)
    solver.passModel(programme.model())
    if begin is not None:
        known = highspy.HighsSolution()
        known.col_value = programme.values_of(begin)
        solver.setSolution(known)
    solver.run()
    found = solver.getSolution().col_value
    if not found or solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return None, False
    proved = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return programme.plan([round(value) for value in found]), proved


@dataclass
class _Programme:
    """The model under way: columns by what they say, and rows of which each is at most a number."""

    region: Region
    costs: list[float] = field(default_factory=list)
    uppers: list[float] = field(default_factory=list)
    rows: list[tuple[list[int], list[float], float]] = field(default_factory=list)
    goes: dict[tuple[int, int], int] = field(default_factory=dict)
    opens: dict[int, int] = field(default_factory=dict)
    keeps: dict[int, int] = field(default_factory=dict)
    comes: dict[tuple[int, int], int] = field(default_factory=dict)
    shifts: dict[tuple[int, int], int] = field(default_factory=dict)
    days: dict[tuple[int, int], date] = field(default_factory=dict)
    peak: int = 0

    def __post_init__(self) -> None:
        """Columns and rows of the whole region."""
        worth = _worth_of_tiers(self.region)
        here: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, party in enumerate(self.region.parties):
            for choice, each in enumerate(party.choices):
                gain = (worth[party.tier] - _KILOMETRE * each.km) * party.people
                self.goes[number, choice] = self._column(gain, 1)
                for slot in each.slots:
                    here[slot].append((number, choice))
            self._at_most([(self.goes[number, choice], 1) for choice in range(len(party.choices))], 1)
        for slot in self.region.watches:
            self._open(slot, here[slot], kept_worth=worth[-1])
        for crew in range(len(self.region.crews)):
            self._limit(crew)
        self._share()

    def model(self) -> highspy.HighsLp:
        """As the solver takes it."""
        model = highspy.HighsLp()
        model.sense_ = highspy.ObjSense.kMaximize
        model.num_col_, model.num_row_ = len(self.costs), len(self.rows)
        model.col_cost_ = np.array(self.costs)
        model.col_lower_, model.col_upper_ = np.zeros(len(self.costs)), np.array(self.uppers)
        model.row_lower_ = np.full(len(self.rows), -highspy.kHighsInf)
        model.row_upper_ = np.array([most for _, _, most in self.rows])
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lengths = [len(columns) for columns, _, _ in self.rows]
        model.a_matrix_.start_ = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        model.a_matrix_.index_ = np.array([at for columns, _, _ in self.rows for at in columns], np.int32)
        model.a_matrix_.value_ = np.array([value for _, values, _ in self.rows for value in values])
        kinds = [highspy.HighsVarType.kInteger] * len(self.costs)
        kinds[self.peak] = highspy.HighsVarType.kContinuous
        model.integrality_ = kinds
        return model

    def values_of(self, plan: StaffingPlan) -> list[float]:
        """A plan as values of the columns."""
        values = [0.0] * len(self.costs)
        volunteers = {slot: watch.volunteers for slot, watch in self.region.watches.items()}
        for call in plan.calls:
            volunteers[call.slot] += call.volunteers
            values[self.comes[call.crew, call.slot]] = call.volunteers
            values[self.shifts[call.crew, call.slot]] = 1
        for seat in plan.seats:
            values[self.goes[seat]] = 1
        for slot, watch in self.region.watches.items():
            is_open = volunteers[slot] >= max(1, watch.minimum)
            values[self.opens[slot]] = is_open
            if slot in self.keeps:
                values[self.keeps[slot]] = min(watch.used, volunteers[slot] * watch.each) if is_open else 0
        called: defaultdict[UUID, int] = defaultdict(int)
        for call in plan.calls:
            called[self.region.crews[call.crew].organization] += 1
        loads = [(has + called[organization]) / most for organization, (has, most) in self._pledged().items()]
        values[self.peak] = max(loads, default=0.0)
        return values

    def plan(self, values: list[int]) -> StaffingPlan:
        """What the columns' values say."""
        region = self.region
        calls = tuple(
            Call(crew, slot, self.days[crew, slot], values[column])
            for (crew, slot), column in self.comes.items()
            if values[column] > 0
        )
        seats = tuple(seat for seat, column in self.goes.items() if values[column])
        people, km = [0, 0, 0], 0
        for number, choice in seats:
            party = region.parties[number]
            people[party.tier] += party.people
            km += party.choices[choice].km * party.people
        kept = sum(values[column] for column in self.keeps.values())
        opened = {call.slot for call in calls if region.watches[call.slot].volunteers == 0}
        return StaffingPlan(calls, kept, (people[0], people[1], people[2]), km, len(opened), seats)

    def _open(self, slot: int, here: list[tuple[int, int]], kept_worth: float) -> None:
        watch = self.region.watches[slot]
        parties = self.region.parties
        inside = [(self.goes[seat], float(parties[seat[0]].people)) for seat in here]
        opens = self.opens[slot] = self._column(0.0 if watch.volunteers else -_OPENING, 1)
        most = volunteers_for(watch.used + max(0, watch.places - watch.used), watch.each, watch.minimum)
        coming = []
        for crew, day in self.region.able.get(slot, ()):
            spare = min(self._spare(crew, slot, day), most)
            if spare > 0:
                come = self.comes[crew, slot] = self._column(-_VOLUNTEER, spare)
                shift = self.shifts[crew, slot] = self._column(-_SHIFT, 1)
                self.days[crew, slot] = day
                self._at_most([(come, 1.0), (shift, -float(spare))], 0)
                coming.append(come)
        self._at_most([*inside, (opens, -float(max(watch.places - watch.used, 0)))], 0)
        if watch.used:
            keep = self.keeps[slot] = self._column(kept_worth, watch.used)
            self._at_most([(keep, 1.0), (opens, -float(watch.used))], 0)
            inside.append((keep, 1.0))
        for seat in here:
            self._at_most([(self.goes[seat], 1.0), (opens, -1.0)], 0)
        served = [(come, -float(watch.each)) for come in coming]
        self._at_most([*inside, *served], watch.each * watch.volunteers)
        self._at_most([(opens, float(max(1, watch.minimum))), *((come, -1.0) for come in coming)], watch.volunteers)

    def _spare(self, crew: int, slot: int, day: date) -> int:
        """How many of a crew could come if it were called here alone."""
        mine, window = self.region.crews[crew], self.region.watches[slot].window
        if sum(monday_of(duty.day) == monday_of(day) for duty in mine.duties) >= mine.weekly:
            return 0
        return mine.headcount - sum(duty.volunteers for duty in mine.duties if duty.window.overlaps(window))

    def _limit(self, crew: int) -> None:
        mine = self.region.crews[crew]
        here = [slot for number, slot in self.comes if number == crew]
        weeks: defaultdict[date, list[int]] = defaultdict(list)
        for slot in here:
            weeks[monday_of(self.days[crew, slot])].append(self.shifts[crew, slot])
        for monday, shifts in weeks.items():
            left = mine.weekly - sum(monday_of(duty.day) == monday for duty in mine.duties)
            if len(shifts) > left:
                self._at_most([(shift, 1.0) for shift in shifts], left)
        for beside in {self._beside(slot, here) for slot in here}:
            window = self.region.watches[beside[0]].window
            busy = sum(duty.volunteers for duty in mine.duties if duty.window.overlaps(window))
            if len(beside) > 1:
                self._at_most([(self.comes[crew, slot], 1.0) for slot in beside], mine.headcount - busy)

    def _beside(self, slot: int, others: list[int]) -> tuple[int, ...]:
        """A slot, and those of the others that are at its time."""
        window = self.region.watches[slot].window
        return (
            slot,
            *(other for other in others if other != slot and self.region.watches[other].window.overlaps(window)),
        )

    def _share(self) -> None:
        """The largest share of its weekly limits that any association serves is made small."""
        self.peak = self._column(-_PEAK, highspy.kHighsInf)
        shifts: defaultdict[UUID, list[int]] = defaultdict(list)
        for (crew, _), column in self.shifts.items():
            shifts[self.region.crews[crew].organization].append(column)
        for organization, (has, most) in self._pledged().items():
            terms = [(column, 1.0) for column in shifts[organization]]
            self._at_most([*terms, (self.peak, -float(most))], -has)

    def _pledged(self) -> dict[UUID, tuple[int, int]]:
        """By association: the shifts that it has, and those that it allows in a week."""
        found: dict[UUID, tuple[int, int]] = {}
        for crew in self.region.crews:
            has, most = found.get(crew.organization, (0, 0))
            found[crew.organization] = has + len(crew.duties), most + crew.weekly
        return found

    def _column(self, cost: float, upper: float) -> int:
        self.costs.append(cost)
        self.uppers.append(upper)
        return len(self.costs) - 1

    def _at_most(self, terms: list[tuple[int, float]], most: float) -> None:
        if terms:
            self.rows.append(([column for column, _ in terms], [value for _, value in terms], most))


def _worth_of_tiers(region: Region) -> tuple[float, ...]:
    """What a person is worth by tier, and who keeps a place: one more than all of the tiers after it together."""
    waiting = [0, 0, 0]
    for party in region.parties:
        waiting[party.tier] += party.people
    normal = 1.0
    high = 1.0 + waiting[2] * normal
    vital = 1.0 + waiting[1] * high + waiting[2] * normal
    return vital, high, normal, 1.0 + waiting[0] * vital + waiting[1] * high + waiting[2] * normal
