"""Everybody at the nearest place that is left, the most urgent first: what is answered when there is no time to think.

One pass over the pairs and nothing sorted but needs: ten million pairs in a tenth of a second.
"""

import numpy as np

from matching.engine.compiled import compiled
from matching.engine.objective import worth_of
from matching.engine.problem import Certificate, Flags, Floats, Integers, Plan, Problem

__all__ = ["place_by_urgency"]


def place_by_urgency(problem: Problem) -> Plan:
    """The most urgent first, among them those who waited longest; the bound is that of everybody served nearest by."""
    nights = problem.last_night - problem.first_night + 1
    weight = np.asarray(problem.weights.tier)[problem.tier] * nights
    people = np.zeros(len(problem.need), np.int64)
    order, begin = _by_need(problem.need, len(nights))
    bound = _place(
        np.lexsort((-problem.waited, problem.tier)),
        order,
        begin,
        problem.offer,
        problem.km,
        weight,
        problem.weights.km,
        problem.people,
        problem.divisible,
        problem.first_night,
        problem.last_night,
        problem.capacity.copy(),
        people,
    )
    used = np.flatnonzero(people)
    need, offer = problem.need[used].astype(np.int64), problem.offer[used].astype(np.int64)
    worth = worth_of(problem, need, offer, people[used], problem.km[used])
    objective = float(worth.weighed(problem.weights))
    # Where everybody is at their nearest, the two differ in the last digit at most.
    unproved = Certificate(bound=max(bound, objective), lp_bound=None, knapsack_bound=None, dual_error=1.0)
    return Plan(
        need,
        offer,
        people[used],
        objective,
        unproved,
        np.zeros(problem.capacity.shape),
        "greedy",
    )


@compiled
def _by_need(need: Integers, needs: int) -> tuple[Integers, Integers]:
    begin = np.zeros(needs + 1, np.int64)
    for pair in range(len(need)):
        begin[need[pair] + 1] += 1
    begin = np.cumsum(begin)
    filled = begin.copy()
    order = np.empty(len(need), np.int64)
    for pair in range(len(need)):
        order[filled[need[pair]]] = pair
        filled[need[pair]] += 1
    return order, begin


@compiled
def _place(
    turns: Integers,
    order: Integers,
    begin: Integers,
    offer: Integers,
    km: Floats,
    weight: Floats,
    km_weight: float,
    people: Integers,
    divisible: Flags,
    first: Integers,
    last: Integers,
    free: Integers,
    placed: Integers,
) -> float:
    """Place everybody in turn; what nobody's plan can pass."""
    bound = 0.0
    for need in turns:
        best = 0.0
        for at in range(begin[need], begin[need + 1]):
            best = max(best, weight[need] - km_weight * km[order[at]])
        bound += best * people[need]
        left = people[need]
        while left > 0:
            nearest, most = -1, 0
            for at in range(begin[need], begin[need + 1]):
                pair = order[at]
                if placed[pair] or weight[need] <= km_weight * km[pair] or (nearest >= 0 and km[pair] >= km[nearest]):
                    continue
                room = left
                for night in range(first[need], last[need] + 1):
                    room = min(room, free[offer[pair], night])
                if room == left or (divisible[need] and room > 0):
                    nearest, most = pair, room
            if nearest < 0:
                break
            placed[nearest] = most
            left -= most
            for night in range(first[need], last[need] + 1):
                free[offer[nearest], night] -= most
    return bound
