"""A connection whose other end is open and says nothing is given up, and the next one serves."""

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


async def _ask(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        return int((await tx.execute(text("select 1"))).scalar_one())
