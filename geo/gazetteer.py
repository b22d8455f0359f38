"""A town as the gazetteer has it: GeoNames' places of 500 people and more, under CC BY 4.0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geo.cells import Cell, Point, cell_of
from geo.names import starts_of

__all__ = ["GazetteerTown", "town_of"]


@dataclass(frozen=True, slots=True)
class GazetteerTown:
    """A town with its names: folded starts, each with the name that it comes from."""

    id: int
    name: str
    country: str
    population: int
    timezone: str
    point: Point
    names: Mapping[str, str]

    @property
    def cell(self) -> Cell:
        """The cell that the town counts as lying in."""
        return cell_of(self.point)


def town_of(record: Mapping[str, object]) -> GazetteerTown:
    """Read one record of the gazetteer. Raises `KeyError` or `ValueError` where it is not one."""
    name, alternates = str(record["name"]), record["alternatenames"]
    names: dict[str, str] = {}
    for written in (name, *(alternates if isinstance(alternates, Sequence) else ())):
        for start in starts_of(str(written)):
            names.setdefault(start, str(written))
    return GazetteerTown(
        id=int(str(record["geonameid"])),
        name=name,
        country=str(record["countrycode"]),
        population=int(str(record["population"])),
        timezone=str(record["timezone"]),
        point=Point(float(str(record["longitude"])), float(str(record["latitude"]))),
        names=names,
    )
