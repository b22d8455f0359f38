"""What is in an organization's calendar: when its offers are open, its classes, and shifts of both sides."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.roles import Role, acting_as
from matching.needs import Language, language_of
from matching.states import OfferState, ShiftState

__all__ = ["AHEAD", "BEHIND", "MOST", "CalendarShift", "Opening", "openings", "shifts"]

BEHIND: Final = timedelta(days=7)
AHEAD: Final = timedelta(days=92)
MOST: Final = 2000
"""Entries of each sort, the nearest first."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An offer on one day, from the first of its slots to the last; a class that meets on that day."""

    offer_id: UUID
    day: date
    category: str
    language: Language | None
    town: str
    site: str | None
    """What a public place is called; of others nothing is said where calendars are kept."""
    zone: ZoneInfo
    starts: datetime
    ends: datetime
    state: OfferState
    shut: bool
    """Whether it takes nobody on that day, though it is one of its days."""
    offer_version: int
    slot_version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CalendarShift:
    """A shift as both of its sides have it in their calendars: when, in which town, with which skill."""

    id: UUID
    skill: str
    town: str
    zone: ZoneInfo
    starts: datetime
    ends: datetime
    state: ShiftState
    version: int
    changed_at: datetime


_OPENINGS = text("""
    with opened as (
        select s.offer_id, s.day, min(s.starts) as starts, max(s.ends) as ends,
               bool_and(coalesce(g.places, s.capacity) = 0) as shut, max(s.version) as slot_version
          from slot s join offer o on o.id = s.offer_id left join slot_staffing g on g.slot_id = s.id
         where o.organization_id = :organization
           and s.ends > now() - cast(:behind as interval) and s.starts < now() + cast(:ahead as interval)
         group by s.offer_id, s.day, o.created_at
         order by starts, o.created_at, s.offer_id limit :most
    )
    select d.*, o.category, o.teaches, o.level, o.timezone, o.state, o.version as offer_version, t.name as town,
           case when o.is_public then h.name end as site,
           greatest(o.created_at, o.verified_at, o.closed_at, e.at) as changed_at
      from opened d join offer o on o.id = d.offer_id join town t on t.id = o.town_id join site h on h.id = o.site_id
      left join lateral (select max(at) as at from event where object_id = o.id) e on true
     order by d.starts, o.created_at, d.offer_id
""")
_SIDES = " :organization in (p.organization_id, h.organization_id) "
_SHIFTS = text(f"""
    select x.id from shift x left join pledge p on p.id = x.pledge_id left join site h on h.id = x.site_id
     where {_SIDES}
       and x.ends > now() - cast(:behind as interval) and x.starts < now() + cast(:ahead as interval)
     order by x.starts, x.created_at, x.id limit :most
""")
# The pledge is foreign to one side and the site to the other.
_DETAILS = text(f"""
    select x.id, p.skill, t.name as town, t.timezone, x.starts, x.ends, x.state, x.version,
           greatest(x.created_at, x.asked_at, x.answered_at, x.at_risk_at, e.at) as changed_at
      from shift x join pledge p on p.id = x.pledge_id join site h on h.id = x.site_id join town t on t.id = h.town_id
      left join lateral (select max(at) as at from event where object_id = x.id) e on true
     where x.id = any(cast(:ids as uuid[])) and {_SIDES}
     order by x.starts, x.created_at, x.id
""")
_SPAN: Final = {"behind": BEHIND, "ahead": AHEAD, "most": MOST}


async def openings(tx: AsyncConnection, organization_id: UUID) -> tuple[Opening, ...]:
    """When the organization's own offers are open, from a week ago on, in time order."""
    rows = await tx.execute(_OPENINGS, {"organization": organization_id, **_SPAN})
    return tuple(
        Opening(
            offer_id=row.offer_id,
            day=row.day,
            category=row.category,
            language=language_of(row.teaches, row.level),
            town=row.town,
            site=row.site,
            zone=ZoneInfo(row.timezone),
            starts=row.starts,
            ends=row.ends,
            state=OfferState(row.state),
            shut=row.shut,
            offer_version=row.offer_version,
            slot_version=row.slot_version,
            changed_at=row.changed_at,
        )
        for row in rows
    )


async def shifts(tx: AsyncConnection, organization_id: UUID) -> tuple[CalendarShift, ...]:
    """Shifts of the organization's pledges and at its sites, from a week ago on, in time order."""
    found = (await tx.execute(_SHIFTS, {"organization": organization_id, **_SPAN})).scalars().all()
    async with acting_as(tx, Role.MATCHER):
        rows = (await tx.execute(_DETAILS, {"ids": list(found), "organization": organization_id})).all()
    return tuple(
        CalendarShift(
            id=row.id,
            skill=row.skill,
            town=row.town,
            zone=ZoneInfo(row.timezone),
            starts=row.starts,
            ends=row.ends,
            state=ShiftState(row.state),
            version=row.version,
            changed_at=row.changed_at,
        )
        for row in rows
    )
