"""Shifts: volunteers of a pledge at a site for a slot, seen by both sides and answered by the association."""

from collections.abc import Awaitable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api.authorization import ReadsOffers, WritesOffers
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.sites import CellText
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import Instant, Skill, TownId, Wire
from db import shifts
from db.shifts import ShiftFacts
from geo.cells import cell_text
from matching.states import ShiftState
from matching.vocabulary import ShiftDeclineReason

__all__ = ["router"]

router = APIRouter(prefix="/v1/shifts", tags=["shifts"], route_class=TransactionalRoute)


class ShiftOut(Wire):
    """Volunteers of a pledge at a site. The site shows its town and cell; how to get there is its organization's."""

    id: UUID
    pledge_id: UUID
    site_id: UUID
    town: TownId
    cell: CellText
    skill: Skill
    volunteers: Annotated[int, Field(ge=1, le=1000)]
    starts: Instant
    ends: Instant
    state: ShiftState
    reason: ShiftDeclineReason | None
    answer_due: Annotated[bool, Field(description="Asked whether the volunteers still come; `/confirm` answers it.")]
    at_risk: Annotated[bool, Field(description="The answer is late: others are looked for beside these volunteers.")]
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: ShiftFacts) -> "ShiftOut":
        """Render one shift."""
        return cls(
            id=facts.id,
            pledge_id=facts.pledge_id,
            site_id=facts.site_id,
            town=facts.town_id,
            cell=cell_text(facts.cell),
            skill=facts.skill,
            volunteers=facts.volunteers,
            starts=facts.starts,
            ends=facts.ends,
            state=facts.state,
            reason=ShiftDeclineReason(facts.reason) if facts.reason else None,
            answer_due=facts.answer_due,
            at_risk=facts.at_risk,
            created_at=facts.created_at,
            version=facts.version,
        )


class ShiftDeclineIn(Wire):
    """Why the volunteers cannot come."""

    reason: Literal[ShiftDeclineReason.NO_VOLUNTEERS, ShiftDeclineReason.TOO_FAR, ShiftDeclineReason.OTHER]


@router.get("", responses=problems(401, 403, 422))
async def list_shifts(
    who: ReadsOffers,
    tx: Tx,
    after: After,
    limit: Limit = 50,
    state: Annotated[ShiftState | None, Query()] = None,
) -> Listed[ShiftOut]:
    """Shifts of the caller's pledges and at the caller's sites, oldest first; `state=planned` awaits an answer."""
    return listed(await shifts.page(tx, who.organization_id, state, after, limit), ShiftOut.of)


@router.post("/{shift_id}/confirm", responses=problems(401, 403, 404, 409, 422))
async def confirm_shift(shift_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> ShiftOut:
    """The association says that its volunteers come, or that they still do when it was asked."""
    return await _answered(tx, reply, who.organization_id, shift_id, shifts.confirm(tx, shift_id, who.organization_id))


@router.post("/{shift_id}/decline", responses=problems(401, 403, 404, 409, 422))
async def decline_shift(shift_id: UUID, body: ShiftDeclineIn, who: WritesOffers, tx: Tx, reply: Reply) -> ShiftOut:
    """The volunteers cannot come: others are looked for first, and only then people's places are released."""
    act = shifts.decline(tx, shift_id, who.organization_id, body.reason)
    return await _answered(tx, reply, who.organization_id, shift_id, act)


async def _answered(tx: Tx, reply: Reply, organization_id: UUID, shift_id: UUID, act: Awaitable[None]) -> ShiftOut:
    await act
    reply.ring()
    facts = await shifts.read(tx, shift_id, organization_id)
    reply.version(facts.version)
    return ShiftOut.of(facts)
