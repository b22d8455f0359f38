"""The engine's one entry: the best plan that can be found in the time given, and what is proved about it."""

from collections.abc import Callable
from enum import StrEnum

from matching.engine.nights import solve_greedy, solve_locally, solve_nights
from matching.engine.problem import Plan, Problem

__all__ = ["Method", "solve"]


class Method(StrEnum):
    """How a problem is solved."""

    AUTO = "auto"
    GREEDY = "greedy"
    LOCAL = "local"
    LP = "lp"


def solve(
    problem: Problem, *, clock: Callable[[], float], deadline: float, seed: int, method: Method = Method.AUTO
) -> Plan:
    """Plan until `deadline`, an instant of `clock` in seconds; sooner where the plan is proved best."""
    match method:
        case Method.GREEDY:
            return solve_greedy(problem)
        case Method.LOCAL:
            return solve_locally(problem, clock=clock, deadline=deadline, seed=seed)
        case Method.LP | Method.AUTO:
            return solve_nights(problem, clock=clock, deadline=deadline, seed=seed)
