"""A house that was there before the roles were: its schema goes on with everything that is in it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

import db.migrations
from db.migrations import upgrade
from db.roles import Role
from db.settings import Settings
from tests.acting import in_role
from tests.db.acts import rows
from tests.evening import evening

BEFORE_ROLES = "0012"
OFFERS = "select id, town_id, is_public, cell from offer order by id"
POLICIES = "select tablename, policyname, qual, with_check from pg_policies order by 1, 2"
FUNCTIONS = "select proname from pg_proc where proname in ('issuers', 'admissions')"


def _go_back(connection: Connection) -> None:
    config = Config(str(Path(db.migrations.__file__).with_name("alembic.ini")))
    config.attributes["connection"] = connection
    command.downgrade(config, BEFORE_ROLES)


async def test_what_was_there_before_the_roles_has_them_after(engine: AsyncEngine, settings: Settings) -> None:
    found = await evening(engine, settings)
    offers, policies = await rows(engine, OFFERS), await rows(engine, POLICIES)
    assert offers
    assert policies
    assert len(await rows(engine, FUNCTIONS)) == 2, "the control"
    async with engine.begin() as connection:
        await connection.run_sync(_go_back)
    columns = "select column_name from information_schema.columns where table_name = 'offer'"
    assert "town_id" not in {row.column_name for row in await rows(engine, columns)}
    # They run with their owner's rights: none outlives its tables.
    assert await rows(engine, FUNCTIONS) == []
    await rows(engine, "drop owned by relais_app, relais_matcher, relais_reveal")
    await upgrade(engine)
    assert await rows(engine, OFFERS) == offers
    assert await rows(engine, POLICIES) == policies
    seen = await rows(in_role(engine, Role.APP, found.town_hall), OFFERS)
    assert seen == offers
