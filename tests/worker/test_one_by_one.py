"""Whatever goes wrong with one thing that fell due, the others are done at the same look."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import due
from db.bell import Bell
from db.connection import connect, transaction
from db.roles import Role
from db.settings import Settings
from matching.states import AllocationState
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold, rows
from worker.one_by_one import broken_acts, one_by_one
from worker.upkeep import keep_up


@pytest.fixture
async def impatient(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Waits a second for what others keep."""
    worker = connect(settings.model_copy(update={"lock_seconds": 1}), "worker", Role.MATCHER)
    yield worker
    await worker.dispose()


async def test_a_hold_that_somebody_keeps_locked_keeps_no_other_from_running_out(
    engine: AsyncEngine, impatient: AsyncEngine, settings: Settings
) -> None:
    parties = await _overdue_parties(engine)
    async with transaction(engine) as tx:
        (first, locked), *_ = await due.list_allocations(tx, AllocationState.EXPIRED, 9)
    async with _locked(engine, locked):
        assert await keep_up(impatient, Bell(settings)) == len(parties) - 1
    assert await _still_held(engine) == [first]
    assert await keep_up(impatient, Bell(settings)) == 1, "it was tried again"


async def test_what_breaks_with_one_is_undone_and_the_others_are_committed(engine: AsyncEngine) -> None:
    parties = await _overdue_parties(engine)

    async def waits(tx: AsyncConnection, need_id: UUID) -> bool:
        await tx.execute(text("update allocation set held_until = ends where need_id = :id"), {"id": need_id})
        if need_id == parties[0]:
            raise KeyError
        return need_id != parties[1]

    changed = [each async for each in one_by_one(engine, parties, waits, "allocation")]
    assert changed == [parties[2]]
    kept = await rows(engine, "select need_id from allocation where held_until < now()")
    assert [row.need_id for row in kept] == [parties[0]]


@pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError, NoConnectionLeft])
async def test_a_database_that_is_away_is_no_matter_of_one(engine: AsyncEngine, error: type[Exception]) -> None:
    tried = []

    async def away(_tx: AsyncConnection, thing: int) -> bool:
        tried.append(thing)
        raise error

    with pytest.raises(error):
        async for _ in one_by_one(engine, (1, 2), away, "allocation"):
            pass
    assert tried == [1]


async def _overdue_parties(engine: AsyncEngine) -> Sequence[UUID]:
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx), capacity=9)
        poster = await add_organization(tx)
        parties = [await add_need(tx, poster, people=2) for _ in range(3)]
    for need_id in parties:
        await hold(engine, need_id)
    await rows(engine, "update allocation set held_until = now() - interval '1 second'")
    return parties


@asynccontextmanager
async def _locked(engine: AsyncEngine, need_id: UUID) -> AsyncIterator[None]:
    async with transaction(engine) as tx:
        await tx.execute(text("select from need where id = :id for update"), {"id": need_id})
        yield


async def _still_held(engine: AsyncEngine) -> Sequence[UUID]:
    return [row.id for row in await rows(engine, "select id from allocation where state = 'held'")]


async def test_acts_that_broke_are_counted_for_the_look_and_those_that_wait_are_not(
    engine: AsyncEngine, impatient: AsyncEngine
) -> None:
    parties = await _overdue_parties(engine)

    async def act(tx: AsyncConnection, need_id: UUID) -> bool:
        await tx.execute(text("select from need where id = :id for update"), {"id": need_id})
        if need_id == parties[1]:
            raise KeyError
        return True

    async with _locked(engine, parties[0]):
        with broken_acts() as broken:
            assert [each async for each in one_by_one(impatient, parties, act, "need")] == [parties[2]]
    assert broken == ["need"]
