"""The language of pledges: declare volunteers, read, list and change what may be counted on.

A pledge is locked before its shifts are counted, so that no limit is passed by two who plan at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from db.pages import Page, Place, reading
from db.roles import Role, acting_as
from db.tables import Pledge as PledgeRow
from db.tables.metadata import columns
from geo.cells import Point, cell_of, centroid
from matching.pledging import PledgeTerms, turns_of
from matching.refusals import Conflict, Invalid, NotFound, StaleVersion
from matching.schedule import Session
from matching.states import PledgeState

__all__ = ["Limits", "PledgeFacts", "add", "change", "check_new", "page", "read", "this_week"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What may change of a pledge; `None` leaves it as it is."""

    headcount: int | None = None
    radius_km: int | None = None
    shifts_per_week_max: int | None = None
    state: PledgeState | None = None


@dataclass(frozen=True, slots=True)
class PledgeFacts:
    """A pledge as its association sees it."""

    id: UUID
    terms: PledgeTerms
    state: PledgeState
    created_at: datetime
    version: int


_TOWN = text("select longitude, latitude, timezone, clock_timestamp() as now from town where id = :id")
_ADD = text("""
    insert into pledge (id, organization_id, town_id, cell, point, skill, headcount, radius_km, first_day, last_day,
                        timezone, opens, closes, rrule, shifts_per_week_max)
    values (:id, :organization, :town_id, :cell, st_point(:longitude, :latitude)::geography, :skill, :headcount,
            :radius_km, :first_day, :last_day, :timezone, :opens, :closes, :rrule, :shifts_per_week_max)
""")
_ADD_TURNS = text("""
    insert into pledge_turn (pledge_id, day, starts, ends)
    select :pledge, day, starts, ends
      from unnest(cast(:days as date[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]))
           as turn (day, starts, ends)
""")
_SELECT = f"select {columns(PledgeRow, 'pledge')} from pledge where organization_id = :organization "
_READ = text(_SELECT + "and id = :id")
_LOCK = text(_SELECT + "and id = :id for update")
_PAGE = text(
    _SELECT
    + """
       and (cast(:after_at as timestamptz) is null or (created_at, id) > (:after_at, cast(:after_id as uuid)))
     order by created_at, id
     limit :limit
"""
)
_LASTING = text(
    _SELECT
    + """
       and state = 'open' and last_day >= cast(clock_timestamp() at time zone timezone as date)
     order by created_at, id
     limit :limit
"""
)
_OVER = text(
    _SELECT
    + """
       and (state <> 'open' or last_day < cast(clock_timestamp() at time zone timezone as date))
     order by created_at desc, id desc
     limit :limit
"""
)
# A shift of the past counts in its week as one to come does.
_NEEDED = text("""
    with mine as materialized (
        select s.*, extract(isoyear from s.day) * 100 + extract(week from s.day) as week
          from shift s
         where s.pledge_id = :id and s.state in ('planned', 'confirmed', 'completed')
    ), ahead as (
        select * from mine where state <> 'completed' and ends > now()
    )
    select coalesce((select max((select sum(x.volunteers) from ahead x where x.starts < a.ends and x.ends > a.starts))
                       from ahead a), 0) as volunteers,
           coalesce((select max(n) from (select count(*) as n from mine
                                          where week in (select week from ahead) group by week) weeks), 0) as shifts,
           exists (select from ahead a join site h on h.id = a.site_id join pledge p on p.id = a.pledge_id
                    where not st_dwithin(p.point, (select o.point from offer o where o.site_id = h.id limit 1),
                                         :radius_km * 1000 + 499.999, false)) as beyond
""")
# As a plan counts them against the limit: by the local day on which a turn begins.
_THIS_WEEK = text("""
    select x.pledge_id, count(*) as shifts
      from shift x join pledge p on p.id = x.pledge_id
     where p.organization_id = :organization and x.state in ('planned', 'confirmed', 'completed')
       and date_trunc('week', x.day) = date_trunc('week', cast(now() at time zone p.timezone as date))
     group by x.pledge_id
""")
_CHANGE = text("""
    update pledge set headcount = :headcount, radius_km = :radius_km, shifts_per_week_max = :shifts_per_week_max,
                      state = :state, version = version + 1
     where id = :id
""")


async def add(tx: AsyncConnection, organization_id: UUID, terms: PledgeTerms) -> UUID:
    """Declare a pledge; an empty `timezone` is the town's. Raises `Invalid`, among others for an unknown town."""
    town, complete, turns = await _checked(tx, terms)
    cell = cell_of(Point(town.longitude, town.latitude))
    middle = centroid(cell)
    pledge_id = uuid4()
    where = {"cell": cell, "longitude": middle.longitude, "latitude": middle.latitude}
    await tx.execute(_ADD, _columns(complete) | where | {"id": pledge_id, "organization": organization_id})
    await _add_turns(tx, pledge_id, turns)
    await events.record(tx, "pledge.posted", pledge_id, [organization_id])
    return pledge_id


async def check_new(tx: AsyncConnection, terms: PledgeTerms) -> None:
    """Whether such a pledge can be declared: raises what `add` raises, and writes nothing."""
    await _checked(tx, terms)


async def read(tx: AsyncConnection, pledge_id: UUID, organization_id: UUID) -> PledgeFacts:
    """One pledge of this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": pledge_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def page(tx: AsyncConnection, organization_id: UUID, after: Place | None, limit: int) -> Page[PledgeFacts]:
    """Pledges of this organization, oldest first."""
    rows = await tx.execute(_PAGE, {"organization": organization_id, **reading(after, limit)})
    return Page.of([_facts(row) for row in rows], limit, lambda each: Place(each.created_at, each.id))


async def lasting(tx: AsyncConnection, organization_id: UUID, limit: int) -> Page[PledgeFacts]:
    """Pledges of this organization that may be counted on, oldest first."""
    rows = await tx.execute(_LASTING, {"organization": organization_id, "limit": limit + 1})
    return Page.of([_facts(row) for row in rows], limit, lambda each: Place(each.created_at, each.id))


async def over(tx: AsyncConnection, organization_id: UUID, limit: int) -> Page[PledgeFacts]:
    """Pledges of this organization that were ended or are over, newest first."""
    rows = await tx.execute(_OVER, {"organization": organization_id, "limit": limit + 1})
    return Page.of([_facts(row) for row in rows], limit, lambda each: Place(each.created_at, each.id))


async def change(
    tx: AsyncConnection, pledge_id: UUID, organization_id: UUID, version: int | None, limits: Limits
) -> None:
    """Change what may be counted on; a closed pledge keeps the shifts that it has.

    Raises `NotFound`, `StaleVersion`, and `Conflict` where shifts that are planned need what would go.
    """
    row = (await tx.execute(_LOCK, {"id": pledge_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    before = _facts(row)
    if version not in (None, before.version):
        raise StaleVersion(before.version)
    headcount = limits.headcount or before.terms.headcount
    radius_km = before.terms.radius_km if limits.radius_km is None else limits.radius_km
    weekly = limits.shifts_per_week_max or before.terms.shifts_per_week_max
    async with acting_as(tx, Role.MATCHER):
        needed = (await tx.execute(_NEEDED, {"id": pledge_id, "radius_km": radius_km})).one()
    if needed.volunteers > headcount or needed.shifts > weekly or needed.beyond:
        raise Conflict("pledge_has_shifts", before.state)
    values = {"headcount": headcount, "radius_km": radius_km, "shifts_per_week_max": weekly}
    await tx.execute(_CHANGE, values | {"id": pledge_id, "state": limits.state or before.state})
    await events.record(tx, "pledge.changed", pledge_id, [organization_id])


async def this_week(tx: AsyncConnection, organization_id: UUID) -> dict[UUID, int]:
    """How many shifts of this calendar week count against the limit of each pledge that has any."""
    rows = await tx.execute(_THIS_WEEK, {"organization": organization_id})
    return {row.pledge_id: row.shifts for row in rows}


async def _checked(
    tx: AsyncConnection, terms: PledgeTerms
) -> tuple[Row[tuple[object, ...]], PledgeTerms, tuple[Session, ...]]:
    """The town, the terms with their time zone, and the turns that they make. Raises `Invalid`."""
    town = (await tx.execute(_TOWN, {"id": terms.town_id})).one_or_none()
    if town is None:
        raise Invalid.one("/town", "unknown_town")
    complete = terms if terms.timezone else replace(terms, timezone=town.timezone)
    return town, complete, turns_of(complete, town.now)


async def _add_turns(tx: AsyncConnection, pledge_id: UUID, turns: Sequence[Session]) -> None:
    await tx.execute(
        _ADD_TURNS,
        {
            "pledge": pledge_id,
            "days": [turn.day for turn in turns],
            "starts": [turn.starts for turn in turns],
            "ends": [turn.ends for turn in turns],
        },
    )


def _columns(terms: PledgeTerms) -> dict[str, object]:
    return {name: getattr(terms, name) for name in PledgeTerms.__slots__}


def _facts(row: Row[tuple[object, ...]]) -> PledgeFacts:
    values = row._mapping
    return PledgeFacts(
        id=values["id"],
        terms=PledgeTerms(**{name: values[name] for name in PledgeTerms.__slots__}),
        state=PledgeState(values["state"]),
        created_at=values["created_at"],
        version=values["version"],
    )
