"""The statements of `db` over the bare driver: what they cost without SQLAlchemy's engine around them.

It looks enough like a connection for `db.candidates` and `db.holds`; every statement is a transaction of its own.
"""

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["thin"]

_DIALECT = dialect()  # type: ignore[no-untyped-call]


def thin(connection: asyncpg.Connection) -> AsyncConnection:
    """The connection, in the shape that `db` expects."""
    return cast("AsyncConnection", _Thin(connection))


@dataclass(frozen=True)
class _Rows:
    rows: Sequence[tuple[object, ...]]

    def all(self) -> Sequence[tuple[object, ...]]:
        return self.rows

    def one_or_none(self) -> tuple[object, ...] | None:
        return self.rows[0] if self.rows else None

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        return iter(self.rows)


@dataclass(frozen=True)
class _Prepared:
    statement: asyncpg.prepared_stmt.PreparedStatement
    names: Sequence[str]
    row: type[tuple[object, ...]]


class _Thin:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._prepared: dict[TextClause, _Prepared] = {}

    async def execute(self, statement: TextClause, values: Mapping[str, object]) -> _Rows:
        prepared = self._prepared.get(statement) or await self._prepare(statement)
        records = await prepared.statement.fetch(*[values[name] for name in prepared.names])
        return _Rows([prepared.row(*record) for record in records])

    async def _prepare(self, statement: TextClause) -> _Prepared:
        compiled = statement.compile(dialect=_DIALECT)
        made = await self._connection.prepare(str(compiled))
        names = [attribute.name for attribute in made.get_attributes()]
        self._prepared[statement] = _Prepared(made, compiled.positiontup or (), namedtuple("Found", names))  # noqa: PYI024
        return self._prepared[statement]
