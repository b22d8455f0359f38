"""The language of shifts: plan them within every limit, confirm, decline, and let go those that nobody needs.

Locks follow the house's order: sites, offers, slots by id, pledges by id, shifts. What a plan assumed is looked at
again under them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, staffing
from db.pages import Page, Place, reading
from db.roles import Role, acting_as
from db.tables import Shift as ShiftRow
from db.tables.metadata import columns
from geo.cells import Cell
from matching.refusals import Conflict, NotFound
from matching.states import ShiftState

__all__ = [
    "NewShift",
    "ShiftFacts",
    "ahead",
    "complete",
    "confirm",
    "decline",
    "page",
    "plan",
    "read",
    "release_unused",
]


@dataclass(frozen=True, slots=True)
class ShiftFacts:
    """A shift as its association and the site's organization see it: where it is, by town and cell."""

    id: UUID
    pledge_id: UUID
    site_id: UUID
    town_id: int
    cell: Cell
    skill: str
    volunteers: int
    starts: datetime
    ends: datetime
    state: ShiftState
    reason: str | None
    answer_due: bool
    at_risk: bool
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class NewShift:
    """A shift to plan; `day` says in which week it counts."""

    pledge_id: UUID
    slot: int
    day: date
    volunteers: int


_LOCK_PLEDGES = text("select id from pledge where id = any(cast(:ids as uuid[])) order by id for update")
_LOCK_SLOTS = text("select id from slot where id = any(cast(:ids as bigint[])) order by id for update")
# What a shift refers to is locked before the slots, as those who change a site or an offer do it.
_LOCK_SITES = text("""
    select h.id from site h
     where h.id in (select o.site_id from offer o join slot s on s.offer_id = o.id
                     where s.id = any(cast(:ids as bigint[])))
     order by h.id for key share
""")
_LOCK_OFFERS = text("""
    select o.id from offer o
     where o.id in (select s.offer_id from slot s where s.id = any(cast(:ids as bigint[])))
     order by o.id for key share
""")
_PLAN = text("""
    insert into shift (pledge_id, site_id, slot_id, volunteers, day, starts, ends)
    select p.id, o.site_id, s.id, cast(:volunteers as int), t.day, s.starts, s.ends
      from pledge p
      cross join slot s
      join slot_staffing g on g.slot_id = s.id
      join offer o on o.id = s.offer_id
      join site h on h.id = o.site_id and h.staffing_skill = p.skill
      join pledge_turn t on t.pledge_id = p.id and t.day = :day and t.starts <= s.starts and t.ends >= s.ends
     where p.id = :pledge and s.id = :slot and p.state = 'open' and s.ends > now()
       and o.state <> 'closed' and greatest(g.places, s.used) > 0
       and not exists (select from shift x
                        where x.pledge_id = p.id and x.slot_id = s.id
                          and (x.state = 'declined'
                               or (x.state in ('planned', 'confirmed') and x.at_risk_at is not null)))
       and st_dwithin(p.point, o.point, p.radius_km * 1000 + 499.999, false)
       and cast(:volunteers as int) + (select coalesce(sum(x.volunteers), 0) from shift x
                           where x.pledge_id = p.id and x.state in ('planned', 'confirmed')
                             and x.starts < s.ends and x.ends > s.starts) <= p.headcount
       and (select count(*) from shift x
             where x.pledge_id = p.id and x.state in ('planned', 'confirmed', 'completed')
               and date_trunc('week', x.day) = date_trunc('week', t.day)) < p.shifts_per_week_max
     limit 1
    returning id, (select organization_id from pledge where id = :pledge) as pledged_by,
              (select organization_id from site where id = site_id) as site_of
""")
_NEWS = text("""
    insert into capacity_news (offer_id)
    select distinct offer_id from slot where id = any(cast(:slots as bigint[])) and used < capacity
""")
_SELECT = f"""
    select {columns(ShiftRow, "x")}, x.live and x.starts > now() and x.unanswered as answer_due,
           x.live and x.at_risk_at is not null as at_risk, h.town_id, h.cell, p.skill,
           p.organization_id as pledged_by, h.organization_id as site_of
      from (select *, state in ('planned', 'confirmed') as live,
                   coalesce(asked_at > coalesce(answered_at, created_at), false) as unanswered from shift) x
      join pledge p on p.id = x.pledge_id join site h on h.id = x.site_id
"""
_SEEN = " :organization in (p.organization_id, h.organization_id) "
_DETAILS = text(_SELECT + "where x.id = any(cast(:ids as uuid[])) and" + _SEEN + "order by x.created_at, x.id")
# One of the two is foreign to most who ask, who see nothing of it but what the details tell.
_FIND = """
    select x.id from shift x left join pledge p on p.id = x.pledge_id left join site h on h.id = x.site_id
     where
"""
_READ = text(_FIND + _SEEN + "and x.id = :id")
_PAGE = text(
    _FIND
    + _SEEN
    + """
       and (cast(:state as text) is null or x.state = :state)
       and (cast(:after_at as timestamptz) is null or (x.created_at, x.id) > (:after_at, cast(:after_id as uuid)))
     order by x.created_at, x.id
     limit :limit
"""
)
# Who is waited for stands first, then by when it begins: what is cut off is the furthest away.
_AHEAD = text("""
    select x.id from shift x join pledge p on p.id = x.pledge_id
     where p.organization_id = :organization and x.state in ('planned', 'confirmed') and x.ends > clock_timestamp()
     order by x.state = 'confirmed' and not coalesce(x.asked_at > coalesce(x.answered_at, x.created_at), false),
              x.starts, x.id
     limit :limit
""")
_OWN = text("""
    select x.slot_id from shift x join pledge p on p.id = x.pledge_id
     where x.id = :id and p.organization_id = :organization
""")
_LOCK = text("""
    select state, ends <= clock_timestamp() as over,
           at_risk_at is not null or coalesce(asked_at > coalesce(answered_at, created_at), false) as unanswered
      from shift where id = :id for update
""")
_MOVE = text("""
    update shift set state = :state, reason = :reason, version = version + 1, answered_at = clock_timestamp(),
                     at_risk_at = null
     where id = :id
""")
# A room that its provider closed for the night needs no volunteers, whatever they answered.
_NOBODY_NEEDS = """
    s.used = 0
    and (exists (select from slot_staffing g where g.slot_id = s.id and g.places = 0)
         or not exists (select from shift y
                         where y.slot_id = s.id
                           and (y.state = 'confirmed'
                                or (y.state = 'planned'
                                    and y.created_at >= now() - make_interval(mins => :minutes)))))
"""
_UNUSED = text(f"""
    select distinct x.slot_id from shift x join slot s on s.id = x.slot_id
     where x.state in ('planned', 'confirmed') and s.ends > now() and {_NOBODY_NEEDS}
     order by x.slot_id limit :limit
""")
_STILL_UNUSED = text(f"""
    select s.id from slot s where s.id = any(cast(:slots as bigint[])) and {_NOBODY_NEEDS} order by s.id for update
""")
_COMPLETE = text("""
    update shift set state = 'completed', version = shift.version + 1
      from pledge p, site h
     where shift.id in (select id from shift where state in ('planned', 'confirmed') and ends <= now()
                         order by id limit :limit for update skip locked)
       and p.id = shift.pledge_id and h.id = shift.site_id
    returning shift.id, p.organization_id as pledged_by, h.organization_id as site_of
""")


async def plan(tx: AsyncConnection, wanted: Sequence[NewShift]) -> int:
    """Plan what is within every limit now, and open the slots as far as that serves. How many shifts.

    A volunteer is never counted twice at one time, nor in more shifts of a week than pledged, whoever plans beside.
    """
    slots = sorted({each.slot for each in wanted})
    for lock in (_LOCK_SITES, _LOCK_OFFERS, _LOCK_SLOTS):
        await tx.execute(lock, {"ids": slots})
    await tx.execute(_LOCK_PLEDGES, {"ids": sorted({each.pledge_id for each in wanted})})
    planned = 0
    for each in wanted:
        row = (
            await tx.execute(
                _PLAN,
                {"pledge": each.pledge_id, "slot": each.slot, "day": each.day, "volunteers": each.volunteers},
            )
        ).one_or_none()
        if row is not None:
            planned += 1
            await events.record(tx, "shift.planned", row.id, [row.pledged_by, row.site_of])
    await staffing.recount(tx, slots)
    await tx.execute(_NEWS, {"slots": slots})
    return planned


async def ahead(tx: AsyncConnection, organization_id: UUID, limit: int) -> Page[ShiftFacts]:
    """Shifts of this organization's pledges that are not over: those that wait for its word first, then the soonest."""
    found = (await tx.execute(_AHEAD, {"organization": organization_id, "limit": limit + 1})).scalars().all()
    facts = {each.id: each for each in await _details(tx, found, organization_id)}
    ordered = [facts[each] for each in found if each in facts]
    return Page.of(ordered, limit, lambda each: Place(each.created_at, each.id))


async def read(tx: AsyncConnection, shift_id: UUID, organization_id: UUID) -> ShiftFacts:
    """One shift of this organization's pledges or sites. Raises `NotFound`."""
    found = (await tx.execute(_READ, {"id": shift_id, "organization": organization_id})).scalars().all()
    if not found:
        raise NotFound
    return (await _details(tx, found, organization_id))[0]


async def page(
    tx: AsyncConnection, organization_id: UUID, state: ShiftState | None, after: Place | None, limit: int
) -> Page[ShiftFacts]:
    """Shifts of this organization's pledges and at its sites, oldest first."""
    values = {"organization": organization_id, "state": state, **reading(after, limit)}
    found = (await tx.execute(_PAGE, values)).scalars().all()
    facts = await _details(tx, found, organization_id)
    return Page.of(facts, limit, lambda each: Place(each.created_at, each.id))


async def confirm(tx: AsyncConnection, shift_id: UUID, organization_id: UUID) -> None:
    """The association says that its volunteers come, or still do; twice is once. Raises `NotFound` and `Conflict`."""
    await _own_slot(tx, shift_id, organization_id)
    async with acting_as(tx, Role.MATCHER):
        found = await _locked(tx, shift_id)
        if found.state is ShiftState.PLANNED or found.unanswered:
            event = "shift.confirmed" if found.state is ShiftState.PLANNED else "shift.still_coming"
            await _move(tx, shift_id, ShiftState.CONFIRMED, None, event)


async def decline(tx: AsyncConnection, shift_id: UUID, organization_id: UUID, reason: str) -> None:
    """The association cannot come; twice is once. Nobody new is placed there; who is, is looked after by the worker.

    Raises `NotFound`, and `Conflict` when the shift is over.
    """
    slot = await _own_slot(tx, shift_id, organization_id)
    async with acting_as(tx, Role.MATCHER):
        if slot is not None:
            await tx.execute(_LOCK_SLOTS, {"ids": [slot]})
        if (await _locked(tx, shift_id, also=ShiftState.DECLINED)).state is not ShiftState.DECLINED:
            await _move(tx, shift_id, ShiftState.DECLINED, reason, "shift.declined")
            if slot is not None:
                await staffing.recount(tx, [slot])


async def release_unused(tx: AsyncConnection, minutes: int, limit: int) -> int:
    """Let volunteers go whom nobody has needed for so long, in empty slots where nobody confirmed. How many slots.

    In a room that was closed for the night they are let go at once, confirmed or not.
    """
    seen = (await tx.execute(_UNUSED, {"minutes": minutes, "limit": limit})).scalars().all()
    if not seen:
        return 0
    slots = (await tx.execute(_STILL_UNUSED, {"slots": list(seen), "minutes": minutes})).scalars().all()
    await staffing.release_shifts(tx, slots)
    await staffing.recount(tx, slots)
    return len(slots)


async def complete(tx: AsyncConnection, limit: int) -> int:
    """End the shifts whose time is over. How many."""
    ended = (await tx.execute(_COMPLETE, {"limit": limit})).all()
    for row in ended:
        await events.record(tx, "shift.completed", row.id, [row.pledged_by, row.site_of])
    return len(ended)


async def _details(tx: AsyncConnection, ids: Sequence[UUID], organization_id: UUID) -> list[ShiftFacts]:
    if not ids:
        return []
    async with acting_as(tx, Role.MATCHER):
        rows = (await tx.execute(_DETAILS, {"ids": list(ids), "organization": organization_id})).all()
    return [_facts(row) for row in rows]


async def _own_slot(tx: AsyncConnection, shift_id: UUID, organization_id: UUID) -> int | None:
    row = (await tx.execute(_OWN, {"id": shift_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    slot: int | None = row.slot_id
    return slot


@dataclass(frozen=True, slots=True)
class _Locked:
    """A shift under its lock: its state, and whether its volunteers were asked and did not answer."""

    state: ShiftState
    unanswered: bool


async def _locked(tx: AsyncConnection, shift_id: UUID, also: ShiftState | None = None) -> _Locked:
    row = (await tx.execute(_LOCK, {"id": shift_id})).one()
    state = ShiftState(row.state)
    if state not in (ShiftState.PLANNED, ShiftState.CONFIRMED, also) or (row.over and state is not also):
        raise Conflict("shift_is_over", state)
    return _Locked(state, row.unanswered)


async def _move(tx: AsyncConnection, shift_id: UUID, to: ShiftState, reason: str | None, event: str) -> None:
    await tx.execute(_MOVE, {"id": shift_id, "state": to, "reason": reason})
    row = (await tx.execute(text(_SELECT + "where x.id = :id"), {"id": shift_id})).one()
    await events.record(tx, event, shift_id, [row.pledged_by, row.site_of])


def _facts(row: Row[tuple[object, ...]]) -> ShiftFacts:
    values = row._mapping
    return ShiftFacts(
        id=values["id"],
        pledge_id=values["pledge_id"],
        site_id=values["site_id"],
        town_id=values["town_id"],
        cell=Cell(values["cell"]),
        skill=values["skill"],
        volunteers=values["volunteers"],
        starts=values["starts"],
        ends=values["ends"],
        state=ShiftState(values["state"]),
        reason=values["reason"],
        answer_due=values["answer_due"],
        at_risk=values["at_risk"],
        created_at=values["created_at"],
        version=values["version"],
    )
