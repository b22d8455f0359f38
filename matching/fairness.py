"""Shared responsibility: how much of the network's load a town or an association carries, and what that costs.

The upkeep of `db` counts the same in SQL, once a minute; a test holds the two against each other. A load is told in
times the network's: 1 is its mean, 3 three times as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from matching.policy import Policy

__all__ = ["FEWEST_INHABITANTS", "House", "Loads", "association_km", "loads_of", "town_km"]

FEWEST_INHABITANTS: Final = 500
"""Of a town of which the gazetteer knows fewer, or nothing."""


@dataclass(frozen=True, slots=True)
class House:
    """What one organization has in one town tonight: places taken and places in all."""

    town_id: int
    organization_id: UUID
    used: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Loads:
    """Times the network's load, by town and by association, of those far above it; others are not named."""

    town: Mapping[int, float]
    association: Mapping[UUID, float]


def loads_of(
    houses: Sequence[House], inhabitants: Mapping[int, int], associations: frozenset[UUID], policy: Policy
) -> Loads:
    """The loads of tonight, over all towns and organizations that have places for nights."""
    in_town: dict[int, int] = {}
    of_organization: dict[UUID, tuple[int, int]] = {}
    for house in houses:
        in_town[house.town_id] = in_town.get(house.town_id, 0) + house.used
        used, capacity = of_organization.get(house.organization_id, (0, 0))
        of_organization[house.organization_id] = (used + house.used, capacity + house.capacity)
    people = sum(in_town.values())
    thousands = {town: max(inhabitants.get(town, 0), FEWEST_INHABITANTS) / 1000 for town in in_town}
    mean = people / max(sum(thousands.values()), 0.001)
    share = people / max(sum(capacity for _, capacity in of_organization.values()), 1)
    least = max(policy.fair_from_people, 1)
    towns = {town: round(placed / thousands[town] / mean, 2) for town, placed in in_town.items() if placed >= least}
    hosts = {
        organization: round(used / capacity / share, 2)
        for organization, (used, capacity) in of_organization.items()
        if organization in associations and used >= least
    }
    return Loads(
        town={town: load for town, load in towns.items() if load > policy.town_load_times},
        association={host: load for host, load in hosts.items() if load > policy.association_load_times},
    )


def town_km(load: float, policy: Policy) -> float:
    """What an offer in a town of this load costs, in kilometres."""
    return _km(load, policy.town_load_times, policy.town_load_km, policy.town_load_most_km)


def association_km(load: float, policy: Policy) -> float:
    """What an offer of an association of this load costs, in kilometres."""
    return _km(load, policy.association_load_times, policy.association_load_km, policy.association_load_most_km)


def _km(load: float, free: float, each: int, most: int) -> float:
    return min(max(load - free, 0.0) * each, float(most))
