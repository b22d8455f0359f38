"""Figures, published by themselves: weeks that are settled, then months, one after the other.

What may be told is thought out in a process of its own. Two workers at it come to the same, and one writes it down.
"""

import asyncio
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import publication
from db.connection import snapshot, transaction
from matching.figures.publication import Due, Told, told
from worker.apart import begin_apart

__all__ = ["publish_figures"]

_log = structlog.get_logger()


async def publish_figures(engine: AsyncEngine, keep_needs_hours: int) -> int:
    """Publish all that is due. How many weeks and months."""
    settled_after = timedelta(days=publication.SETTLED_DAYS, hours=keep_needs_hours)
    async with transaction(engine) as tx:
        await publication.close_weeks(tx, settled_after)
    published = 0
    while True:
        async with snapshot(engine) as tx:
            due = await publication.next_due(tx)
        if due is None:
            return published
        found = await _think(due)
        async with transaction(engine) as tx:
            published += await publication.publish(tx, due, found)
        _log.info("worker.figures_published")


async def _think(due: Due) -> list[Told]:
    """In a process of its own, not one of those that rounds wait for: a month can take minutes."""
    apart = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=begin_apart)
    try:
        return await asyncio.get_running_loop().run_in_executor(apart, told, due)
    finally:
        apart.shutdown(wait=False, cancel_futures=True)
