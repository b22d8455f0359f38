"""What speaks for one place that fits over another beside kilometres, load and fairness.

The minutes of the way, as far as the policy weighs them, and what the people said on their slip. All in kilometres, and
all of it soft: nothing here makes a place infeasible.
"""

from collections.abc import Mapping
from typing import Final

from geo.cells import Cell
from geo.distance import kilometres_between
from geo.travel import Minutes, minutes_between
from matching.needs import NO_PREFERENCES, Need
from matching.policy import Policy

__all__ = ["NOTHING_ROUTED", "Routed", "minutes_of", "preference_km", "time_km"]

Routed = Mapping[tuple[Cell, Cell], Minutes]
"""Minutes from one cell to another as a routing engine told them."""
NOTHING_ROUTED: Final[Routed] = {}


def minutes_of(a: Cell, b: Cell, routed: Routed = NOTHING_ROUTED) -> Minutes:
    """How long the way takes: as the routing engine said, else as it is estimated."""
    told = routed.get((a, b))
    return minutes_between(a, b) if told is None else told


def time_km(minutes: Minutes, policy: Policy) -> float:
    """What the minutes of a way cost beside its kilometres."""
    return policy.minute_km * minutes


def preference_km(need: Need, cell: Cell, provides: frozenset[str], policy: Policy) -> float:
    """What a place costs a party by what its people said: how far it is from where they would be, and what it lacks."""
    said = need.preferences
    if said == NO_PREFERENCES:
        return 0.0
    beyond = 0
    if said.near is not None:
        beyond = max(0, kilometres_between(said.near.cell, cell) - said.near.within)
    lacking = len(said.wishes - provides)
    return min(policy.near_times * beyond + policy.wish_km * lacking, float(policy.preference_most_km))
