"""Staffing of slots: how many people a slot's volunteers can serve, and its capacity kept in line with that.

Locks follow the house's order: offers, slots by id, pledges by id, shifts. A slot's capacity is what may be given now:
as many people as its volunteers can serve, at most the room's places, and never less than who is in it.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from db.roles import Role, acting_as

__all__ = ["bind", "bind_offer", "forget_who_left", "mend", "recount", "release_offer", "release_shifts"]

_LOCK_SLOTS = text("""
    select s.id from slot s join offer o on o.id = s.offer_id
     where o.site_id = :site and (s.ends > now() or exists (select from slot_staffing g where g.slot_id = s.id))
     order by s.id for update of s
""")
_LOCK_THESE = text("select id from slot where id = any(cast(:slots as bigint[])) order by id for update")
_ASK_FOR_VOLUNTEERS = """
    insert into slot_staffing (slot_id, places, kept)
    select s.id, s.capacity, s.used from slot s join offer o on o.id = s.offer_id join site h on h.id = o.site_id
     where {whose} and h.staffing_skill is not null and s.ends > now()
    on conflict (slot_id) do nothing
"""
_BIND_SITE = text(_ASK_FOR_VOLUNTEERS.format(whose="h.id = :site"))
_BIND_OFFER = text(_ASK_FOR_VOLUNTEERS.format(whose="o.id = :offer"))
_STAFFED_SLOTS = text("""
    select g.slot_id from slot_staffing g join slot s on s.id = g.slot_id join offer o on o.id = s.offer_id
     where (o.site_id = :site or o.id = :offer) and s.ends > now()
""")
_FREE_OF_VOLUNTEERS = text("""
    with freed as (
        delete from slot_staffing g using slot s, offer o, site h
         where s.id = g.slot_id and o.id = s.offer_id and h.id = o.site_id
           and h.id = :site and h.staffing_skill is null
        returning g.slot_id, g.places
    )
    update slot set capacity = greatest(freed.places, slot.used), version = version + 1
      from freed where slot.id = freed.slot_id
    returning slot.id
""")
_RECOUNT = text("""
    with counted as (
        select g.slot_id, h.staffing_people_per_volunteer as each, h.staffing_minimum as minimum,
               coalesce((select sum(volunteers) from shift
                          where slot_id = g.slot_id and state in ('planned', 'confirmed')), 0) as volunteers
          from slot_staffing g
          join slot s on s.id = g.slot_id
          join offer o on o.id = s.offer_id
          join site h on h.id = o.site_id
         where g.slot_id = any(cast(:slots as bigint[]))
    ), served as (
        update slot_staffing g
           set staffed = case when c.volunteers >= greatest(c.minimum, 1) then c.volunteers * c.each else 0 end
          from counted c where c.slot_id = g.slot_id
        returning g.slot_id, g.places, g.staffed
    )
    update slot set capacity = greatest(slot.used, least(served.places, served.staffed))
      from served where slot.id = served.slot_id
""")
# Who gives a place back while somebody else declines may leave one open that nobody serves.
_DRIFTED = text("""
    select g.slot_id from slot_staffing g join slot s on s.id = g.slot_id
     where s.ends > now() and s.capacity <> greatest(s.used, least(g.places, g.staffed))
     order by g.slot_id limit :limit
""")
_RELEASE_SHIFTS = """
    update shift set state = 'released', version = shift.version + 1
      from pledge p, site h
     where shift.slot_id = any(cast(:slots as bigint[])) and shift.state in ('planned', 'confirmed')
       and p.id = shift.pledge_id and h.id = shift.site_id {which}
    returning shift.id, p.organization_id as pledged_by, h.organization_id as site_of
"""
_RELEASE = text(_RELEASE_SHIFTS.format(which=""))
_RELEASE_OTHERS = text(_RELEASE_SHIFTS.format(which="and p.skill <> h.staffing_skill"))
_SERVED = text("""
    select g.slot_id from slot_staffing g join slot s on s.id = g.slot_id
     where g.slot_id = any(cast(:slots as bigint[])) and g.staffed >= s.used
""")
_KEEP = text("""
    update slot_staffing g set kept = s.used from slot s
     where s.id = g.slot_id and g.slot_id = any(cast(:slots as bigint[])) and s.used > greatest(g.staffed, g.kept)
""")
# Who comes after one of those who were kept has left is served by volunteers or not at all.
_LEFT = text("""
    update slot_staffing g set kept = s.used from slot s where s.id = g.slot_id and g.kept > s.used and s.ends > now()
""")


async def bind(tx: AsyncConnection, site_id: UUID) -> None:
    """Bring a site's slots in line with the volunteers it asks for now; who is in one stays in it.

    The caller has locked the site and its offers. Shifts of a skill that is not asked for any more are let go, and all
    of them where none is.
    """
    async with acting_as(tx, Role.MATCHER):
        await tx.execute(_LOCK_SLOTS, {"site": site_id})
        freed = (await tx.execute(_FREE_OF_VOLUNTEERS, {"site": site_id})).scalars().all()
        await release_shifts(tx, freed)
        await tx.execute(_BIND_SITE, {"site": site_id})
        slots = list((await tx.execute(_STAFFED_SLOTS, {"site": site_id, "offer": None})).scalars())
        served = list((await tx.execute(_SERVED, {"slots": slots})).scalars())
        await _tell(tx, list(await tx.execute(_RELEASE_OTHERS, {"slots": slots})))
        await tx.execute(_RECOUNT, {"slots": slots})
        await tx.execute(_KEEP, {"slots": served})


async def bind_offer(tx: AsyncConnection, offer_id: UUID) -> None:
    """Put new slots of an offer under its site's staffing: empty until volunteers are found."""
    async with acting_as(tx, Role.MATCHER):
        if (await tx.execute(_BIND_OFFER, {"offer": offer_id})).rowcount:
            slots = (await tx.execute(_STAFFED_SLOTS, {"site": None, "offer": offer_id})).scalars().all()
            await tx.execute(_RECOUNT, {"slots": list(slots)})


async def recount(tx: AsyncConnection, slots: Collection[int]) -> None:
    """Count the volunteers of these slots again, under the slots' locks, and set what may be given."""
    async with acting_as(tx, Role.MATCHER):
        await tx.execute(_LOCK_THESE, {"slots": sorted(slots)})
        await tx.execute(_RECOUNT, {"slots": sorted(slots)})


async def mend(tx: AsyncConnection, limit: int) -> int:
    """Close what stands open without volunteers, and open what they could serve. How many slots."""
    drifted = (await tx.execute(_DRIFTED, {"limit": limit})).scalars().all()
    if drifted:
        await recount(tx, drifted)
    return len(drifted)


async def forget_who_left(tx: AsyncConnection) -> None:
    """Keep no more places without volunteers than there are people who had them before the site asked for any."""
    await tx.execute(_LEFT)


async def release_shifts(tx: AsyncConnection, slots: Collection[int]) -> None:
    """Let the volunteers of these slots go; the caller holds the slots' locks and counts again."""
    async with acting_as(tx, Role.MATCHER):
        if not slots:
            return
        await _tell(tx, list(await tx.execute(_RELEASE, {"slots": sorted(slots)})))


async def release_offer(tx: AsyncConnection, offer_id: UUID) -> None:
    """Let all volunteers of an offer go that is over; the caller has locked it."""
    async with acting_as(tx, Role.MATCHER):
        slots = (await tx.execute(_STAFFED_SLOTS, {"site": None, "offer": offer_id})).scalars().all()
        await release_shifts(tx, slots)
        await recount(tx, slots)


async def _tell(tx: AsyncConnection, released: list[Row[tuple[object, ...]]]) -> None:
    for row in released:
        await events.record(tx, "shift.released", row.id, [row.pledged_by, row.site_of])
