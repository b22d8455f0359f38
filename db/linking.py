"""Linking the acts that wait to their chains: by the worker, and before anybody looks at a chain."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit
from db.connection import transaction

__all__ = ["link_acts"]

_AT_ONCE: Final = 500


async def link_acts(engine: AsyncEngine) -> int:
    """Link all acts that wait for it. How many."""
    linked = 0
    while True:
        async with transaction(engine) as tx:
            done = await audit.link_pending(tx, _AT_ONCE)
        if not done:
            return linked
        linked += done
