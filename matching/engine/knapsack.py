"""A tighter bound for one window: parties stay whole, and what is relaxed is that each stands in one place only.

Every party pays a fare for being placed, every offer then takes the best knapsack of what parties are worth beyond it;
the sum bounds every plan, for any fares (Lagrangian decomposition of the generalized assignment problem: Martello &
Toth 1990, ch. 7). What the relaxation's prices leave each party is a good start, and subgradients better it (Held,
Wolfe & Crowder 1974).
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from matching.engine.compiled import compiled
from matching.engine.pairs import Pairs
from matching.engine.problem import Flags, Floats, Integers, Problem

__all__ = ["knapsack_bound"]

_STEPS: Final = 40
_PATIENCE: Final = 5
"""Steps without a better bound before they are made half as long."""
_RESERVE: Final = 1.5
"""Times as long as the last step took must be left for another."""


def knapsack_bound(
    problem: Problem, pairs: Pairs, gain: Floats, value: float, *, clock: Callable[[], float], deadline: float
) -> float | None:
    """The best bound found by the deadline; `None` where needs are divisible, for which it would not hold.

    `gain`: (k,) what a person of each pair is worth when the places are paid for; `value`: the best objective known,
    which sets the length of the steps.
    """
    if problem.divisible.any() or not len(pairs.need):
        return None
    order = np.argsort(pairs.offer, kind="stable")
    seats = np.searchsorted(pairs.offer[order], np.arange(len(problem.capacity) + 1))
    room = problem.capacity[:, problem.first_night[0]]
    worth = pairs.worth * problem.people[pairs.need]
    fare = np.zeros(len(problem.people))
    np.maximum.at(fare, pairs.need, gain * problem.people[pairs.need])
    best, best_fare, length, since = np.inf, fare, 1.0, 0
    for _ in range(_STEPS):
        began = clock()
        taken = np.zeros(len(fare), np.int64)
        bound = float(fare.sum()) + _sell(pairs.need, problem.people, worth, order, seats, room, fare, taken)
        since += 1
        if bound < best:
            best, best_fare, since = bound, fare, 0
        slope = np.where((fare <= 0) & (taken == 0), 0.0, 1.0 - taken)
        steepness = float(slope @ slope)
        if steepness == 0 or best - value <= 1e-9 * abs(best) or clock() + _RESERVE * (clock() - began) > deadline:
            break
        if since == _PATIENCE:
            fare, length, since = best_fare, length / 2, 0
        else:
            fare = np.maximum(0.0, fare - length * (bound - value) / steepness * slope)
    return best


@compiled
def _sell(
    need: Integers,
    people: Integers,
    worth: Floats,
    order: Integers,
    seats: Integers,
    room: Integers,
    fare: Floats,
    taken: Integers,
) -> float:
    """What all offers gain by their best knapsacks; counts how often each party is taken."""
    gained = 0.0
    for offer in range(len(room)):
        begin, end = seats[offer], seats[offer + 1]
        parties = np.empty(end - begin, np.int64)
        gains = np.empty(end - begin, np.float64)
        count = 0
        for at in range(begin, end):
            party = need[order[at]]
            gain = worth[order[at]] - fare[party]
            if gain > 0:
                parties[count], gains[count] = party, gain
                count += 1
        chosen = _fill(people[parties[:count]], gains[:count], room[offer])
        for item in range(count):
            if chosen[item]:
                gained += gains[item]
                taken[parties[item]] += 1
    return gained


@compiled
def _fill(sizes: Integers, gains: Floats, room: int) -> Flags:
    """Which items to choose so that they fit and gain most; exact, by dynamic programming over the room."""
    if sizes.sum() <= room:
        return gains > 0
    kept = _considered(sizes, gains, room)
    best = np.zeros(room + 1)
    take = np.zeros((len(kept), room + 1), np.bool_)
    for item in range(len(kept)):
        size, gain = sizes[kept[item]], gains[kept[item]]
        for places in range(room, size - 1, -1):
            if best[places - size] + gain > best[places]:
                best[places] = best[places - size] + gain
                take[item, places] = True
    chosen = np.zeros(len(sizes), np.bool_)
    places = room
    for item in range(len(kept) - 1, -1, -1):
        if take[item, places]:
            chosen[kept[item]] = True
            places -= sizes[kept[item]]
    return chosen


@compiled
def _considered(sizes: Integers, gains: Floats, room: int) -> Integers:
    """Of the items of one size, only as many of the best as fit alone can ever be chosen."""
    seen = np.zeros(room + 1, np.int64)
    kept = np.empty(len(sizes), np.int64)
    count = 0
    for item in np.argsort(-gains):
        size = sizes[item]
        if size <= room and (seen[size] + 1) * size <= room:
            seen[size] += 1
            kept[count] = item
            count += 1
    return kept[:count]
