"""What a plan is worth, to the last digit, and how the solvers may be told of it in numbers that they can count with.

The weights of tiers may lie so far apart that their sum does not fit a float: ten million to one, twice, and people by
the hundred thousand take 70 bits and more. So plans are compared by what they hold (person-nights of each tier, whole
numbers; kilometres), weighed as fractions: exact. The solvers count in floats, by weights that are *milder*, and what
that leaves out is a sum of person-nights of the upper tiers that is bounded by itself (`Scale`).
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from matching.engine.problem import TIERS, Floats, Integers, Problem, Weights

__all__ = ["Scale", "Worth", "load_km", "scale_of", "worth_of"]

_MILD: Final = 10.0
"""How much a tier counts against the next where it must never be traded."""
_MILD_KM: Final = 1000.0
"""Kilometres that a person-night of the last tier counts, there."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a plan holds."""

    person_nights: tuple[int, ...]
    """(3,) by tier."""
    km: float
    """People times kilometres, with what the load of houses adds."""

    def weighed(self, weights: Weights) -> Fraction:
        """The objective: every float is a fraction, and fractions lose nothing."""
        tiers = sum((Fraction(w) * n for w, n in zip(weights.tier, self.person_nights, strict=True)), Fraction(0))
        return tiers - Fraction(weights.km) * Fraction(self.km)

    @property
    def served(self) -> tuple[int, ...]:
        """(3,) person-nights of each tier and those above it."""
        return tuple(sum(self.person_nights[: tier + 1]) for tier in range(TIERS))


def worth_of(problem: Problem, need: Integers, offer: Integers, people: Integers, km: Floats) -> Worth:
    """The worth of people (a,) of these needs at these offers, at these distances."""
    nights = (problem.last_night - problem.first_night + 1)[need]
    counted = [int((people * nights)[problem.tier[need] == tier].sum()) for tier in range(TIERS)]
    way = float(people @ km)
    if problem.load is None:
        return Worth(tuple(counted), way)
    used = np.zeros(problem.capacity.shape, np.int64)
    for night in range(problem.capacity.shape[1]):
        there = (problem.first_night[need] <= night) & (night <= problem.last_night[need])
        used[:, night] = np.bincount(offer[there], people[there], len(used))
    return Worth(tuple(counted), way + load_km(problem, used))


def load_km(problem: Problem, used: Integers) -> float:
    """What so many people (m, h) in each offer each night add to the kilometres."""
    if problem.load is None:
        return 0.0
    taken = problem.load.taken
    places = np.maximum(problem.capacity + taken, 1)
    return problem.load.km * float((used * (taken + (used - 1) / 2) / places).sum())


@dataclass(frozen=True, slots=True)
class Scale:
    """The objective as a sum: that of `mild`, and `above[t]` for each person-night of the tiers 0 to t."""

    mild: Problem
    """The problem with weights that floats can count with; the true ones where none must be changed."""
    above: tuple[float, ...]
    """(3,) ≥ 0; where it is 0, the mild weights are the true ones."""

    def bound(self, mild: float, served: tuple[float, ...]) -> float:
        """No plan is above it, where none is above `mild` by the mild weights and none serves more than `served`."""
        return float(
            sum((Fraction(a) * Fraction(n) for a, n in zip(self.above, served, strict=True) if a), Fraction(mild))
        )


def scale_of(problem: Problem) -> Scale:
    """Make weights milder where that changes nothing for better or worse: no sum of what lies below a tier reaches it.

    Weights that may be traded for each other, or that do not fall from tier to tier, stay as they are.
    """
    true, km = problem.weights.tier, problem.weights.km
    if not true[0] >= true[1] >= true[2] > 0:
        return Scale(problem, (0.0,) * TIERS)
    nights = problem.last_night - problem.first_night + 1
    counted = np.bincount(problem.tier, problem.people * nights, TIERS)
    farthest = _farthest(problem)
    below = km * farthest * float(problem.people.sum())
    mild, above = [0.0] * TIERS, [0.0] * TIERS
    carried, step = 0.0, max(_MILD_KM, 4.0 * farthest) * km
    for tier in reversed(range(TIERS)):
        left = true[tier] - carried
        mild[tier] = min(left, step) if true[tier] > below and step > 0 else left
        above[tier] = left - mild[tier]
        carried += above[tier]
        below += true[tier] * float(counted[tier])
        step = _MILD * mild[tier]
    return Scale(replace(problem, weights=Weights((mild[0], mild[1], mild[2]), km)), tuple(above))


def _farthest(problem: Problem) -> float:
    """Kilometres that one person can cost at most, with the load of all nights."""
    load = 0.0 if problem.load is None else problem.load.km * problem.capacity.shape[1]
    return (float(problem.km.max()) if len(problem.km) else 0.0) + load
