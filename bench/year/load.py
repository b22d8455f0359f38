"""How unevenly towns carry: nights of people for each thousand inhabitants, and the Gini coefficient of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.year.facts import Network
from matching.fairness import FEWEST_INHABITANTS

__all__ = ["gini", "per_thousand"]


def per_thousand(network: Network, nights: Mapping[int, int]) -> list[float]:
    """Nights of people for each thousand inhabitants, in the order of the towns."""
    return [1000 * nights.get(town.id, 0) / max(town.inhabitants, FEWEST_INHABITANTS) for town in network.towns]


def gini(values: Sequence[float]) -> float:
    """Mean difference of all pairs over twice the mean: 0 where all are equal, (n - 1) / n where one has everything."""
    ordered = np.sort(np.asarray(values, np.float64))
    total = ordered.sum()
    if total <= 0:
        return 0.0
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * total))
