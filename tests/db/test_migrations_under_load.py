"""Migrations while people act on a large database: nothing fails, nobody waits long, no large table is rewritten."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import invariants
from db.connection import connect, transaction
from db.migrations import Haste, LockedOut, Phase, Step, history, patiently, upgrade_to
from db.settings import Settings
from tests.conftest import Servers, run_on_server, settings_for
from tests.db.acts import rows
from tests.db.old_code import BASE, Load, furnish, load
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("large")
HASTE = Haste(lock_seconds=0.5, tries=200, pause_seconds=0.5)
_LOAD_LOCK_SECONDS = 3
_FILES = """
    select c.relname as table, pg_relation_filenode(c.oid) as file from pg_class c
     where c.relnamespace = cast('public' as regnamespace) and c.relkind = 'r' and c.reltuples > 1000
"""


@pytest.fixture(scope="module")
def large(servers: Servers, secret_files: tuple[Path, Path], *, long: bool) -> Iterator[Settings]:
    """A database of the schema that every later migration finds, with many needs; the tests share it."""
    name = f"relais_large_{uuid4().hex[:12]}"
    settings = settings_for(servers, secret_files, name)
    asyncio.run(run_on_server(servers, f"create database {name}"))
    asyncio.run(_fill(settings, 1_000_000 if long else 20_000))
    yield settings
    asyncio.run(run_on_server(servers, f"drop database {name} with (force)"))


async def _fill(settings: Settings, needs: int) -> None:
    engine = connect(settings, "test")
    (base,) = [step for step in history() if step.revision == BASE]
    await upgrade_to(engine, base)
    await engine.dispose()
    await furnish(settings, needs)


@pytest_asyncio.fixture(loop_scope="function")
async def engine(large: Settings) -> AsyncIterator[AsyncEngine]:
    engine = connect(large, "test")
    yield engine
    await engine.dispose()


Files = dict[str, int]


async def files(engine: AsyncEngine) -> Files:
    """The file of each large table: another one, once it was rewritten."""
    return {row.table: row.file for row in await rows(engine, _FILES)}


async def goes_on(going: Load) -> None:
    """The load does something more."""
    before = going.done

    async def more() -> bool:
        return going.done > before + 8

    await eventually(more, "that the load goes on")


async def test_every_migration_lets_the_running_code_go_on(engine: AsyncEngine, large: Settings) -> None:
    steps = [step for step in history() if step.revision > BASE]
    assert steps
    before = await files(engine)
    assert {"need", "allocation", "allocation_slot", "event"} <= before.keys()
    async with load(large, _LOAD_LOCK_SECONDS) as going:
        await goes_on(going)
        for step in steps:
            await upgrade_to(engine, step, HASTE)
            await goes_on(going)
            assert going.failed == [], step.name
            assert await files(engine) == before, f"{step.name} rewrites a large table"
    async with transaction(engine) as tx:
        # One slot has all of a million places: to count them is no request of the service.
        await tx.execute(text("set local statement_timeout = 0"))
        assert await invariants.broken(tx) == {}


async def test_a_migration_that_rewrites_or_locks_a_large_table_is_caught(engine: AsyncEngine, large: Settings) -> None:
    before = await files(engine)
    async with load(large, _LOAD_LOCK_SECONDS) as going:
        await goes_on(going)
        await patiently(engine, "rewrites", doing("alter table event alter column kind type varchar(99)"), HASTE)
        assert (await files(engine))["event"] != before["event"]
        going.failed.clear()
        await goes_on(going)
        assert going.failed == []
        sleep = f"select pg_sleep({_LOAD_LOCK_SECONDS + 1})"
        await patiently(engine, "locks", doing("alter table need add column held_up int", sleep), HASTE)
        assert any("LockNotAvailable" in each for each in going.failed)


async def test_a_step_that_gets_no_lock_lets_others_pass_and_tries_again(engine: AsyncEngine, large: Settings) -> None:
    hurried = Haste(lock_seconds=0.3, tries=2, pause_seconds=0.1)
    add = doing("alter table need add column late int")
    async with load(large, _LOAD_LOCK_SECONDS) as going:
        async with transaction(engine) as reader:
            await reader.execute(text("select count(*) from need where people < 0"))
            with pytest.raises(LockedOut, match="late"):
                await patiently(engine, "late", add, hurried)
            await goes_on(going)
        await patiently(engine, "late", add, HASTE)
        await goes_on(going)
        assert going.failed == []


def doing(*statements: str) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        with connection.begin():
            for statement in statements:
                connection.execute(text(statement))

    return act


def test_migrations_are_named_by_number_and_phase() -> None:
    steps = history()
    assert [step.revision for step in steps] == [f"{number:04}" for number in range(1, len(steps) + 1)]
    assert all(step.name.startswith(f"{step.revision}_{step.phase}_") for step in steps)
    assert isinstance(steps[0], Step)
    assert steps[0].phase is Phase.PRE
