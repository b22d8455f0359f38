"""Allocations: what waits for an answer, and every step from a hold to the end of a stay.

Both sides of an allocation see it: the provider, who answers, and the poster of the need. Nobody else learns
that it exists.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api.authorization import AnswersAllocations, Caller, ReadsAllocations, WritesAllocations
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import CategoryCode, Instant, Provision, Wire
from db import allocations
from db.allocations import AllocationFacts
from matching.states import AllocationState
from matching.vocabulary import Audience, DeclineReason, MoveReason, RefuseReason

__all__ = ["AllocationOut", "router"]

router = APIRouter(prefix="/v1/allocations", tags=["allocations"], route_class=TransactionalRoute)
MOST_SLOTS = 1000


class SlotTimesOut(Wire):
    """When one slot begins and ends."""

    starts: Instant
    ends: Instant


class PartyOut(Wire):
    """What the provider sees of the one party: head-counts and requirements, nothing else."""

    adults: Annotated[int, Field(ge=0)]
    minors: Annotated[int, Field(ge=0)]
    audience: Annotated[list[Audience], Field(max_length=10)]
    requires: Annotated[list[Provision], Field(max_length=40)]


class AllocationOut(Wire):
    """People of one need placed in the slots of one offer."""

    id: UUID
    need_id: UUID
    offer_id: UUID
    category: CategoryCode
    state: AllocationState
    people: Annotated[int, Field(ge=1)]
    party: PartyOut
    tentative: bool
    held_until: Instant | None
    distance_km: Annotated[int, Field(ge=0)]
    travel_minutes: Annotated[
        int | None, Field(ge=0, description="How long the way by road takes, about; from where a place is looked for.")
    ]
    slots: Annotated[list[SlotTimesOut], Field(max_length=MOST_SLOTS)]
    policy_version: Annotated[int, Field(ge=1)]
    reason: DeclineReason | RefuseReason | MoveReason | None
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: AllocationFacts) -> "AllocationOut":
        """Render one allocation."""
        return cls(
            id=facts.id,
            need_id=facts.need_id,
            offer_id=facts.offer_id,
            category=facts.category,
            state=facts.state,
            people=facts.people,
            party=PartyOut(
                adults=facts.adults,
                minors=facts.minors,
                audience=[Audience(word) for word in facts.audience],
                requires=list(facts.requires),
            ),
            tentative=facts.tentative,
            held_until=facts.held_until,
            distance_km=facts.distance_km,
            travel_minutes=facts.travel_minutes,
            slots=[SlotTimesOut(starts=slot.starts, ends=slot.ends) for slot in facts.slots],
            policy_version=facts.policy_version,
            reason=_reason(facts.reason),
            created_at=facts.created_at,
            version=facts.version,
        )


class DeclineIn(Wire):
    """Why a provider declines."""

    reason: DeclineReason


class ReleaseIn(Wire):
    """Why a place is given back: a provider's reason, or the people's."""

    reason: DeclineReason | RefuseReason = DeclineReason.OTHER


@router.get("", responses=problems(401, 403, 422))
async def list_allocations(
    who: ReadsAllocations,
    tx: Tx,
    after: After,
    limit: Limit = 50,
    state: Annotated[AllocationState | None, Query()] = None,
) -> Listed[AllocationOut]:
    """Allocations of which the caller is a side, who waits longest first; `state=held` is what awaits an answer."""
    return listed(await allocations.page(tx, who.organization_id, state, after, limit), AllocationOut.of)


@router.get("/{allocation_id}", responses=problems(401, 403, 404, 422))
async def read_allocation(allocation_id: UUID, who: ReadsAllocations, tx: Tx, reply: Reply) -> AllocationOut:
    """One allocation."""
    facts = await allocations.read(tx, allocation_id, who.organization_id)
    reply.version(facts.version)
    return AllocationOut.of(facts)


@router.post("/{allocation_id}/confirm", responses=problems(401, 403, 404, 409, 422))
async def confirm(allocation_id: UUID, who: AnswersAllocations, tx: Tx, reply: Reply) -> AllocationOut:
    """The provider says yes: the place is the party's."""
    return await _move(tx, reply, who, allocation_id, AllocationState.CONFIRMED)


@router.post("/{allocation_id}/decline", responses=problems(401, 403, 404, 409, 422))
async def decline(allocation_id: UUID, body: DeclineIn, who: AnswersAllocations, tx: Tx, reply: Reply) -> AllocationOut:
    """The provider says no: the next best place is held at once."""
    return await _move(tx, reply, who, allocation_id, AllocationState.DECLINED, body.reason)


@router.post("/{allocation_id}/arrive", responses=problems(401, 403, 404, 409, 422))
async def arrive(allocation_id: UUID, who: WritesAllocations, tx: Tx, reply: Reply) -> AllocationOut:
    """The party is there."""
    return await _move(tx, reply, who, allocation_id, AllocationState.ARRIVED)


@router.post("/{allocation_id}/release", responses=problems(401, 403, 404, 409, 422))
async def release(
    allocation_id: UUID, who: WritesAllocations, tx: Tx, reply: Reply, body: ReleaseIn | None = None
) -> AllocationOut:
    """Give the place back; the party is looked after again at once, elsewhere."""
    reason = body.reason if body else DeclineReason.OTHER
    return await _move(tx, reply, who, allocation_id, AllocationState.RELEASED, reason)


@router.post("/{allocation_id}/no-show", responses=problems(401, 403, 404, 409, 422))
async def no_show(allocation_id: UUID, who: WritesAllocations, tx: Tx, reply: Reply) -> AllocationOut:
    """The party did not come: the nights that are left go to others."""
    return await _move(tx, reply, who, allocation_id, AllocationState.NO_SHOW)


@router.post("/{allocation_id}/complete", responses=problems(401, 403, 404, 409, 422))
async def complete(allocation_id: UUID, who: WritesAllocations, tx: Tx, reply: Reply) -> AllocationOut:
    """The stay is over; nights that are left go to others."""
    return await _move(tx, reply, who, allocation_id, AllocationState.COMPLETED)


async def _move(
    tx: Tx, reply: Reply, who: Caller, allocation_id: UUID, to: AllocationState, reason: str | None = None
) -> AllocationOut:
    await allocations.move(tx, allocation_id, who.organization_id, to, reason)
    reply.ring()
    facts = await allocations.read(tx, allocation_id, who.organization_id)
    reply.version(facts.version)
    return AllocationOut.of(facts)


def _reason(code: str | None) -> DeclineReason | RefuseReason | MoveReason | None:
    if code is None:
        return None
    return next(words(code) for words in (DeclineReason, RefuseReason, MoveReason) if code in list(words))
