"""A map of what there is: GeoJSON (RFC 7946) of cells, never of places, from what a key's list of offers shows."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from api.authorization import ReadsOffers
from api.offers import seen_towns
from api.problems import problems
from api.sites import CellText
from api.transactions import TransactionalRoute, Tx
from api.wire import CategoryCode, Day, Latitude, Longitude, Wire
from db import coverage
from db.coverage import InCell
from geo.cells import cell_text
from geo.polygons import Ring, polygons_of

__all__ = ["geometry", "router"]

router = APIRouter(prefix="/v1/export", tags=["coverage"], route_class=TransactionalRoute)


class _GeoJson(JSONResponse):
    media_type = "application/geo+json"


Position = tuple[Longitude, Latitude]
LinearRing = Annotated[list[Position], Field(min_length=4, max_length=20)]
Outline = Annotated[list[LinearRing], Field(min_length=1, max_length=1)]
Count = Annotated[int, Field(ge=0)]


class PolygonOut(Wire):
    """A cell, whole."""

    type: Literal["Polygon"] = "Polygon"
    coordinates: Outline


class MultiPolygonOut(Wire):
    """A cell that the antimeridian cuts."""

    type: Literal["MultiPolygon"] = "MultiPolygon"
    coordinates: Annotated[list[Outline], Field(max_length=2)]


class InCellOut(Wire):
    """How many offers of a kind are in a cell, how many people they take on the day, and how many places are free."""

    cell: CellText
    category: CategoryCode
    offers: Annotated[int, Field(ge=1)]
    capacity: Count
    free: Count


class FeatureOut(Wire):
    """One kind of help in one cell."""

    type: Literal["Feature"] = "Feature"
    id: Annotated[str, Field(max_length=60)]
    geometry: PolygonOut | MultiPolygonOut
    properties: InCellOut

    @classmethod
    def of(cls, each: InCell) -> "FeatureOut":
        """Render one."""
        name = cell_text(each.cell)
        return cls(
            id=f"{name}:{each.category}",
            geometry=geometry(polygons_of(each.cell)),
            properties=InCellOut(
                cell=name, category=each.category, offers=each.offers, capacity=each.capacity, free=each.free
            ),
        )


class CoverageOut(Wire):
    """All of them."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: Annotated[list[FeatureOut], Field(max_length=1_000_000)]


@router.get(
    "/offers.geojson",
    response_class=_GeoJson,
    responses=problems(401, 403, 422),
)
async def read_coverage(
    who: ReadsOffers,
    tx: Tx,
    day: Annotated[Day | None, Query(description="Whose places; today's where none is said.")] = None,
) -> CoverageOut:
    """Where there is what, by cell: of the caller's own offers, and for a coordination of those of its towns."""
    found = await coverage.by_cell(tx, who.organization_id, seen_towns(who), day)
    return CoverageOut(features=[FeatureOut.of(each) for each in found])


def geometry(rings: tuple[Ring, ...]) -> PolygonOut | MultiPolygonOut:
    """A cell as GeoJSON has it."""
    outlines: list[Any] = [[list(ring)] for ring in rings]
    return PolygonOut(coordinates=outlines[0]) if len(outlines) == 1 else MultiPolygonOut(coordinates=outlines)
