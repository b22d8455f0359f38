"""`relais migrate` and `relais migrations check`: the schema of the database, brought up to date and compared."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import typer
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import tombstones
from db.connection import connect, transaction
from db.migrations import Phase, Step, differences, upgrade
from db.settings import Settings
from relais.asking import told, with_any_engine
from relais.embedded import running_stack
from relais.running import ROOT

__all__ = ["migrate", "migration_commands"]

migration_commands = typer.Typer(no_args_is_help=True, help="The history of the schema.")
_UNREAD: Final = Path(os.devnull)


class _Server(BaseSettings):
    """The server to check on; one is started when not set."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore")

    database_url: str | None = None
    redis_url: str | None = None


def migrate(
    phase: Annotated[
        Phase,
        typer.Option(help="`pre`: what may run beside the old code, before the new starts; `post`: all that is left."),
    ] = Phase.POST,
) -> None:
    """Bring the database up to date; what a restored backup brought back of what was purged goes again.

    May run while Relais serves: no step makes anybody wait longer than two seconds for a lock; it gives up, lets them
    pass and tries again.
    """

    async def bring(engine: AsyncEngine, settings: Settings) -> list[Step]:
        left = await upgrade(engine, phase)
        async with transaction(engine) as tx:
            await tombstones.reapply(tx, settings.keys().of("tombstone"))
        return left

    left = with_any_engine(bring)
    if not left:
        typer.echo("The database is up to date.")
        return
    typer.echo(
        f"The database is ready for the new code beside the old. {left[0].name} waits until the old code is gone: then "
        "run `relais migrate --phase post`."
    )


@migration_commands.callback()
def migrations() -> None:
    """The history of the schema."""


@migration_commands.command("check")
def check() -> None:
    """Migrate an empty database and compare it with the models; fails where they differ.

    The database is made for this and dropped again, on the server of RELAIS_DATABASE_URL or on one started for it.
    """
    server = _Server()
    with (
        told(),
        running_stack(
            ROOT / "check",
            tell=lambda line: typer.echo(line, err=True),
            database_url=server.database_url,
            # The check has no use for Redis: an address that nobody opens keeps one from being started.
            redis_url=server.redis_url or "redis://127.0.0.1:1/0",
        ) as stack,
    ):
        found = asyncio.run(_differences(stack.database_url))
    for difference in found:
        typer.echo(difference)
    if found:
        typer.echo("The migrations and the models disagree: add a migration for what is listed.", err=True)
        raise typer.Exit(1)
    typer.echo("The migrations and the models agree.")


async def _differences(server_url: str) -> list[str]:
    async with _empty_database(server_url) as url:
        engine = _engine(url)
        try:
            await upgrade(engine)
            return await differences(engine)
        finally:
            await engine.dispose()


@asynccontextmanager
async def _empty_database(server_url: str) -> AsyncIterator[str]:
    name = f"relais_check_{uuid4().hex[:12]}"
    await _outside_transactions(server_url, f"create database {name}")
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await _outside_transactions(server_url, f"drop database {name} with (force)")


async def _outside_transactions(url: str, statement: str) -> None:
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(text(statement))
    finally:
        await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    return connect(Settings(database_url=url, secret_file=_UNREAD, address_key_file=_UNREAD), "check")
