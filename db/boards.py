"""What the pages of the console show at a glance: an organization's needs of this evening, and its houses.

Only rows of the acting organization, and of others what the two sides of an allocation see.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import allocations, needs
from db.allocations import AllocationFacts
from db.needs import NeedFacts
from matching.projects import ProjectState
from matching.vocabulary import Coverage

__all__ = [
    "InHouse",
    "InProject",
    "OnBoard",
    "Room",
    "Without",
    "awaiting",
    "categories",
    "clock",
    "coming",
    "need_of",
    "needs_of",
    "rooms",
    "without_a_place",
]


@dataclass(frozen=True, slots=True)
class InProject:
    """Where the project stands of which a need is a party, and until when its people may answer a plan that waits."""

    state: ProjectState
    answer_by: datetime | None


@dataclass(frozen=True, slots=True)
class OnBoard:
    """A need with its town, and the time of the database."""

    need: NeedFacts
    town: str
    country: str
    zone: ZoneInfo
    now: datetime
    coverage: Coverage
    project: InProject | None


@dataclass(frozen=True, slots=True)
class InHouse:
    """An allocation at a site of the acting organization."""

    allocation: AllocationFacts
    site: str
    zone: ZoneInfo
    now: datetime


@dataclass(frozen=True, slots=True)
class Room:
    """Places of an offer between now and tomorrow noon: of how many how many are taken, on hold or confirmed."""

    site: str
    category: str
    capacity: int
    used: int
    starts: datetime
    ends: datetime
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Without:
    """People of the acting organization's needs in a town for whom no place is on hold."""

    needs: int
    people: int


_NEED = f"""
    select {", ".join(f"n.{name}" for name in needs.COLUMNS)},
           t.name as town, t.country as town_country, t.timezone, c.coverage, clock_timestamp() as now,
           j.state as project_state, j.answer_by as project_answer_by
      from need n join town t on t.id = n.town_id join category c on c.code = n.category
      left join project j on j.id = n.project_id
     where n.organization_id = :organization
"""
_NEED_OF = text(_NEED + " and n.id = :id")
# First who has no place, then who waits for an answer, then who has one; what is over last.
_NEEDS_OF = text(
    _NEED
    + """
       and (n.ended_at is null or n.ended_at > now() - interval '12 hours')
     order by n.ended_at is not null,
              array_position(array['unmet', 'open', 'referred', 'held', 'confirmed'], n.state),
              n.tier, n.posted_at desc, n.id
     limit :limit
"""
)
_IN_HOUSE = """
    select x.*, h.name as site, o.timezone, clock_timestamp() as now
      from ({condition}) x join offer o on o.id = x.offer_id join site h on h.id = o.site_id
"""
_AWAITING = text(
    _IN_HOUSE.format(
        condition=allocations.SELECT
        + """ where a.provider_id = :organization and a.state = 'held' and not a.awaits_people
                and coalesce(a.firm_from <= now(), true) and a.held_until > now()"""
    )
    + " order by x.held_until, x.id limit :limit"
)
_COMING = text(
    _IN_HOUSE.format(
        condition=allocations.SELECT
        + """ where a.provider_id = :organization and a.state in ('confirmed', 'arrived')
                and exists (select from allocation_slot k join slot s on s.id = k.slot_id
                             where k.allocation_id = a.id and s.ends > now() and s.starts < now() + interval '18 hours')
         """
    )
    + " order by x.state desc, x.starts[1], x.id limit :limit"
)
_ROOMS = text("""
    select h.name as site, o.category, o.timezone, sum(s.capacity) as capacity, sum(s.used) as used,
           min(s.starts) as starts, max(s.ends) as ends
      from slot s join offer o on o.id = s.offer_id join site h on h.id = o.site_id
     where o.organization_id = :organization and o.state <> 'closed'
       and s.ends > now() and s.starts < now() + interval '18 hours'
     group by o.id, h.name, o.category, o.timezone
     order by h.name, o.category, o.id
     limit 200
""")
# Of a need that may be divided some may have a place already: it is open as long as not all of them do, for the others.
_WITHOUT = text("""
    select n.town_id, count(*) as needs, sum(n.people - coalesce(placed.people, 0)) as people
      from need n
      left join lateral (select sum(a.people) as people from allocation a
                          where a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived')) placed on true
     where n.organization_id = :organization and n.category = :category
       and n.state in ('open', 'unmet') and n.ended_at is null
     group by n.town_id
""")
_CLOCK = text("select clock_timestamp()")
_CATEGORIES = text("select code, coverage from category")


async def needs_of(tx: AsyncConnection, organization_id: UUID, limit: int) -> list[OnBoard]:
    """Needs of this organization that live or ended within twelve hours, those to look at first."""
    rows = await tx.execute(_NEEDS_OF, {"organization": organization_id, "limit": limit})
    return [_on_board(row) for row in rows]


async def need_of(tx: AsyncConnection, need_id: UUID, organization_id: UUID) -> OnBoard | None:
    """One of them, however long ago; `None` where it has none of this id."""
    row = (await tx.execute(_NEED_OF, {"id": need_id, "organization": organization_id})).one_or_none()
    return None if row is None else _on_board(row)


async def awaiting(tx: AsyncConnection, organization_id: UUID, limit: int = 100) -> list[InHouse]:
    """Holds at sites of this organization that it is asked about, those that run out first at the top."""
    return await _in_house(tx, _AWAITING, organization_id, limit)


async def coming(tx: AsyncConnection, organization_id: UUID, limit: int = 200) -> list[InHouse]:
    """Confirmed places at its sites between now and tomorrow noon; who has arrived comes last."""
    return await _in_house(tx, _COMING, organization_id, limit)


async def rooms(tx: AsyncConnection, organization_id: UUID) -> list[Room]:
    """What is free tonight at its sites, by offer."""
    return [
        Room(row.site, row.category, row.capacity, row.used, row.starts, row.ends, ZoneInfo(row.timezone))
        for row in await tx.execute(_ROOMS, {"organization": organization_id})
    ]


async def without_a_place(tx: AsyncConnection, organization_id: UUID, category: str) -> dict[int, Without]:
    """Parties of this organization that ask for such help and have nothing on hold, by town."""
    rows = await tx.execute(_WITHOUT, {"organization": organization_id, "category": category})
    return {row.town_id: Without(row.needs, int(row.people)) for row in rows}


async def categories(tx: AsyncConnection) -> dict[str, Coverage]:
    """The kinds of help that there are."""
    return {row.code: Coverage(row.coverage) for row in await tx.execute(_CATEGORIES)}


async def clock(tx: AsyncConnection) -> datetime:
    """The time of the database, which decides what is over."""
    now: datetime = (await tx.execute(_CLOCK)).scalar_one()
    return now


def _on_board(row: Row[tuple[object, ...]]) -> OnBoard:
    return OnBoard(
        need=needs.facts_of(row._mapping),
        town=row.town,
        country=row.town_country,
        zone=ZoneInfo(row.timezone),
        now=row.now,
        coverage=Coverage(row.coverage),
        project=InProject(ProjectState(row.project_state), row.project_answer_by) if row.project_state else None,
    )


async def _in_house(tx: AsyncConnection, statement: TextClause, organization_id: UUID, limit: int) -> list[InHouse]:
    rows = await tx.execute(statement, {"organization": organization_id, "limit": limit})
    return [InHouse(allocations.facts_of(row._mapping), row.site, ZoneInfo(row.timezone), row.now) for row in rows]
