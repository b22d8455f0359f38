"""The reveal: how to get to the place of an allocation, for its two sides, in its time.

A POST, because each reading is written down for both to see, and so that nothing of it stands in an address.
"""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import ReadsAddresses
from api.house import TheHouse
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import Instant, Latitude, Longitude, Wire
from db import reveals
from db.reveals import Way
from geo.cells import Point

__all__ = ["router"]

router = APIRouter(prefix="/v1/allocations", tags=["allocations"], route_class=TransactionalRoute)
AddressText = Annotated[str, Field(max_length=400)]


class PointOut(Wire):
    """The exact place as GeoJSON writes it: longitude, then latitude."""

    type: Literal["Point"]
    coordinates: tuple[Longitude, Latitude]

    @classmethod
    def of(cls, place: Point) -> "PointOut":
        """Render a place."""
        return cls(type="Point", coordinates=(place.longitude, place.latitude))


class WayOut(Wire):
    """How to get there. Of a rendezvous only `meeting_point` is told."""

    address: AddressText | None
    meeting_point: AddressText | None
    location: PointOut | None
    until: Annotated[Instant, Field(description="When this can be read no more.")]

    @classmethod
    def of(cls, way: Way) -> "WayOut":
        """Render a way."""
        return cls(
            address=way.address,
            meeting_point=way.meeting_point,
            location=PointOut.of(way.place) if way.place else None,
            until=way.until,
        )


@router.post("/{allocation_id}/address", responses=problems(401, 403, 404, 409, 422))
async def read_address(allocation_id: UUID, who: ReadsAddresses, tx: Tx, reply: Reply, house: TheHouse) -> WayOut:
    """How to get to the place of a confirmed allocation, from twelve hours before it begins until it ends.

    Each reading is an event that both sides see. An `Idempotency-Key` has no effect here: the answer is never stored.
    """
    way = await reveals.read(tx, allocation_id, who.organization_id, who.kind, house.vault)
    reply.headers["Cache-Control"] = "no-store"
    return WayOut.of(way)
