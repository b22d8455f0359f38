"""A `pre` migration adds columns while connections are open: what was asked on them before is answered again.

PostgreSQL refuses a prepared statement whose answer would have other columns than it promised, so no statement may ask
for whatever columns there are.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import allocations, needs, offers, pledges, policies, seekers, shifts, sites
from db.connection import connect, transaction
from db.settings import Settings
from db.tables import Row
from tests.db.acts import rows
from tests.evening import Evening, evening
from tests.places import BAYONNE, GAP, HENDAYE

Question = Callable[[AsyncConnection], Awaitable[object]]
_FAR = timedelta(days=30)


def questions(found: Evening) -> list[Question]:
    """What requests and the worker ask of the tables, besides what an evening does."""
    whom, now = found.town_hall, datetime.now(UTC)

    async def living(tx: AsyncConnection) -> object:
        return await seekers.living(tx, await policies.in_force(tx), now + _FAR, 10)

    async def pool(tx: AsyncConnection) -> object:
        return await seekers.pool(tx, await policies.in_force(tx), 10)

    return [
        lambda tx: offers.page(tx, whom, frozenset(), offers.Filter(), None, 10),
        lambda tx: offers.page(tx, whom, frozenset({GAP.id}), offers.Filter(), None, 10),
        lambda tx: sites.page(tx, whom, None, 10),
        lambda tx: pledges.page(tx, found.refuge, None, 10),
        lambda tx: shifts.page(tx, found.refuge, None, None, 10),
        lambda tx: allocations.page(tx, whom, None, None, 10),
        lambda tx: needs.page(tx, found.poster, None, None, 10),
        lambda tx: needs.read(tx, found.family, found.poster),
        lambda tx: seekers.posted(tx, now - _FAR, 10),
        living,
        pool,
    ]


def _asked(statement: str) -> Question:
    async def ask(tx: AsyncConnection) -> object:
        return (await tx.execute(text(statement))).all()

    return ask


async def refused(engine: AsyncEngine, asked: list[Question]) -> list[int]:
    """The questions, by their number, that are not answered."""
    found = []
    for number, question in enumerate(asked):
        try:
            async with transaction(engine) as tx:
                await question(tx)
        except DBAPIError as error:
            if "cached statement plan is invalid" not in str(error):
                raise
            found.append(number)
    return found


async def test_what_is_running_goes_on_when_columns_are_added(settings: Settings, engine: AsyncEngine) -> None:
    found = await evening(engine, settings)
    one = connect(settings.model_copy(update={"pool_size": 1}), "test")
    asked = questions(found)
    careless = _asked("select * from category")
    assert await refused(one, [*asked, careless]) == []
    for table in Row.metadata.tables:
        await rows(one, f"alter table {table} add column added_later int")
    assert await refused(one, [*asked, careless]) == [len(asked)], "the careless one alone, as the control"
    # The connections of the first evening, with what they have prepared.
    await evening(engine, settings, BAYONNE, GAP, HENDAYE)
    await one.dispose()
