"""Referrals: people whom another town cannot place, and whether this one takes them.

Both towns and the poster of the need see a referral: of the people head-counts, requirements and times, and from which
town. The receiving one answers.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api.allocations import DeclineIn, PartyOut
from api.authorization import Caller, ReadsPacts, WritesPacts
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import CategoryCode, Instant, TownId, Wire
from db import referral_facts, referrals
from db.referral_facts import ReferralFacts
from matching.states import ReferralState
from matching.vocabulary import DeclineReason, ReferralReason

__all__ = ["router"]

router = APIRouter(prefix="/v1/referrals", tags=["pacts"], route_class=TransactionalRoute)


class ReferralOut(Wire):
    """People of one need passed to a partner town. `need_id` is told to the poster of the need alone."""

    id: UUID
    need_id: UUID | None
    ride_id: Annotated[UUID | None, Field(description="The need for their way, told to the town that sees to it.")]
    pact_id: UUID
    number: Annotated[int, Field(ge=1, description="The version of the pact that it was offered under.")]
    step: Annotated[int, Field(ge=1, le=2, description="2 for people who go on from a partner town.")]
    from_town: TownId
    to_town: TownId
    distance_km: Annotated[int, Field(ge=0, description="From the town where the need was posted.")]
    category: CategoryCode
    party: PartyOut
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    state: ReferralState
    reason: DeclineReason | ReferralReason | None
    answer_by: Instant | None
    return_by: Annotated[Instant | None, Field(description="Until when a place is looked for in the partner town.")]
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: ReferralFacts) -> "ReferralOut":
        """Render one referral."""
        return cls(
            id=facts.id,
            need_id=facts.need_id,
            ride_id=facts.ride_id,
            pact_id=facts.pact_id,
            number=facts.number,
            step=facts.step,
            from_town=facts.from_town_id,
            to_town=facts.to_town_id,
            distance_km=facts.distance_km,
            category=facts.category,
            party=PartyOut(
                adults=facts.adults, minors=facts.minors, audience=list(facts.audience), requires=list(facts.requires)
            ),
            from_=facts.starts,
            until=facts.ends,
            state=facts.state,
            reason=_reason(facts.reason),
            answer_by=facts.answer_by,
            return_by=facts.return_by,
            created_at=facts.created_at,
            version=facts.version,
        )


@router.get("", responses=problems(401, 403, 422))
async def list_referrals(
    who: ReadsPacts,
    tx: Tx,
    after: After,
    limit: Limit = 50,
    state: Annotated[ReferralState | None, Query()] = None,
) -> Listed[ReferralOut]:
    """Referrals that concern the caller, who waits longest first; `state=offered` is what awaits an answer."""
    return listed(await referral_facts.page(tx, who.organization_id, state, after, limit), ReferralOut.of)


@router.get("/{referral_id}", responses=problems(401, 403, 404, 422))
async def read_referral(referral_id: UUID, who: ReadsPacts, tx: Tx, reply: Reply) -> ReferralOut:
    """One referral."""
    return await _referral(tx, who, referral_id, reply)


@router.post("/{referral_id}/accept", responses=problems(401, 403, 404, 409, 422))
async def accept(referral_id: UUID, who: WritesPacts, tx: Tx, reply: Reply) -> ReferralOut:
    """The town takes these people: a place is looked for around it at once."""
    await referrals.accept(tx, referral_id, who.organization_id)
    reply.ring()
    return await _referral(tx, who, referral_id, reply)


@router.post("/{referral_id}/decline", responses=problems(401, 403, 404, 409, 422))
async def decline(referral_id: UUID, body: DeclineIn, who: WritesPacts, tx: Tx, reply: Reply) -> ReferralOut:
    """The town cannot take them: the next partner is asked at once."""
    await referrals.decline(tx, referral_id, who.organization_id, body.reason)
    reply.ring()
    return await _referral(tx, who, referral_id, reply)


async def _referral(tx: Tx, who: Caller, referral_id: UUID, reply: Reply) -> ReferralOut:
    facts = await referral_facts.read(tx, referral_id, who.organization_id)
    reply.version(facts.version)
    return ReferralOut.of(facts)


def _reason(code: str | None) -> DeclineReason | ReferralReason | None:
    if code is None:
        return None
    return DeclineReason(code) if code in list(DeclineReason) else ReferralReason(code)
