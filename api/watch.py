"""The watch over needs that somebody waits for: one look for all of them, however many they are.

The bell tells most of them. What it did not tell is found here, twice a second; where each who waited looked for
itself, a queue at the door slowed everybody else down.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import needs
from db.bell import Ear
from db.connection import transaction
from db.roles import Role, acting_as

__all__ = ["keep_watch"]

_BETWEEN_LOOKS: Final = 0.5
"""Seconds: what a ring that is lost costs."""
_log = structlog.get_logger()


async def keep_watch(engine: AsyncEngine, ear: Ear) -> None:
    """Tell those who wait for a need's first hold that it came, until cancelled."""
    while True:
        await asyncio.sleep(_BETWEEN_LOOKS)
        awaited = [UUID(each) for each in ear.expected]
        if not awaited:
            continue
        try:
            async with transaction(engine) as tx, acting_as(tx, Role.MATCHER):
                answered = await needs.answered(tx, awaited)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("watch.database_away", exception=type(error).__name__)
            continue
        for need_id in answered:
            ear.tell(str(need_id))
