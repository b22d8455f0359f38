"""Connections of a process: one that says nothing is given up; who comes alone is given the one that was used last."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import connect, transaction
from db.roles import Role
from db.settings import Settings
from tests.faults.wire import Manner, a_wire


async def test_a_server_that_is_not_heard_is_given_up(settings: Settings) -> None:
    async with a_wire(settings.database_url) as wire:
        engine = connect(
            settings.model_copy(update={"database_url": wire.url, "statement_seconds": 1}), "test", Role.APP
        )
        try:
            assert await _ask(engine) == 1
            wire.be(Manner.SILENT)
            asked = asyncio.create_task(_ask(engine))
            await asyncio.wait([asked], timeout=60)
            assert asked.done(), "it waits for ever"
            assert isinstance(asked.exception(), TimeoutError)
            wire.be(Manner.WELL)
            assert await _ask(engine) == 1
        finally:
            await engine.dispose()


async def test_acts_one_after_the_other_take_one_connection(settings: Settings) -> None:
    """It has their statements prepared and planned; the others, opened when many acts came at once, would plan anew."""
    engine = connect(settings, "test", Role.APP)
    try:
        together = asyncio.Barrier(4)
        assert len(set(await asyncio.gather(*(_server_process(engine, together) for _ in range(4))))) == 4
        assert len({await _server_process(engine) for _ in range(8)}) == 1
    finally:
        await engine.dispose()


async def _server_process(engine: AsyncEngine, together: asyncio.Barrier | None = None) -> int:
    async with transaction(engine) as tx:
        found = int((await tx.execute(text("select pg_backend_pid()"))).scalar_one())
        if together is not None:
            await together.wait()
        return found


async def _ask(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        return int((await tx.execute(text("select 1"))).scalar_one())
