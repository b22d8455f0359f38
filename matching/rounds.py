"""Rounds: many needs for nights decided together, from the world to the engine's arrays and back.

A round never leaves anybody without the place that they had. Who holds one tentatively may be moved, when that spares
them enough of the way or makes room for others.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matching.assign import Way
from matching.engine.problem import DEFAULT_WEIGHTS, Floats, Integers, Load, Plan, Problem, Weights
from matching.policy import Policy

__all__ = ["Asking", "Exchange", "Step", "exchanges", "prices_of", "problem_of"]

_SETTLED_TIER = 0
"""Who has a place keeps one: such needs are weighed like the most urgent."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a round knows of one need: where it holds places tentatively, by the offer's index, and how far that is."""

    people: int
    tier: int
    waited_hours: float
    first_night: int
    last_night: int
    divisible: bool
    held: int | None = None
    held_km: int = 0
    held_lean: float = 0.0
    """What time and preferences cost it where it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """People of one need to be placed in an offer, which for who held a place elsewhere is a move."""

    need: int
    offer: int
    people: int
    leaves: int | None
    km: int
    spared_km: int
    """Of a move: how much nearer the new place is; negative when it is farther."""
    lean_spared: float = 0.0
    """Of a move: how much less time and preferences cost it there."""

    @property
    def gain_km(self) -> float:
        """Of a move: what its own party gains."""
        return self.spared_km + self.lean_spared


@dataclass(frozen=True, slots=True)
class Exchange:
    """Steps that hang together: each needs room that another one leaves, or shares an offer with one that does."""

    steps: tuple[Step, ...]

    @property
    def moves(self) -> tuple[Step, ...]:
        """The steps of those who had a place."""
        return tuple(step for step in self.steps if step.leaves is not None)

    def way_of(self, step: Step, policy: Policy) -> Way:
        """Why a step of this exchange is made."""
        if step.leaves is None:
            return Way.ROUND
        if step.gain_km < policy.move_gain_km:
            return Way.MADE_ROOM
        return Way.NEARER if step.spared_km >= policy.move_gain_km else Way.PREFERRED

    @property
    def newly_placed(self) -> int:
        """People who had no place before."""
        return sum(step.people for step in self.steps if step.leaves is None)


def problem_of(
    needs: Sequence[Asking],
    free: Integers,
    pairs: tuple[Integers, Integers, Floats],
    weights: Weights = DEFAULT_WEIGHTS,
    *,
    fairness_km: Floats | None = None,
    lean_km: Floats | None = None,
    load_km: float = 0.0,
) -> Problem:
    """The engine's problem.

    `free` are (offers, nights) places when nobody holds one tentatively; `pairs` are (pairs,) needs, (pairs,) offers,
    and (pairs,) whole kilometres. `fairness_km` is (offers,) what the town and the association of each carry beyond
    their share, as at once; `lean_km` is (pairs,) what time and preferences cost; `load_km` what the last free place of
    an offer costs against its first, in kilometres.
    """
    capacity = np.maximum(free, 0)
    return Problem(
        people=np.array([need.people for need in needs], np.int64),
        tier=np.array([_SETTLED_TIER if need.held is not None else need.tier for need in needs], np.int64),
        waited=np.array([need.waited_hours for need in needs], np.float64),
        first_night=np.array([need.first_night for need in needs], np.int64),
        last_night=np.array([need.last_night for need in needs], np.int64),
        divisible=np.array([need.divisible for need in needs], np.bool_),
        capacity=capacity,
        need=pairs[0],
        offer=pairs[1],
        km=_with(_with(pairs[2], None if fairness_km is None else fairness_km[pairs[1]]), lean_km),
        weights=weights,
        load=Load(load_km, np.zeros_like(capacity)) if load_km > 0 else None,
    )


def exchanges(
    needs: Sequence[Asking],
    problem: Problem,
    plan: Plan,
    policy: Policy,
    fairness_km: Floats | None = None,
    lean_km: Floats | None = None,
) -> list[Exchange]:
    """What there is to do for a plan, in pieces that stand alone; moves that are not worth it are left out.

    A move is worth it when its party gains `move_gain_km` by it, of its way, of time and of what it prefers, or when
    people without a place are placed with it. `fairness_km` and `lean_km` are what the problem was made with.
    """
    at = _pair_of_each(problem, plan)
    leans = np.zeros(len(at)) if lean_km is None else lean_km[at]
    beside = leans if fairness_km is None else leans + fairness_km[plan.offer]
    ways = [round(km) for km in (problem.km[at] - beside).tolist()]
    steps = [
        Step(
            need=need,
            offer=offer,
            people=people,
            leaves=needs[need].held,
            km=km,
            spared_km=needs[need].held_km - km,
            lean_spared=needs[need].held_lean - lean,
        )
        for need, offer, people, km, lean in zip(
            plan.need.tolist(), plan.offer.tolist(), plan.people.tolist(), ways, leans.tolist(), strict=True
        )
        if needs[need].held != offer
    ]
    return [kept for piece in _hanging_together(steps) if (kept := _worth_it(piece, policy)) is not None]


def prices_of(problem: Problem, plan: Plan) -> Floats:
    """(offers, nights) what one more place would be worth to the others, in kilometres."""
    return np.round(np.maximum(plan.prices, 0.0) / problem.weights.km, 1)


def _with(costs: Floats, more: Floats | None) -> Floats:
    return costs if more is None else costs + more


def _pair_of_each(problem: Problem, plan: Plan) -> Integers:
    """(assignments,) which pair of the problem each assignment of the plan is."""
    pairs = problem.need * len(problem.capacity) + problem.offer
    order = np.argsort(pairs, kind="stable")
    found: Integers = order[np.searchsorted(pairs[order], plan.need * len(problem.capacity) + plan.offer)]
    return found


def _hanging_together(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Steps by connected offers: those they enter, those they leave, and those of one party."""
    root: dict[int, int] = {}

    def find(offer: int) -> int:
        while root.setdefault(offer, offer) != offer:
            root[offer] = root[root[offer]]
            offer = root[offer]
        return offer

    parts: dict[int, int] = {}
    for step in steps:
        for offer in (step.leaves, parts.setdefault(step.need, step.offer)):
            if offer is not None:
                root[find(offer)] = find(step.offer)
    pieces: defaultdict[int, list[Step]] = defaultdict(list)
    for step in steps:
        pieces[find(step.offer)].append(step)
    return [tuple(piece) for _, piece in sorted(pieces.items())]


def _worth_it(piece: tuple[Step, ...], policy: Policy) -> Exchange | None:
    exchange = Exchange(piece)
    if not exchange.moves or exchange.newly_placed:
        return exchange
    gained = sum(step.gain_km for step in exchange.moves)
    return exchange if gained >= policy.move_gain_km * len(exchange.moves) else None
