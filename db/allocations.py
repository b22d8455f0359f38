"""The language of allocations: read, list, and every step of their life.

A step locks the need first, then moves the allocation, its places and the need's state together, and appends the
event. Nothing here commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, holds, project_answers, seekers
from db.pages import Page, Place, reading
from db.roles import Role, acting_as
from db.tables import Allocation as AllocationRow
from db.tables.metadata import columns
from matching.assign import Cost, Decision, Way
from matching.refusals import Conflict, NoLongerHeld, NotFound, OnlyTheProvider
from matching.states import ALLOCATION_TRANSITIONS, LIVE, AllocationState
from matching.vocabulary import MoveReason, RefuseReason

__all__ = [
    "COLUMNS",
    "SELECT",
    "AllocationFacts",
    "Side",
    "SlotTimes",
    "end_hold",
    "end_unstaffed",
    "facts_of",
    "is_side",
    "move",
    "of_needs",
    "page",
    "read",
    "turn_down",
]


class Side(StrEnum):
    """The two sides of an allocation."""

    PROVIDER = "provider"
    POSTER = "poster"


@dataclass(frozen=True, slots=True)
class SlotTimes:
    """When one slot of an allocation begins and ends."""

    starts: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class AllocationFacts:
    """An allocation as its two sides see it, with the head-counts and requirements of that one party."""

    id: UUID
    need_id: UUID
    offer_id: UUID
    provider_id: UUID
    poster_id: UUID
    category: str
    state: AllocationState
    people: int
    adults: int
    minors: int
    requires: tuple[str, ...]
    audience: tuple[str, ...]
    tentative: bool
    held_until: datetime | None
    distance_km: int
    travel_minutes: int | None
    """`None` where it was not written down: before it began to be."""
    slots: tuple[SlotTimes, ...]
    policy_version: int
    decision: Decision | None
    """`None` where it was not written down: before it began to be."""
    reason: str | None
    created_at: datetime
    version: int


SELECT = f"""
    select {columns(AllocationRow, "a")}, n.category, n.adults, n.minors, n.requires, n.audience,
           a.state = 'held' and (a.awaits_people or a.firm_from > now()) as tentative,
           array(select s.starts from allocation_slot k join slot s on s.id = k.slot_id
                  where k.allocation_id = a.id order by s.starts) as starts,
           array(select s.ends from allocation_slot k join slot s on s.id = k.slot_id
                  where k.allocation_id = a.id order by s.starts) as closes
      from allocation a join need n on n.id = a.need_id
"""
"""Allocations `a`, to be narrowed by a condition; each row is what `facts_of` takes."""
COLUMNS = (
    "id", "need_id", "offer_id", "provider_id", "poster_id", "category", "state", "people", "adults", "minors",
    "requires", "audience", "tentative", "held_until", "distance_km", "travel_minutes", "starts", "closes",
    "policy_version", "way", "terms", "round_id", "reason", "created_at", "version"
)  # fmt: skip
"""What `facts_of` asks of a row."""
_READ = text(SELECT + " where a.id = :id and :organization in (a.provider_id, a.poster_id)")
_OF_NEEDS = text(SELECT + " where a.need_id = any(cast(:needs as uuid[])) order by a.created_at, a.id")
_PAGE = text(
    SELECT
    + """
     where :organization in (a.provider_id, a.poster_id)
       and (cast(:state as text) is null or a.state = :state)
       and (cast(:after_at as timestamptz) is null
            or (a.created_at, a.id) > (:after_at, cast(:after_id as uuid)))
     order by a.created_at, a.id
     limit :limit
"""
)
_OWNED = text("select need_id from allocation where id = :id and :organization in (provider_id, poster_id)")
_LOCK = text("""
    select state, provider_id, poster_id, awaits_people, held_until <= clock_timestamp() as overdue
      from allocation where id = :id for update
""")
# Who comes in the afternoon for a night that begins in the evening has arrived. Who may come until an hour that was
# said has not stayed away before it.
_COME = text("""
    select clock_timestamp() >= case cast(:to as text)
                                when 'arrived' then s.begins - interval '12 hours'
                                when 'no_show' then case when o.arrive_by is null then s.begins else a.last_arrival end
                                else s.begins end
      from allocation a
      join offer o on o.id = a.offer_id
      cross join lateral (select min(s.starts) as begins
                            from allocation_slot k join slot s on s.id = k.slot_id where k.allocation_id = a.id) s
     where a.id = :id
""")
_MOVE = text("""
    update allocation
       set state = :state, reason = :reason, version = version + 1,
           ended_at = case when :ended then clock_timestamp() end
     where id = :id
""")
_USED = text("""
    update offer set verified_at = now(), verify_asked_at = null
     where id = (select offer_id from allocation where id = :id) and verified_at < now() - interval '1 hour'
""")
_BY_EITHER = frozenset(
    {AllocationState.ARRIVED, AllocationState.RELEASED, AllocationState.NO_SHOW, AllocationState.COMPLETED}
)
_HAPPENS_THERE = frozenset({AllocationState.ARRIVED, AllocationState.NO_SHOW, AllocationState.COMPLETED})
_PLACE_KEPT = frozenset({AllocationState.CONFIRMED, AllocationState.ARRIVED})


async def read(tx: AsyncConnection, allocation_id: UUID, organization_id: UUID) -> AllocationFacts:
    """One allocation of which this organization is a side. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": allocation_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _as_told(facts_of(row._mapping), organization_id)


async def is_side(tx: AsyncConnection, allocation_id: UUID, organization_id: UUID) -> bool:
    """Whether this organization is a side of an allocation that there is."""
    return await _need_of(tx, allocation_id, organization_id) is not None


async def of_needs(tx: AsyncConnection, needs: list[UUID]) -> dict[UUID, list[AllocationFacts]]:
    """The allocations of these needs, oldest first."""
    found: dict[UUID, list[AllocationFacts]] = {need: [] for need in needs}
    for row in await tx.execute(_OF_NEEDS, {"needs": needs}):
        found[row.need_id].append(facts_of(row._mapping))
    return found


async def page(
    tx: AsyncConnection, organization_id: UUID, state: AllocationState | None, after: Place | None, limit: int
) -> Page[AllocationFacts]:
    """Allocations of which this organization is a side, oldest first: who waits longest is at the top."""
    rows = await tx.execute(
        _PAGE,
        {
            "organization": organization_id,
            "state": state,
            **reading(after, limit),
        },
    )
    told = [_as_told(facts_of(row._mapping), organization_id) for row in rows]
    return Page.of(told, limit, lambda each: Place(each.created_at, each.id))


async def move(
    tx: AsyncConnection,
    allocation_id: UUID,
    organization_id: UUID,
    to: AllocationState,
    reason: str | None = None,
) -> None:
    """Move an allocation to a new state as one of its sides asks; asking twice changes nothing.

    Raises `NotFound`; `OnlyTheProvider`; `NoLongerHeld` when an answer to a hold comes too late; `Conflict` when the
    state does not allow the step, or its time has not come.
    """
    need_id = await _need_of(tx, allocation_id, organization_id)
    if need_id is None:
        raise NotFound
    async with acting_as(tx, Role.MATCHER):
        await _move_owned(tx, allocation_id, need_id, organization_id, to, reason)


async def _move_owned(
    tx: AsyncConnection,
    allocation_id: UUID,
    need_id: UUID,
    organization_id: UUID,
    to: AllocationState,
    reason: str | None,
) -> None:
    await seekers.lock_need(tx, need_id)
    row = (await tx.execute(_LOCK, {"id": allocation_id})).one_or_none()
    if row is None:  # purged while its need was waited for
        raise NotFound
    state = AllocationState(row.state)
    if organization_id != row.provider_id and to not in _BY_EITHER:
        raise OnlyTheProvider
    if state is to:
        return
    _check(allocation_id, state, to, overdue=row.overdue)
    # Who gives the place may take it back; nobody but the people answers for them.
    if row.awaits_people and (to is AllocationState.CONFIRMED or organization_id != row.provider_id):
        raise Conflict("awaits_the_people", state)
    if to in _HAPPENS_THERE and not (await tx.execute(_COME, {"id": allocation_id, "to": to})).scalar_one():
        raise Conflict("not_yet", state)
    await _end_or_keep(tx, allocation_id, need_id, (row.provider_id, row.poster_id), state, to, reason)


async def end_hold(tx: AsyncConnection, allocation_id: UUID, need_id: UUID, to: AllocationState) -> bool:
    """End what nobody answered: a hold past its deadline, a stay past its end, a party that did not come.

    The caller has found it due; this looks again under the lock, by the database's clock. Whether it was still so.
    """
    await seekers.lock_need(tx, need_id)
    row = (await tx.execute(_STILL_DUE[to], {"id": allocation_id})).one_or_none()
    if row is None:
        return False
    await _end_or_keep(
        tx, allocation_id, need_id, (row.provider_id, row.poster_id), AllocationState(row.state), to, None
    )
    return True


async def turn_down(tx: AsyncConnection, allocation_id: UUID, need_id: UUID, reason: RefuseReason) -> None:
    """The people say no to a live allocation whose need the caller has locked: it is not proposed to them again."""
    row = (await tx.execute(_LOCK, {"id": allocation_id})).one()
    state = AllocationState(row.state)
    if state not in LIVE:  # it fell with another place of its project
        return
    to = AllocationState.RELEASED if state is AllocationState.ARRIVED else AllocationState.DECLINED
    await _end_or_keep(tx, allocation_id, need_id, (row.provider_id, row.poster_id), state, to, reason)


async def end_unstaffed(tx: AsyncConnection, allocation_id: UUID, need_id: UUID, slot_id: int) -> bool:
    """Give back a place that no volunteers serve any more; its party is placed anew. Whether it was still so."""
    await seekers.lock_need(tx, need_id)
    # Who else gives a place back in this moment may be enough.
    await tx.execute(_LOCK_ITS_SLOTS, {"id": allocation_id})
    row = (await tx.execute(_STILL_UNSTAFFED, {"id": allocation_id, "slot": slot_id})).one_or_none()
    if row is None:
        return False
    state, to = AllocationState(row.state), AllocationState.RELEASED
    sides = (row.provider_id, row.poster_id)
    await _end_or_keep(tx, allocation_id, need_id, sides, state, to, MoveReason.NO_VOLUNTEERS)
    return True


_LOCK_ITS_SLOTS = text("""
    select s.id from slot s
     where s.id in (select k.slot_id from allocation_slot k where k.allocation_id = :id and k.taken)
     order by s.id for update of s
""")
_STILL_UNSTAFFED = text("""
    select a.state, a.provider_id, a.poster_id
      from allocation a
      join allocation_slot k on k.allocation_id = a.id and k.slot_id = :slot and k.taken
      join slot s on s.id = k.slot_id
      join slot_staffing g on g.slot_id = s.id
     where a.id = :id and a.state in ('held', 'confirmed') and s.ends > clock_timestamp()
       and s.used > greatest(g.staffed, g.kept)
       for update of a
""")
_STILL_DUE = {
    AllocationState.EXPIRED: text("""
        select state, provider_id, poster_id from allocation
         where id = :id and state = 'held' and held_until <= clock_timestamp() for update
    """),
    AllocationState.NO_SHOW: text("""
        select state, provider_id, poster_id from allocation
         where id = :id and state = 'confirmed' and last_arrival <= clock_timestamp() for update
    """),
    AllocationState.COMPLETED: text("""
        select state, provider_id, poster_id from allocation
         where id = :id and state in ('confirmed', 'arrived') and ends <= clock_timestamp() for update
    """),
}


async def _need_of(tx: AsyncConnection, allocation_id: UUID, organization_id: UUID) -> UUID | None:
    found = await tx.execute(_OWNED, {"id": allocation_id, "organization": organization_id})
    need_id: UUID | None = found.scalar_one_or_none()
    return need_id


def _check(allocation_id: UUID, state: AllocationState, to: AllocationState, *, overdue: bool) -> None:
    answers = to in (AllocationState.CONFIRMED, AllocationState.DECLINED)
    if state is AllocationState.HELD and overdue and answers:
        raise NoLongerHeld(allocation_id, AllocationState.EXPIRED)
    if to in ALLOCATION_TRANSITIONS[state]:
        return
    if answers and not ALLOCATION_TRANSITIONS[state]:
        raise NoLongerHeld(allocation_id, state)
    raise Conflict("state_does_not_allow", state)


async def _end_or_keep(
    tx: AsyncConnection,
    allocation_id: UUID,
    need_id: UUID,
    sides: tuple[UUID, UUID],
    state: AllocationState,
    to: AllocationState,
    reason: str | None,
) -> None:
    ended = to not in _PLACE_KEPT
    await tx.execute(_MOVE, {"id": allocation_id, "state": to, "reason": reason, "ended": ended})
    if ended:
        await holds.free_places(tx, allocation_id, whole=state is AllocationState.HELD)
    else:
        await tx.execute(_USED, {"id": allocation_id})
    await events.record(tx, f"allocation.{to}", allocation_id, sides, need_id=str(need_id))
    await holds.settle(tx, need_id)
    if ended:
        await project_answers.after_loss(tx, need_id)


def _as_told(facts: AllocationFacts, organization_id: UUID) -> AllocationFacts:
    """Why the people refused is told to those who stand by them: a host is not to learn that somebody was afraid."""
    theirs = facts.reason in list(RefuseReason)
    return replace(facts, reason=RefuseReason.OTHER) if theirs and organization_id != facts.poster_id else facts


def facts_of(values: Mapping[str, Any] | RowMapping) -> AllocationFacts:
    """An allocation out of its columns."""
    return AllocationFacts(
        id=values["id"],
        need_id=values["need_id"],
        offer_id=values["offer_id"],
        provider_id=values["provider_id"],
        poster_id=values["poster_id"],
        category=values["category"],
        state=AllocationState(values["state"]),
        people=values["people"],
        adults=values["adults"],
        minors=values["minors"],
        requires=tuple(values["requires"]),
        audience=tuple(values["audience"]),
        tentative=values["tentative"],
        held_until=values["held_until"] if values["state"] == AllocationState.HELD else None,
        distance_km=values["distance_km"],
        travel_minutes=values["travel_minutes"],
        slots=tuple(SlotTimes(starts, ends) for starts, ends in zip(values["starts"], values["closes"], strict=True)),
        policy_version=values["policy_version"],
        decision=None
        if values["terms"] is None
        else Decision(Way(values["way"]), _cost(values["terms"]), values["round_id"]),
        reason=values["reason"],
        created_at=values["created_at"],
        version=values["version"],
    )


def _cost(terms: Mapping[str, float]) -> Cost:
    """Terms as they were written down; one that a newer version of the code wrote is passed over."""
    known = {field.name for field in fields(Cost)}
    return Cost(**{name: km for name, km in terms.items() if name in known})
