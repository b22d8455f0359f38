"""Staffing: volunteers for sites that could take those who wait, and what follows when some decline.

One worker plans at a time. What a plan assumed is looked at again when its shifts are written; places that they open
are held by the matching as any other.
"""

import asyncio
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from time import perf_counter
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import allocations, due, questions, shifts, staffing
from db.bell import Bell
from db.connection import snapshot, transaction
from db.policies import in_force
from db.regions import read_region, take_turn
from db.shifts import NewShift
from matching.staffing import Region, StaffingPlan
from matching.staffing_territories import best_staffing
from worker.one_by_one import one_by_one

__all__ = ["Staffing", "plan_within"]

_UNUSED_MINUTES = 15
"""How long volunteers are kept for a slot in which nobody has been placed."""
_AT_ONCE = 100
_SECONDS = 2.0
"""To think about one plan."""
_log = structlog.get_logger()


def plan_within(region: Region, seconds: float) -> StaffingPlan:
    """The best plan that can be found in so many seconds, from now."""
    return best_staffing(region, clock=perf_counter, deadline=perf_counter() + seconds)


class Staffing:
    """Plans again and again; what was thought through in vain is not thought through again while nothing changes."""

    def __init__(self, engine: AsyncEngine, bell: Bell) -> None:
        self._engine = engine
        self._bell = bell
        self._in_vain: Region | None = None

    async def look(self, processes: Executor | None = None) -> bool:
        """Plan shifts for those who wait in vain, and release whom no volunteers can serve. Whether anything changed.

        `processes` is where the plan is thought out.
        """
        async with transaction(self._engine) as turn:
            if not await take_turn(turn):
                return False
            ended = await _end_shifts(self._engine) + await _ask_volunteers(self._engine)
            async with snapshot(self._engine) as tx:
                region = await read_region(tx, await in_force(tx))
            planned = await self._plan(region, processes)
            sought = {slot for slot, watch in region.watches.items() if watch.lacks_volunteers}
            released = await _release_the_unserved(self._engine, self._bell, sought)
        if planned:
            _log.info("worker.shifts_planned", shifts=planned)
        if planned or released:
            self._bell.work()
        return bool(ended or planned or released)

    async def _plan(self, region: Region, processes: Executor | None) -> int:
        if not region.watches or not region.crews or region == self._in_vain:
            return 0
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(processes, plan_within, region, _SECONDS)
        wanted = [
            NewShift(region.crews[call.crew].pledge, call.slot, call.day, call.volunteers) for call in found.calls
        ]
        planned = 0
        if wanted:
            async with transaction(self._engine) as tx:
                planned = await shifts.plan(tx, wanted)
        self._in_vain = None if planned else region
        return planned


async def _end_shifts(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        completed = await shifts.complete(tx, _AT_ONCE)
    async with transaction(engine) as tx:
        unused = await shifts.release_unused(tx, _UNUSED_MINUTES, _AT_ONCE)
    async with transaction(engine) as tx:
        await staffing.forget_who_left(tx)
    async with transaction(engine) as tx:
        return completed + unused + await staffing.mend(tx, _AT_ONCE)


async def _ask_volunteers(engine: AsyncEngine) -> int:
    """Ask whether they still come, and do what follows when nobody answers."""
    changed = 0
    for step in (questions.ask, questions.mark_at_risk, questions.let_go_the_silent):
        async with transaction(engine) as tx:
            changed += await step(tx, _AT_ONCE)
    return changed


async def _release_the_unserved(engine: AsyncEngine, bell: Bell, sought: AbstractSet[int]) -> int:
    """Who came last of the least urgent gives the place back first; each is looked for anew at once.

    In slots for which others were `sought` alone: who declined while the plan was thought out waits for the next one.
    """

    async def release(tx: AsyncConnection, unserved: tuple[int, UUID, UUID]) -> bool:
        slot, allocation_id, need_id = unserved
        return await allocations.end_unstaffed(tx, allocation_id, need_id, slot)

    async with transaction(engine) as tx:
        unserved = [each for each in await due.list_unserved(tx, _AT_ONCE) if each[0] in sought]
    released = 0
    async for _, _, need_id in one_by_one(engine, unserved, release, "allocation"):
        released += 1
        bell.settled(need_id)
    return released
