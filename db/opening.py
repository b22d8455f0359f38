"""How each connection of a pool begins: in the role it was asked for, or not at all.

Through a pooler of transactions a connection is nobody's between two of them. So nothing of a session is asked for, no
statement is prepared by name, and what a new connection asks the server stands in one transaction.
"""

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import asyncpg
import structlog
from asyncpg.transaction import Transaction
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from db.reaching import reach
from db.roles import Role

__all__ = ["POOLED", "RoleNotTakenError", "see_to_the_role"]

_log = structlog.get_logger()
_opening: WeakKeyDictionary[asyncpg.Connection, Transaction] = WeakKeyDictionary()


class RoleNotTakenError(ConnectionError):
    """The database, or a pooler before it, made a connection that is not in the role it must be in."""


async def _reach_in_a_transaction(**options: Any) -> asyncpg.Connection:
    connection = await reach(**options)
    # The driver asks for types in two steps, which a pooler may hand to two servers.
    _opening[connection] = opening = connection.transaction(isolation="read_committed")
    await opening.start()
    return connection


POOLED: Final[Mapping[str, Any]] = {
    "async_creator_fn": _reach_in_a_transaction,
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}
"""What the driver is told of a pooler of transactions."""


def see_to_the_role(engine: AsyncEngine, role: Role | None) -> None:
    """Look once at each new connection whether it is in this role; raises RoleNotTakenError where it is not.

    A pooler may swallow the role that was asked for at the start, and whoever logs in may see more than a request.
    """

    def look(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        await_only(_look(connection.driver_connection, role))

    event.listen(engine.sync_engine, "connect", look)


async def _look(connection: asyncpg.Connection, role: Role | None) -> None:
    is_in = await connection.fetchval("select current_user::text") if role else None
    if role and is_in != role:
        connection.terminate()
        _log.error("database.role_not_taken", asked=role.value)
        raise RoleNotTakenError(
            f"connections of the pool are not in role {role}, so nothing is done on them: does a pooler swallow it? "
            "What to do: `alter role LOGIN set role` for the user of each process, as docs/scale.md says"
        )
    if opening := _opening.pop(connection, None):
        await opening.commit()
