"""Published policies: the newest version is in force."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.policy import Policy

__all__ = ["in_force"]

_NEWEST = text("select version, terms from policy order by version desc limit 1")


async def in_force(tx: AsyncConnection) -> Policy:
    """The policy that decisions are taken under now."""
    row = (await tx.execute(_NEWEST)).one()
    return Policy(version=row.version, **row.terms)
