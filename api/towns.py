"""Towns of the gazetteer: found by name in any script, with or without accents, near ones and large ones first.

Where to look from is said by a town: no exact place stands in a web address, which others may keep.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api.authorization import AnyKey
from api.filters import OfCountry
from api.problems import problems
from api.transactions import LateRoute, Reply, Tx
from api.wire import CountryCode, Latitude, Longitude, TimezoneName, TownId, Wire
from db import towns
from db.towns import TownFacts
from geo.cells import Point
from matching.vocabulary import TownRole

__all__ = ["router"]

router = APIRouter(prefix="/v1/towns", tags=["towns"], route_class=LateRoute)
_MOST = 50


class TownOut(Wire):
    """A town. `id` is its number in GeoNames."""

    id: TownId
    name: Annotated[str, Field(max_length=200)]
    country: CountryCode
    population: Annotated[int, Field(ge=0)]
    timezone: TimezoneName
    latitude: Latitude
    longitude: Longitude
    roles: Annotated[list[TownRole], Field(max_length=len(TownRole), description="What it is in the network.")]

    @classmethod
    def of(cls, town: TownFacts) -> "TownOut":
        """A town as it is answered."""
        return cls(
            id=town.id,
            name=town.name,
            country=town.country,
            population=town.population,
            timezone=town.timezone,
            latitude=town.point.latitude,
            longitude=town.point.longitude,
            roles=list(town.roles),
        )


class TownsOut(Wire):
    """Towns found, best first. There is no next page: type more of the name instead."""

    items: Annotated[list[TownOut], Field(max_length=_MOST)]
    next: None


@router.get("", responses=problems(404, 422))
async def search_towns(
    _who: AnyKey,
    tx: Tx,
    q: Annotated[str, Query(min_length=1, max_length=100, description="The beginning of a name.")],
    country: OfCountry = None,
    near: Annotated[
        int | None, Query(ge=1, le=2_147_483_647, description="Number of a town: towns near it come first.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="How many at most.")] = 10,
) -> TownsOut:
    """Towns of which some name, in some language, begins like this."""
    point: Point | None = None
    if near is not None:
        point = (await towns.get(tx, near)).point
    found = await towns.search(tx, q, country=country, near=point, limit=limit)
    return TownsOut(items=[TownOut.of(town) for town in found], next=None)


@router.get("/{town_id}", responses=problems(404, 422))
async def read_town(
    town_id: Annotated[int, Path(ge=1, le=2_147_483_647)], _who: AnyKey, tx: Tx, reply: Reply
) -> TownOut:
    """One town."""
    town = TownOut.of(await towns.get(tx, town_id))
    reply.version(1)
    return town
