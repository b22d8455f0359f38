"""How long the way by road takes between two cells, judged from what is known without a map of roads.

Great circle, times how much roads wind, at the speed of the land. It is an estimate: where a routing engine has been
asked, its answer counts instead (`db.travel`). Both go from centroid to centroid, so nothing in it hangs on where in
its cell a place lies.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final, NewType

import tzfpy
from shapely import MultiPolygon, Polygon, prepare
from shapely import Point as ShapelyPoint

from geo.borders import country_of_zone
from geo.cells import Cell, Point, centroid
from geo.distance import great_circle

__all__ = ["FASTEST_KMH", "Ground", "Minutes", "estimated_minutes", "ground_of", "minutes_between"]

Minutes = NewType("Minutes", int)

_WINDING: Final = 1.343
"""Kilometres of road for each of the great circle: the mean of 300 European cities in "Form and size of cities",
Environment and Planning B (2023), doi 10.1177/23998083231168870."""
_WINDING_IN_MOUNTAINS: Final = 1.55
"""The same where roads follow valleys and passes: no published figure was found. Our own, by the way from Briançon to
Gap (87 km of road for 56 km), so that ways come out a little long rather than short."""
_BORDER: Final = 1.2
"""How much longer the way over a national border is: few roads cross it. Our own estimate; waiting is not in it."""
FASTEST_KMH: Final = 65.0
"""Door to door over roads of all kinds in open land; nobody is told to be faster. Our own estimate."""
_MOUNTAIN_KMH: Final = 55.0
_SETTING_OUT: Final = 5.0
"""Minutes that any way takes, be it to the next street."""

# Ranges that lie on the roads of exile through Europe, drawn with few corners: (longitude, latitude).
_ALPS = (
    (6.9, 43.8), (5.6, 44.3), (5.3, 45.2), (5.9, 46.2), (6.9, 46.4), (8.2, 46.9), (9.6, 47.3), (11.0, 47.6),
    (13.0, 47.7), (15.3, 47.9), (15.9, 47.2), (14.6, 46.4), (13.4, 46.1), (12.2, 46.0), (11.0, 45.7), (9.8, 45.8),
    (8.6, 45.9), (7.8, 45.4), (7.4, 44.9), (7.5, 44.3), (7.9, 44.1),
)  # fmt: skip
_PYRENEES = (
    (-1.6, 43.2), (-0.5, 43.15), (1.0, 42.95), (2.5, 42.75), (3.0, 42.45), (2.3, 42.1), (0.8, 42.1), (-0.8, 42.5),
)  # fmt: skip
_DINARIDES = (
    (13.9, 45.6), (15.5, 45.3), (16.8, 44.9), (18.5, 44.3), (20.0, 43.4), (20.9, 42.4), (20.6, 41.0), (19.7, 41.5),
    (18.6, 42.5), (17.2, 43.2), (15.9, 43.8), (14.8, 44.5),
)  # fmt: skip
_CARPATHIANS = (
    (18.0, 49.6), (20.5, 49.6), (23.0, 49.1), (25.3, 47.9), (26.6, 46.3), (26.3, 45.2), (23.0, 45.0), (22.3, 45.3),
    (25.0, 45.8), (24.6, 47.2), (22.5, 48.5), (20.0, 48.6), (18.2, 48.8),
)  # fmt: skip
_MOUNTAINS: Final = MultiPolygon([Polygon(ring) for ring in (_ALPS, _PYRENEES, _DINARIDES, _CARPATHIANS)])
prepare(_MOUNTAINS)


@dataclass(frozen=True, slots=True)
class Ground:
    """What matters of the land on the way between two cells."""

    mountains: bool
    border: bool


@lru_cache(maxsize=65_536)
def minutes_between(a: Cell, b: Cell) -> Minutes:
    """Centroid to centroid by road, in whole minutes, rounded up; the same in both directions."""
    return estimated_minutes(great_circle(centroid(a), centroid(b)), ground_of(a, b))


def estimated_minutes(km: float, ground: Ground) -> Minutes:
    """How long so many kilometres of great circle take over such ground; never less for more of them."""
    winding = _WINDING_IN_MOUNTAINS if ground.mountains else _WINDING
    speed = _MOUNTAIN_KMH if ground.mountains else FASTEST_KMH
    road = km * winding * (_BORDER if ground.border else 1.0)
    return Minutes(ceil(_SETTING_OUT + 60 * road / speed))


def ground_of(a: Cell, b: Cell) -> Ground:
    """In mountains when either end or the middle of the way is; over a border when the ends lie in two countries."""
    ends = centroid(a), centroid(b)
    return Ground(
        mountains=any(map(_is_in_mountains, (*ends, _middle(*ends)))),
        border=_lie_in_two_countries(a, b),
    )


def _lie_in_two_countries(a: Cell, b: Cell) -> bool:
    one, other = _country(a), _country(b)
    return one is not None and other is not None and one != other


@lru_cache(maxsize=65_536)
def _country(cell: Cell) -> str | None:
    point = centroid(cell)
    return country_of_zone(tzfpy.get_tz(point.longitude, point.latitude))


@lru_cache(maxsize=65_536)
def _is_in_mountains(point: Point) -> bool:
    return bool(_MOUNTAINS.covers(ShapelyPoint(point.longitude, point.latitude)))


def _middle(a: Point, b: Point) -> Point:
    """Halfway along the chord in degrees: near enough for ways that people are sent."""
    east = (b.longitude - a.longitude + 180) % 360 - 180
    longitude = (a.longitude + east / 2 + 180) % 360 - 180
    return Point(longitude, (a.latitude + b.latitude) / 2)
