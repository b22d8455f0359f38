"""Reaching the server that takes writes, where the address names several: `…@/relais?host=a:5432&host=b:5432`.

Every connection of every process is opened here. All the servers are asked at once, so that a machine which answers
nothing holds nobody up. Of two that take writes, as after a failover that the old one has not noticed, the one of the
later timeline is meant: a server that was promoted began it. Of several that follow, the one that answers first.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from db.lines import CONNECT_SECONDS

__all__ = ["open_plain", "reach", "reach_follower"]

_PORT: Final = 5432
_PATIENCE: Final = 5.0
"""Seconds in which one of several servers must answer."""
_GRACE: Final = 0.5
"""Seconds that the others have to show that they are of a later timeline, once one takes writes."""
_TIMELINE: Final = """
    select case when current_setting('transaction_read_only') = 'off'
                then ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end
"""
"""The server's timeline; nothing where it takes no writes."""
_FOLLOWS: Final = "select case when pg_is_in_recovery() then 1 end"
_AWAY: Final = (OSError, TimeoutError, asyncpg.CannotConnectNowError)

_Found = tuple[int, asyncpg.Connection]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which of several servers: `question` gives a number where it is one, the higher the better."""

    question: str
    grace: float
    words: str


_LEADER: Final = _Wanted(_TIMELINE, _GRACE, "takes writes")
_FOLLOWER: Final = _Wanted(_FOLLOWS, 0.0, "follows another")
_latest: dict[tuple[str, ...], int] = {}
"""The latest timeline that this process has met, by servers: an earlier one is over."""


async def reach(
    host: str | list[str] | None = None, port: int | list[int] | None = None, **options: Any
) -> asyncpg.Connection:
    """A connection to the server that takes writes; `options` as for `asyncpg.connect`.

    Raises `ConnectionError` while none takes writes: it passes when one is there again, or is promoted; and in its own
    words what a server says that refuses who comes.
    """
    if host is None or port is None or isinstance(host, str) or isinstance(port, int):
        return await asyncpg.connect(host=host, port=port, **options)
    servers = tuple(zip(host, port, strict=True))
    timeline, connection = await _meet(_LEADER, servers, {**options, "timeout": _PATIENCE})
    names = tuple(f"{name}:{number}" for name, number in servers)
    if timeline < _latest.get(names, 0):
        connection.terminate()
        raise ConnectionError("the only server that takes writes is of a timeline that is over")
    _latest[names] = timeline
    return connection


async def reach_follower(
    host: str | list[str] | None = None, port: int | list[int] | None = None, **options: Any
) -> asyncpg.Connection:
    """A connection to a server that follows another, never to one that leads; `options` as for `asyncpg.connect`.

    Raises as `reach` does.
    """
    hosts, ports = host if isinstance(host, list) else [host], port if isinstance(port, list) else [port]
    servers = [(str(name), int(number or _PORT)) for name, number in zip(hosts, ports, strict=True)]
    _, connection = await _meet(_FOLLOWER, servers, options)
    return connection


async def open_plain(address: str, **more: Any) -> asyncpg.Connection:
    """A connection outside of the pool, as LISTEN needs one, to the server that takes writes; `more` as for `reach`."""
    _, options = PGDialect_asyncpg().create_connect_args(make_url(address))  # type: ignore[no-untyped-call]
    return await reach(**{"timeout": CONNECT_SECONDS, **options, **more})


async def _meet(wanted: _Wanted, servers: Sequence[tuple[str, int]], options: dict[str, Any]) -> _Found:
    """Ask all of them; of those that are wanted, the best."""
    asked = [asyncio.create_task(_ask(wanted, *server, options)) for server in servers]
    chosen: asyncio.Task[_Found] | None = None
    try:
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        while not any(map(_well, asked)) and not all(each.done() for each in asked):
            await asyncio.wait([each for each in asked if not each.done()], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(asked, timeout=wanted.grace)
        chosen = max(filter(_well, asked), key=lambda each: each.result()[0], default=None)
    finally:
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        for each in asked:
            if each is not chosen and _well(each):
                each.result()[1].terminate()
    if chosen is None:
        _refuse(asked, wanted)
    return chosen.result()


def _well(asked: "asyncio.Task[_Found]") -> bool:
    return asked.done() and not asked.cancelled() and asked.exception() is None


def _refuse(asked: "Sequence[asyncio.Task[_Found]]", wanted: _Wanted) -> NoReturn:
    """Say why there is no connection: a server that refuses who comes says more than one that is away."""
    for each in asked:
        error = None if each.cancelled() else each.exception()
        if error is not None and not isinstance(error, _AWAY):
            raise error
    raise ConnectionError(f"no server of the address {wanted.words}")


async def _ask(wanted: _Wanted, host: str, port: int, options: dict[str, Any]) -> _Found:
    connection = await asyncpg.connect(host=host, port=port, **options)
    try:
        async with connection.transaction():
            found = await connection.fetchval(wanted.question, timeout=_PATIENCE)
    except BaseException:
        connection.terminate()
        raise
    if found is None:
        connection.terminate()
        raise ConnectionError("the server is not what is wanted")
    return int(found), connection
