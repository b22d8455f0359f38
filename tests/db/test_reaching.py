"""An address that names several servers leads to the one that takes writes, whatever the others do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from db.connection import connect, listening_address, transaction
from db.reaching import open_plain
from db.settings import Settings
from relais.embedded.ports import LOOPBACK, free_port


def _of_several(settings: Settings, *ports: int | None) -> Settings:
    parts = urlsplit(settings.database_url)
    hosts = "&".join(f"host={LOOPBACK}:{port}" for port in ports)
    address = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@", query=hosts))
    return settings.model_copy(update={"database_url": address})


@asynccontextmanager
async def _silent() -> AsyncIterator[int]:
    """A port where everybody is let in and nothing is said, as on a machine that hangs."""
    leaving = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leaving.wait()
        writer.transport.abort()

    server = await asyncio.start_server(say_nothing, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        leaving.set()
        server.close()


async def test_neither_a_dead_server_nor_a_silent_one_is_in_the_way(settings: Settings) -> None:
    async with _silent() as silent:
        several = _of_several(settings, free_port(), silent, urlsplit(settings.database_url).port)
        connection = await open_plain(listening_address(several))
        assert await connection.fetchval("select 1") == 1
        await connection.close()
        engine = connect(several, "test")
        async with transaction(engine) as tx:
            assert (await tx.execute(text("select 1"))).scalar_one() == 1
        await engine.dispose()


async def test_while_none_takes_writes_it_is_a_connection_that_fails(settings: Settings) -> None:
    engine = connect(_of_several(settings, free_port(), free_port()), "test")
    with pytest.raises(ConnectionError):
        async with transaction(engine):
            pass
    await engine.dispose()


async def test_a_server_that_refuses_who_comes_says_so_itself(settings: Settings) -> None:
    port = urlsplit(settings.database_url).port
    wrong = _of_several(settings, free_port(), port).database_url.replace("relais:", "relais:x", 1)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await open_plain(wrong)


async def test_a_server_that_takes_no_writes_any_more_is_left(settings: Settings) -> None:
    """The pool of a leader that was made a follower without dying."""
    engine = connect(settings.model_copy(update={"pool_size": 1}), "test")

    async def session() -> int:
        async with transaction(engine) as tx:
            return int((await tx.execute(text("select pg_backend_pid()"))).scalar_one())

    async def write() -> None:
        async with transaction(engine) as tx:
            await tx.execute(text("set transaction read only"))
            await tx.execute(text("create table never ()"))

    before = await session()
    assert await session() == before
    with pytest.raises(DBAPIError, match="read-only transaction"):
        await write()
    assert await session() != before
    await engine.dispose()


def test_the_password_comes_by_file_for_several_too(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "password").write_text("p/w\n")
    address = Settings(
        database_url="postgresql+asyncpg://relais@/relais?host=a:5432&host=b:5433",
        database_password_file=tmp_path / "password",
        secret_file=settings.secret_file,
        address_key_file=settings.address_key_file,
    ).database_address
    url = make_url(address)
    assert (url.username, url.password, url.query["host"]) == ("relais", "p/w", ("a:5432", "b:5433"))
