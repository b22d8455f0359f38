"""The reveal: how to get to the place of a confirmed allocation, told to its two sides, each reading an event.

Who is neither side is told what is told of nothing: not found. When and what may be read is `matching.reveal`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import allocations, events, locations
from db.addresses import Vault
from db.roles import Role, acting_as
from geo.cells import Point
from matching.refusals import CannotBeReadNow, NotFound
from matching.reveal import Occasion, ReadingTime, Revealed, reading_time, revealed
from matching.states import AllocationState
from matching.vocabulary import SiteKind, Visibility

__all__ = ["Way", "read"]


@dataclass(frozen=True, slots=True)
class Way:
    """How to get there; of a rendezvous the meeting point alone. `until` is when it can be read no more."""

    address: str | None
    meeting_point: str | None
    place: Point | None
    until: datetime


# The share lock keeps a decline that happens meanwhile until this reading is written down: no reading without a
# confirmed allocation, however the two meet.
_OCCASION = text("""
    select a.state, a.provider_id, a.poster_id, a.ends, o.site_id, h.kind, h.visibility, clock_timestamp() as now,
           (select min(s.starts) from allocation_slot k join slot s on s.id = k.slot_id
             where k.allocation_id = a.id) as begins
      from allocation a join offer o on o.id = a.offer_id join site h on h.id = o.site_id
     where a.id = :id and :organization in (a.provider_id, a.poster_id)
       for share of a
""")


async def read(tx: AsyncConnection, allocation_id: UUID, organization_id: UUID, role: str, vault: Vault) -> Way:
    """The way, read by one side in its role. Raises `NotFound` to all others, and `CannotBeReadNow`."""
    if not await allocations.is_side(tx, allocation_id, organization_id):
        raise NotFound
    async with acting_as(tx, Role.MATCHER):
        return await _read(tx, allocation_id, organization_id, role, vault)


async def _read(tx: AsyncConnection, allocation_id: UUID, organization_id: UUID, role: str, vault: Vault) -> Way:
    row = (await tx.execute(_OCCASION, {"id": allocation_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    occasion = Occasion(
        SiteKind(row.kind), Visibility(row.visibility), AllocationState(row.state), row.begins, row.ends
    )
    reading, what = reading_time(occasion), revealed(occasion, row.now)
    if reading is None or what is None:
        raise _not_now(occasion, reading, row.now)
    way = await _way(tx, row, what, vault)
    sides = [row.provider_id, row.poster_id]
    facts = {"organization_id": str(organization_id), "role": role}
    await events.record(tx, "allocation.address_read", allocation_id, sides, **facts)
    return way


def _not_now(occasion: Occasion, reading: ReadingTime | None, now: datetime) -> CannotBeReadNow:
    if reading is None:
        return CannotBeReadNow("address_not_confirmed", occasion.state)
    if now < reading.closes:
        return CannotBeReadNow("address_not_yet", occasion.state, reading.opens)
    return CannotBeReadNow("address_over", occasion.state)


async def _way(tx: AsyncConnection, row: Row[tuple[object, ...]], what: Revealed, vault: Vault) -> Way:
    known = row._mapping
    told = await locations.read_address(tx, known["site_id"], vault)
    if what is Revealed.MEETING_POINT:
        if told is None or told.meeting_point is None:
            raise CannotBeReadNow("no_meeting_point", known["state"])
        return Way(None, told.meeting_point, None, known["ends"])
    place = await locations.read_place(tx, known["site_id"], vault)
    if told is None and place is None:
        raise CannotBeReadNow("no_address", known["state"])
    address, meeting_point = (told.address, told.meeting_point) if told else (None, None)
    return Way(address, meeting_point, place, known["ends"])
