"""The engine's one entry: the best plan that can be found in the time given, and what is proved about it."""

from collections.abc import Callable
from itertools import count
from typing import Final

import numpy as np

from matching.engine.exact import solve_exactly
from matching.engine.methods import Method
from matching.engine.nights import solve_greedy, solve_locally, solve_nights
from matching.engine.problem import Plan, Problem

__all__ = ["solve", "warm"]

_SMALL: Final = 400
"""Pairs up to which the best plan is usually proved in a moment."""
_EXACT_SHARE: Final = 0.5
"""Of the time, for the proof; without it the other half is searched."""


def solve(
    problem: Problem, *, clock: Callable[[], float], deadline: float, seed: int, method: Method = Method.AUTO
) -> Plan:
    """Plan until `deadline`, an instant of `clock` in seconds; sooner where the plan is proved best."""
    match method:
        case Method.GREEDY:
            return solve_greedy(problem)
        case Method.LOCAL:
            return solve_locally(problem, clock=clock, deadline=deadline, seed=seed)
        case Method.EXACT | Method.AUTO if method is Method.EXACT or len(problem.need) <= _SMALL:
            proved = solve_exactly(problem, clock=clock, deadline=clock() + _EXACT_SHARE * (deadline - clock()))
            return proved or solve_nights(problem, clock=clock, deadline=deadline, seed=seed)
        case _:
            every = method is not Method.AUTO
            return solve_nights(problem, clock=clock, deadline=deadline, seed=seed, to_the_end=every)


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
