"""Everything that a running house keeps, as bytes, by where it is kept: to look for what must not be in it.

The whole database (catalogs and statistics too), PostgreSQL's files and its log of changes, Redis and its files, logs.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from db.connection import listening_address
from db.settings import Settings

__all__ = [
    "Kept",
    "changes_of",
    "logs_of",
    "redis_of",
    "server_files_of",
    "statements_of",
    "tables_of",
    "tell_all",
    "without_heads",
]

Kept = AsyncIterator[tuple[str, bytes]]
"""Where, and what."""
_WAL_PAGE = 8192
_WAL_HEAD, _WAL_FIRST_HEAD = 24, 40
_RELATIONS = """
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_toast') order by 1
"""
_WATCHED = ("pg_stat_activity", "pg_stats", "pg_settings", "pg_prepared_xacts", "pg_locks", "pg_stat_all_tables")


async def tell_all(redis_url: str) -> None:
    """Let Redis write down every command, and nothing compressed: before anything is planted."""
    async with Redis.from_url(redis_url) as redis:
        for name, value in {
            "aof-use-rdb-preamble": "no",
            "appendonly": "yes",
            "rdbcompression": "no",
            "slowlog-max-len": "100000",
            "slowlog-log-slower-than": "0",
        }.items():
            await redis.config_set(name, value)


async def tables_of(settings: Settings) -> Kept:
    """Every row of every table, by its own text: large values are unpacked there, statistics are up to date."""
    connection = await asyncpg.connect(listening_address(settings))
    try:
        await connection.execute("analyze")
        for (name,) in await connection.fetch(_RELATIONS):
            yield f"table {name}", await _rows(connection, name)
    finally:
        await connection.close()


async def statements_of(settings: Settings) -> Kept:
    """What the server shows of itself: sessions with their last statements, statistics, settings, locks."""
    connection = await asyncpg.connect(listening_address(settings))
    try:
        for name in _WATCHED:
            yield f"view {name}", await _rows(connection, name)
    finally:
        await connection.close()


async def server_files_of(settings: Settings) -> Kept:
    """Every file of PostgreSQL's data folder, after what is in memory was written to it."""
    for each in _files_in(await _settled(settings), ""):
        yield each


async def changes_of(settings: Settings) -> Kept:
    """The log of changes (WAL) without the heads of its pages, which cut through what stands across two of them."""
    folder = await _settled(settings)
    for name, written in _files_in(folder / "pg_wal", "wal "):
        yield name, without_heads(written)


async def redis_of(redis_url: str) -> Kept:
    """Every key and value, every command of which it knows, and both kinds of its files."""
    async with Redis.from_url(redis_url) as redis:
        async for key in redis.scan_iter(count=1000):
            yield "redis key", bytes(key) + b"\n" + (await redis.dump(key) or b"")
        yield "redis slowlog", b"\n".join(each["command"] for each in await redis.slowlog_get(100_000))
        await redis.save()
        folder = Path((await redis.config_get("dir"))["dir"])
    for each in _files_in(folder, "redis file "):
        yield each


def logs_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What the API, the worker, PostgreSQL and Redis have written on their standard output and error."""
    for file in sorted(folder.iterdir()):
        yield file.name, file.read_bytes()


def without_heads(written: bytes) -> bytes:
    """The content of pages of the log of changes, in one piece."""
    pages = range(0, len(written), _WAL_PAGE)
    return b"".join(written[at + (_WAL_HEAD if at else _WAL_FIRST_HEAD) : at + _WAL_PAGE] for at in pages)


def _files_in(folder: Path, kind: str) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # the server takes away what it needs no more
            if file.is_file():
                yield f"{kind}{file.relative_to(folder)}", file.read_bytes()


async def _rows(connection: asyncpg.Connection, name: str) -> bytes:
    output = BytesIO()
    await connection.copy_from_query(f"select * from {name}", output=output)
    return output.getvalue()


async def _settled(settings: Settings) -> Path:
    connection = await asyncpg.connect(listening_address(settings))
    try:
        await connection.execute("checkpoint")
        return Path(await connection.fetchval("show data_directory"))
    finally:
        await connection.close()
