"""Staffing: volunteers for sites that could take those who wait, and what follows when some decline.

One worker plans at a time. What a plan assumed is looked at again when its shifts are written; places that they open
are held by the matching as any other.
"""

import asyncio
from concurrent.futures import Executor
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import allocations, due, shifts
from db.bell import Bell
from db.connection import snapshot, transaction
from db.policies import in_force
from db.regions import read_region, take_turn
from db.shifts import NewShift
from matching.staffing import Region
from matching.staffing_programme import best_staffing

__all__ = ["staff_sites"]

_UNUSED_MINUTES = 15
"""How long volunteers are kept for a slot in which nobody has been placed."""
_AT_ONCE = 100
_SECONDS = 2.0
"""To think about one plan."""
_log = structlog.get_logger()


async def staff_sites(engine: AsyncEngine, bell: Bell, processes: Executor | None = None) -> bool:
    """Plan shifts for those who wait in vain, and release whom no volunteers can serve. Whether anything changed.

    `processes` is where the plan is thought out.
    """
    async with transaction(engine) as turn:
        if not await take_turn(turn):
            return False
        ended = await _end_shifts(engine)
        async with snapshot(engine) as tx:
            region = await read_region(tx, await in_force(tx))
        planned = await _plan(engine, region, processes) if region.watches and region.crews else 0
        if planned:
            _log.info("worker.shifts_planned", shifts=planned)
        released = await _release_the_unserved(engine, bell)
    if planned or released:
        bell.work()
    return bool(ended or planned or released)


async def _end_shifts(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        completed = await shifts.complete(tx, _AT_ONCE)
    async with transaction(engine) as tx:
        return completed + await shifts.release_unused(tx, _UNUSED_MINUTES, _AT_ONCE)


async def _plan(engine: AsyncEngine, region: Region, processes: Executor | None) -> int:
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(processes, best_staffing, region, _SECONDS)
    if not found.calls:
        return 0
    wanted = [NewShift(region.crews[call.crew].pledge, call.slot, call.day, call.volunteers) for call in found.calls]
    async with transaction(engine) as tx:
        return await shifts.plan(tx, wanted)


async def _release_the_unserved(engine: AsyncEngine, bell: Bell) -> int:
    """Who came last of the least urgent gives the place back first; each is looked for anew at once."""
    async with transaction(engine) as tx:
        unserved = await due.list_unserved(tx, _AT_ONCE)
    released = 0
    for slot, allocation_id, need_id in unserved:
        if await _release(engine, slot, allocation_id, need_id):
            released += 1
            bell.settled(need_id)
    return released


async def _release(engine: AsyncEngine, slot: int, allocation_id: UUID, need_id: UUID) -> bool:
    async with transaction(engine) as tx:
        return await allocations.end_unstaffed(tx, allocation_id, need_id, slot)
