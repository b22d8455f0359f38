"""One look at the needs that are due: each gets the best place there is, in a transaction of its own."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import due, holds, seekers
from db.bell import Bell
from db.connection import looking, transaction
from matching.policy import Policy

__all__ = ["AT_ONCE", "look_for_places"]

AT_ONCE = 100
"""Needs that are looked at in one round; when there were as many, there may be more."""
_IN_EACH_OTHERS_WAY = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATE: somebody else keeps what a need wants, or wants what it keeps. It stays due."""
_AWAY = ("08", "53", "57P", "58")
"""Beginnings of SQLSTATE: the connection is lost, disk or memory are full, an operator ends it, the system fails.

A statement that runs into its time limit (57014) is none of these: a need with which every look does is to be parked.
"""
_log = structlog.get_logger()


async def look_for_places(
    engine: AsyncEngine,
    bell: Bell,
    side_by_side: int,
    park_after: int,
    appeared: Callable[[], None],
    stopping: asyncio.Event,
) -> int:
    """Wake needs around new places and match all that are due, most urgent first. How many were looked at.

    `appeared` is called when somebody looked again because places had appeared. Once `stopping` is set no other need
    is begun.
    Raises only when the database is away; what goes wrong with one need is counted on that need.
    """
    async with looking(engine) as connection:
        found = await due.look(connection, AT_ONCE)
    woken = 0
    if found.news:
        async with transaction(engine) as tx:
            woken = await due.wake_needs(tx, found.policy, AT_ONCE)
            found = await due.look(tx, AT_ONCE)
    places = asyncio.Semaphore(side_by_side)

    async def look(need_id: UUID) -> None:
        async with places:
            if not stopping.is_set():
                await _look_for_one(engine, bell, need_id, found.policy, park_after)

    async with asyncio.TaskGroup() as group:
        for need_id in found.needs:
            group.create_task(look(need_id))
    if woken:
        appeared()
    return len(found.needs)


async def _look_for_one(engine: AsyncEngine, bell: Bell, need_id: UUID, policy: Policy, park_after: int) -> None:
    try:
        async with transaction(engine) as tx:
            seeker = await seekers.claim(tx, need_id, policy)
            if seeker is None:
                return
            made = await holds.hold_best_places(tx, seeker, policy)
            if made.left:
                await due.postpone(tx, need_id)
    except (OperationalError, InterfaceError, OSError, TimeoutError):
        raise
    except Exception as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        state = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
        if state.startswith(_AWAY):
            raise
        if state in _IN_EACH_OTHERS_WAY:
            _log.warning("need.waits_for_others")
            return
        await _count_failure(engine, need_id, park_after, error)
    else:
        if made.allocations:
            bell.settled(need_id)


async def _count_failure(engine: AsyncEngine, need_id: UUID, park_after: int, error: Exception) -> None:
    async with transaction(engine) as tx:
        parked = await due.add_failure(tx, need_id, park_after)
    _log.error("need.parked" if parked else "need.look_broke", exception=type(error).__name__)
