"""Small problems, solved to the proof: mixed-integer programmes in which whole parties go or stay (HiGHS).

A tier that is never traded is a programme of its own: the most person-nights of it and those above that there can be,
which the next ones then keep. So no programme holds weights that its tolerances could not tell apart.
"""

from collections.abc import Callable

import highspy
import numpy as np

from matching.engine.objective import Scale, scale_of, worth_of
from matching.engine.pairs import Pairs, usable_pairs
from matching.engine.problem import TIERS, Certificate, Floats, Integers, Plan, Problem
from matching.engine.proof import Proof, most_served, proof_of
from matching.engine.relaxation import model_of, relax

__all__ = ["solve_exactly"]


def solve_exactly(problem: Problem, *, clock: Callable[[], float], deadline: float) -> Plan | None:
    """The best plan there is; `None` when the time does not suffice to prove it.

    Prices are those of the relaxation: what whole parties do has none of its own.
    """
    scale = scale_of(problem)
    pairs = usable_pairs(scale.mild)
    relaxed = relax(scale.mild, pairs, clock=clock, deadline=deadline)
    if not relaxed.solved:
        return None
    chosen = _choose(scale, pairs, clock, deadline) if len(pairs.need) else np.zeros(0, np.int64)
    if chosen is None:
        return None
    return _plan(problem, pairs, chosen, proof_of(scale, relaxed, most_served(scale, pairs, relaxed)))


def _choose(scale: Scale, pairs: Pairs, clock: Callable[[], float], deadline: float) -> Integers | None:
    """(k,) people of each pair."""
    problem = scale.mild
    unit = np.where(problem.divisible, 1, problem.people)[pairs.need]
    model, factor = model_of(problem, pairs, unit)
    model.integrality_ = [highspy.HighsVarType.kInteger] * len(pairs.need)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    for name, value in (("threads", 1), ("mip_rel_gap", 0.0), ("mip_abs_gap", 0.0)):
        solver.setOptionValue(name, value)
    solver.passModel(model)
    costs = np.concatenate((pairs.worth * unit * factor, factor * _fill(solver, problem, pairs)))
    stay = (unit * (problem.last_night - problem.first_night + 1)[pairs.need]).astype(np.float64)
    for tier in range(TIERS):
        if scale.above[tier] == 0:
            continue
        some = np.flatnonzero(problem.tier[pairs.need] <= tier)
        aim = np.zeros(len(costs))
        aim[some] = stay[some]
        found = _best(solver, aim, clock, deadline)
        if found is None:
            return None
        most = float(np.rint(found @ aim))
        solver.addRow(most - 0.5, highspy.kHighsInf, len(some), some.astype(np.int32), stay[some])
    found = _best(solver, costs, clock, deadline)
    return None if found is None else np.rint(found[: len(unit)]).astype(np.int64) * unit


def _fill(solver: highspy.Highs, problem: Problem, pairs: Pairs) -> Floats:
    """Add a column for each place that may be taken, dearer one after the other; what each adds to the objective."""
    load = problem.load
    if load is None:
        return np.zeros(0)
    worth = []
    asked = np.bincount(pairs.offer, problem.people[pairs.need], len(problem.capacity)).astype(np.int64)
    for row, ((offer, night), free) in enumerate(np.ndenumerate(problem.capacity), len(problem.people)):
        solver.changeRowBounds(row, -highspy.kHighsInf, 0.0)
        places = max(1, int(free + load.taken[offer, night]))
        for place in range(min(int(free), int(asked[offer]))):
            worth.append(-problem.weights.km * load.km * (load.taken[offer, night] + place) / places)
            solver.addCol(0.0, 0.0, 1.0, 1, np.array([row], np.int32), np.array([-1.0]))
    return np.array(worth, np.float64)


def _best(solver: highspy.Highs, aim: Floats, clock: Callable[[], float], deadline: float) -> Floats | None:
    """(columns,) the best solution; `None` where the time was too short to prove it."""
    solver.changeColsCost(len(aim), np.arange(len(aim), dtype=np.int32), aim)
    # The solver's limit counts from its first run on.
    solver.setOptionValue("time_limit", solver.getRunTime() + max(0.0, deadline - clock()))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return np.asarray(solver.getSolution().col_value)


def _plan(problem: Problem, pairs: Pairs, chosen: Integers, proof: Proof) -> Plan:
    used = np.flatnonzero(chosen)
    need, offer, people = pairs.need[used], pairs.offer[used], chosen[used]
    worth = worth_of(problem, need, offer, people, pairs.km[used])
    objective = float(worth.weighed(problem.weights))
    proved = Certificate(
        bound=objective,
        lp_bound=max(proof.bound, objective),
        knapsack_bound=None,
        dual_error=proof.relaxed.dual_error,
        most_served=tuple(float(count) for count in worth.served),
    )
    return Plan(need, offer, people, objective, proved, proof.relaxed.prices, "exact")
