"""Connections and transactions: one engine a process, one transaction an act.

A transaction that is cancelled, because a client hung up or the process stops, is rolled back and its
connection given back before the cancellation goes on: nothing stays open.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.roles import Role
from db.settings import Settings

__all__ = ["connect", "listening_address", "looking", "snapshot", "transaction"]

_UNHEARD_SECONDS = 2
"""After the time in which the server ends a statement by itself: who has not heard of it then will hear nothing."""


def connect(settings: Settings, name: str, role: Role | None = None) -> AsyncEngine:
    """The process's engine, every connection in a role; without one, as the operator.

    `name` is what the database's list of sessions shows.

    Errors never carry the values of a statement, and a session that forgets its transaction is ended by the server.
    Connections are not tried before use, which would be a round trip an act: the first to find the server gone
    empties the whole pool. One that says nothing, though its end is open, is given up and raises `TimeoutError`.
    """
    engine = create_async_engine(
        settings.database_address,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.statement_seconds,
        hide_parameters=True,
        execution_options={"role": role},
        connect_args={
            "timeout": 10,
            "command_timeout": settings.statement_seconds + _UNHEARD_SECONDS,
            "server_settings": {
                "application_name": f"relais-{name}",
                **({"role": role.value} if role else {}),
                "statement_timeout": str(settings.statement_seconds * 1000),
                "idle_in_transaction_session_timeout": str(settings.statement_seconds * 2000),
                "jit": "off",
            },
        },
    )
    event.listen(engine.sync_engine, "handle_error", _give_up_unheard)
    return engine


def listening_address(settings: Settings) -> str:
    """The address for a plain asyncpg connection, as LISTEN needs one of its own."""
    return settings.database_address.replace("postgresql+asyncpg://", "postgresql://", 1)


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
    """A connection to read with, each statement by itself: no round trips to open and close a transaction."""
    async with _lent(engine) as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def _lent(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    connection = await engine.connect()
    try:
        yield connection
    finally:
        await asyncio.shield(connection.close())


def _give_up_unheard(context: ExceptionContext) -> None:
    """Let go of a connection on which nothing was heard in time: to roll back on it would wait as long again."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True
