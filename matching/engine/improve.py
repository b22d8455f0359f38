"""The search, led through the time it has: mild at first, then strict about tiers, at last about kilometres.

A step that may lose nobody of a higher tier is hardly ever found once houses are full. So the tiers count little more
than each other in the beginning and ever more towards the end, by when the plan trades none; and the kilometres, for
which a party is moved and never left out, get the last part of the time for themselves ("simulated annealing" over the
weights as well: what is kept is the best plan met by the true objective, compared exactly).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from matching.engine.objective import Worth, load_km
from matching.engine.problem import TIERS, Floats, Integers, Problem
from matching.engine.proof import Proof
from matching.engine.search import Aims, Cut, Standing, restore, search

__all__ = ["Placed", "improved"]

_SLICE_SECONDS: Final = 0.02
"""Of search between two looks at the clock."""
_FIRST_STEPS: Final = 500
_HOTTEST: Final = 3.0
_COLDEST: Final = 0.3
"""Person-nights of the last tier that a step may lose at the start and at the end, times -log(chance)."""
_MILDEST: Final = 1.5
_STRICTEST: Final = 30.0
"""How much a tier counts against the next at the start and at the end, unless the weights say less."""
_STEEPENS: Final = 0.3
"""Share of the search after which the tiers begin to count more."""
_WAYS_SHARE: Final = 0.2
"""Of the time, at the end, for kilometres alone."""
_WAYS_CHOICES: Final = 8
_HOT_KM: Final = 1.0
_COLD_KM: Final = 0.1
"""Person-kilometres that a step may lose then."""
_NEVER: Final = 1e6
"""Kilometres that a person-night counts where none is to be lost."""

Course: TypeAlias = Callable[[float], tuple[Aims, float]]
"""What counts, and what is forgiven, when this share of the time has passed."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Everybody's place at one moment."""

    cut: Cut
    pair: Integers
    worth: Worth

    @staticmethod
    def of(problem: Problem, cut: Cut, standing: Standing) -> "Placed":
        """Where everybody stands now."""
        return Placed(cut, standing.pair.copy(), _worth(problem, cut, standing))

    def in_terms_of(self, cut: Cut) -> Integers:
        """The same places where the pairs stand in another order."""
        where = np.empty(len(cut.number), np.int64)
        where[cut.number] = np.arange(len(cut.number))
        return np.where(self.pair >= 0, where[self.cut.number[self.pair]], -1) if len(where) else self.pair


def improved(
    problem: Problem,
    cut: Cut,
    standing: Standing,
    best: Placed,
    proof: Proof,
    *,
    clock: Callable[[], float],
    deadline: float,
) -> Placed:
    """Search from where everybody stands until the deadline; the best that was met, or `best` where that is better."""
    if not len(cut.number):
        return best
    began = clock()
    ways = deadline - _WAYS_SHARE * (deadline - began)
    stay = _stay(problem, cut)
    lead = partial(_lead, problem, cut, standing, proof, clock)
    found = lead(Placed.of(problem, cut, standing), _ever_stricter(problem, proof, cut, stay), began, ways)
    if best.worth.weighed(problem.weights) > found.worth.weighed(problem.weights):
        found = Placed(cut, best.in_terms_of(cut), best.worth)
    restore(cut.parties, standing, found.pair)
    return lead(found, _ways_alone(problem, stay), ways, deadline)


def _lead(
    problem: Problem,
    cut: Cut,
    standing: Standing,
    proof: Proof,
    clock: Callable[[], float],
    best: Placed,
    course: Course,
    began: float,
    deadline: float,
) -> Placed:
    """Search along a course until the deadline; the best that was met."""
    now, steps = clock(), _FIRST_STEPS
    known = best.worth.weighed(problem.weights)
    while now < deadline - _SLICE_SECONDS and not proof.proves(best.worth, problem.weights):
        aims, temperature = course(min(1.0, max(0.0, (now - began) / (deadline - began))))
        search(cut.parties, standing, aims, steps, temperature)
        worth = _worth(problem, cut, standing)
        if (value := worth.weighed(problem.weights)) > known:
            best, known = Placed(cut, standing.pair.copy(), worth), value
        took, now = clock() - now, clock()
        steps = max(1, min(4 * steps, int(steps * _SLICE_SECONDS / max(took, 1e-6))))
    return best


def _ever_stricter(problem: Problem, proof: Proof, cut: Cut, stay: Floats) -> Course:
    """People by tiers, mild to strict, and ever less forgiven."""
    true, mild = problem.weights.tier, proof.scale.mild.weights
    unit = min(weight for weight in mild.tier if weight > 0)
    tiers = problem.tier[cut.need]
    whole = _aims(problem, stay, mild.km / unit, 1)

    def at(share: float) -> tuple[Aims, float]:
        steep = max(0.0, (share - _STEEPENS) / (1 - _STEEPENS))
        most = _MILDEST * (_STRICTEST / _MILDEST) ** steep
        weights = np.array(mild.tier) / unit
        for tier in reversed(range(TIERS - 1)):
            if weights[tier + 1] > 0:
                weights[tier] = min(true[tier] / true[tier + 1], most) * weights[tier + 1]
        return whole._replace(placed=stay * weights[tiers]), _HOTTEST * (_COLDEST / _HOTTEST) ** share

    return at


def _ways_alone(problem: Problem, stay: Floats) -> Course:
    """Kilometres, and nobody is left out for them."""
    aims = _aims(problem, stay * _NEVER, 1.0, _WAYS_CHOICES)

    def at(share: float) -> tuple[Aims, float]:
        return aims, _HOT_KM * (_COLD_KM / _HOT_KM) ** share

    return at


def _aims(problem: Problem, placed: Floats, km: float, choices: int) -> Aims:
    load = problem.load
    if load is None:
        return Aims(placed, km, np.zeros((0, 0)), np.zeros((0, 0)), choices)
    places = (problem.capacity + load.taken).astype(np.float64)
    return Aims(placed, km, km * load.km / np.maximum(places, 1.0), places, choices)


def _stay(problem: Problem, cut: Cut) -> Floats:
    """(q,) person-nights of each party."""
    nights = problem.last_night - problem.first_night + 1
    return (cut.parties.people * nights[cut.need]).astype(np.float64)


def _worth(problem: Problem, cut: Cut, standing: Standing) -> Worth:
    held = standing.pair >= 0
    stay = _stay(problem, cut)[held]
    counted = np.bincount(problem.tier[cut.need][held], stay, TIERS)
    km = float(cut.parties.people[held] @ cut.parties.km[standing.pair[held]]) if held.any() else 0.0
    load = load_km(problem, problem.capacity - standing.free)
    return Worth(tuple(int(count) for count in counted), km + load)
