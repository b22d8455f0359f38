"""A worker that is told to stop finishes what it has in hand, begins nothing else, and ends."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import listening_address, transaction
from db.settings import Settings
from tests.api.test_life import waiting
from tests.builders import add_need, add_offer, add_organization
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

NEEDS = 30


@pytest.mark.parametrize("told_to_stop", [True, pytest.param(False, id="control-goes-on")])
async def test_told_to_stop_it_finishes_the_need_in_hand_and_begins_no_other(
    engine: AsyncEngine, settings: Settings, start_worker: StartWorker, *, told_to_stop: bool
) -> None:
    async with transaction(engine) as tx:
        offer_id = await add_offer(tx, await add_organization(tx), capacity=NEEDS)
        poster = await add_organization(tx)
        for _ in range(NEEDS):
            await add_need(tx, poster, people=1)

    async def count(statement: str) -> int:
        async with transaction(engine) as tx:
            return int((await tx.execute(text(statement))).scalar_one())

    async def all_held() -> bool:
        return await count("select count(*) from need where state = 'held'") == NEEDS

    async def over() -> bool:
        return worker.poll() is not None

    holder = await asyncpg.connect(listening_address(settings))
    async with holder.transaction():
        await holder.execute("select from slot where offer_id = $1 for update", offer_id)
        worker = start_worker(RELAIS_SIDE_BY_SIDE="1", RELAIS_LOCK_SECONDS="60")
        await waiting(engine, 1)
        if told_to_stop:
            worker.terminate()
    await holder.close()
    if told_to_stop:
        await eventually(over, "the worker has ended", 180)
        assert worker.poll() == 0
        assert await count("select count(*) from need where state = 'held'") == 1
    else:
        await eventually(all_held, "all are held", 180)
