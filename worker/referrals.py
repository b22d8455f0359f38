"""Referrals, looked after: who is passed on, who did not answer, who comes home; and pacts whose notice is over."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import pacts, policies, referrals, referred_changes, referring, rides, seekers
from db.bell import Bell
from db.connection import looking, transaction
from matching.policy import Policy
from matching.states import ReferralState
from worker.one_by_one import one_by_one, waits_for_others

__all__ = ["look_after_referrals"]

_AT_ONCE = 100
_BROKE_SECONDS = 600
"""After how long a need is tried again with which referring broke."""
_log = structlog.get_logger()


async def look_after_referrals(engine: AsyncEngine, bell: Bell) -> int:
    """Do everything about pacts and referrals that has fallen due by the database's clock. How many things changed."""
    async with looking(engine) as connection:
        policy = await policies.in_force(connection)
    async with transaction(engine) as tx:
        changed = await pacts.end_due(tx, _AT_ONCE)

    async def keep_up(tx: AsyncConnection, referral_id: UUID, need_id: UUID) -> bool:
        return await referrals.keep_up(tx, referral_id, need_id, policy)

    for to, act in (
        (ReferralState.PLACED, keep_up),
        (ReferralState.EXPIRED, referrals.expire),
        (ReferralState.RETURNED, referrals.return_home),
    ):
        changed += await _each_overdue(engine, bell, to, act)
    changed += await _call_home(engine, bell)
    changed += await _refer_due(engine, bell, policy)
    return changed + await _see_to_rides(engine, bell)


async def _each_overdue(
    engine: AsyncEngine, bell: Bell, to: ReferralState, act: Callable[[AsyncConnection, UUID, UUID], Awaitable[bool]]
) -> int:
    async with transaction(engine) as tx:
        overdue = await referrals.list_overdue(tx, to, _AT_ONCE)
    changed = 0
    async for _ in one_by_one(engine, overdue, lambda tx, each: act(tx, *each), "referral"):
        changed += 1
        bell.work()
    return changed


async def _call_home(engine: AsyncEngine, bell: Bell) -> int:
    """Look after people at home who lost their place, and would not go as far as the partner town any more."""

    async def call(tx: AsyncConnection, need_id: UUID) -> bool:
        await seekers.lock_need(tx, need_id)
        return await referred_changes.come_home(tx, need_id)

    async with transaction(engine) as tx:
        far = await referred_changes.list_too_far(tx, _AT_ONCE)
    changed = 0
    async for _ in one_by_one(engine, far, call, "referral"):
        changed += 1
        bell.work()
    return changed


async def _see_to_rides(engine: AsyncEngine, bell: Bell) -> int:
    """Ask for the rides that pacts promise, and for none that nobody needs any more."""

    async def post(tx: AsyncConnection, referral_id: UUID) -> bool:
        return await rides.post(tx, referral_id) is not None

    async with transaction(engine) as tx:
        wanted, over = await rides.list_wanted(tx, _AT_ONCE), await rides.list_over(tx, _AT_ONCE)
    changed = 0
    async for _ in one_by_one(engine, wanted, post, "ride"):
        changed += 1
    async for _ in one_by_one(engine, over, rides.end, "ride"):
        changed += 1
    if changed:
        bell.work()
    return changed


async def _refer_due(engine: AsyncEngine, bell: Bell, policy: Policy) -> int:
    async with transaction(engine) as tx:
        waiting = await referring.due(tx, policy, _AT_ONCE)
    asked = 0
    for need_id in waiting:
        if await _refer_one(engine, need_id, policy):
            asked += 1
            bell.work()
            bell.settled(need_id)
    return asked


async def _refer_one(engine: AsyncEngine, need_id: UUID, policy: Policy) -> bool:
    """Whether a partner was asked. What breaks with one need holds up no other, and is tried again later."""
    try:
        async with transaction(engine) as tx:
            if not await referring.claim(tx, need_id):
                return False
            refused = await referring.refer(tx, need_id, policy)
            if refused is None:
                return True
            await referring.postpone(tx, need_id)
    except DBAPIError as error:
        if not waits_for_others(error):
            raise
        _log.warning("need.waits_for_others")
    except (ValueError, KeyError) as error:
        async with transaction(engine) as tx:
            await referring.postpone(tx, need_id, _BROKE_SECONDS)
        _log.error("need.not_referred", exception=type(error).__name__)
    return False
