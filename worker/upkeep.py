"""What time alone does: holds run out, parties do not come, stays end, needs stay unmet, offers age."""

import json
from collections.abc import Callable
from math import inf
from time import monotonic
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import allocations, due, loads, policies, referring, seekers, surroundings
from db.bell import Bell
from db.connection import transaction
from matching.explain import unmet_reasons
from matching.rules import Circumstances
from matching.states import AllocationState
from worker.one_by_one import one_by_one

__all__ = ["Loads", "keep_up"]

_AT_ONCE = 100


async def keep_up(engine: AsyncEngine, bell: Bell) -> int:
    """Do everything that has fallen due by the database's clock. How many things changed."""
    changed = 0
    for to in (AllocationState.EXPIRED, AllocationState.COMPLETED, AllocationState.NO_SHOW):
        changed += await _end_allocations(engine, bell, to)
    changed += await _record_unmet_needs(engine, bell)
    async with transaction(engine) as tx:
        changed += await due.end_seeking(tx, _AT_ONCE)
    async with transaction(engine) as tx:
        changed += await due.ask_to_verify(tx, await policies.in_force(tx), _AT_ONCE)
    return changed


class Loads:
    """What towns and associations carry: counted once a minute, whoever looks.

    Where nobody carries far more than others a count leaves no row that says when it was made, and it reads tonight's
    slot of every offer: so who counted remembers it too. `clock` gives seconds from any beginning.
    """

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float] = monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._good_until = -inf

    async def keep(self) -> bool:
        """Count when it is time and nobody else did. Whether it was done."""
        now = self._clock()
        if now < self._good_until:
            return False
        async with transaction(self._engine) as tx:
            counted = await loads.count_loads(tx, await policies.in_force(tx))
        if counted:
            self._good_until = now + loads.GOOD_FOR
        return counted


async def _end_allocations(engine: AsyncEngine, bell: Bell, to: AllocationState) -> int:
    async def end(tx: AsyncConnection, overdue: tuple[UUID, UUID]) -> bool:
        return await allocations.end_hold(tx, *overdue, to)

    async with transaction(engine) as tx:
        overdue = await due.list_allocations(tx, to, _AT_ONCE)
    ended = 0
    async for _, need_id in one_by_one(engine, overdue, end, "allocation"):
        ended += 1
        bell.work()
        bell.settled(need_id)
    return ended


async def _record_unmet_needs(engine: AsyncEngine, bell: Bell) -> int:
    async with transaction(engine) as tx:
        overdue = await due.list_overdue_needs(tx, _AT_ONCE)
    recorded = 0
    async for need_id in one_by_one(engine, overdue, _record_unmet, "need"):
        recorded += 1
        bell.settled(need_id)
    return recorded


async def _record_unmet(tx: AsyncConnection, need_id: UUID) -> bool:
    policy = await policies.in_force(tx)
    await seekers.lock_need(tx, need_id)
    seeker = await seekers.read_seeker(tx, need_id, policy)
    near = await surroundings.offers_around(tx, seeker.need, policy, seeker.now)
    at = Circumstances(policy, seeker.now)
    reasons = unmet_reasons(seeker.need, near, at, in_project=seeker.in_project)
    reasons |= await referring.reasons(tx, need_id, policy)
    return await due.record_unmet(tx, need_id, json.dumps(reasons))
