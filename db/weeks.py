"""The week that is over, for who wants to see what another policy would have done with it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import seekers, surroundings
from matching.offers import Offer
from matching.replay import Asked, Network

__all__ = ["read_network", "read_week"]

WEEK = timedelta(days=7)
_INHABITANTS = text("select id, population from town where id = any(cast(:towns as int[]))")
_ASSOCIATIONS = text("""
    select id from organization where id = any(cast(:organizations as uuid[])) and kind = 'association'
""")
_NOW = text("select now()")


async def read_week(tx: AsyncConnection, limit: int) -> tuple[list[Asked], list[Offer]]:
    """Needs posted in the last seven days that were not deleted since, oldest first, and every offer of their time.

    Offers are as they stand today, with nobody in them; needs as if nothing had been turned down.
    """
    now: datetime = (await tx.execute(_NOW)).scalar_one()
    asked = [
        Asked(replace(seeker.need, turned_down=frozenset()), seeker.now)
        for seeker in await seekers.posted(tx, now - WEEK, limit)
    ]
    if not asked:
        return [], []
    last = max(each.need.window.ends for each in asked)
    offers = await surroundings.offers_between(tx, now - WEEK, last)
    return asked, [_empty(offer) for offer in offers]


async def read_network(tx: AsyncConnection, offers: Sequence[Offer]) -> Network:
    """What fairness asks of the hosts of these offers."""
    towns = await tx.execute(_INHABITANTS, {"towns": sorted({offer.town_id for offer in offers})})
    hosts = await tx.execute(_ASSOCIATIONS, {"organizations": sorted({offer.organization_id for offer in offers})})
    return Network({row.id: row.population for row in towns}, frozenset(hosts.scalars()))


def _empty(offer: Offer) -> Offer:
    return replace(offer, slots=tuple(replace(slot, free=slot.capacity) for slot in offer.slots))
