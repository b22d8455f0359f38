"""Real towns for tests, small enough to load in no time: two passes, a coast, and a gym's neighbourhood."""

from dataclasses import dataclass

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import Town
from geo.cells import Cell, Point, cell_of, centroid

__all__ = [
    "BAYONNE",
    "BRIANCON",
    "CLAVIERE",
    "GAP",
    "HENDAYE",
    "IRUN",
    "MENTON",
    "MONTGENEVRE",
    "OULX",
    "PLACES",
    "VENTIMIGLIA",
    "PlaceRow",
    "add_towns",
]


@dataclass(frozen=True)
class PlaceRow:
    """A town as the gazetteer has it."""

    id: int
    name: str
    country: str
    timezone: str
    longitude: float
    latitude: float
    population: int

    @property
    def cell(self) -> Cell:
        """The cell of the town's point."""
        return cell_of(Point(self.longitude, self.latitude))

    @property
    def point(self) -> Point:
        """The town's point."""
        return Point(self.longitude, self.latitude)


BRIANCON = PlaceRow(3030142, "Briançon", "FR", "Europe/Paris", 6.635, 44.899, 11_084)
MONTGENEVRE = PlaceRow(2992484, "Montgenèvre", "FR", "Europe/Paris", 6.723, 44.931, 497)
GAP = PlaceRow(3016702, "Gap", "FR", "Europe/Paris", 6.078, 44.559, 40_895)
CLAVIERE = PlaceRow(6535860, "Claviere", "IT", "Europe/Rome", 6.750, 44.939, 212)
OULX = PlaceRow(3171710, "Oulx", "IT", "Europe/Rome", 6.833, 45.037, 2_662)
MENTON = PlaceRow(2994493, "Menton", "FR", "Europe/Paris", 7.498, 43.776, 30_525)
VENTIMIGLIA = PlaceRow(3164346, "Ventimiglia", "IT", "Europe/Rome", 7.609, 43.791, 23_926)
HENDAYE = PlaceRow(3013627, "Hendaye", "FR", "Europe/Paris", -1.774, 43.359, 16_990)
IRUN = PlaceRow(3120304, "Irun", "ES", "Europe/Madrid", -1.789, 43.339, 62_401)
BAYONNE = PlaceRow(3034475, "Bayonne", "FR", "Europe/Paris", -1.475, 43.493, 51_411)
PLACES = (BRIANCON, MONTGENEVRE, GAP, CLAVIERE, OULX, MENTON, VENTIMIGLIA, HENDAYE, IRUN, BAYONNE)


def point_text(cell: Cell) -> str:
    """A cell's centroid as PostGIS reads it."""
    return centroid(cell).ewkt


async def add_towns(tx: AsyncConnection) -> None:
    """Insert the towns."""
    rows = [
        {
            "id": place.id,
            "name": place.name,
            "country": place.country,
            "population": place.population,
            "timezone": place.timezone,
            "latitude": place.latitude,
            "longitude": place.longitude,
            "cell": place.cell,
            "point": point_text(place.cell),
        }
        for place in PLACES
    ]
    await tx.execute(insert(Town), rows)
