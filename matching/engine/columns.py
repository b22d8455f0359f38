"""The relaxation over ever more pairs: a few of each need first, to which the prices found add those that would gain.

Most pairs of a dense region never matter. A solver gets of each need its best pairs and a sample of the others, all
through its radius; then every pair is looked at with the prices found, those that would gain are added, and it is
solved again until none would ("sifting": Bixby et al., Operations Research 40, 1992). The prices bound every plan at
each step, so it may stop at any; the least bound met counts.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from matching.engine.compiled import compiled
from matching.engine.pairs import Pairs
from matching.engine.problem import Flags, Floats, Integers, Problem
from matching.engine.relaxation import Relaxation, gains, priced_bound

__all__ = ["promising", "relax_by_columns", "subset"]

_NEAREST: Final = 24
"""Pairs of each need to begin with, its best by worth."""
_SAMPLED: Final = 16
"""Of its others, evenly by rank: without them prices of what lies farther away are far from true."""
_ADDED: Final = 12
"""Pairs of each need to add at most in one step, those that gain most."""
_CLOSED: Final = 1e-4
"""Bound and value this near, relatively, are near enough."""


def relax_by_columns(
    problem: Problem, pairs: Pairs, solve: Callable[[Pairs], Relaxation], *, enough: Callable[[], bool]
) -> Relaxation:
    """Relax with `solve` over ever more of the pairs, until bound and value are close or it is `enough`.

    `solve` relaxes the problem over some of its pairs, to the end. The bound that is answered holds over all of them,
    and the dual error is how far it is from what the people answered are worth.
    """
    chosen = promising(pairs)
    prices, bound = np.zeros(problem.capacity.shape), np.inf
    people = np.zeros(len(pairs.need))
    while True:
        some = np.flatnonzero(chosen)
        relaxed = solve(subset(pairs, some))
        now = priced_bound(problem, pairs, relaxed.prices)
        if now < bound:
            prices, bound = relaxed.prices, now
        people[some] = relaxed.people
        error = abs(bound - float(people @ pairs.worth)) / bound if bound > 0 else 0.0
        if error <= _CLOSED or enough():
            return Relaxation(prices, people, bound, error)
        gain = gains(problem, pairs, relaxed.prices)
        if not _add(pairs.begin, gain, chosen, _ADDED, _CLOSED * float(pairs.worth.max())):
            return Relaxation(prices, people, bound, error)


def promising(pairs: Pairs) -> Flags:
    """(k,) the pairs to begin with: of each need the best, and a sample of the others."""
    rank = np.arange(len(pairs.need)) - pairs.begin[pairs.need]
    others = np.maximum(np.diff(pairs.begin) - _NEAREST, 1)[pairs.need]
    stride = np.maximum(others / _SAMPLED, 1.0)
    beyond = rank - _NEAREST
    sampled: Flags = np.floor((beyond + 1) / stride) > np.floor(beyond / stride)
    return sampled | (beyond < 0)


def subset(pairs: Pairs, some: Integers) -> Pairs:
    """The pairs of these numbers, which rise."""
    return Pairs(
        need=pairs.need[some],
        offer=pairs.offer[some],
        km=pairs.km[some],
        worth=pairs.worth[some],
        begin=np.searchsorted(some, pairs.begin).astype(np.int64),
        room=pairs.room[some],
    )


@compiled
def _add(begin: Integers, gain: Floats, chosen: Flags, most: int, least: float) -> int:
    """Choose of each need the pairs that gain most beyond all that are chosen; how many were added."""
    added = 0
    pair = np.empty(most, np.int64)
    for need in range(len(begin) - 1):
        known = 0.0
        for at in range(begin[need], begin[need + 1]):
            if chosen[at]:
                known = max(known, gain[at])
        count = 0
        for at in range(begin[need], begin[need + 1]):
            if chosen[at] or gain[at] <= known + least:
                continue
            if count < most:
                count += 1
            elif gain[at] <= gain[pair[count - 1]]:
                continue
            place = count - 1
            while place > 0 and gain[pair[place - 1]] < gain[at]:
                pair[place] = pair[place - 1]
                place -= 1
            pair[place] = at
        for place in range(count):
            chosen[pair[place]] = True
        added += count
    return added
