"""Towns of the gazetteer as vector tiles (Mapbox Vector Tile 2.1), made by PostGIS; of far views the large ones alone.

A town is no secret. Nothing else is in a tile: what an organization may see of others' affairs is not drawn here.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.tiles import Tile

__all__ = ["MOST_TOWNS", "town_tile"]

MOST_TOWNS: Final = 250
"""Of a tile; the largest first, so that it stays small wherever people live close together."""
_FEWEST: Final = (500_000, 500_000, 500_000, 300_000, 150_000, 80_000, 40_000, 15_000, 5_000, 2_000)
"""Inhabitants that a town must have to be drawn, by zoom; nearer than these all are."""
_PATIENCE: Final = text("select set_config('statement_timeout', '2000', true)")
_TILE = text("""
    select st_asmvt(tile, 'towns', 4096, 'at', 'id')
      from (
        select t.id, t.name, t.population,
               st_asmvtgeom(st_transform(st_setsrid(st_point(t.longitude, t.latitude), 4326), 3857),
                            st_tileenvelope(:zoom, :x, :y), 4096, 0, true) as at
          from town t
         where t.latitude >= :south and t.latitude < :north and t.longitude >= :west and t.longitude < :east
           and t.population >= :fewest
         order by t.population desc, t.id
         limit :most
      ) tile
""")


async def town_tile(tx: AsyncConnection, tile: Tile) -> bytes:
    """The towns of a tile, in a layer `towns` with `name` and `population`; empty where there are none.

    It has two seconds of the database's time.
    """
    await tx.execute(_PATIENCE)
    bounds = tile.bounds
    asked = {
        "zoom": tile.zoom,
        "x": tile.x,
        "y": tile.y,
        "west": bounds.west,
        "south": bounds.south,
        "east": bounds.east,
        "north": bounds.north,
        "fewest": _FEWEST[tile.zoom] if tile.zoom < len(_FEWEST) else 0,
        "most": MOST_TOWNS,
    }
    drawn: bytes = (await tx.execute(_TILE, asked)).scalar_one()
    return bytes(drawn)
