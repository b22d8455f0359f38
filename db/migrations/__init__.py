"""The history of the schema, and the two acts that depend on it: bring a database up to date, compare it."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from geoalchemy2 import alembic_helpers
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from db import tenancy
from db.tables import Row

__all__ = ["differences", "upgrade"]


async def upgrade(engine: AsyncEngine) -> None:
    """Bring schema, roles and row security up to date; nothing happens where they are already."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


async def differences(engine: AsyncEngine) -> list[str]:
    """What the migrated database and the models disagree about, in words; empty when they agree."""
    async with engine.begin() as connection:
        return await connection.run_sync(_differences)


def _upgrade(connection: Connection) -> None:
    config = Config(str(Path(__file__).with_name("alembic.ini")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    tenancy.apply(connection)


def _differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(
        connection, opts={"include_object": alembic_helpers.include_object, "compare_server_default": True}
    )
    return [str(difference) for difference in compare_metadata(context, Row.metadata)]
