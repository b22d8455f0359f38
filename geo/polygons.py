"""Cells as polygons, as GeoJSON wants them (RFC 7946): counter-clockwise, closed, and cut at the antimeridian."""

from typing import Final

import h3
from shapely import affinity, box
from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

from geo.cells import Cell, cell_text

__all__ = ["Ring", "polygons_of"]

Ring = tuple[tuple[float, float], ...]
"""Longitudes and latitudes in degrees; the last is the first again."""
_WORLD: Final = box(-180, -90, 180, 90)
_BEYOND: Final = box(180, -90, 540, 90)


def polygons_of(cell: Cell) -> tuple[Ring, ...]:
    """The outer ring of a cell, or of its two parts where the antimeridian runs through it. No cell has a hole.

    Of the two cells of a resolution that hold a pole this draws no more than what their corners span.
    """
    corners = [(longitude, latitude) for latitude, longitude in h3.cell_to_boundary(cell_text(cell))]
    longitudes = [longitude for longitude, _ in corners]
    if max(longitudes) - min(longitudes) <= 180:
        return (_ring(Polygon(corners)),)
    eastward = Polygon([(longitude % 360, latitude) for longitude, latitude in corners])
    parts = eastward.intersection(_WORLD), affinity.translate(eastward.intersection(_BEYOND), -360)
    return tuple(_ring(part) for part in parts if isinstance(part, Polygon) and not part.is_empty)


def _ring(polygon: Polygon) -> Ring:
    return tuple((float(x), float(y)) for x, y in orient(polygon).exterior.coords)
