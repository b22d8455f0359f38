"""What upkeep does on the clock, and how often."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction
from db.loads import GOOD_FOR, count_loads
from matching.policy import FIRST_POLICY
from tests.builders import add_offer, add_organization
from worker.upkeep import Loads


async def test_loads_are_counted_once_a_minute_where_nobody_carries_more_than_others(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx))
    now = 1000.0
    loads = Loads(engine, clock=lambda: now)
    counted = []
    for pause in (0.0, GOOD_FOR / 2, GOOD_FOR / 2, 1.0):
        now += pause
        counted.append(await loads.keep())
    assert counted == [True, False, True, False]


async def test_the_database_alone_would_not_know_that_they_were_counted(engine: AsyncEngine) -> None:
    """The control of the test above: without a memory, each look counts."""
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx))
        assert [await count_loads(tx, FIRST_POLICY) for _ in range(2)] == [True, True]
