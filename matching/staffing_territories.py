"""The best staffing plan in a given time: territories that share neither sites, people nor volunteers apart.

Each gets the greedy plan first, then its share of the time for the programme, as a whole and then piece by piece; small
ones are proved in moments, and what they leave goes to the larger ones.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from matching.staffing import Region, StaffingPlan
from matching.staffing_greedy import plan_shifts
from matching.staffing_programme import solve_staffing
from matching.staffing_search import improve

__all__ = ["Territory", "best_staffing", "territories"]

_FOR_GREEDY = 0.2
_FOR_PROOF = 0.4
"""Shares of the time, at most."""
_SMALL, _PROVABLE = 600, 1000
"""Columns up to which the programme has all the time, and up to which a proof is tried."""


def best_staffing(region: Region, *, clock: Callable[[], float], deadline: float) -> StaffingPlan:
    """The best plan found until `deadline`, an instant of `clock` in seconds; sooner where it is proved best."""
    parts = sorted(territories(region), key=lambda part: _size(part.region))
    enough = clock() + _FOR_GREEDY * (deadline - clock())
    first = [plan_shifts(part.region, seed=0, goes_on=lambda: clock() < enough) for part in parts]
    calls, seats = [], []
    kept, people, km, opened = 0, (0, 0, 0), 0, 0
    left = sum(_size(part.region) for part in parts)
    for part, begin in zip(parts, first, strict=True):
        until = clock() + (deadline - clock()) * _size(part.region) / left
        left -= _size(part.region)
        plan = _planned(part.region, begin, clock, until)
        calls += [replace(call, crew=part.crews[call.crew]) for call in plan.calls]
        seats += [(part.parties[party], choice) for party, choice in plan.seats]
        kept, km, opened = kept + plan.kept, km + plan.km, opened + plan.opened
        people = (people[0] + plan.people[0], people[1] + plan.people[1], people[2] + plan.people[2])
    return StaffingPlan(tuple(calls), kept, people, km, opened, tuple(sorted(seats)))


def _planned(region: Region, begin: StaffingPlan, clock: Callable[[], float], until: float) -> StaffingPlan:
    """The programme as a whole, then piece by piece where that proved nothing in its share of the time."""
    size = _size(region)
    share = 1.0 if size <= _SMALL else _FOR_PROOF if size <= _PROVABLE else 0.0
    plan, seconds = begin, share * (until - clock())
    if seconds > 0:
        found, proved = solve_staffing(region, seconds, begin)
        if found is not None and found.served >= begin.served:
            plan = found
        if proved or size <= _SMALL:
            return plan
    return improve(region, plan, seconds_left=lambda: until - clock(), seed=0)


@dataclass(frozen=True, slots=True)
class Territory:
    """A part of a region that nothing outside touches, and the numbers of its parties and crews in the whole."""

    region: Region
    parties: tuple[int, ...]
    crews: tuple[int, ...]


def territories(region: Region) -> list[Territory]:
    """The region cut where no party, crew or site reaches over; who has nowhere to go is in none."""
    together = [[slot for choice in party.choices for slot in choice.slots] for party in region.parties]
    served: defaultdict[int, list[int]] = defaultdict(list)
    for slot, able in region.able.items():
        for crew, _ in able:
            served[crew].append(slot)
    first = _joined(region.watches, [*together, *served.values()])
    slots_of: defaultdict[int, list[int]] = defaultdict(list)
    parties_of: defaultdict[int, list[int]] = defaultdict(list)
    crews_of: defaultdict[int, list[int]] = defaultdict(list)
    for slot in region.watches:
        slots_of[first[slot]].append(slot)
    for number, slots in enumerate(together):
        if slots:
            parties_of[first[slots[0]]].append(number)
    for crew, slots in sorted(served.items()):
        crews_of[first[slots[0]]].append(crew)
    return [_cut(region, slots, parties_of[at], crews_of[at]) for at, slots in slots_of.items()]


def _joined(slots: Iterable[int], groups: Iterable[Sequence[int]]) -> dict[int, int]:
    """By slot, one that stands for all that hang together with it."""
    root = {slot: slot for slot in slots}

    def find(slot: int) -> int:
        while root[slot] != slot:
            root[slot] = root[root[slot]]
            slot = root[slot]
        return slot

    for group in groups:
        for slot in group[1:]:
            root[find(slot)] = find(group[0])
    return {slot: find(slot) for slot in root}


def _cut(region: Region, slots: list[int], parties: list[int], crews: list[int]) -> Territory:
    number = {crew: position for position, crew in enumerate(crews)}
    inside = Region(
        parties=tuple(region.parties[party] for party in parties),
        watches={slot: region.watches[slot] for slot in slots},
        crews=tuple(region.crews[crew] for crew in crews),
        able={slot: [(number[crew], day) for crew, day in region.able.get(slot, ())] for slot in slots},
    )
    return Territory(inside, tuple(parties), tuple(crews))


def _size(region: Region) -> int:
    """How hard a territory is, about: the columns of its programme."""
    choices = sum(len(party.choices) for party in region.parties)
    return 1 + choices + 2 * sum(map(len, region.able.values()))
