"""The way to a confirmed place, read by the desk that looks after its people: shown by an act, and kept nowhere."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.pages import page
from api.console.visits import ConsoleRoute, ReadsAddresses
from api.moments import moment
from db import allocations, boards, reveals
from matching.refusals import NotFound

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)


@router.post("/console/allocations/{allocation_id}/address")
async def read_address(allocation_id: UUID, request: Request, visit: ReadsAddresses) -> Response:
    """How to get there, as `POST /v1/allocations/{id}/address` tells it; each reading is seen by both sides."""
    own = visit.who.organization_id
    placed = await allocations.read(visit.tx, allocation_id, own)
    found = await boards.need_of(visit.tx, placed.need_id, own)
    if found is None:
        raise NotFound
    way = await reveals.read(visit.tx, allocation_id, own, visit.who.kind, visit.house.vault)
    visit.note(allocation_id)
    until = moment(way.until, found.zone, visit.language)
    return await page(request, "way", way=way, town=found.town, until=until, need_id=found.need.id)
