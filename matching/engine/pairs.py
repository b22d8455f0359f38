"""The pairs of a need and an offer that a plan can use, laid out for the solvers: by need, with what each is worth."""

from dataclasses import dataclass

import numpy as np

from matching.engine.compiled import compiled
from matching.engine.problem import Floats, Integers, Problem

__all__ = ["Pairs", "usable_pairs"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The usable pairs (k of them), ordered by need, the nearest first."""

    need: Integers
    """(k,)"""
    offer: Integers
    """(k,)"""
    km: Floats
    """(k,)"""
    worth: Floats
    """(k,) what one person of the need at the offer adds to the objective, > 0; the load of houses apart."""
    begin: Integers
    """(n + 1,) the pairs of need i are `begin[i]` to `begin[i + 1]`."""
    room: Integers
    """(k,) places free at the offer on the fullest night of the need."""


def usable_pairs(problem: Problem) -> Pairs:
    """Leave out what no plan can use: a whole party that does not fit even alone, and what costs more than it gives."""
    nights = problem.last_night - problem.first_night + 1
    weight = np.asarray(problem.weights.tier)[problem.tier] * nights
    worth = weight[problem.need] - problem.weights.km * problem.km
    room = _room(problem.need, problem.offer, problem.first_night, problem.last_night, problem.capacity)
    wanted = np.where(problem.divisible, 1, problem.people)
    used = np.flatnonzero((room >= wanted[problem.need]) & (worth > 0))
    used = used[np.lexsort((-worth[used], problem.need[used]))]
    need = problem.need[used]
    return Pairs(
        need=need,
        offer=problem.offer[used],
        km=problem.km[used],
        worth=worth[used],
        begin=np.searchsorted(need, np.arange(len(problem.people) + 1)).astype(np.int64),
        room=room[used],
    )


@compiled
def _room(need: Integers, offer: Integers, first: Integers, last: Integers, capacity: Integers) -> Integers:
    room = np.empty(len(need), np.int64)
    for pair in range(len(need)):
        least = capacity[offer[pair], first[need[pair]]]
        for night in range(first[need[pair]] + 1, last[need[pair]] + 1):
            least = min(least, capacity[offer[pair], night])
        room[pair] = least
    return room
