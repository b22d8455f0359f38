"""The linear relaxation of one window as a min-cost flow of people: hundreds of times faster than a simplex.

With one night, a party's size does not depend on where it goes, so the relaxation is a transport of single people from
needs to offers. OR-tools solves it by cost scaling (Goldberg, Journal of Algorithms 22, 1997). It gives no duals: they
are the shortest ways through the residual graph, found here by lowering prices until they settle (Bellman-Ford with a
queue), and the bound is computed from them.
"""

from typing import Final

import numpy as np
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

from matching.engine.compiled import compiled
from matching.engine.pairs import Pairs
from matching.engine.problem import Flags, Floats, Integers, Problem
from matching.engine.relaxation import Relaxation, priced_bound

__all__ = ["is_one_window", "relax_window"]

_LARGEST_COST: Final = 2.0**36
"""Costs are whole numbers for the flow; times the number of nodes they must fit 64 bits."""
_FINEST: Final = 2.0**27
"""Steps of cost that the least weight of a tier is told in, at most."""


def is_one_window(problem: Problem) -> bool:
    """Whether all needs take the same one night."""
    first, last = problem.first_night, problem.last_night
    return bool(len(first) and np.all(first == first[0]) and np.all(last == first[0]))


def relax_window(problem: Problem, pairs: Pairs) -> Relaxation:
    """Solve the relaxation of a problem whose needs all take the same one night."""
    if not len(pairs.need):
        return Relaxation(np.zeros(problem.capacity.shape), np.zeros(0), 0.0, 0.0)
    night = int(problem.first_night[0])
    places = problem.capacity[:, night]
    # In whole numbers: what is best for the flow is then exactly best for the prices, which could circle otherwise.
    least = min((weight for weight in problem.weights.tier if weight > 0), default=1.0)
    scale = 2.0 ** np.floor(np.log2(min(_LARGEST_COST / float(pairs.worth.max()), _FINEST / least)))
    worth = np.rint(pairs.worth * scale).astype(np.int64)
    people = _flow(problem.people, places, pairs, worth)
    taken = np.bincount(pairs.offer, people, len(places))
    prices = np.zeros(problem.capacity.shape)
    prices[:, night] = _prices(pairs, worth, people, taken >= places) / scale
    bound = priced_bound(problem, pairs, prices)
    reached = float(people @ pairs.worth)
    return Relaxation(prices, people, bound, abs(bound - reached) / bound)


def _flow(people: Integers, places: Integers, pairs: Pairs, worth: Integers) -> Floats:
    """(k,) people of each pair. Who is not placed goes to the sink at no cost, so that every flow is possible."""
    needs, offers = len(people), len(places)
    sink = needs + offers
    count = int(people.sum())
    flow = SimpleMinCostFlow()
    arcs = flow.add_arcs_with_capacity_and_unit_cost(
        np.concatenate((pairs.need, needs + np.arange(offers), np.arange(needs))),
        np.concatenate((needs + pairs.offer, np.full(offers + needs, sink))),
        np.concatenate((people[pairs.need], places, people)),
        np.concatenate((-worth, np.zeros(offers + needs, np.int64))),
    )
    flow.set_nodes_supplies(np.arange(needs), people)
    flow.set_node_supply(sink, -count)
    if flow.solve() != flow.OPTIMAL:
        raise AssertionError("a flow in which everybody may stay unplaced has a solution")
    return np.asarray(flow.flows(arcs[: len(pairs.need)]), np.float64)


def _prices(pairs: Pairs, worth: Integers, people: Floats, full: Flags) -> Integers:
    """(m,) what one more place would be worth: 0 where one is free, else what the least happy there could gain."""
    order = np.argsort(pairs.offer, kind="stable")
    seats = np.searchsorted(pairs.offer[order], np.arange(len(full) + 1))
    used = np.flatnonzero(people > 0)
    first = np.searchsorted(pairs.need[used], np.arange(len(pairs.begin)))
    price = np.where(full, worth.max(), 0)
    _settle(pairs.need, pairs.offer, worth, order, seats, used, first, price)
    return np.maximum(price, 0)


@compiled
def _settle(
    need: Integers,
    offer: Integers,
    worth: Integers,
    order: Integers,
    seats: Integers,
    used: Integers,
    first: Integers,
    price: Integers,
) -> None:
    """Lower prices until nobody placed would gain by going elsewhere; offers whose price fell wait in a ring."""
    offers = len(price)
    gain = np.zeros(len(first) - 1, np.int64)
    ring = np.arange(offers)
    waits = np.ones(offers, np.bool_)
    head, count = 0, offers
    for pair in used:
        price[offer[pair]] = min(price[offer[pair]], worth[pair])
    while count:
        cheap = ring[head]
        head = (head + 1) % offers
        count -= 1
        waits[cheap] = False
        for at in range(seats[cheap], seats[cheap + 1]):
            party = need[order[at]]
            better = worth[order[at]] - price[cheap]
            if better <= gain[party] or first[party] == first[party + 1]:
                continue
            gain[party] = better
            for number in range(first[party], first[party + 1]):
                pair = used[number]
                if worth[pair] - better < price[offer[pair]]:
                    price[offer[pair]] = worth[pair] - better
                    if not waits[offer[pair]]:
                        waits[offer[pair]] = True
                        ring[(head + count) % offers] = offer[pair]
                        count += 1
