"""What there is, by cell: offers and free places of each kind on a day, as far as a key lists them."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import Cell

__all__ = ["InCell", "InTown", "by_cell", "by_town"]


@dataclass(frozen=True, slots=True)
class InCell:
    """Offers of a kind in a cell, the people that they take on the day, and how many places of that are free."""

    cell: Cell
    category: str
    offers: int
    capacity: int
    free: int


@dataclass(frozen=True, slots=True)
class InTown:
    """The same of one kind of help, in a cell around a town: what there is tonight."""

    town: int
    cell: Cell
    offers: int
    capacity: int
    free: int


# A day is that of each place's own clocks; a night belongs to its evening.
_BY_CELL = text("""
    select o.cell, o.category, count(*) as offers, coalesce(sum(d.capacity), 0) as capacity,
           coalesce(sum(d.free), 0) as free
      from offer o
      left join lateral (
          select sum(s.capacity) as capacity, sum(s.capacity - s.used) as free from slot s
           where s.offer_id = o.id and s.day = coalesce(cast(:day as date), (now() at time zone o.timezone)::date)
      ) d on true
     where (o.organization_id = :organization or o.town_id = any(cast(:towns as int[])))
       and o.state = 'open' and coalesce(cast(:day as date), current_date - 1) <= o.last_day
     group by o.cell, o.category
     order by o.cell, o.category
""")


# Until six in the morning it is still the night of the evening before.
_BY_TOWN = text("""
    select o.town_id, o.cell, count(*) as offers, coalesce(sum(d.capacity), 0) as capacity,
           coalesce(sum(d.free), 0) as free
      from offer o
      join lateral (
          select sum(s.capacity) as capacity, sum(s.capacity - s.used) as free from slot s
           where s.offer_id = o.id and s.ends > now()
             and s.day = ((now() at time zone o.timezone) - interval '6 hours')::date
      ) d on d.capacity > 0
     where (o.organization_id = :organization or o.town_id = any(cast(:towns as int[])))
       and o.state = 'open' and current_date - 1 <= o.last_day and o.category = :category
     group by o.town_id, o.cell
     order by o.town_id, o.cell
""")


async def by_cell(
    tx: AsyncConnection, organization_id: UUID, towns: frozenset[int], day: date | None
) -> tuple[InCell, ...]:
    """Open offers of this organization and of these towns; places are the day's, or today's where none is said."""
    values = {"organization": organization_id, "towns": sorted(towns), "day": day}
    return tuple(
        InCell(Cell(row.cell), row.category, row.offers, int(row.capacity), int(row.free))
        for row in await tx.execute(_BY_CELL, values)
    )


async def by_town(
    tx: AsyncConnection, organization_id: UUID, towns: frozenset[int], category: str
) -> tuple[InTown, ...]:
    """Open offers of one kind that take people tonight, of this organization and of these towns, by town and cell."""
    values = {"organization": organization_id, "towns": sorted(towns), "category": category}
    return tuple(
        InTown(row.town_id, Cell(row.cell), row.offers, int(row.capacity), int(row.free))
        for row in await tx.execute(_BY_TOWN, values)
    )
