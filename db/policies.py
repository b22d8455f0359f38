"""Published policies: the newest version is in force, and none is ever edited."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from matching.policy import Policy
from matching.refusals import StaleVersion

__all__ = ["in_force", "policy_of", "publish"]

_NEWEST = text("select version, terms from policy order by version desc limit 1")
# The key decides between two who publish at once: the second one's number is taken.
_PUBLISH = text("""
    insert into policy (version, terms)
    select :version, cast(:terms as jsonb) where (select max(version) from policy) = :version - 1
    on conflict (version) do nothing
    returning version
""")


async def in_force(tx: AsyncConnection) -> Policy:
    """The policy that decisions are taken under now."""
    row = (await tx.execute(_NEWEST)).one()
    return policy_of(row.version, row.terms)


def policy_of(version: int, terms: Mapping[str, Any]) -> Policy:
    """A stored policy."""
    return Policy(version=version, **terms)


async def publish(tx: AsyncConnection, policy: Policy) -> None:
    """Put the next version in force, for every decision from the commit on.

    Raises `StaleVersion` when it does not follow the one in force: somebody else published meanwhile.
    """
    terms = {name: value for name, value in asdict(policy).items() if name != "version"}
    row = (await tx.execute(_PUBLISH, {"version": policy.version, "terms": json.dumps(terms)})).one_or_none()
    if row is None:
        raise StaleVersion((await in_force(tx)).version)
    await events.record(tx, "policy.changed", UUID(int=policy.version), [], version=policy.version)
