"""Weeks of needs and offers that follow from a seed: clustered towns, few large buildings among many small hosts."""

import numpy as np

from matching.engine.problem import Flags, Floats, Integers, Problem

__all__ = ["week"]

NIGHTS = 7
_SIDE_KM = 1000.0
_CLUSTERS = 60
_TOWNS = 2000
_SIZES = np.array([0.30, 0.24, 0.15, 0.14, 0.08, 0.05, 0.03, 0.01])
"""Shares of parties of 1 to 8 people."""


def week(needs: int, offers: int, seed: int) -> Problem:
    """Seven nights: parties of 1 to 8 for 1 to 7 nights, all candidates within 10 to 50 km, in a straight line."""
    chance = np.random.default_rng(seed)
    centres = chance.uniform(0, _SIDE_KM, (_CLUSTERS, 2))
    towns = centres[chance.integers(_CLUSTERS, size=_TOWNS)] + chance.normal(0, 30, (_TOWNS, 2))
    sizes = chance.pareto(1.1, _TOWNS) + 0.2
    # Needs come up in the few towns of passage, places are where people live.
    passage = sizes * chance.pareto(1.0, _TOWNS)
    where_needed = _around(towns, np.minimum(passage, np.quantile(passage, 0.97)), needs, chance)
    where_offered = _around(towns, np.minimum(sizes, np.quantile(sizes, 0.97)), offers, chance)
    need, offer, km = _within(where_needed, where_offered, chance.uniform(10, 50, needs))
    first = chance.integers(NIGHTS, size=needs)
    return Problem(
        people=chance.choice(np.arange(1, 9), size=needs, p=_SIZES).astype(np.int64),
        tier=chance.choice(3, size=needs, p=[0.15, 0.35, 0.5]).astype(np.int64),
        waited=chance.exponential(6.0, needs),
        first_night=first,
        last_night=np.minimum(first + np.minimum(chance.geometric(0.35, needs), 7) - 1, NIGHTS - 1),
        divisible=_seldom(0.05, needs, chance),
        capacity=_places(offers, chance),
        need=need,
        offer=offer,
        km=km,
    )


def _places(offers: int, chance: np.random.Generator) -> Integers:
    """(offers, nights) places: homes of 1 to 4 open on some nights, rooms of 3 to 9, few buildings of 15 to 45."""
    kind = chance.choice(3, size=offers, p=[0.88, 0.10, 0.02])
    places = np.array([1, 3, 15])[kind] + (chance.random(offers) * np.array([4, 7, 31])[kind]).astype(np.int64)
    opened = chance.random((offers, NIGHTS)) < np.array([0.35, 0.6, 0.8])[kind][:, None]
    return np.where(opened, places[:, None], 0).astype(np.int64)


def _around(towns: Floats, weight: Floats, count: int, chance: np.random.Generator) -> Floats:
    return towns[chance.choice(len(towns), size=count, p=weight / weight.sum())] + chance.normal(0, 4, (count, 2))


def _within(needed: Floats, offered: Floats, radius: Floats) -> tuple[Integers, Integers, Floats]:
    needs, offers, lengths = [], [], []
    for start in range(0, len(needed), 500):
        apart = np.hypot(*(needed[start : start + 500, None, :] - offered[None, :, :]).transpose(2, 0, 1))
        near, place = np.nonzero(apart <= radius[start : start + 500, None])
        needs.append(near + start)
        offers.append(place)
        lengths.append(apart[near, place])
    return (
        np.concatenate(needs).astype(np.int64),
        np.concatenate(offers).astype(np.int64),
        np.round(np.concatenate(lengths), 1),
    )


def _seldom(share: float, count: int, chance: np.random.Generator) -> Flags:
    return chance.random(count) < share
