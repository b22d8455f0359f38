"""What the engine is asked and what it answers: arrays of plain numbers, no world behind them.

A candidate says that every rule but capacity holds for a need at an offer. Capacity over the nights, unity of those
who stay together, and what is better, are the engine's. Needs, offers and nights are numbered from 0; a need takes
every night from its first to its last at one offer (a part of a divisible need: every night of that part).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "DEFAULT_WEIGHTS",
    "TIERS",
    "Certificate",
    "Flags",
    "Floats",
    "Integers",
    "Load",
    "Plan",
    "Problem",
    "Weights",
]

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

TIERS = 3
"""Urgency tiers; 0 is vital."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What the objective counts: people x nights x the weight of their tier, less people x kilometres x `km`."""

    tier: tuple[float, float, float]
    km: float


DEFAULT_WEIGHTS = Weights(tier=(1e14, 1e7, 1.0), km=1e-8)
"""A person-night outweighs ten million of the next tier, one of the last tier a hundred million person-kilometres.

So no tier is ever traded for the next, nor a place for a way, where there are fewer than these: 100,000 parties of up
to 14 people for a week. `objective.Worth` says how such sums are compared without losing a digit.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What it costs to fill a house: people who come to one that is fuller count as coming from farther away.

    Each night, the person who takes a place when `k` of `n` are taken costs `k / n` of `km`. It counts as their way
    does, so it never leaves anybody without a place where the weights let no way do so.
    """

    km: float
    """Kilometres that the last place of an offer costs against its first."""
    taken: Integers
    """(m, h) places of each offer each night that are taken already, beside those of `Problem.capacity`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Needs (n), offers (m), nights (h) and candidates (c); see the module for what they mean."""

    people: Integers
    """(n,) people of each need, at least 1."""
    tier: Integers
    """(n,) 0 vital, 1 high, 2 normal."""
    waited: Floats
    """(n,) hours since the need was posted; decides only among equals of a tier."""
    first_night: Integers
    """(n,)"""
    last_night: Integers
    """(n,) inclusive."""
    divisible: Flags
    """(n,) whether the need may be spread over several offers."""
    capacity: Integers
    """(m, h) places free in each offer each night."""
    need: Integers
    """(c,) the need of each candidate pair; each pair stands once."""
    offer: Integers
    """(c,) the offer of each candidate pair."""
    km: Floats
    """(c,) the distance of each candidate pair."""
    weights: Weights = DEFAULT_WEIGHTS
    load: Load | None = None
    """Houses may be filled in any order where it is not given."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is proved about a plan. No plan of the problem has an objective above any of the bounds."""

    bound: float
    """The tightest bound known."""
    lp_bound: float | None
    """Of the linear relaxation, where parties may be split; `None` where it was not solved to the end."""
    knapsack_bound: float | None
    """Lagrangian with an exact knapsack per offer; `None` where not computed."""
    dual_error: float
    """How far the prices are from closing the relaxation, relative to it: 0 when they prove `lp_bound` exactly."""
    most_served: tuple[float, ...] | None = None
    """(3,) person-nights that no plan can pass: of tier 0, of tiers 0 and 1, of all; `None` where not computed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who goes where (a assignments), its value, and what is proved of it."""

    need: Integers
    """(a,)"""
    offer: Integers
    """(a,)"""
    people: Integers
    """(a,) all of a need's people unless it is divisible."""
    objective: float
    certificate: Certificate
    prices: Floats
    """(m, h) what one more place would be worth: the scarcity price of each offer each night, ≥ 0."""
    method: str

    @property
    def gap(self) -> float:
        """How far from the best possible the plan can be at most, relative to the bound; 0 when it is proved best."""
        bound = self.certificate.bound
        return 0.0 if bound <= 0 else max(0.0, (bound - self.objective) / bound)
