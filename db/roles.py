"""Who acts in a transaction: a role of the database, and the organization whose rows it sees.

Which rows and columns that are is declared in `db.tenancy`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Role", "act_for", "acting_as", "hides_rows"]


class Role(StrEnum):
    """The database roles. None can log in: the user of the database address takes one for each connection."""

    OWNER = "relais_owner"
    """Owns the tables; the operator is a member."""
    APP = "relais_app"
    """Requests: sees the rows of the acting organization, owns nothing."""
    MATCHER = "relais_matcher"
    """Matching, and every step that crosses from one organization to another; never an exact place or a key."""
    REVEAL = "relais_reveal"
    """Exact places of the acting organization's sites, and of confirmed places of its people."""


_ACT_FOR = text("select set_config('relais.organization', :organization, true)")
_HIDES_ROWS = text("""
    select exists (
        select from pg_class c
         where c.relnamespace = cast('public' as regnamespace) and c.relkind = 'r' and row_security_active(c.oid)
           and not exists (
               select from pg_policy p
                where p.polrelid = c.oid and p.polcmd = '*' and pg_get_expr(p.polqual, p.polrelid) = 'true'
                  and exists (select from unnest(p.polroles) r where pg_has_role(r, 'usage'))))
""")
_SET_ROLE = {role: text(f"set local role {role}") for role in Role}


@asynccontextmanager
async def acting_as(tx: AsyncConnection, role: Role) -> AsyncIterator[None]:
    """A step of a transaction that another role takes.

    A request that has found its object among the rows of its organization goes on so where the act reaches others: it
    frees a place in somebody's house, or reads an exact place. Connections of the operator and of the matching take
    such steps in the role that they have.
    """
    own = tx.sync_connection.get_execution_options().get("role") if tx.sync_connection else None
    outer = _acting(tx)
    if own is not Role.APP or outer is role:
        yield
        return
    await _act(tx, role)
    try:
        yield
    except Exception:
        # Where the transaction is lost, or the part of it since a savepoint, so is the role. Who catches a refusal, or
        # the error of a value that was never sent, goes on. On a connection that was lost nothing can even be noted,
        # and what is to be told is that it was lost.
        with suppress(SQLAlchemyError):
            tx.info["acting"] = (tx.get_transaction(), outer)
            await _act(tx, outer)
        raise
    await _act(tx, outer)


async def act_for(tx: AsyncConnection, organization_id: UUID) -> None:
    """Until the transaction ends, see what this organization sees: for a step that its live key has asked for."""
    await tx.execute(_ACT_FOR, {"organization": str(organization_id)})


async def hides_rows(tx: AsyncConnection) -> bool:
    """Whether there is a table of which this user does not see every row, without being told so."""
    return bool((await tx.execute(_HIDES_ROWS)).scalar_one())


def _acting(tx: AsyncConnection) -> Role:
    """The role of this moment: that of the connection, until a step of this very transaction took another."""
    turn, role = tx.info.get("acting", (None, Role.APP))
    return Role(role) if turn is tx.get_transaction() else Role.APP


async def _act(tx: AsyncConnection, role: Role) -> None:
    await tx.execute(_SET_ROLE[role])
    tx.info["acting"] = (tx.get_transaction(), role)
