"""Leaning: what the minutes of the way and the people's preferences cost in each of a round's many pairs."""

from collections.abc import Sequence

import numpy as np

from geo.cells import Cell
from matching.engine.problem import Floats
from matching.needs import NO_PREFERENCES
from matching.pairing import Pairs, Stalls, Wish
from matching.policy import Policy
from matching.preferring import NOTHING_ROUTED, Routed, minutes_of, preference_km, time_km

__all__ = ["lean_of_pairs", "leans"]


def leans(wishes: Sequence[Wish], policy: Policy) -> bool:
    """Whether time or preferences cost anything in any pair."""
    return policy.minute_km > 0 or any(wish.need.preferences != NO_PREFERENCES for wish in wishes)


def lean_of_pairs(
    wishes: Sequence[Wish], stalls: Stalls, pairs: Pairs, policy: Policy, routed: Routed = NOTHING_ROUTED
) -> Floats:
    """(pairs,) kilometres that time and preferences cost, as at once."""
    lean: Floats = np.zeros(len(pairs.need), np.float64)
    says = np.array([wish.need.preferences != NO_PREFERENCES for wish in wishes], np.bool_)
    for at in np.flatnonzero(says[pairs.need]).tolist():
        offer = int(pairs.offer[at])
        need, provides = wishes[int(pairs.need[at])].need, stalls.kinds[int(stalls.kind[offer])].provides
        lean[at] = preference_km(need, Cell(int(stalls.cell[offer])), provides, policy)
    if policy.minute_km > 0 and len(pairs.need):
        doors = np.array([wish.need.cell for wish in wishes], np.int64)
        both = np.stack([doors[pairs.need], stalls.cell[pairs.offer]], axis=1)
        ways, which = np.unique(both, axis=0, return_inverse=True)
        costs = [time_km(minutes_of(Cell(a), Cell(b), routed), policy) for a, b in ways.tolist()]
        lean += np.array(costs, np.float64)[which.reshape(-1)]
    return lean
