"""Prices for several nights where a simplex would take minutes: the volume algorithm.

Prices lower the Lagrangian bound in steps along an average of the answers met, instead of along the last, so that they
settle within some hundred cheap passes over the pairs (Barahona and Anbil, Mathematical Programming 87, 2000). The
average also says how much of each pair a solution of the relaxation would use, nearly. Every price met bounds every
plan; those of the least bound are answered.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from matching.engine.columns import promising, subset
from matching.engine.compiled import compiled
from matching.engine.pairs import Pairs
from matching.engine.problem import Floats, Integers, Problem
from matching.engine.relaxation import Relaxation, priced_bound

__all__ = ["relax_by_volume"]

_FIRST_STEP: Final = 0.1
_LONGEST_STEP: Final = 1.0
_SHORTEST_STEP: Final = 1e-3
_NEWEST: Final = 0.05
"""Share of the last answer in the average."""
_PATIENCE: Final = 20
"""Passes without a lower bound before steps are made shorter."""
_PASSES: Final = 10
"""Between two looks at the clock, at most."""
_PAIRS_SEEN: Final = 500_000
"""Between two looks at the clock, about: some hundredths of a second."""
_CLOSED: Final = 1e-6


class _Descent(NamedTuple):
    """What the passes change."""

    prices: Floats
    """(m, h) of the least bound met."""
    average: Floats
    """(k,) people"""
    used: Floats
    """(m, h) places that the average takes."""
    state: Floats
    """(3,) the least bound met, the length of a step, passes since the bound fell."""


def relax_by_volume(
    problem: Problem, pairs: Pairs, value: float, *, clock: Callable[[], float], deadline: float
) -> Relaxation:
    """Lower the bound until the deadline or until it settles.

    `value`: the objective of a plan that is known, which sets the length of steps. The people answered are those of
    the average: they may pass capacities by a little, so that the relaxation does not count as solved.
    """
    some = np.flatnonzero(promising(pairs))
    fewer = subset(pairs, some)
    nothing = np.zeros(problem.capacity.shape)
    descent = _Descent(nothing.copy(), np.zeros(len(some)), nothing.copy(), np.array([np.inf, _FIRST_STEP, 0.0]))
    state = descent.state
    passes = max(1, min(_PASSES, _PAIRS_SEEN // max(1, len(some))))
    while state[0] - value > _CLOSED * abs(value) and state[1] > _SHORTEST_STEP:
        _descend(
            fewer, problem.people, problem.first_night, problem.last_night, problem.capacity, value, descent, passes
        )
        if clock() >= deadline:
            break
    people = np.zeros(len(pairs.need))
    people[some] = descent.average
    return Relaxation(descent.prices, people, priced_bound(problem, pairs, descent.prices), np.inf)


def _descend(
    pairs: Pairs,
    people: Integers,
    first: Integers,
    last: Integers,
    capacity: Integers,
    value: float,
    descent: _Descent,
    passes: int,
) -> None:
    prices, average, used, state = descent
    for _ in range(passes):
        fresh = not np.isfinite(state[0])
        over = used - capacity
        slope = float((over * over)[(over > 0) | (prices > 0)].sum())
        length = 0.0 if fresh or slope == 0 else state[1] * (state[0] - value) / slope
        price = np.maximum(0.0, prices + length * over)
        chosen = np.empty(len(people), np.int64)
        taken = np.zeros(capacity.shape)
        bound = float((price * capacity).sum()) + _choose(
            pairs.offer, pairs.worth, pairs.begin, people, first, last, price, chosen, taken
        )
        along = float(((taken - capacity) * over).sum())
        share = 1.0 if fresh else _NEWEST
        average *= 1 - share
        placed = chosen >= 0
        average[chosen[placed]] += share * people[placed]
        used += share * (taken - used)
        if bound < state[0]:
            # A step that still points the way of the average may be longer (the "green" ones of Barahona and Anbil).
            state[1] = min(_LONGEST_STEP, state[1] * (1.0 if fresh else 1.1 if along >= 0 else 1.02))
            state[0], state[2] = bound, 0
            prices[:] = price
        else:
            state[2] += 1
            if state[2] >= _PATIENCE:
                state[1] *= 2 / 3
                state[2] = 0


@compiled
def _choose(
    offer: Integers,
    worth: Floats,
    begin: Integers,
    people: Integers,
    first: Integers,
    last: Integers,
    price: Floats,
    chosen: Integers,
    taken: Floats,
) -> float:
    """Each need at the pair where it gains most at these prices, or -1; the gains of all."""
    total = 0.0
    for need in range(len(people)):
        top, best = 0.0, -1
        for pair in range(begin[need], begin[need + 1]):
            gain = worth[pair]
            for night in range(first[need], last[need] + 1):
                gain -= price[offer[pair], night]
            if gain > top:
                top, best = gain, pair
        chosen[need] = best
        total += top * people[need]
        if best >= 0:
            for night in range(first[need], last[need] + 1):
                taken[offer[best], night] += people[need]
    return total
