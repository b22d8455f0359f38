"""How Alembic reaches the database and what it compares: the models, without PostGIS' own tables."""

import asyncio

from alembic import context
from geoalchemy2 import alembic_helpers
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from db.tables import Row


def run(connection: Connection) -> None:
    """Migrate over one connection, all steps in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        include_object=alembic_helpers.include_object,
        process_revision_directives=alembic_helpers.writer,
        render_item=alembic_helpers.render_item,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_with(engine: AsyncEngine) -> None:
    """Open a connection and migrate."""
    async with engine.begin() as connection:
        await connection.run_sync(run)


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_with(context.config.attributes["engine"]))
