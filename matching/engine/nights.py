"""Nights decided together: the relaxation's prices, rounding, then local search until the deadline.

A plan stands from the first milliseconds (the greedy by urgency) and only gets better: each stage hands on the best
that is known, and the objective of what is answered is never below the greedy's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from matching.engine.columns import relax_by_columns
from matching.engine.flow import is_one_window, relax_window
from matching.engine.knapsack import knapsack_bound
from matching.engine.pairs import Pairs, usable_pairs
from matching.engine.problem import Certificate, Integers, Plan, Problem
from matching.engine.relaxation import Relaxation, gains, priced_bound, relax
from matching.engine.search import Cut, Standing, empty, parties_of, place_all, place_at, restore, search, value
from matching.engine.volume import relax_by_volume

__all__ = ["solve_greedy", "solve_locally", "solve_nights"]

_RELAXATION_SHARE: Final = 0.6
"""Of the time, at most, for the relaxation: without a search after it, prices place nobody."""
_SIMPLEX_PAIRS: Final = 20_000
"""Up to which the relaxation of several nights is solved to the end; beyond, its prices are approached."""
_VOLUME_SHARE: Final = 0.2
_COLUMNS_SHARE: Final = 0.2
"""Of the time, after which the relaxation of one window gets no more pairs."""
_BOUND_SHARE: Final = 0.1
"""Of the time, for the knapsack bound."""
_SLICE_SECONDS: Final = 0.02
"""Of search between two looks at the clock."""
_FIRST_STEPS: Final = 500
_PROVED: Final = 1e-9
"""A plan this near its bound, relatively, is best: sums of a hundred thousand floats agree no further."""
_HOTTEST: Final = 3.0
_COLDEST: Final = 0.3
"""Person-nights that a step may lose at the start and at the end of a search, times -log(chance)."""


def solve_nights(
    problem: Problem, *, clock: Callable[[], float], deadline: float, seed: int, to_the_end: bool = False
) -> Plan:
    """Relaxation, rounding and search; ends early when the plan is proved best.

    `to_the_end`: relax by simplex however many pairs there are.
    """
    began = clock()
    pairs = usable_pairs(problem)
    best = _greedy(problem, pairs)
    relaxed = _relax(problem, pairs, best.objective, clock, deadline, to_the_end=to_the_end)
    gain = gains(problem, pairs, relaxed.prices)
    cut = parties_of(problem, pairs, gain)
    standing = empty(problem, cut.parties, seed)
    if relaxed.solved or relaxed.people.any():
        _round(problem, pairs, cut, standing, relaxed)
    else:
        restore(cut.parties, standing, best.in_terms_of(cut))
    kept = _BOUND_SHARE * (deadline - began) if is_one_window(problem) else 0.0
    found = _search(problem, cut, standing, relaxed.bound, clock, deadline - kept)
    best = max(best, found, key=_objective)
    tighter = None
    if relaxed.solved and is_one_window(problem) and best.objective < relaxed.bound * (1 - _PROVED):
        tighter = knapsack_bound(problem, pairs, gain, best.objective, clock=clock, deadline=deadline)
    priced = "lp" if relaxed.solved else "prices" if relaxed.prices.any() else "local"
    return _plan(pairs, best, relaxed, priced, tighter)


def solve_locally(problem: Problem, *, clock: Callable[[], float], deadline: float, seed: int) -> Plan:
    """Greedy by urgency, then search, without prices: the bound is that of people alone."""
    pairs = usable_pairs(problem)
    best = _greedy(problem, pairs)
    cut = parties_of(problem, pairs, pairs.worth)
    standing = empty(problem, cut.parties, seed)
    unpriced = _unpriced(problem, pairs)
    restore(cut.parties, standing, best.in_terms_of(cut))
    found = _search(problem, cut, standing, unpriced.bound, clock, deadline)
    return _plan(pairs, max(best, found, key=_objective), unpriced, "local")


def solve_greedy(problem: Problem) -> Plan:
    """The most urgent first, those who waited longest first among them, each at the nearest offer with room."""
    pairs = usable_pairs(problem)
    return _plan(pairs, _greedy(problem, pairs), _unpriced(problem, pairs), "greedy")


def _relax(
    problem: Problem, pairs: Pairs, value: float, clock: Callable[[], float], deadline: float, *, to_the_end: bool
) -> Relaxation:
    if not len(pairs.need):
        return Relaxation(np.zeros(problem.capacity.shape), np.zeros(0), 0.0, 0.0)
    began = clock()
    left = deadline - began
    if is_one_window(problem):
        half = began + _COLUMNS_SHARE * left
        return relax_by_columns(problem, pairs, partial(relax_window, problem), enough=lambda: clock() >= half)
    if to_the_end or len(pairs.need) <= _SIMPLEX_PAIRS:
        return relax(problem, pairs, clock=clock, deadline=began + _RELAXATION_SHARE * left)
    return relax_by_volume(problem, pairs, value, clock=clock, deadline=began + _VOLUME_SHARE * left)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Everybody's place at one moment."""

    cut: Cut
    pair: Integers
    objective: float

    def in_terms_of(self, cut: Cut) -> Integers:
        """The same places where the pairs stand in another order."""
        where = np.empty(len(cut.number), np.int64)
        where[cut.number] = np.arange(len(cut.number))
        return np.where(self.pair >= 0, where[self.cut.number[self.pair]], -1) if len(where) else self.pair


def _objective(placed: _Placed) -> float:
    return placed.objective


def _greedy(problem: Problem, pairs: Pairs) -> _Placed:
    cut = parties_of(problem, pairs, pairs.worth)
    standing = empty(problem, cut.parties, 0)
    place_all(cut.parties, standing, np.lexsort((-problem.waited[cut.need], problem.tier[cut.need])))
    return _Placed(cut, standing.pair.copy(), value(cut.parties, standing))


def _round(problem: Problem, pairs: Pairs, cut: Cut, standing: Standing, relaxed: Relaxation) -> None:
    """Place what the relaxation places whole, then the others, what is worth most first."""
    left = np.floor(relaxed.people + 1e-6).astype(np.int64)
    party, pair = [], []
    for each in np.flatnonzero(left[cut.number] > 0):
        need = pairs.need[cut.number[each]]
        for part in range(*np.searchsorted(cut.need, (need, need + 1))):
            if left[cut.number[each]] >= cut.parties.people[part] and standing.pair[part] < 0:
                left[cut.number[each]] -= cut.parties.people[part]
                party.append(part)
                pair.append(each)
    place_at(cut.parties, standing, np.asarray(party, np.int64), np.asarray(pair, np.int64))
    nights = problem.last_night - problem.first_night + 1
    weight = (np.asarray(problem.weights.tier)[problem.tier] * nights)[cut.need] * cut.parties.people
    place_all(cut.parties, standing, np.lexsort((-problem.waited[cut.need], -weight)))


def _search(
    problem: Problem, cut: Cut, standing: Standing, bound: float, clock: Callable[[], float], deadline: float
) -> _Placed:
    """Search until the deadline, cooling down from a few person-nights of the last tier; the best that was met."""
    began = now = clock()
    objective = value(cut.parties, standing)
    best = _Placed(cut, standing.pair.copy(), objective)
    unit = min(weight for weight in problem.weights.tier if weight > 0)
    steps = _FIRST_STEPS
    while now < deadline - _SLICE_SECONDS and best.objective < bound * (1 - _PROVED) and len(cut.number):
        share = (now - began) / (deadline - began)
        objective += search(cut.parties, standing, steps, unit * _HOTTEST * (_COLDEST / _HOTTEST) ** share)
        if objective > best.objective:
            best = _Placed(cut, standing.pair.copy(), objective)
        took, now = clock() - now, clock()
        steps = max(1, min(4 * steps, int(steps * _SLICE_SECONDS / max(took, 1e-6))))
    restore(cut.parties, standing, best.pair)
    return _Placed(cut, best.pair, value(cut.parties, standing))


def _unpriced(problem: Problem, pairs: Pairs) -> Relaxation:
    prices = np.zeros(problem.capacity.shape)
    return Relaxation(prices, np.zeros(len(pairs.need)), priced_bound(problem, pairs, prices), np.inf)


def _plan(pairs: Pairs, placed: _Placed, relaxed: Relaxation, method: str, tighter: float | None = None) -> Plan:
    """Parts of one need at one offer are one assignment."""
    held = placed.pair >= 0
    number = placed.cut.number[placed.pair[held]]
    people = np.bincount(number, placed.cut.parties.people[held], len(pairs.need)).astype(np.int64)
    used = np.flatnonzero(people)
    objective = float(people[used] @ pairs.worth[used])
    certificate = Certificate(
        bound=max(min(relaxed.bound, tighter or np.inf), objective),
        lp_bound=relaxed.bound if relaxed.solved else None,
        knapsack_bound=tighter,
        dual_error=relaxed.dual_error if relaxed.solved else 1.0,
    )
    return Plan(pairs.need[used], pairs.offer[used], people[used], objective, certificate, relaxed.prices, method)
