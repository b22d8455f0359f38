"""The places on a slip: what the people may read of each, and when, is for `matching.reveal` to say."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, locations
from db.addresses import Vault
from db.allocations import SlotTimes
from matching.bringing import Thing, what_to_bring
from matching.reveal import Occasion, Revealed, reading_time, revealed
from matching.states import AllocationState
from matching.vocabulary import SiteKind, Visibility

__all__ = ["SlipPlace", "There", "Whereabouts", "places_of"]


@dataclass(frozen=True, slots=True)
class There:
    """The place itself, for those who may read it now: its address, or where to meet instead."""

    name: str | None
    what: Revealed
    text: str | None
    """How to get there; `None` where its owner has not written it."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of a confirmed place before it may be read: its town, and what to bring."""

    town: str
    country: str
    bring: tuple[Thing, ...]
    readable_from: datetime | None
    """When the place itself can be read; `None` when that is so since it was confirmed."""
    there: There | None
    minutes: int | None
    """How long the way there by road takes, about; `None` where it was not written down."""


@dataclass(frozen=True, slots=True)
class SlipPlace:
    """A place of the party: held or theirs. `whereabouts` stays empty until it is confirmed."""

    id: UUID
    state: AllocationState
    people: int
    slots: tuple[SlotTimes, ...]
    arrive_by: datetime
    zone: ZoneInfo
    whereabouts: Whereabouts | None


_PLACES = text("""
    select a.id, a.state, a.people, a.last_arrival, a.travel_minutes, o.timezone, h.id as site_id, h.name, h.kind,
           h.visibility,
           h.provides || o.provides as provides, t.name as town, t.country,
           array(select s.starts from allocation_slot k join slot s on s.id = k.slot_id
                  where k.allocation_id = a.id order by s.starts) as starts,
           array(select s.ends from allocation_slot k join slot s on s.id = k.slot_id
                  where k.allocation_id = a.id order by s.starts) as closes
      from allocation a
      join offer o on o.id = a.offer_id
      join site h on h.id = o.site_id
      join town t on t.id = h.town_id
     where a.need_id = :need and a.state in ('held', 'confirmed', 'arrived')
     order by a.created_at, a.id
""")


async def places_of(tx: AsyncConnection, need: Row[tuple[object, ...]], vault: Vault) -> tuple[SlipPlace, ...]:
    """The places of a need that `slip_needs.find` found. That one is shown is recorded as an event nobody hears of."""
    rows = (await tx.execute(_PLACES, {"need": need.id})).all()
    return tuple([await _place(tx, need, row, vault) for row in rows])


async def _place(
    tx: AsyncConnection, need: Row[tuple[object, ...]], row: Row[tuple[object, ...]], vault: Vault
) -> SlipPlace:
    there = row._mapping
    slots = tuple(SlotTimes(starts, ends) for starts, ends in zip(there["starts"], there["closes"], strict=True))
    state = AllocationState(there["state"])
    return SlipPlace(
        id=there["id"],
        state=state,
        people=there["people"],
        slots=slots,
        arrive_by=there["last_arrival"],
        zone=ZoneInfo(there["timezone"]),
        whereabouts=None if state is AllocationState.HELD else await _whereabouts(tx, need, row, slots, vault),
    )


async def _whereabouts(
    tx: AsyncConnection,
    need: Row[tuple[object, ...]],
    row: Row[tuple[object, ...]],
    slots: tuple[SlotTimes, ...],
    vault: Vault,
) -> Whereabouts:
    there, asked = row._mapping, need._mapping
    occasion = Occasion(
        kind=SiteKind(there["kind"]),
        visibility=Visibility(there["visibility"]),
        state=AllocationState(there["state"]),
        begins=slots[0].starts,
        ends=slots[-1].ends,
    )
    when = reading_time(occasion)
    what = revealed(occasion, asked["now"])
    return Whereabouts(
        town=there["town"],
        country=there["country"],
        bring=what_to_bring(asked["category"], frozenset(there["provides"]), minors=asked["minors"] > 0),
        readable_from=when.opens if when else None,
        there=await _there(tx, row, what, vault) if what else None,
        minutes=there["travel_minutes"],
    )


async def _there(tx: AsyncConnection, row: Row[tuple[object, ...]], what: Revealed, vault: Vault) -> There | None:
    """The place by name, and how to get there if its owner has written it. Of a rendezvous the meeting point alone."""
    there = row._mapping
    told = await locations.read_address(tx, there["site_id"], vault)
    meeting = what is Revealed.MEETING_POINT
    shown = None if told is None else told.meeting_point if meeting else told.address
    if meeting and not shown:
        return None
    await events.record(tx, "slip.place_shown", there["id"], [])
    return There(None if meeting else there["name"], what, shown)
