"""The language of travel times: which ways are wanted, and what the routing engine said of them.

A way leads from a cell in which people wait, or soon may, to a cell in which places are. Cells alone are known here,
and their middles alone are ever told to an engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import Cell
from geo.distance import Kilometres
from geo.travel import Minutes

__all__ = ["Wanted", "keep", "wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Ways from one door that nobody has asked for yet, or not for long."""

    door: Cell
    places: tuple[Cell, ...]


# Needs stand in the middles of towns, those of the network's organizations most of all: so what is asked for once is
# there before the next party comes.
_WANTED = text("""
    with doors as materialized (
        select cell, min(cast(point as text)) as point
          from (select n.cell, n.point from need n where coalesce(n.ended_at, 'infinity') = 'infinity'
                union all
                select t.cell, t.point from organization_town o join town t on t.id = o.town_id) door
         group by cell
    )
    select d.cell as door, array_agg(p.cell order by p.cell) as places
      from doors d
     cross join lateral (
         select distinct o.cell
           from offer o
          where o.state = 'open' and o.cell <> d.cell
            and st_dwithin(o.point, cast(d.point as geography), :metres, false)
            and not exists (select from travel_time w where w.from_cell = d.cell and w.to_cell = o.cell)
          order by o.cell
          limit :places) p
     group by d.cell
     order by d.cell
     limit :doors
""")
_KEEP = text("""
    insert into travel_time (from_cell, to_cell, minutes)
    select cast(:door as bigint), place, minutes
      from unnest(cast(:places as bigint[]), cast(:minutes as int[])) as told (place, minutes)
     order by place
    on conflict (from_cell, to_cell) do update set minutes = excluded.minutes, asked_at = now()
""")


async def wanted(tx: AsyncConnection, reach: Kilometres, doors: int, places: int) -> list[Wanted]:
    """Ways within `reach` of a door without an answer: of at most so many doors, to at most so many places each."""
    values = {"metres": reach * 1000 + 499.999, "doors": doors, "places": places}
    rows = await tx.execute(_WANTED, values)
    return [Wanted(Cell(row.door), tuple(map(Cell, row.places))) for row in rows]


async def keep(tx: AsyncConnection, ways: Wanted, minutes: Sequence[Minutes | None]) -> None:
    """Write down what the engine said of these ways, in their order; `None` where it knows none."""
    await tx.execute(_KEEP, {"door": ways.door, "places": list(ways.places), "minutes": list(minutes)})
