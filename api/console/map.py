"""What the map of the network is drawn from: towns as vector tiles, the network's own figures, and a richer base map.

All of it is asked of us, by who is signed in; nothing of it is asked for before somebody opens the map. Places are
cells, never points. A tile holds names of the gazetteer and nothing else.
"""

from hashlib import sha256
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from api.console.network import Network, TownLine, asked_category, read_network
from api.console.pages import NETWORK
from api.console.visits import ConsoleRoute, ReadsNetwork
from api.coverage import geometry
from api.pace import Bucket, Rate
from db.town_tiles import town_tile
from geo.polygons import polygons_of
from geo.tiles import Tile
from matching.refusals import NotFound

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_MAP: Final = f"{NETWORK}/map"
_KEEP: Final = "private, max-age=600"
_TILES: Final = Rate(1200, 60)
"""For one key: some hundred views of the map in a minute, which nobody looks at."""
_TILE: Final = "application/vnd.mapbox-vector-tile"
_PMTILES: Final = "application/vnd.pmtiles"
Json = dict[str, Any]


@router.get(f"{_MAP}/facts")
async def send_facts(request: Request, visit: ReadsNetwork) -> Response:
    """The table of the page as GeoJSON: towns as points, and cells with their places."""
    found = await read_network(visit, await asked_category(request, visit))
    return JSONResponse({"towns": _collection(_towns(found)), "cells": _collection(_cells(found))})


@router.get(f"{_MAP}/towns/{{zoom}}/{{x}}/{{y}}")
async def send_tile(zoom: int, x: int, y: int, request: Request, visit: ReadsNetwork) -> Response:
    """Towns of the gazetteer in a square of the map."""
    tile = Tile(zoom, x, y)
    if not tile.is_there:
        raise NotFound
    await visit.house.pace.take([Bucket(f"tiles:{visit.who.prefix}", _TILES)])
    drawn = await town_tile(visit.tx, tile)
    headers = {"Cache-Control": _KEEP, "ETag": f'"{sha256(drawn).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(drawn, 200, headers, _TILE)


@router.get(f"{_MAP}/base")
async def send_base(visit: ReadsNetwork) -> Response:
    """The operator's own base map (PMTiles), by ranges. Raises `NotFound` where there is none."""
    file = visit.house.settings.basemap_file
    if file is None or not file.is_file():
        raise NotFound
    return FileResponse(file, headers={"Cache-Control": _KEEP}, media_type=_PMTILES)


def _towns(found: Network) -> list[Json]:
    return [
        _feature(
            {"type": "Point", "coordinates": [line.town.point.longitude, line.town.point.latitude]},
            {"id": line.town.id, "name": line.town.name, "signs": _signs(line)},
        )
        for line in found.lines
    ]


def _cells(found: Network) -> list[Json]:
    return [
        _feature(
            geometry(polygons_of(each.cell)).model_dump(mode="json"), {"free": each.free, "capacity": each.capacity}
        )
        for line in found.lines
        for each in line.cells
    ]


def _signs(line: TownLine) -> str:
    """What stands below a town's name: signs and numbers, which the page explains in its language."""
    told = [
        f"▲ {line.without.people}" if line.without else "",
        f"■ {line.free}/{line.capacity}" if line.cells else "",
        f"◆ {line.per_thousand}" if line.per_thousand is not None else "",
    ]
    return "  ".join(each for each in told if each)


def _feature(shape: Json, properties: Json) -> Json:
    return {"type": "Feature", "geometry": shape, "properties": properties}


def _collection(features: list[Json]) -> Json:
    return {"type": "FeatureCollection", "features": features}
