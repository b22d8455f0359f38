"""Gyms that ask for volunteers, and associations that have some."""

from datetime import time, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db import pledges, staffing
from matching.pledging import PledgeTerms
from tests.builders import TONIGHT, add_offer
from tests.places import BRIANCON, PlaceRow

__all__ = ["add_gym", "add_pledge", "pledge_terms"]


async def add_gym(
    tx: AsyncConnection,
    organization_id: UUID,
    *,
    places: int = 30,
    each: int = 15,
    minimum: int = 2,
    place: PlaceRow = BRIANCON,
    nights: int = 7,
) -> UUID:
    """A gym that opens with night watches only: the offer."""
    site = {
        "staffing_skill": "night_watch",
        "staffing_people_per_volunteer": each,
        "staffing_minimum": minimum,
    }
    offer = await add_offer(tx, organization_id, place=place, capacity=places, nights=nights, site=site)
    await staffing.bind_offer(tx, offer)
    return offer


def pledge_terms(**changes: object) -> PledgeTerms:
    """Four night watches of Briançon, every night for a week from tonight, twenty kilometres around."""
    terms: dict[str, object] = {
        "town_id": BRIANCON.id,
        "skill": "night_watch",
        "headcount": 4,
        "radius_km": 20,
        "first_day": TONIGHT,
        "last_day": TONIGHT + timedelta(days=6),
        "timezone": "",
        "opens": time(18),
        "closes": time(9),
        "rrule": "FREQ=DAILY",
        "shifts_per_week_max": 6,
    }
    return PledgeTerms(**terms | changes)  # type: ignore[arg-type]


async def add_pledge(tx: AsyncConnection, organization_id: UUID, **changes: object) -> UUID:
    """A pledge; changed as told."""
    return await pledges.add(tx, organization_id, pledge_terms(**changes))
