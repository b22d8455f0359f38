"""Published policies: the newest version is in force."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.policy import Policy

__all__ = ["in_force", "policy_of"]

_NEWEST = text("select version, terms from policy order by version desc limit 1")


async def in_force(tx: AsyncConnection) -> Policy:
    """The policy that decisions are taken under now."""
    row = (await tx.execute(_NEWEST)).one()
    return policy_of(row.version, row.terms)


def policy_of(version: int, terms: Mapping[str, Any]) -> Policy:
    """A stored policy."""
    return Policy(version=version, **terms)
