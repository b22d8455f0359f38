"""Cells: the coarse places that all matching works on.

A cell is an H3 index. Resolution 7 (about 5 km²) for most places, 6 (about 36 km²) for those that must not be
guessed: private homes and rendezvous sites.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import NewType

import h3

__all__ = ["COARSE_RESOLUTION", "RESOLUTION", "Cell", "Point", "cell_of", "cell_text", "centroid"]

Cell = NewType("Cell", int)
RESOLUTION = 7
COARSE_RESOLUTION = 6


@dataclass(frozen=True, slots=True)
class Point:
    """A place on Earth in degrees (WGS 84). Raises `ValueError` outside ±180 and ±90."""

    longitude: float
    latitude: float

    def __post_init__(self) -> None:
        if not (isfinite(self.longitude) and isfinite(self.latitude)):
            raise ValueError("a point's coordinates are finite")
        if abs(self.longitude) > 180 or abs(self.latitude) > 90:
            raise ValueError("a point lies within ±180 and ±90 degrees")

    @property
    def ewkt(self) -> str:
        """The point as spatial databases read it: longitude first, WGS 84 named."""
        return f"SRID=4326;POINT({self.longitude!r} {self.latitude!r})"


def cell_of(point: Point, resolution: int = RESOLUTION) -> Cell:
    """The cell that a point lies in."""
    return Cell(h3.str_to_int(h3.latlng_to_cell(point.latitude, point.longitude, resolution)))


@lru_cache(maxsize=65_536)
def centroid(cell: Cell) -> Point:
    """The middle of a cell: the only place that distances are measured from."""
    latitude, longitude = h3.cell_to_latlng(cell_text(cell))
    return Point(longitude, latitude)


def cell_text(cell: Cell) -> str:
    """A cell as H3 writes it: fifteen hexadecimal digits."""
    return str(h3.int_to_str(cell))
