"""The engine's one entry: the best plan that can be found in the time given, and what is proved about it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final

import numpy as np

from matching.engine.crew import Crew, Job, do_all
from matching.engine.exact import solve_exactly
from matching.engine.methods import Method
from matching.engine.nights import solve_greedy, solve_locally, solve_nights
from matching.engine.pace import CUT, FIND, MODEL, PLAN, URGENCY, Pace
from matching.engine.problem import Floats, Integers, Plan, Problem
from matching.engine.territories import Territories, cut, gather, put_together, territories
from matching.engine.urgency import place_by_urgency

__all__ = ["solve", "warm"]

_SMALL: Final = 400
"""Pairs up to which the best plan is usually proved in a moment."""
_EXACT_SHARE: Final = 0.5
"""Of the time, for the proof; without it the other half is searched."""
_PAIRS_PER_NEED: Final = 64.0
"""A need is as much work as so many pairs: parties are searched, pairs are only looked through."""
_LEAST_SECONDS: Final = 0.05
"""Of thought that is worth the trouble of handing a parcel over."""

_MOST_GATHERED: Final = 1_000.0
"""Needs, about, that are gathered into one parcel at most, however little time there is."""


def solve(
    problem: Problem,
    *,
    clock: Callable[[], float],
    deadline: float,
    seed: int,
    method: Method = Method.AUTO,
    crew: Crew | None = None,
) -> Plan:
    """Plan until `deadline`, an instant of `clock` in seconds; sooner where the plan is proved best.

    Where even to look at all pairs more than once would take longer, everybody is placed by urgency in one pass.

    `crew`: processes that solve territories side by side, and then nothing is solved here unless one of them dies;
    `clock` must be one that they share, and can be pickled.
    """
    pace = Pace(clock, deadline, deadline)
    size = len(problem.need), len(problem.people)
    if method is not Method.GREEDY and not pace.affords(pace.expects(CUT, *size) + pace.expects(URGENCY, *size)):
        return place_by_urgency(_wide(problem))
    with pace.measured(FIND, *size):
        found = territories(problem)
    seconds = max(0.0, pace.left) * (1 if crew is None else crew.count)
    work = _work(found)
    least = min(_MOST_GATHERED, float(work.sum()) * _LEAST_SECONDS / max(seconds, 1e-9))
    parcel = gather(work, found.pairs, least, _SMALL)
    if crew is None and parcel.max(initial=0) == 0:
        return solve_one(
            problem, pace.slower, clock=clock, deadline=deadline, latest=deadline, seed=seed, method=method
        )
    ask = partial(solve_one, clock=clock, latest=deadline, seed=seed, method=method)
    return _solve_apart(problem, found, parcel, ask, crew, pace)


def solve_one(
    problem: Problem,
    slower: float,
    *,
    clock: Callable[[], float],
    deadline: float,
    latest: float,
    seed: int,
    method: Method,
) -> Plan:
    """Plan as `solve` does, in one piece whether or not it falls into territories.

    `latest`: when the time of the whole is out; `slower`: as far as is known, how many times slower this machine is
    than the figures of `pace`.
    """
    pace = Pace(clock, deadline, latest, slower)
    match method:
        case Method.GREEDY:
            return solve_greedy(problem)
        case Method.LOCAL:
            return solve_locally(problem, pace=pace, seed=seed)
        case Method.EXACT | Method.AUTO if method is Method.EXACT or len(problem.need) <= _SMALL:
            return _proved(problem, pace) or solve_nights(problem, pace=pace, seed=seed)
        case _:
            return solve_nights(problem, pace=pace, seed=seed, to_the_end=method is not Method.AUTO)


def _proved(problem: Problem, pace: Pace) -> Plan | None:
    if not pace.affords(pace.expects(MODEL, 2 * len(problem.need)) / _EXACT_SHARE):
        return None
    until = pace.clock() + _EXACT_SHARE * pace.left
    return solve_exactly(problem, clock=pace.clock, deadline=until)


def _solve_apart(
    problem: Problem,
    found: Territories,
    parcel: Integers,
    ask: Callable[..., Plan],
    crew: Crew | None,
    pace: Pace,
) -> Plan:
    parcels = cut(problem, found, parcel)
    last = pace.deadline - pace.expects(PLAN, len(problem.need), len(problem.people))
    work = np.bincount(parcel, _work(found))

    def job(number: int) -> Job[Plan]:
        return Job(
            work=float(work[number]),
            ready=lambda until: partial(ask, parcels.part(number), pace.slower, deadline=until),
            otherwise=lambda: place_by_urgency(parcels.part(number)),
        )

    plans = do_all([job(number) for number in range(len(parcels))], crew, clock=pace.clock, deadline=last)
    return put_together(problem, [(parcels[number], plan) for number, plan in enumerate(plans)])


def _wide(problem: Problem) -> Problem:
    """As it is where numbers are of the solvers' kind; those of half the width would have to be compiled for."""
    return replace(
        problem,
        need=np.ascontiguousarray(problem.need, np.int64),
        offer=np.ascontiguousarray(problem.offer, np.int64),
        km=np.ascontiguousarray(problem.km, np.float64),
    )


def _work(found: Territories) -> Floats:
    """(t,) of each territory, against the others."""
    return found.needs + found.pairs / _PAIRS_PER_NEED


def warm() -> None:
    """Compile the hot loops, or read them from where they are kept, so that no deadline pays for it."""
    for nights in (1, 2):
        both = np.zeros(2, np.int64)
        tiny = Problem(
            people=both + 2,
            tier=both,
            waited=np.zeros(2),
            first_night=both,
            last_night=both + nights - 1,
            divisible=both > 0,
            capacity=np.full((1, nights), 3, np.int64),
            need=np.arange(2),
            offer=both,
            km=np.zeros(2),
        )
        # A clock of its own that is soon at the end: a few steps of each stage are enough.
        solve(tiny, clock=count(0.0, 0.3).__next__, deadline=9.0, seed=0, method=Method.LOCAL)
        solve(tiny, clock=count(0.0, 0.3).__next__, deadline=9.0, seed=0, method=Method.LP)
    parcels = cut(tiny, territories(tiny), np.zeros(1, np.int64))
    place_by_urgency(parcels.part(0))
