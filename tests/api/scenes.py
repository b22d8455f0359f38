"""Scenes that tests of needs and allocations begin with, set over HTTP as organizations set them."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.bodies import need_body, offer_body, site_body
from tests.api.conftest import Organization
from tests.db.acts import hold, rows
from tests.places import BRIANCON, PlaceRow

__all__ = ["Json", "assert_every_place_is_counted_once", "open_offer", "place", "post_need", "read_need"]

Json = dict[str, Any]


async def open_offer(provider: Organization, place: PlaceRow = BRIANCON, **changes: object) -> str:
    """Open an offer at a new site in this town: its id."""
    location = {"type": "Point", "coordinates": [place.longitude, place.latitude]}
    site = await provider.http.post("/v1/sites", json=site_body(town=place.id, location=location))
    assert site.status_code == 201, site.text
    offer = await provider.http.post("/v1/offers", json=offer_body(site.json()["id"], **changes))
    assert offer.status_code == 201, offer.text
    return str(offer.json()["id"])


async def post_need(poster: Organization, **changes: object) -> Json:
    """Post a need: the answer."""
    answer = await poster.http.post("/v1/needs", json=need_body(**changes))
    assert answer.status_code == 201, answer.text
    need: Json = answer.json()
    return need


async def read_need(poster: Organization, need_id: str) -> Json:
    """The need as its organization reads it."""
    answer = await poster.http.get(f"/v1/needs/{need_id}")
    assert answer.status_code == 200, answer.text
    need: Json = answer.json()
    return need


async def place(engine: AsyncEngine, poster: Organization, **changes: object) -> Json:
    """Post a need and look for its place once, as the worker does: the need as it stands then."""
    need = await post_need(poster, **changes)
    await hold(engine, UUID(need["id"]))
    return await read_need(poster, need["id"])


async def assert_every_place_is_counted_once(engine: AsyncEngine) -> None:
    """Each slot's counter is the sum of those who have a place in it, and none is over its capacity."""
    wrong = await rows(
        engine,
        """
        select s.id from slot s
         where s.used > s.capacity
            or s.used <> coalesce((select sum(k.people) from allocation_slot k where k.slot_id = s.id and k.taken), 0)
        """,
    )
    assert wrong == []
