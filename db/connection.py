"""Connections and transactions: one engine a process, one transaction an act.

A transaction that is cancelled, because a client hung up or the process stops, is rolled back and its
connection given back before the cancellation goes on: nothing stays open.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from db.lines import CONNECT_SECONDS, SERVER_SIDE, KeptLine
from db.opening import POOLED, see_to_the_role
from db.reaching import reach, reach_follower
from db.roles import Role
from db.settings import Settings

__all__ = [
    "PoolUse",
    "connect",
    "connect_to_a_follower",
    "listening_address",
    "looking",
    "pool_use",
    "snapshot",
    "transaction",
]

_waiting: WeakKeyDictionary[AsyncEngine, int] = WeakKeyDictionary()

_UNHEARD_SECONDS = 2
"""After the time in which the server ends a statement by itself: who has not heard of it then will hear nothing."""

_FRESH_SECONDS = 1800
"""After how long a connection is opened anew before it is lent: whoever ends idle ones later meets none in use."""
_READ_ONLY = "25006"
"""SQLSTATE of a write where only reading is allowed."""


def connect(settings: Settings, name: str, role: Role | None = None) -> AsyncEngine:
    """The process's engine, every connection in a role; without one, as the operator.

    `name` is what the database's list of sessions shows.

    Errors never carry the values of a statement, and a session that forgets its transaction is ended by the server.
    Connections are not tried before use, which would be a round trip an act: the first to find the server gone
    empties the whole pool. One that says nothing, though its end is open, is given up and raises `TimeoutError`.
    The one that was given back last is lent first: it has planned what is asked again and again, and each connection
    plans for itself, the first times anew each time.
    Raises `RoleNotTakenError` at the first use of one that is not in the role.
    """
    pooled = settings.listen_url is not None
    engine = create_async_engine(
        settings.database_address,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_use_lifo=True,
        pool_recycle=_FRESH_SECONDS,
        pool_timeout=settings.pool_seconds,
        hide_parameters=True,
        execution_options={"role": role, "pooled": pooled},
        connect_args={
            "async_creator_fn": reach,
            "timeout": CONNECT_SECONDS,
            # An operator waits for as long as it takes: a large index is built in one statement.
            **({"command_timeout": settings.statement_seconds + _UNHEARD_SECONDS} if role else {}),
            "connection_class": KeptLine,
            "server_settings": {
                "application_name": f"relais-{name}",
                **({} if pooled else _session(settings, role)),
            },
            **(POOLED if pooled else {}),
        },
    )
    see_to_the_role(engine, role)
    event.listen(engine.sync_engine, "handle_error", _give_up)
    if role is Role.APP and not pooled:
        _bound_transactions(engine, settings.statement_seconds * 3)
    return engine


def connect_to_a_follower(settings: Settings, address: str, name: str, role: Role, patience: float) -> AsyncEngine:
    """An engine on servers that follow, past any pooler, for what a server that leads can answer as well.

    So nothing on it is waited for longer than `patience` seconds: a connection, a free one, a statement.
    """
    engine = create_async_engine(
        address,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_use_lifo=True,
        pool_recycle=_FRESH_SECONDS,
        pool_timeout=patience,
        hide_parameters=True,
        execution_options={"role": role, "pooled": False},
        connect_args={
            "async_creator_fn": reach_follower,
            "timeout": patience,
            "command_timeout": patience,
            "connection_class": KeptLine,
            "server_settings": {"application_name": f"relais-{name}", **_session(settings, role)},
        },
    )
    see_to_the_role(engine, role)
    event.listen(engine.sync_engine, "handle_error", _give_up)
    return engine


def _session(settings: Settings, role: Role | None) -> dict[str, str]:
    return {
        **({"role": role.value} if role else {}),
        "statement_timeout": str(settings.statement_seconds * 1000),
        "lock_timeout": str(settings.lock_seconds * 1000),
        "idle_in_transaction_session_timeout": str(settings.statement_seconds * 2000),
        **SERVER_SIDE,
        "jit": "off",
    }


def listening_address(settings: Settings) -> str:
    """The address for a plain asyncpg connection, as LISTEN needs one of its own: `db.reaching.open_plain` opens it."""
    return settings.listen_address.replace("postgresql+asyncpg://", "postgresql://", 1)


def _bound_transactions(engine: AsyncEngine, seconds: int) -> None:
    """End a request's transaction after so many seconds, on servers that can (PostgreSQL 17 and later)."""

    @event.listens_for(engine.sync_engine, "connect")
    def bound(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        # A setting that a server does not know would end the connection if it were asked for at its start.
        cursor.execute(
            f"select set_config(name, '{seconds * 1000}', false) from pg_settings where name = 'transaction_timeout'"
        )
        cursor.close()
        connection.commit()


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed when the block ends well, rolled back on any exception."""
    async with _lent(engine) as connection, connection.begin():
        yield connection


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction to read in, of one moment: a need and its allocations always belong together."""
    async with _lent(engine) as connection:
        # On the connection, which costs nothing: an engine with options of its own is made anew each time.
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            yield connection


@asynccontextmanager
async def looking(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to read with, each statement by itself: no round trips to open and close a transaction.

    Through a pooler it is one transaction all the same: between two steps of a statement it could change servers.
    """
    if engine.sync_engine.get_execution_options().get("pooled"):
        async with transaction(engine) as connection:
            yield connection
        return
    async with _lent(engine) as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections of an engine: how many it may have, how many are at work, how many acts wait for one."""

    size: int
    in_use: int
    waiting: int


def pool_use(engine: AsyncEngine) -> PoolUse:
    """How an engine's connections are used now."""
    pool = engine.sync_engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 - which `connect` makes
    return PoolUse(pool.size(), pool.checkedout(), _waiting.get(engine, 0))


@asynccontextmanager
async def _lent(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    _waiting[engine] = _waiting.get(engine, 0) + 1
    try:
        connection = await engine.connect()
    finally:
        _waiting[engine] -= 1
    try:
        yield connection
    finally:
        await asyncio.shield(connection.close())


def _give_up(context: ExceptionContext) -> None:
    """Let go of a connection that is of no use any more, with the whole pool.

    Where nothing was heard in time: to roll back on it would wait as long again. Where its server takes no writes any
    more: another one does by now.
    """
    error = context.original_exception
    if isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True
