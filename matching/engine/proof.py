"""What is proved of all plans of a problem before one is known: by the mild weights, and of who is served."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from matching.engine.objective import Scale, Worth
from matching.engine.pairs import Pairs
from matching.engine.problem import TIERS, Floats, Weights
from matching.engine.relaxation import Relaxation, priced_bound

__all__ = ["Proof", "most_served", "proof_of"]

_PROVED: Final = 1e-9
"""A plan this near its bound, relatively, is best: sums of a hundred thousand floats agree no further."""
_HALVES: Final = (0.5, 0.2, 0.05, 1.0)
"""Where prices are cut into places that are scarce for a tier and places that are not, in its weights."""


@dataclass(frozen=True, slots=True)
class Proof:
    """No plan has an objective above `bound`, nor serves more than `most_served`."""

    scale: Scale
    relaxed: Relaxation
    most_served: tuple[float, ...]
    """(3,) person-nights of each tier and those above it."""
    bound: float

    def proves(self, worth: Worth, weights: Weights) -> bool:
        """Whether no plan is better than one of this worth."""
        total = float(worth.weighed(weights))
        if total < self.bound * (1 - _PROVED):
            return False
        tiers = zip(self.scale.above, worth.served, self.most_served, strict=True)
        full = all(served >= most - 0.5 for above, served, most in tiers if above > 0)
        mild = float(worth.weighed(self.scale.mild.weights))
        return full and mild >= self.relaxed.bound * (1 - _PROVED)


def proof_of(scale: Scale, relaxed: Relaxation, most: tuple[float, ...]) -> Proof:
    """What a relaxation by the mild weights proves by the true ones."""
    return Proof(scale, relaxed, most, scale.bound(relaxed.bound, most))


def most_served(scale: Scale, pairs: Pairs, relaxed: Relaxation) -> tuple[float, ...]:
    """Person-nights that no plan can pass, of each tier with those above it.

    In a relaxation that counts people alone, a place is worth as much as the stay that it is taken from. The mild
    prices say which places are scarce for whom; any prices bound, so several ways to read them are tried.
    """
    return tuple(_most(scale, pairs, relaxed.prices, tier) for tier in range(TIERS))


def _most(scale: Scale, pairs: Pairs, prices: Floats, tier: int) -> float:
    problem = scale.mild
    some = problem.tier[pairs.need] <= tier
    nights = (problem.last_night - problem.first_night + 1).astype(np.float64)
    counted = replace(
        pairs,
        need=pairs.need[some],
        offer=pairs.offer[some],
        km=pairs.km[some],
        room=pairs.room[some],
        worth=nights[pairs.need[some]],
        begin=np.concatenate(([0], np.cumsum(some)))[pairs.begin],
    )
    unit = problem.weights.tier[tier]
    ways = [np.zeros(prices.shape)]
    if unit > 0:
        ways += [(prices > cut * unit).astype(np.float64) for cut in _HALVES]
        ways += [prices / unit, np.minimum(prices / unit, 1.0)]
    return min(priced_bound(problem, counted, way) for way in ways)
