"""Slots: an offer night by night, and what it can take on each."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, Field

from api.authorization import ReadsOffers, WritesOffers
from api.lists import After, Limit, Listed, listed
from api.offers import seen_towns
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import Day, Wire
from db import offers, slots
from db.slots import SlotFacts
from matching.bounds import CAPACITY_OF_A_NIGHT

__all__ = ["router"]

router = APIRouter(prefix="/v1/offers/{offer_id}/slots", tags=["slots"], route_class=TransactionalRoute)
SlotId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class SlotOut(Wire):
    """A dated piece of capacity; times carry the offset of the place."""

    id: Annotated[int, Field(ge=1)]
    day: date
    starts: AwareDatetime
    ends: AwareDatetime
    capacity: Annotated[int, Field(ge=CAPACITY_OF_A_NIGHT.least, le=CAPACITY_OF_A_NIGHT.most)]
    used: Annotated[int, Field(ge=CAPACITY_OF_A_NIGHT.least, le=CAPACITY_OF_A_NIGHT.most)]
    staffed: Annotated[
        int | None,
        Field(ge=0, le=10_000, description="People that its volunteers can serve; null where none are needed."),
    ]
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: SlotFacts, zone: ZoneInfo) -> "SlotOut":
        """Render one slot in its local time."""
        return cls(
            id=facts.id,
            day=facts.day,
            starts=_local(facts.starts, zone),
            ends=_local(facts.ends, zone),
            capacity=facts.capacity,
            used=facts.used,
            staffed=facts.staffed,
            version=facts.version,
        )


class SlotPatch(Wire):
    """What may change of a slot: how many it takes; 0 closes it."""

    capacity: Annotated[int, Field(ge=CAPACITY_OF_A_NIGHT.least, le=CAPACITY_OF_A_NIGHT.most)]


@router.get("", responses=problems(401, 403, 404, 422))
async def list_slots(
    offer_id: UUID,
    who: ReadsOffers,
    tx: Tx,
    after: After,
    limit: Limit = 50,
    since: Annotated[Day | None, Query(alias="from", description="First day.")] = None,
    until: Annotated[Day | None, Query(description="Last day.")] = None,
) -> Listed[SlotOut]:
    """Slots of an offer in time order."""
    offer = await offers.read(tx, offer_id, who.organization_id, seen_towns(who))
    zone = ZoneInfo(offer.terms.timezone)
    page = await slots.page(tx, offer_id, since, until, after, limit)
    return listed(page, lambda facts: SlotOut.of(facts, zone))


@router.patch("/{slot_id}", responses=problems(401, 403, 404, 409, 412, 422, 428))
async def change_slot(
    offer_id: UUID, slot_id: SlotId, body: SlotPatch, who: WritesOffers, tx: Tx, reply: Reply, version: IfMatch
) -> SlotOut:
    """Change what one slot takes; never less than the people who have a place in it."""
    await slots.change_capacity(tx, offer_id, slot_id, who.organization_id, version, body.capacity)
    offer = await offers.read(tx, offer_id, who.organization_id, frozenset())
    facts = await slots.read(tx, offer_id, slot_id)
    reply.version(facts.version)
    reply.ring()
    return SlotOut.of(facts, ZoneInfo(offer.terms.timezone))


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone)
