"""Projects, looked after: plans are thought out and proposed, and plans that nobody answered end."""

import asyncio
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import policies, project_answers, project_plans
from db.bell import Bell
from db.connection import looking, snapshot, transaction
from matching.policy import Policy
from matching.projects import plan_project
from worker.one_by_one import one_by_one, waits_for_others

__all__ = ["look_after_projects"]

_AT_ONCE = 20
_SECONDS = 2.0
"""How long one plan is thought about."""
_log = structlog.get_logger()


async def look_after_projects(engine: AsyncEngine, bell: Bell, processes: Executor | None) -> int:
    """Do everything about projects that has fallen due by the database's clock. How many things changed."""

    async def expire(tx: AsyncConnection, project_id: UUID) -> bool:
        return await project_answers.expire(tx, project_id, policy)

    async with looking(engine) as connection:
        policy = await policies.in_force(connection)
        unanswered = await project_answers.list_unanswered(connection, _AT_ONCE)
        waiting = await project_plans.list_due(connection, policy, _AT_ONCE)
    async with transaction(engine) as tx:
        changed = await project_answers.close_ended(tx)
    async for _ in one_by_one(engine, unanswered, expire, "project"):
        changed += 1
    for project_id in waiting:
        changed += await _plan_one(engine, project_id, policy, processes)
    if changed:
        bell.work()
    return changed


async def _plan_one(engine: AsyncEngine, project_id: UUID, policy: Policy, processes: Executor | None) -> bool:
    """Whether a plan was proposed. What breaks with one project keeps the others from nothing: it is tried later."""
    async with snapshot(engine) as tx:
        wanted = await project_plans.read(tx, project_id, policy)
    if wanted is None or not wanted.seekers:
        return False
    try:
        return await _think_and_propose(engine, wanted, policy, processes)
    except project_plans.Overtaken:
        _log.info("project.overtaken")
    except BrokenProcessPool:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the next project is not to wait for it
        others = waits_for_others(error)
        _log.warning("project.waits_for_others" if others else "project.look_broke", exception=type(error).__name__)
        if not others:
            async with transaction(engine) as tx:
                await project_plans.postpone(tx, wanted)
    return False


async def _think_and_propose(
    engine: AsyncEngine, wanted: project_plans.Wanted, policy: Policy, processes: Executor | None
) -> bool:
    """It is thought out without a lock; what was taken meanwhile is seen when it is held."""
    loop = asyncio.get_running_loop()
    asked = (wanted.parties, wanted.houses, wanted.together, wanted.minimum, _SECONDS)
    plan = await loop.run_in_executor(processes, plan_project, *asked)
    async with transaction(engine) as tx:
        if plan is None:
            await project_plans.postpone(tx, wanted)
        else:
            await project_plans.propose(tx, wanted, plan, policy)
    return plan is not None
