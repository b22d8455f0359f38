"""Tiles of the web's maps: squares of the Mercator projection, four times as many with each zoom."""

from dataclasses import dataclass
from math import atan, degrees, pi, sinh
from typing import Final

__all__ = ["LARGEST_ZOOM", "Bounds", "Tile"]

LARGEST_ZOOM: Final = 12
"""A tile of this zoom is some eight kilometres wide."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Degrees between which something lies."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the map: `x` counts from the west, `y` from the north."""

    zoom: int
    x: int
    y: int

    @property
    def is_there(self) -> bool:
        """Whether the map has such a square, and we draw that zoom."""
        return 0 <= self.zoom <= LARGEST_ZOOM and 0 <= self.x < 2**self.zoom and 0 <= self.y < 2**self.zoom

    @property
    def bounds(self) -> Bounds:
        """Between which degrees it lies."""
        return Bounds(_longitude(self, 0), _latitude(self, 1), _longitude(self, 1), _latitude(self, 0))


def _longitude(tile: Tile, further: int) -> float:
    columns: int = 2**tile.zoom
    return (tile.x + further) / columns * 360 - 180


def _latitude(tile: Tile, further: int) -> float:
    rows: int = 2**tile.zoom
    return degrees(atan(sinh(pi * (1 - 2 * (tile.y + further) / rows))))
