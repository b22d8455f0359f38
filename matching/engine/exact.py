"""Small problems, solved to the proof: a mixed-integer programme in which whole parties go or stay (HiGHS)."""

from collections.abc import Callable

import highspy
import numpy as np

from matching.engine.pairs import Pairs, usable_pairs
from matching.engine.problem import Certificate, Integers, Plan, Problem
from matching.engine.relaxation import Relaxation, model_of, relax

__all__ = ["solve_exactly"]


def solve_exactly(problem: Problem, *, clock: Callable[[], float], deadline: float) -> Plan | None:
    """The best plan there is; `None` when the time does not suffice to prove it.

    Prices are those of the relaxation: what whole parties do has none of its own.
    """
    pairs = usable_pairs(problem)
    relaxed = relax(problem, pairs, clock=clock, deadline=deadline)
    if not relaxed.solved:
        return None
    chosen = _choose(problem, pairs, clock, deadline) if len(pairs.need) else np.zeros(0, np.int64)
    return None if chosen is None else _plan(pairs, chosen, relaxed)


def _choose(problem: Problem, pairs: Pairs, clock: Callable[[], float], deadline: float) -> Integers | None:
    """(k,) people of each pair."""
    unit = np.where(problem.divisible, 1, problem.people)[pairs.need]
    model, _ = model_of(problem, pairs, unit)
    model.integrality_ = [highspy.HighsVarType.kInteger] * len(pairs.need)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    for name, value in (("threads", 1), ("mip_rel_gap", 0.0), ("mip_abs_gap", 0.0)):
        solver.setOptionValue(name, value)
    solver.setOptionValue("time_limit", max(0.0, deadline - clock()))
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    units: Integers = np.rint(np.asarray(solver.getSolution().col_value)).astype(np.int64)
    return units * unit


def _plan(pairs: Pairs, chosen: Integers, relaxed: Relaxation) -> Plan:
    used = np.flatnonzero(chosen)
    objective = float(chosen[used] @ pairs.worth[used])
    proved = Certificate(bound=objective, lp_bound=relaxed.bound, knapsack_bound=None, dual_error=relaxed.dual_error)
    return Plan(pairs.need[used], pairs.offer[used], chosen[used], objective, proved, relaxed.prices, "exact")
