"""A database of the benchmark's own on whatever server there is, and settings that point to it."""

import base64
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from db.connection import connect, listening_address
from db.migrations import upgrade
from db.settings import Settings
from relais.embedded import running_stack

__all__ = ["Servers", "own_database", "plain_connection", "servers"]

_ROOT = Path(__file__).parents[1] / ".relais" / "bench"


@dataclass(frozen=True)
class Servers:
    """The servers to measure, and a folder for secrets and logs that lasts as long as they do."""

    database_url: str
    redis_url: str
    folder: Path


@contextmanager
def servers() -> Iterator[Servers]:
    """Those of `RELAIS_DATABASE_URL` and `RELAIS_REDIS_URL` where they are set, else embedded ones."""
    given, bell = environ.get("RELAIS_DATABASE_URL"), environ.get("RELAIS_REDIS_URL")
    with (
        running_stack(_ROOT, tell=print, database_url=given, redis_url=bell) as stack,
        TemporaryDirectory(prefix="relais-bench-") as folder,
    ):
        (Path(folder) / "secret").write_bytes(secrets.token_bytes(32))
        (Path(folder) / "address-key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
        yield Servers(stack.database_url, stack.redis_url, Path(folder))


@asynccontextmanager
async def own_database(where: Servers) -> AsyncIterator[Settings]:
    """Settings for a new migrated database, which is dropped at the end."""
    name = f"relais_bench_{uuid4().hex[:12]}"
    settings = Settings(
        database_url=urlunsplit(urlsplit(where.database_url)._replace(path=f"/{name}")),
        redis_url=where.redis_url,
        secret_file=where.folder / "secret",
        address_key_file=where.folder / "address-key",
        pool_size=64,
    )
    await _on_server(where, f"create database {name}")
    try:
        engine = connect(settings, "bench")
        await upgrade(engine)
        await engine.dispose()
        yield settings
    finally:
        await _on_server(where, f"drop database {name} with (force)")


async def _on_server(where: Servers, statement: str) -> None:
    address = where.database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def plain_connection(settings: Settings) -> asyncpg.Connection:
    """A connection without SQLAlchemy."""
    return await asyncpg.connect(listening_address(settings))
