"""Nights decided together: the relaxation's prices, rounding, then local search until the deadline.

A plan stands from the first milliseconds (the greedy by urgency) and only gets better: each stage hands on the best
that is known, and what is answered is never worth less than the greedy plan, to the last digit of the objective. No
stage is begun that would outlast the deadline (`pace`): the best that is known by then is answered without it.
"""

from typing import Final

import numpy as np

from matching.engine.columns import promising, relax_by_columns
from matching.engine.flow import is_one_window, relax_window
from matching.engine.improve import Placed, improved
from matching.engine.knapsack import knapsack_bound
from matching.engine.objective import Scale, scale_of
from matching.engine.pace import FINISH, FLOW, HARD_FLOW, KNAPSACKS, MODEL, PLAN, READ, Pace
from matching.engine.pairs import Pairs, usable_pairs
from matching.engine.problem import Certificate, Integers, Plan, Problem
from matching.engine.proof import Proof, most_served, proof_of
from matching.engine.relaxation import Relaxation, gains, priced_bound, relax
from matching.engine.search import Cut, Standing, empty, parties_of, place_all, place_at, restore
from matching.engine.urgency import place_by_urgency
from matching.engine.volume import relax_by_volume

__all__ = ["solve_greedy", "solve_locally", "solve_nights"]

_RELAXATION_SHARE: Final = 0.6
"""Of the time, at most, for the relaxation: without a search after it, prices place nobody."""
_NEXT_FLOW: Final = 1.5
"""Times as long as the flow before, for one over more pairs."""
_SIMPLEX_PAIRS: Final = 20_000
"""Up to which the relaxation of several nights is solved to the end; beyond, its prices are approached."""
_VOLUME_SHARE: Final = 0.2
_COLUMNS_SHARE: Final = 0.2
"""Of the time, after which the relaxation of one window gets no more pairs."""
_BOUND_SHARE: Final = 0.1
"""Of the time, for the knapsack bound."""


def solve_nights(problem: Problem, *, pace: Pace, seed: int, to_the_end: bool = False) -> Plan:
    """Relaxation, rounding and search; ends early when the plan is proved best.

    `to_the_end`: relax by simplex however many pairs there are.
    """
    began = pace.clock()
    if not _may_read(problem, pace):
        return place_by_urgency(problem)
    scale = scale_of(problem)
    mild = scale.mild
    pairs, best = _read(problem, scale, pace)
    value = float(best.worth.weighed(mild.weights))
    finish = pace.expects(FINISH, len(pairs.need), len(problem.people))
    if not pace.affords(finish):
        return _searched(problem, pairs, best, _unpriced(scale, pairs), pace, seed)
    relaxed = _relax(mild, pairs, value, pace, finish, to_the_end=to_the_end)
    proof = proof_of(scale, relaxed, most_served(scale, pairs, relaxed))
    if not pace.affords(finish):
        return _searched(problem, pairs, best, proof, pace, seed)
    gain = gains(mild, pairs, relaxed.prices)
    cut = parties_of(mild, pairs, gain)
    standing = empty(mild, cut.parties, seed)
    if relaxed.solved or relaxed.people.any():
        _round(mild, pairs, cut, standing, relaxed)
    else:
        restore(cut.parties, standing, best.in_terms_of(cut))
    last = pace.deadline - pace.expects(PLAN, len(pairs.need), len(problem.people))
    kept = _BOUND_SHARE * (pace.deadline - began) if relaxed.solved and is_one_window(problem) else 0.0
    best = improved(problem, cut, standing, best, proof, clock=pace.clock, deadline=last - kept)
    tighter = None
    if (
        relaxed.solved
        and is_one_window(problem)
        and not proof.proves(best.worth, problem.weights)
        and pace.affords(pace.expects(KNAPSACKS, len(pairs.need), len(problem.people)))
    ):
        value = float(best.worth.weighed(mild.weights))
        tighter = knapsack_bound(mild, pairs, gain, value, clock=pace.clock, deadline=last)
    priced = "lp" if relaxed.solved else "prices" if relaxed.prices.any() else "local"
    return _plan(problem, pairs, best, proof, priced, tighter)


def solve_locally(problem: Problem, *, pace: Pace, seed: int) -> Plan:
    """Greedy by urgency, then search, without prices: the bound is that of people alone."""
    if not _may_read(problem, pace):
        return place_by_urgency(problem)
    scale = scale_of(problem)
    pairs, best = _read(problem, scale, pace)
    return _searched(problem, pairs, best, _unpriced(scale, pairs), pace, seed)


def solve_greedy(problem: Problem) -> Plan:
    """The most urgent first, those who waited longest first among them, each at the nearest offer with room."""
    scale = scale_of(problem)
    pairs = usable_pairs(scale.mild)
    return _plan(problem, pairs, _greedy(problem, pairs), _unpriced(scale, pairs), "greedy")


def _searched(problem: Problem, pairs: Pairs, best: Placed, proof: Proof, pace: Pace, seed: int) -> Plan:
    """Search on from greedy in the time that is left: nothing is sorted again, so it may begin at any moment."""
    standing = empty(problem, best.cut.parties, seed)
    restore(best.cut.parties, standing, best.pair)
    last = pace.deadline - pace.expects(PLAN, len(pairs.need), len(problem.people))
    best = improved(problem, best.cut, standing, best, proof, clock=pace.clock, deadline=last)
    return _plan(problem, pairs, best, proof, "local")


def _may_read(problem: Problem, pace: Pace) -> bool:
    return pace.affords(pace.expects(READ, len(problem.need), len(problem.people)))


def _read(problem: Problem, scale: Scale, pace: Pace) -> tuple[Pairs, Placed]:
    """What every plan stands on, and the first plan."""
    with pace.measured(READ, len(problem.need), len(problem.people)):
        pairs = usable_pairs(scale.mild)
        return pairs, _greedy(problem, pairs)


def _relax(problem: Problem, pairs: Pairs, value: float, pace: Pace, finish: float, *, to_the_end: bool) -> Relaxation:
    """The best relaxation that leaves `finish` seconds."""
    if not len(pairs.need):
        return Relaxation(np.zeros(problem.capacity.shape), np.zeros(0), 0.0, 0.0)
    began = pace.clock()
    left = pace.deadline - began
    if is_one_window(problem):
        if _flow_fits(pairs, pace, finish):
            return _relax_window(problem, pairs, pace, finish)
    elif (to_the_end or len(pairs.need) <= _SIMPLEX_PAIRS) and pace.affords(pace.expects(MODEL, len(pairs.need))):
        until = began + min(_RELAXATION_SHARE * left, pace.spared(finish))
        return relax(problem, pairs, clock=pace.clock, deadline=until)
    until = began + min(_VOLUME_SHARE * left, pace.spared(finish))
    return relax_by_volume(problem, pairs, value, clock=pace.clock, deadline=until)


def _flow_fits(pairs: Pairs, pace: Pace, finish: float) -> bool:
    count = int(np.count_nonzero(promising(pairs)))
    return pace.affords(pace.expects(FLOW, count) + finish, pace.expects(HARD_FLOW, count) + finish)


def _relax_window(problem: Problem, pairs: Pairs, pace: Pace, finish: float) -> Relaxation:
    """Flows over ever more pairs; none is begun that would outlast its part of the time."""
    began = pace.clock()
    half = began + _COLUMNS_SHARE * (pace.deadline - began)
    took = 0.0

    def flow(some: Pairs) -> Relaxation:
        nonlocal took
        start = pace.clock()
        relaxed = relax_window(problem, some)
        took = pace.clock() - start
        return relaxed

    def enough() -> bool:
        return pace.clock() >= half or not pace.affords(_NEXT_FLOW * took + finish)

    return relax_by_columns(problem, pairs, flow, enough=enough)


def _greedy(problem: Problem, pairs: Pairs) -> Placed:
    cut = parties_of(problem, pairs, pairs.worth)
    standing = empty(problem, cut.parties, 0)
    place_all(cut.parties, standing, np.lexsort((-problem.waited[cut.need], problem.tier[cut.need])))
    return Placed.of(problem, cut, standing)


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


def _unpriced(scale: Scale, pairs: Pairs) -> Proof:
    prices = np.zeros(scale.mild.capacity.shape)
    bound = priced_bound(scale.mild, pairs, prices)
    relaxed = Relaxation(prices, np.zeros(len(pairs.need)), bound, np.inf)
    return proof_of(scale, relaxed, most_served(scale, pairs, relaxed))


def _plan(
    problem: Problem, pairs: Pairs, placed: Placed, proof: Proof, method: str, tighter: float | None = None
) -> Plan:
    """Parts of one need at one offer are one assignment."""
    number, people = _assignments(placed, len(pairs.need))
    objective = float(placed.worth.weighed(problem.weights))
    return Plan(
        need=pairs.need[number],
        offer=pairs.offer[number],
        people=people,
        objective=objective,
        certificate=_certificate(proof, objective, tighter),
        prices=proof.relaxed.prices,
        method=method,
    )


def _assignments(placed: Placed, pairs: int) -> tuple[Integers, Integers]:
    held = placed.pair >= 0
    number = placed.cut.number[placed.pair[held]]
    people = np.bincount(number, placed.cut.parties.people[held], pairs).astype(np.int64)
    used = np.flatnonzero(people)
    return used, people[used]


def _certificate(proof: Proof, objective: float, tighter: float | None) -> Certificate:
    relaxed = proof.relaxed
    knapsack = None if tighter is None else proof.scale.bound(tighter, proof.most_served)
    return Certificate(
        bound=max(min(proof.bound, np.inf if knapsack is None else knapsack), objective),
        lp_bound=proof.bound if relaxed.solved else None,
        knapsack_bound=knapsack,
        dual_error=relaxed.dual_error if relaxed.solved else 1.0,
        most_served=proof.most_served,
    )
