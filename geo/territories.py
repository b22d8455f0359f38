"""Territories: parts of the land so far apart that nobody in one can be sent to a place in another.

Told from the doors at which people wait and from how far they may be sent, before any place is looked at: the land is
cut into coarse cells, and doors whose surroundings share one belong together.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import h3

from geo.cells import Cell, cell_text
from geo.distance import Kilometres

__all__ = ["Territory", "territories"]

_RINGS = 2
"""Rings of cells around a door's own that hold all that is in its reach."""
_FINEST = 4
_EDGES = 1.95
"""Average edges of a cell that two rings are wide at the least, measured from the rim of the middle cell."""


@dataclass(frozen=True, slots=True)
class Territory:
    """Doors, and the coarse cells around them: no other territory has any of these."""

    doors: frozenset[Cell]
    cells: tuple[int, ...]
    """In ascending order."""

    @property
    def number(self) -> int:
        """The first of its cells, by which it is known."""
        return self.cells[0]


def territories(doors: Collection[Cell], reach: Kilometres) -> list[Territory]:
    """The territories of these doors, each by its number; `reach` is how far anybody may be sent at most."""
    resolution = _resolution(reach)
    at: defaultdict[str, set[Cell]] = defaultdict(set)
    for door in doors:
        at[h3.cell_to_parent(cell_text(door), resolution)].add(door)
    root: dict[str, str] = {}

    def find(cell: str) -> str:
        while root.setdefault(cell, cell) != cell:
            root[cell] = root[root[cell]]
            cell = root[cell]
        return cell

    for middle in at:
        for cell in _around(middle):
            root[find(cell)] = find(middle)
    cells: defaultdict[str, list[int]] = defaultdict(list)
    for cell in list(root):
        cells[find(cell)].append(int(h3.str_to_int(cell)))
    inside: defaultdict[str, set[Cell]] = defaultdict(set)
    for middle, some in at.items():
        inside[find(middle)] |= some
    found = [Territory(frozenset(inside[name]), tuple(sorted(some))) for name, some in cells.items()]
    return sorted(found, key=lambda territory: territory.number)


def _resolution(reach: Kilometres) -> int:
    """The finest at which the rings are wide enough; distances count in whole kilometres."""
    for resolution in range(_FINEST, 0, -1):
        if _EDGES * h3.average_hexagon_edge_length(resolution, unit="km") >= reach + 0.5:
            return resolution
    return 0


@lru_cache(maxsize=4096)
def _around(cell: str) -> tuple[str, ...]:
    return tuple(h3.grid_disk(cell, _RINGS))
