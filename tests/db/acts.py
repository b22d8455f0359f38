"""What coordinators, town halls, the worker and time do to a database, each in a transaction of its own."""

from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import allocations, due, feed, holds, policies, seekers
from db.connection import transaction
from matching.states import AllocationState
from tests.waiting import eventually

__all__ = ["Fact", "answer", "hold", "look_at_all_due", "one", "rows", "run_out_of_time", "settled"]

Fact = Row[tuple[object, ...]]


async def rows(engine: AsyncEngine, statement: str, **values: object) -> list[Fact]:
    """What a statement returns; nothing when it only changes things."""
    assert not statement.lstrip().startswith("select from "), "rows without a column are not seen"
    async with transaction(engine) as tx:
        result = await tx.execute(text(statement), values)
        return list(result.all()) if result.returns_rows else []


async def one(engine: AsyncEngine, statement: str, **values: object) -> Fact:
    """The one row of a statement."""
    (row,) = await rows(engine, statement, **values)
    return row


async def hold(engine: AsyncEngine, need_id: UUID) -> tuple[UUID, ...]:
    """One look of the worker at one need: the allocations made."""
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        seeker = await seekers.claim(tx, need_id, policy)
        if seeker is None:
            return ()
        made = await holds.hold_best_places(tx, seeker, policy)
        if made.left:
            await due.postpone(tx, need_id)
        return made.allocations


async def look_at_all_due(engine: AsyncEngine) -> list[UUID]:
    """One round of the worker: needs around new places are woken, and all that are due are looked at."""
    async with transaction(engine) as tx:
        await due.wake_needs(tx, await policies.in_force(tx), 1000)
    async with transaction(engine) as tx:
        waiting = (await due.look(tx, 1000)).needs
    return [made for need_id in waiting for made in await hold(engine, need_id)]


async def answer(engine: AsyncEngine, allocation_id: UUID, side: UUID, to: AllocationState) -> None:
    """One step of an allocation, asked for by one of its sides."""
    async with transaction(engine) as tx:
        await allocations.move(tx, allocation_id, side, to)


async def run_out_of_time(engine: AsyncEngine, allocation_id: UUID) -> None:
    """The deadline of a hold passes; nothing has looked at it yet."""
    await rows(
        engine,
        "update allocation set held_until = clock_timestamp() - interval '1 second' where id = :id",
        id=allocation_id,
    )


async def settled(engine: AsyncEngine) -> None:
    """Every event that was committed until now may be read: whoever ran beside it, in any database, has ended."""
    begun = int(str((await one(engine, "select cast(pg_current_xact_id() as text) as id")).id))

    async def past() -> bool:
        async with transaction(engine) as tx:
            return (await feed.now(tx)).transaction > begun

    await eventually(past, "what runs beside has ended")
