"""The week that is over, for who wants to see what another policy would have done with it."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import seekers, surroundings
from matching.offers import Offer
from matching.replay import Asked

__all__ = ["read_week"]

WEEK = timedelta(days=7)
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


def _empty(offer: Offer) -> Offer:
    return replace(offer, slots=tuple(replace(slot, free=slot.capacity) for slot in offer.slots))
