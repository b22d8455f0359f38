"""What grows with what: the search for one need among ten times the offers, and the bytes that a row takes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.databases import plain_connection
from bench.open_loop import Latencies
from bench.sql_path import ask, seeker_of
from bench.thin import thin
from bench.world import World, add_past, build, needs_around
from db import candidates
from db.settings import Settings
from matching.vocabulary import Coverage

__all__ = ["MILLION", "SIZES", "Grown", "grow"]

SIZES: Final = (30_000, 300_000)
"""Offers, that are filled in within minutes."""
MILLION: Final = (100_000, 1_000_000)
"""Offers, of a continent."""
_NIGHTS: Final = (5, 7)
"""Slots of an offer: enough for every need that is asked for; few, because there are many offers."""
_NEEDS: Final = 300
_TURNS: Final = 6
_BYTES: Final = text("""
    select relname as name, pg_table_size(oid) / greatest(reltuples, 1)::float8 as row,
           pg_indexes_size(oid) / greatest(reltuples, 1)::float8 as indexes, reltuples::bigint as rows
      from pg_class where relname = any(cast(:tables as text[])) and relkind = 'r' order by relname
""")
_TABLES: Final = ("allocation", "event", "need", "offer", "site", "slot")


@dataclass(frozen=True, slots=True)
class Grown:
    """A network of so many offers: the search's times, and for each table its rows, bytes a row, and of its indexes."""

    offers: int
    searched: Latencies
    tables: Mapping[str, tuple[int, float, float]]


async def grow(
    own_database: Callable[[], AbstractAsyncContextManager[Settings]], sizes: Sequence[int]
) -> Sequence[Grown]:
    """Each size in a database of its own.

    All are filled first and then asked in turn: what else the machine does is the same for all.
    """
    async with AsyncExitStack() as kept:
        networks = [await _network(await kept.enter_async_context(own_database()), offers) for offers in sizes]
        taken: list[list[float]] = [[] for _ in networks]
        statement = text(candidates.STATEMENTS[Coverage.EVERY].text)
        for turn in range(_TURNS):
            for (session, world), times in zip(networks, taken, strict=True):
                found = await ask(session, statement, map(seeker_of, needs_around(world, _NEEDS, 99)))
                # The first turn brings the data into memory.
                times.extend(found if turn else ())
        return [
            Grown(offers, Latencies(times, 0, sum(times) / 1000), await _bytes(session))
            for offers, (session, _), times in zip(sizes, networks, taken, strict=True)
        ]


async def _network(settings: Settings, offers: int) -> tuple[AsyncConnection, World]:
    connection = await plain_connection(settings)
    world = await build(connection, offers=offers, nights=_NIGHTS)
    await add_past(connection, world, 20_000)
    await connection.execute("set jit = off")
    return thin(connection), world


async def _bytes(session: AsyncConnection) -> Mapping[str, tuple[int, float, float]]:
    rows = (await session.execute(_BYTES, {"tables": list(_TABLES)})).all()
    return {row.name: (row.rows, row.row, row.indexes) for row in rows}
