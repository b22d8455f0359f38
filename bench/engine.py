"""The engine beside greedy by urgency: how near its plans are to what can be proved, and in what time."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from bench.checker import broken_rules
from bench.instances import LEVEL_WEIGHTS, draw
from matching.engine.methods import Method
from matching.engine.problem import Plan, Problem
from matching.engine.solve import solve, warm

__all__ = ["Solved", "solve_all"]

_NEEDS = 10_000
_CASES = (
    ("one window, scarce", 4_000, 1, 2.0),
    ("one window", 10_000, 1, 2.0),
    ("seven nights, scarce", 4_000, 7, 5.0),
    ("seven nights", 10_000, 7, 5.0),
)
_SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Solved:
    """One instance and its plan; `greedy` has the same problem by urgency, without search."""

    name: str
    seed: int
    seconds: float
    plan: Plan
    more_people: float
    """Person-nights placed, against greedy by urgency: 0.05 is five in a hundred more."""


def solve_all() -> Iterator[Solved]:
    """10,000 needs on clustered synthetic towns, everybody of one weight, seeds 1 to 5; each plan is checked."""
    warm()
    for name, offers, nights, seconds in _CASES:
        for seed in _SEEDS:
            problem = draw(_NEEDS, offers, seed=seed, nights=nights, weights=LEVEL_WEIGHTS).problem
            greedy = solve(problem, clock=perf_counter, deadline=0.0, seed=0, method=Method.GREEDY)
            began = perf_counter()
            plan = solve(problem, clock=perf_counter, deadline=began + seconds, seed=0)
            took = perf_counter() - began
            if broken := broken_rules(problem, plan):
                raise AssertionError(f"the plan breaks rules: {broken[:5]}")
            yield Solved(name, seed, took, plan, _person_nights(problem, plan) / _person_nights(problem, greedy) - 1)


def _person_nights(problem: Problem, plan: Plan) -> int:
    nights = problem.last_night - problem.first_night + 1
    return int((plan.people * nights[plan.need]).sum())
