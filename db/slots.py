"""The language of slots: make them from a schedule, bring them in line with a new one, change one night's capacity.

A slot that somebody is in never goes away and never shrinks under its people. One that somebody was in, or was to be
in, is set aside when the hours change: it has no offer any more, and shows what they had. The offer is locked before
its slots.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, staffing
from db.pages import Page, Place
from matching.refusals import CapacityInUse, NotFound, StaleVersion
from matching.schedule import Session

__all__ = ["SlotFacts", "add", "align", "change_capacity", "page", "read"]


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """A dated piece of an offer's capacity.

    `capacity` is what the room has; where the site asks for volunteers, `staffed` is how many people they can serve.
    """

    id: int
    offer_id: UUID
    day: date
    starts: datetime
    ends: datetime
    capacity: int
    used: int
    staffed: int | None
    version: int


_ADD = text("""
    insert into slot (offer_id, day, starts, ends, last_arrival, capacity)
    select :offer, day, starts, ends, last_arrival, :capacity
      from unnest(cast(:days as date[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
                  cast(:arrivals as timestamptz[])) as session (day, starts, ends, last_arrival)
""")
_FROM = text("""
    select s.id, s.starts, s.ends, coalesce(g.places, s.capacity) as capacity, s.used
      from slot s left join slot_staffing g on g.slot_id = s.id
     where s.offer_id = :offer and (s.ends > :now or s.starts >= :first) order by s.id for update of s
""")
_SET_ASIDE = text("""
    update slot set offer_id = null
     where id = any(cast(:ids as bigint[])) and used = 0
       and exists (select from allocation_slot k where k.slot_id = slot.id)
""")
_DELETE = text("""
    delete from slot where id = any(cast(:ids as bigint[])) and used = 0 and offer_id is not null
""")
_ALIGN = text("""
    with new as (
        select n.id, n.places, n.last_arrival, g.places as before
          from unnest(cast(:ids as bigint[]), cast(:capacities as int[]), cast(:arrivals as timestamptz[]))
               as n (id, places, last_arrival)
          left join slot_staffing g on g.slot_id = n.id
    ), room as (
        update slot_staffing g set places = new.places from new where g.slot_id = new.id returning g.slot_id, g.staffed
    )
    update slot
       set capacity = case when room.slot_id is null then new.places
                           else greatest(slot.used, least(new.places, room.staffed)) end,
           last_arrival = new.last_arrival,
           version = version + cast(coalesce(new.before, slot.capacity) <> new.places as int)
      from new left join room on room.slot_id = new.id
     where slot.id = new.id
       and (coalesce(new.before, slot.capacity) <> new.places or slot.last_arrival <> new.last_arrival)
""")
_IN_THEM = text("""
    select distinct a.id, a.created_at from allocation a join allocation_slot k on k.allocation_id = a.id
     where k.slot_id = any(cast(:ids as bigint[])) and k.taken
     order by a.created_at, a.id
""")
_SELECT = """
    select s.id, s.offer_id, s.day, s.starts, s.ends, coalesce(g.places, s.capacity) as capacity, s.used,
           case when g.slot_id is not null then least(g.places, g.staffed) end as staffed, s.version
      from slot s left join slot_staffing g on g.slot_id = s.id
"""
_READ = text(_SELECT + "where s.id = :id and s.offer_id = :offer")
_PAGE = text(
    _SELECT
    + """
     where offer_id = :offer
       and (cast(:since as date) is null or day >= :since) and (cast(:until as date) is null or day <= :until)
       and (cast(:after as timestamptz) is null or starts > :after)
     order by starts
     limit :limit
"""
)
_LOCK_OFFER = text("select 1 from offer where id = :offer and organization_id = :organization for update")
_LOCK = text("""
    select coalesce(g.places, s.capacity) as capacity, s.used, s.version, s.last_arrival
      from slot s left join slot_staffing g on g.slot_id = s.id
     where s.id = :id and s.offer_id = :offer for update of s
""")
_NEWS = text("insert into capacity_news (offer_id) values (:offer)")


async def add(tx: AsyncConnection, offer_id: UUID, sessions: Sequence[Session], capacity: int) -> None:
    """Make a slot for each session."""
    await tx.execute(
        _ADD,
        {
            "offer": offer_id,
            "capacity": capacity,
            "days": [session.day for session in sessions],
            "starts": [session.starts for session in sessions],
            "ends": [session.ends for session in sessions],
            "arrivals": [session.last_arrival for session in sessions],
        },
    )
    await staffing.bind_offer(tx, offer_id)


async def align(
    tx: AsyncConnection, offer_id: UUID, sessions: Sequence[Session], before: int, capacity: int, now: datetime
) -> None:
    """Bring the slots that have not ended in line with new sessions and a new capacity.

    A night that was given a capacity of its own keeps it. The caller has locked the offer. Raises `CapacityInUse`
    with the allocations to move first, where a slot with people in it would go or shrink under them.
    """
    ahead = [session for session in sessions if session.ends > now]
    first = min((session.starts for session in ahead), default=now)
    found = (await tx.execute(_FROM, {"offer": offer_id, "now": now, "first": first})).all()
    over = {slot.starts: slot.ends for slot in found if slot.ends <= now and slot.used}
    wanted = {(session.starts, session.ends): session for session in _remaining(ahead, over)}
    openings = {starts for starts, _ in wanted}
    kept = [slot for slot in found if (slot.starts, slot.ends) in wanted]
    gone = [
        slot
        for slot in found
        if (slot.starts, slot.ends) not in wanted and (slot.ends > now or slot.starts in openings)
    ]
    places = {slot.id: capacity if slot.capacity == before else slot.capacity for slot in kept}
    too_full = [slot.id for slot in gone if slot.used] + [slot.id for slot in kept if slot.used > places[slot.id]]
    if too_full:
        raise CapacityInUse(await _in_them(tx, too_full))
    await staffing.release_shifts(tx, [slot.id for slot in gone])
    for remove in (_SET_ASIDE, _DELETE):
        await tx.execute(remove, {"ids": [slot.id for slot in gone]})
    arrivals = [wanted.pop((slot.starts, slot.ends)).last_arrival for slot in kept]
    await tx.execute(_ALIGN, {"ids": list(places), "capacities": list(places.values()), "arrivals": arrivals})
    await add(tx, offer_id, list(wanted.values()), capacity)


async def read(tx: AsyncConnection, offer_id: UUID, slot_id: int) -> SlotFacts:
    """One slot; that the caller may see the offer is the caller's to know. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": slot_id, "offer": offer_id})).one_or_none()
    if row is None:
        raise NotFound
    return SlotFacts(**row._mapping)


async def page(
    tx: AsyncConnection, offer_id: UUID, since: date | None, until: date | None, after: Place | None, limit: int
) -> Page[SlotFacts]:
    """Slots of an offer whose day lies between two days, in time order."""
    rows = await tx.execute(
        _PAGE,
        {
            "offer": offer_id,
            "since": since,
            "until": until,
            "after": after.at if after else None,
            "limit": limit + 1,
        },
    )
    return Page.of([SlotFacts(**row._mapping) for row in rows], limit, lambda slot: Place(slot.starts, offer_id))


async def change_capacity(
    tx: AsyncConnection, offer_id: UUID, slot_id: int, organization_id: UUID, version: int | None, capacity: int
) -> None:
    """Change one slot's capacity; 0 closes it. Raises `NotFound`, `StaleVersion` and `CapacityInUse`."""
    owned = await tx.execute(_LOCK_OFFER, {"offer": offer_id, "organization": organization_id})
    slot = (await tx.execute(_LOCK, {"id": slot_id, "offer": offer_id})).one_or_none() if owned.first() else None
    if slot is None:
        raise NotFound
    if version not in (None, slot.version):
        raise StaleVersion(slot.version)
    if slot.used > capacity:
        raise CapacityInUse(await _in_them(tx, [slot_id]))
    await tx.execute(_ALIGN, {"ids": [slot_id], "capacities": [capacity], "arrivals": [slot.last_arrival]})
    if capacity > slot.capacity:
        await tx.execute(_NEWS, {"offer": offer_id})
    await events.record(tx, "offer.capacity_changed", offer_id, [organization_id], slot=slot_id)


async def _in_them(tx: AsyncConnection, slots: Iterable[int]) -> tuple[UUID, ...]:
    return tuple(row.id for row in await tx.execute(_IN_THEM, {"ids": list(slots)}))


def _remaining(sessions: Iterable[Session], over: Mapping[datetime, datetime]) -> Iterator[Session]:
    """The sessions, without what is over and had people in it: a room open longer today opens again from there on."""
    for session in sessions:
        starts = session.starts
        while starts in over:
            starts = over[starts]
        yield replace(session, starts=starts)
