"""The linear relaxation, where parties may be split: the prices of places, and a bound that no plan can pass.

One row a need (its people), one row an offer's night (its places), one column a pair (people placed), all ones: HiGHS
solves it by dual simplex. Its costs are not perturbed: the matrix is nearly a network's, and without the perturbation
it takes a third of the time. The bound is not taken from the solver but computed here from its prices, so it holds
whatever the solver's tolerances are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import highspy
import numpy as np

from matching.engine.compiled import compiled
from matching.engine.pairs import Pairs
from matching.engine.problem import Floats, Integers, Problem

__all__ = ["Relaxation", "gains", "model_of", "priced_bound", "relax"]

_SMALLEST_WEIGHT = 64.0
_LARGEST_WEIGHT = 2.0**33
"""HiGHS closes its duals to 1e-7: the least weight must stand far above that, the greatest below 1e16 of it."""


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What the relaxation says."""

    prices: Floats
    """(m, h) what one more place would be worth, ≥ 0."""
    people: Floats
    """(k,) people of each pair, not whole; zeros where it was not solved."""
    bound: float
    """No plan is above it, solved or not."""
    dual_error: float
    """How far bound and relaxed objective lie apart, relative to the bound; infinite where it was not solved."""

    @property
    def solved(self) -> bool:
        """Whether it was solved to the end."""
        return bool(np.isfinite(self.dual_error))


def relax(problem: Problem, pairs: Pairs, *, clock: Callable[[], float], deadline: float) -> Relaxation:
    """Solve the relaxation, or as much of it as the time allows: prices always bound, solved or not."""
    unsolved = Relaxation(np.zeros(problem.capacity.shape), np.zeros(len(pairs.need)), np.inf, np.inf)
    if not len(pairs.need):
        return Relaxation(unsolved.prices, unsolved.people, 0.0, 0.0)
    model, scale = model_of(problem, pairs, np.ones(len(pairs.need), np.int64))
    solver = _simplex(model)
    solver.setOptionValue("time_limit", max(0.0, deadline - clock()))
    solver.run()
    solution = solver.getSolution()
    duals = np.asarray(solution.row_dual)[len(problem.people) :]
    prices = np.maximum(duals, 0.0).reshape(problem.capacity.shape) / scale
    bound = priced_bound(problem, pairs, prices)
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        # What an interrupted simplex knows of prices is rarely better than nothing, and then worse by far.
        free = priced_bound(problem, pairs, unsolved.prices)
        return Relaxation(prices, unsolved.people, bound, np.inf) if bound < free else _at_no_price(unsolved, free)
    people = np.maximum(np.asarray(solution.col_value), 0.0)
    error = abs(bound - float(people @ pairs.worth)) / bound
    return Relaxation(prices, people, bound, error)


def priced_bound(problem: Problem, pairs: Pairs, prices: Floats) -> float:
    """The Lagrangian bound of any prices ≥ 0: places sold at them, each person at the best place they can buy."""
    best = _best_gains(pairs.begin, pairs.offer, pairs.worth, problem.first_night, problem.last_night, prices)
    return float(best @ problem.people + np.sum(prices * problem.capacity))


def gains(problem: Problem, pairs: Pairs, prices: Floats) -> Floats:
    """(k,) what a person of each pair is worth when the nights are paid for."""
    return _gains(pairs.need, pairs.offer, pairs.worth, problem.first_night, problem.last_night, prices)


def _at_no_price(unsolved: Relaxation, bound: float) -> Relaxation:
    return Relaxation(unsolved.prices, unsolved.people, bound, np.inf)


@compiled
def _gains(need: Integers, offer: Integers, worth: Floats, first: Integers, last: Integers, prices: Floats) -> Floats:
    gain = worth.copy()
    for pair in range(len(need)):
        for night in range(first[need[pair]], last[need[pair]] + 1):
            gain[pair] -= prices[offer[pair], night]
    return gain


@compiled
def _best_gains(
    begin: Integers, offer: Integers, worth: Floats, first: Integers, last: Integers, prices: Floats
) -> Floats:
    """(n,) the most that a person of each need gains at any of its pairs, 0 where none gains."""
    best = np.zeros(len(begin) - 1)
    for need in range(len(best)):
        for pair in range(begin[need], begin[need + 1]):
            gain = worth[pair]
            for night in range(first[need], last[need] + 1):
                gain -= prices[offer[pair], night]
            best[need] = max(best[need], gain)
    return best


def model_of(problem: Problem, pairs: Pairs, unit: Integers) -> tuple[highspy.HighsLp, float]:
    """The linear programme for HiGHS, and the power of two that its costs were multiplied by.

    `unit`: (k,) people that one of each column stands for.
    """
    scale = _scale(problem)
    needs, count = len(problem.people), len(pairs.need)
    nights = problem.last_night - problem.first_night + 1
    lengths = nights[pairs.need] + 1
    start = np.concatenate(([0], np.cumsum(lengths)))
    column = np.repeat(np.arange(count), lengths)
    step = np.arange(start[-1]) - start[column]
    night_row = needs + pairs.offer * problem.capacity.shape[1] + problem.first_night[pairs.need] - 1
    model = highspy.HighsLp()
    model.sense_ = highspy.ObjSense.kMaximize
    model.num_col_, model.num_row_ = count, needs + problem.capacity.size
    model.col_cost_ = pairs.worth * unit * scale
    model.col_lower_, model.col_upper_ = np.zeros(count), np.full(count, highspy.kHighsInf)
    model.row_lower_ = np.full(model.num_row_, -highspy.kHighsInf)
    model.row_upper_ = np.concatenate((problem.people, problem.capacity.ravel())).astype(np.float64)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = start.astype(np.int32)
    model.a_matrix_.index_ = np.where(step == 0, pairs.need[column], night_row[column] + step).astype(np.int32)
    model.a_matrix_.value_ = unit[column].astype(np.float64)
    return model, scale


def _simplex(model: highspy.HighsLp) -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("solver", "simplex")
    solver.setOptionValue("presolve", "off")
    solver.setOptionValue("dual_simplex_cost_perturbation_multiplier", 0.0)
    solver.passModel(model)
    return solver


def _scale(problem: Problem) -> float:
    """A power of two: it changes no digit of the costs."""
    tiers = np.asarray([weight for weight in problem.weights.tier if weight > 0])
    least = _SMALLEST_WEIGHT / float(tiers.min())
    return float(2.0 ** np.floor(np.log2(min(least, _LARGEST_WEIGHT / float(tiers.max())))))
