"""An independent checker of projects: whether a plan keeps what was promised, from facts alone.

It knows nothing of the planner: distances are worked out here from coordinates, by the spherical law of cosines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import acos, cos, floor, radians, sin

import h3

__all__ = ["Fact", "broken"]

_RADIUS_KM = 6371.008771415059


@dataclass(frozen=True)
class Fact:
    """So many people of one party in a house; `of` is how many the party is."""

    party: int
    of: int
    people: int
    house: int


def broken(
    facts: Sequence[Fact], cells: Mapping[int, int], room: Mapping[int, int], together_km: int, minimum: int
) -> list[str]:
    """What does not hold: `divided`, `overfull`, `apart`, `too few`; nothing for a plan, or for none at all."""
    if not facts:
        return []
    found = []
    parties = {fact.party for fact in facts}
    if len(parties) != len(facts) or any(fact.people != fact.of for fact in facts):
        found.append("divided")
    if any(sum(fact.people for fact in facts if fact.house == house) > room[house] for house in room):
        found.append("overfull")
    used = {cells[fact.house] for fact in facts}
    if any(_km(one, other) > together_km for one, other in combinations(used, 2)):
        found.append("apart")
    if sum(fact.people for fact in facts) < minimum:
        found.append("too few")
    return found


def _km(one: int, other: int) -> int:
    (a, b), (c, d) = (h3.cell_to_latlng(h3.int_to_str(cell)) for cell in (one, other))
    along = sin(radians(a)) * sin(radians(c)) + cos(radians(a)) * cos(radians(c)) * cos(radians(b - d))
    return floor(_RADIUS_KM * acos(min(1.0, along)) + 0.5)
