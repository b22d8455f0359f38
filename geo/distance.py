"""Distances between cells, in whole kilometres: as fine as anybody may learn."""

from math import asin, cos, floor, radians, sin, sqrt
from typing import NewType

from geo.cells import Cell, Point, centroid

__all__ = ["EARTH_RADIUS_KM", "Kilometres", "great_circle", "kilometres_between"]

Kilometres = NewType("Kilometres", int)
EARTH_RADIUS_KM = 6371.008771415059
"""The sphere that PostGIS measures on: (2a + b) / 3 of WGS 84."""


def great_circle(a: Point, b: Point) -> float:
    """Great-circle distance in kilometres (haversine formula, Sinnott 1984)."""
    across = sin(radians(b.latitude - a.latitude) / 2) ** 2
    along = sin(radians(b.longitude - a.longitude) / 2) ** 2
    chord = across + cos(radians(a.latitude)) * cos(radians(b.latitude)) * along
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))


def kilometres_between(a: Cell, b: Cell) -> Kilometres:
    """Centroid to centroid, rounded half up to whole kilometres."""
    return Kilometres(floor(great_circle(centroid(a), centroid(b)) + 0.5))
