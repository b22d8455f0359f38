"""Pathways: several needs of one party chosen as one plan, so that the class is near the bed.

One step is by the night, the bed: the anchor. Every other step is to lie within its reach of it. What is chosen is the
best of all plans there are, not the best bed and then what is left around it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

from geo.cells import Cell, centroid
from geo.distance import EARTH_RADIUS_KM, Kilometres, kilometres_between
from geo.travel import minutes_between
from matching.assign import Candidate, Cost, cost_of
from matching.policy import Policy
from matching.states import NeedState
from matching.vocabulary import PROTECTIVE, Urgency

__all__ = [
    "FEWEST_STEPS",
    "MOST_STEPS",
    "MOST_WEIGHED",
    "Found",
    "PathwayState",
    "Plan",
    "Spot",
    "Step",
    "beside_bed",
    "best_plan",
    "cost_from",
    "seen_from",
    "state_of",
]

FEWEST_STEPS = 2
MOST_STEPS = 5
MOST_WEIGHED = 500
"""How many of the nearest feasible offers are weighed for each step."""
_KM_PER_RADIAN = EARTH_RADIUS_KM
_NO_STEPS = frozenset({"step_free"})
_NO_STAIRS = _NO_STEPS | {"ground_floor", "lift"}


class PathwayState(StrEnum):
    """Where a pathway stands, as its steps do."""

    OPEN = "open"
    """A place is looked for, for one step at least."""
    UNMET = "unmet"
    """A step has found no place in time; it takes one that appears."""
    HELD = "held"
    """Every step has a place; a provider has not answered yet."""
    CONFIRMED = "confirmed"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Spot:
    """A feasible offer for one step, and the cell in which it lies."""

    candidate: Candidate
    cell: Cell


@dataclass(frozen=True, slots=True)
class Step:
    """A step beside the bed that looks for a place, with the spots there are for it.

    `reach` is how far it may lie from the bed, in kilometres.
    """

    urgency: Urgency
    people: int
    reach: Kilometres
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A step beside the bed that has its place already: it stays, and a bed within its reach is the better one."""

    urgency: Urgency
    reach: Kilometres
    cell: Cell


@dataclass(frozen=True, slots=True)
class Plan:
    """A bed, and for each step its spot or none, in the order of the steps."""

    bed: Spot
    steps: tuple[Spot | None, ...]


def best_plan(
    beds: Sequence[Spot],
    steps: Sequence[Step],
    found: Sequence[Found],
    policy: Policy,
    present: Spot | None = None,
) -> Plan | None:
    """The best of all plans; `None` without a bed.

    Best is: most steps within reach of the bed, by urgency, where a tier is never traded for the next; then the bed
    that the party has (`present`, tentatively: it is one of the beds); then least cost, the bed's from its own need's
    cell, every other step's from the bed; then the offers' order among equals.
    """
    plans = (_around(bed, steps, found, policy) for bed in beds)
    return min(plans, key=lambda plan: _rank(plan, steps, found, policy, present), default=None)


def beside_bed(requires: Collection[str]) -> frozenset[str]:
    """What holds for a party wherever it goes, of what its bed must have: no steps on the way, and what protects it.

    Who asks for a ground floor or a lift climbs no stairs elsewhere either; there a place without steps is what helps.
    """
    said = frozenset(requires)
    return (said & PROTECTIVE) | (_NO_STEPS if said & _NO_STAIRS else frozenset())


def cost_from(bed: Cell, spot: Spot, policy: Policy) -> Cost:
    """What a step's place costs beside this bed: its way is the one from there."""
    return cost_of(seen_from(bed, spot), policy)


def seen_from(cell: Cell, spot: Spot) -> Candidate:
    """A step's place with the way to it from a cell, whatever way it was found by."""
    return replace(
        spot.candidate, distance=kilometres_between(cell, spot.cell), minutes=minutes_between(cell, spot.cell)
    )


def state_of(states: Collection[NeedState]) -> PathwayState:
    """Where a pathway stands whose steps stand so; steps that have ended say nothing while others live."""
    ended = {NeedState.CLOSED, NeedState.WITHDRAWN}
    living = set(states) - ended
    if not living:
        return PathwayState.CLOSED if NeedState.CLOSED in states else PathwayState.WITHDRAWN
    if living & {NeedState.OPEN, NeedState.REFERRED}:
        return PathwayState.OPEN
    worst = next(state for state in (NeedState.UNMET, NeedState.HELD, NeedState.CONFIRMED) if state in living)
    return PathwayState(worst.value)


def _around(bed: Spot, steps: Sequence[Step], found: Sequence[Found], policy: Policy) -> Plan:
    """The best choice of steps around one bed: each its least costly spot, unless two would fill one room."""
    nearest = [_least_costly(bed.cell, step, len(steps), policy) for step in steps]
    first = tuple(spots[0] if spots else None for spots in nearest)
    if _has_room(first, steps):
        return Plan(bed, first)
    # Others take at most as many offers as there are other steps: so nobody needs more spots than there are steps.
    choices = product(*((*spots, None) for spots in nearest))
    plans = (Plan(bed, choice) for choice in choices if _has_room(choice, steps))
    return min(plans, key=lambda plan: _rank(plan, steps, found, policy, None))


def _least_costly(bed: Cell, step: Step, most: int, policy: Policy) -> list[Spot]:
    within = _within(bed, step.reach, step.spots)
    return sorted(within, key=lambda spot: (cost_from(bed, spot, policy).total, spot.candidate.tie))[:most]


def _within(bed: Cell, reach: Kilometres, spots: Sequence[Spot]) -> Iterator[Spot]:
    """The spots within reach of a bed; those farther north or south than that are passed over without a sine."""
    latitude = centroid(bed).latitude
    most = (reach + 1) / _KM_PER_RADIAN * 57.3
    for spot in spots:
        if abs(centroid(spot.cell).latitude - latitude) <= most and kilometres_between(bed, spot.cell) <= reach:
            yield spot


def _has_room(choice: Sequence[Spot | None], steps: Sequence[Step]) -> bool:
    """Whether the places are there for all of them at once; of two in one slot, the fuller of their rooms counts."""
    taken: Counter[int] = Counter()
    for spot, step in zip(choice, steps, strict=True):
        if spot is not None:
            taken.update(dict.fromkeys(spot.candidate.slots, step.people))
    return all(
        spot is None or all(taken[slot] <= spot.candidate.free for slot in spot.candidate.slots) for spot in choice
    )


def _rank(
    plan: Plan, steps: Sequence[Step], found: Sequence[Found], policy: Policy, present: Spot | None
) -> tuple[tuple[int, ...], bool, float, tuple[int, ...]]:
    """What plans are compared by; less is better."""
    near = Counter(step.urgency for step, spot in zip(steps, plan.steps, strict=True) if spot is not None)
    near.update(each.urgency for each in found if kilometres_between(plan.bed.cell, each.cell) <= each.reach)
    chosen = [spot for spot in plan.steps if spot is not None]
    total = cost_of(plan.bed.candidate, policy).total
    total += sum(cost_from(plan.bed.cell, spot, policy).total for spot in chosen)
    ties = tuple(spot.candidate.tie for spot in (plan.bed, *chosen))
    return tuple(-near[tier] for tier in Urgency), present is not None and plan.bed is not present, total, ties
