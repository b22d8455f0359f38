"""What grows with what: the search for one need among ten times the offers, and the bytes that a row takes."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from bench.databases import plain_connection
from bench.open_loop import Latencies
from bench.sql_path import search
from bench.world import add_past, build
from db.settings import Settings

__all__ = ["MILLION", "SIZES", "Grown", "grow"]

SIZES: Final = (30_000, 300_000)
"""Offers, that are filled in within minutes."""
MILLION: Final = (100_000, 1_000_000)
"""Offers, of a continent."""
_NIGHTS: Final = (5, 7)
"""Slots of an offer: enough for every need that is asked for; few, because there are many offers."""
_NEEDS: Final = 300
_BYTES: Final = """
    select relname as name, pg_table_size(oid) / greatest(reltuples, 1)::float8 as row,
           pg_indexes_size(oid) / greatest(reltuples, 1)::float8 as indexes, reltuples::bigint as rows
      from pg_class where relname = any($1::text[]) and relkind = 'r' order by relname
"""
_TABLES: Final = ("allocation", "event", "need", "offer", "site", "slot")


@dataclass(frozen=True, slots=True)
class Grown:
    """A network of so many offers: the search's times, and for each table its rows, bytes a row, and of its indexes."""

    offers: int
    searched: Latencies
    tables: Mapping[str, tuple[int, float, float]]


async def grow(
    own_database: Callable[[], AbstractAsyncContextManager[Settings]], sizes: Sequence[int]
) -> AsyncIterator[Grown]:
    """Each size in a database of its own, one after the other."""
    for offers in sizes:
        async with own_database() as settings:
            connection = await plain_connection(settings)
            world = await build(connection, offers=offers, nights=_NIGHTS)
            await add_past(connection, world, 20_000)
            rows = await connection.fetch(_BYTES, list(_TABLES))
            await connection.close()
            tables = {row["name"]: (row["rows"], row["row"], row["indexes"]) for row in rows}
            yield Grown(offers, await search(settings, world, _NEEDS), tables)
