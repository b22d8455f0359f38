"""A staffing plan made better piece by piece, where a territory is too large for the programme as a whole.

A few slots that hang together by who could go and who could serve there are planned anew by the programme, all else
staying as it is; again and again from where somebody waits ("large neighbourhood search": Shaw, CP 1998, LNCS 1520).
No piece is ever worse than it was, and chance comes from the seed that is given.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from matching.staffing import Call, Duty, Party, Region, StaffingPlan
from matching.staffing_programme import solve_staffing

__all__ = ["improve"]

_PIECE_SECONDS = 0.12
_COLUMNS = (250, 600)
"""The least and the most that a piece has, about."""


def improve(region: Region, plan: StaffingPlan, *, seconds_left: Callable[[], float], seed: int) -> StaffingPlan:
    """The plan, improved while there are seconds left."""
    chance = np.random.default_rng(seed)
    around = _neighbours(region)
    open_slots = sorted(around)
    while open_slots and (left := seconds_left()) > 0:
        slots = _grown(region, plan, around, open_slots, chance)
        piece = _cut(region, plan, slots)
        found, _ = solve_staffing(piece.region, min(_PIECE_SECONDS, left), piece.plan)
        if found is not None and found.merit > piece.plan.merit:
            plan = _joined(region, plan, piece, found)
    return plan


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some slots as a region of their own, what the plan does there, and the numbers of its parties and choices."""

    region: Region
    plan: StaffingPlan
    parties: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]


def _neighbours(region: Region) -> dict[int, list[int]]:
    """By slot, those that share a party or a crew with it, in a settled order."""
    together: list[Collection[int]] = [
        {slot for choice in party.choices for slot in choice.slots} for party in region.parties
    ]
    crews: defaultdict[int, set[int]] = defaultdict(set)
    for slot, able in region.able.items():
        for crew, _ in able:
            crews[crew].add(slot)
    found: defaultdict[int, set[int]] = defaultdict(set)
    for slots in (*together, *crews.values()):
        for slot in slots:
            found[slot].update(slots)
    return {slot: sorted(others - {slot}) for slot, others in found.items()}


def _grown(
    region: Region, plan: StaffingPlan, around: dict[int, list[int]], every: list[int], chance: np.random.Generator
) -> set[int]:
    """Slots around one where somebody waits, or around any."""
    seated = {party for party, _ in plan.seats}
    waiting = [number for number, party in enumerate(region.parties) if number not in seated and party.choices]
    if waiting and chance.random() < 0.8:
        party = region.parties[waiting[int(chance.integers(len(waiting)))]]
        begin = list(party.choices[int(chance.integers(len(party.choices)))].slots)
    else:
        begin = [every[int(chance.integers(len(every)))]]
    most = int(chance.integers(*_COLUMNS))
    columns = _columns(region)
    grown, edge, size = set(begin), list(begin), sum(columns[slot] for slot in begin)
    while edge and size < most:
        near = around.get(edge[int(chance.integers(len(edge)))], [])
        fresh = [slot for slot in near if slot not in grown]
        if not fresh:
            edge = [slot for slot in edge if any(other not in grown for other in around.get(slot, ()))]
            continue
        slot = fresh[int(chance.integers(len(fresh)))]
        grown.add(slot)
        edge.append(slot)
        size += columns[slot]
    return grown


def _columns(region: Region) -> dict[int, int]:
    found = {slot: 1 + 2 * len(region.able.get(slot, ())) for slot in region.watches}
    for party in region.parties:
        for choice in party.choices:
            for slot in choice.slots:
                found[slot] += 1
    return found


def _cut(region: Region, plan: StaffingPlan, slots: Collection[int]) -> _Piece:
    """What may change in these slots; who goes there and elsewhere as well is there for good."""
    seat = dict(plan.seats)
    settled: defaultdict[int, int] = defaultdict(int)
    parties, numbers, kept = [], [], []
    for number, party in enumerate(region.parties):
        if number in seat and not slots_within(party, seat[number], slots):
            for slot in party.choices[seat[number]].slots:
                settled[slot] += party.people
            continue
        inside = tuple(choice for choice in range(len(party.choices)) if slots_within(party, choice, slots))
        if inside:
            parties.append(replace(party, choices=tuple(party.choices[choice] for choice in inside)))
            numbers.append(number)
            kept.append(inside)
    outside: defaultdict[int, list[Duty]] = defaultdict(list)
    for call in plan.calls:
        if call.slot not in slots:
            outside[call.crew].append(Duty(region.watches[call.slot].window, call.day, call.volunteers))
    piece = Region(
        parties=tuple(parties),
        watches={
            slot: replace(region.watches[slot], used=region.watches[slot].used + settled[slot])
            for slot in sorted(slots)
        },
        crews=tuple(
            replace(crew, duties=(*crew.duties, *outside[number])) if number in outside else crew
            for number, crew in enumerate(region.crews)
        ),
        able={slot: region.able.get(slot, ()) for slot in sorted(slots)},
    )
    position = {number: at for at, number in enumerate(numbers)}
    seats = tuple(
        (position[number], kept[position[number]].index(choice)) for number, choice in plan.seats if number in position
    )
    calls = tuple(call for call in plan.calls if call.slot in slots)
    return _Piece(piece, _counted(piece, calls, seats), tuple(numbers), tuple(kept))


def slots_within(party: Party, choice: int, slots: Collection[int]) -> bool:
    """Whether all slots of a choice are among these."""
    return all(slot in slots for slot in party.choices[choice].slots)


def _joined(region: Region, plan: StaffingPlan, piece: _Piece, found: StaffingPlan) -> StaffingPlan:
    calls = (*(call for call in plan.calls if call.slot not in piece.region.watches), *found.calls)
    moved = set(piece.parties)
    seats = [seat for seat in plan.seats if seat[0] not in moved]
    seats += [(piece.parties[party], piece.choices[party][choice]) for party, choice in found.seats]
    return _counted(region, calls, tuple(sorted(seats)))


def _counted(region: Region, calls: tuple[Call, ...], seats: tuple[tuple[int, int], ...]) -> StaffingPlan:
    """A plan with its sums."""
    volunteers = {slot: watch.volunteers for slot, watch in region.watches.items()}
    for call in calls:
        volunteers[call.slot] += call.volunteers
    kept = sum(
        min(watch.used, volunteers[slot] * watch.each) if volunteers[slot] >= max(1, watch.minimum) else 0
        for slot, watch in region.watches.items()
    )
    people, km = [0, 0, 0], 0
    for number, choice in seats:
        party = region.parties[number]
        people[party.tier] += party.people
        km += party.choices[choice].km * party.people
    opened = {call.slot for call in calls if region.watches[call.slot].volunteers == 0}
    return StaffingPlan(calls, kept, (people[0], people[1], people[2]), km, len(opened), seats)
