"""One look at the needs that are due: each gets the best place there is, in a transaction of its own."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from itertools import groupby
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import due, holds, pathway_holds, seekers
from db.bell import Bell
from db.connection import looking, transaction
from matching.policy import Policy
from worker.one_by_one import is_away, waits_for_others

__all__ = ["AT_ONCE", "look_for_places"]

AT_ONCE = 100
"""Needs that are looked at in one round; when there were as many, there may be more."""
_OTHERS_SECONDS = 0.1
"""Seconds that others are given who have all that is due."""
_log = structlog.get_logger()


async def look_for_places(
    engine: AsyncEngine,
    bell: Bell,
    side_by_side: int,
    park_after: int,
    appeared: Callable[[], None],
    stopping: asyncio.Event,
) -> int:
    """Wake needs around new places and match all that are due, most urgent first.

    How many were looked at; as many as `AT_ONCE` where there may be more.

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
    listed = _Listed(found, side_by_side)

    async def walk() -> None:
        while not stopping.is_set() and (need_id := listed.next()) is not None:
            if await _look_for_one(engine, bell, need_id, found, park_after):
                listed.ours += 1
            else:
                listed.go_on_elsewhere()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(side_by_side, len(found.needs))):
            group.create_task(walk())
    if woken:
        appeared()
    if listed.is_left_to_others:
        if not listed.ours:
            await asyncio.sleep(_OTHERS_SECONDS)
        return AT_ONCE
    return len(found.needs)


class _Listed:
    """Needs of one look, in their order, for as long as nobody else is at them.

    Every worker lists the same needs first. So who finds that another has one, or had it, goes on somewhere else among
    those that are as urgent: else all would walk behind each other, and one would do what many could. Who finds more of
    them than it looks at side by side lists anew: the list is old.
    """

    def __init__(self, found: due.Look, most_in_vain: int) -> None:
        first = _first_of_each_pathway(found)
        self._by_tier = [
            deque(need for need, _ in needs if need in first)
            for _, needs in groupby(zip(found.needs, found.tiers, strict=True), key=lambda each: each[1])
        ]
        self._most_in_vain = most_in_vain
        self._in_vain = 0
        self.ours = 0
        """Needs that were looked at here."""

    def next(self) -> UUID | None:
        """The next need to look at; nothing when all were, or the list is old."""
        while self._by_tier and not self._by_tier[0]:
            self._by_tier.pop(0)
        return self._by_tier[0].popleft() if self._by_tier and not self._is_old else None

    def go_on_elsewhere(self) -> None:
        """The last need was another worker's."""
        self._in_vain += 1
        if self._by_tier and self._by_tier[0]:
            self._by_tier[0].rotate(-secrets.randbelow(len(self._by_tier[0])))

    @property
    def is_left_to_others(self) -> bool:
        """Whether needs stand in it that were not looked at, because it is old."""
        return self._is_old and any(self._by_tier)

    @property
    def _is_old(self) -> bool:
        return self._in_vain > self._most_in_vain


def _first_of_each_pathway(found: due.Look) -> frozenset[UUID]:
    """The needs to look at: of the steps of one pathway, which are looked at together, the first that is listed."""
    first: dict[UUID, UUID] = {}
    for need in found.needs:
        first.setdefault(found.pathways.get(need, need), need)
    return frozenset(first.values())


async def _look_for_one(engine: AsyncEngine, bell: Bell, need_id: UUID, found: due.Look, park_after: int) -> bool:
    """Whether it was still due, and no other worker had it; a step of a pathway is looked for with the others."""
    try:
        async with transaction(engine) as tx:
            pathway_id = found.pathways.get(need_id)
            if pathway_id is None:
                placed = await _hold(tx, need_id, found.policy)
            else:
                placed = await pathway_holds.hold_together(tx, pathway_id, found.policy)
            if placed is None:
                return False
    except Exception as error:
        if is_away(error):
            raise
        if waits_for_others(error):
            _log.warning("need.waits_for_others")
            return True
        await _count_failure(engine, need_id, park_after, error)
    else:
        for each in placed:
            bell.settled(each)
    return True


async def _hold(tx: AsyncConnection, need_id: UUID, policy: Policy) -> tuple[UUID, ...] | None:
    """Look for places for one need: itself where some were held, `None` where it was not due any more."""
    seeker = await seekers.claim(tx, need_id, policy)
    if seeker is None:
        return None
    made = await holds.hold_best_places(tx, seeker, policy)
    if made.left:
        await due.postpone(tx, need_id)
    return (need_id,) if made.allocations else ()


async def _count_failure(engine: AsyncEngine, need_id: UUID, park_after: int, error: Exception) -> None:
    async with transaction(engine) as tx:
        parked = await due.add_failure(tx, need_id, park_after)
    _log.error("need.parked" if parked else "need.look_broke", exception=type(error).__name__)
