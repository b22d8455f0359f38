"""Retention: everything past its term is deleted, a batch at a time, until there is nothing more."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit
from db.connection import looking, transaction
from db.purging import PURGES
from db.terms import Terms

__all__ = ["purge"]

_AT_ONCE = 500


async def purge(engine: AsyncEngine, terms: Terms) -> int:
    """Delete what is past its term. How many things; dying in between loses nothing and counts nothing twice."""
    tombstone_key, audit_key = terms.keys().of("tombstone"), terms.keys().of("audit")
    gone = 0
    for each in PURGES:
        done = _AT_ONCE
        while done == _AT_ONCE:
            async with transaction(engine) as tx:
                done = await each.act(tx, terms, tombstone_key, _AT_ONCE)
            gone += done
    return gone + await _prune_audit(engine, terms.keep_audit_days * 24, audit_key)


async def _prune_audit(engine: AsyncEngine, hours: int, key: bytes) -> int:
    async with looking(engine) as connection:
        organizations = await audit.organizations_with_old_entries(connection, hours)
    gone = 0
    for organization_id in organizations:
        done = _AT_ONCE
        while done == _AT_ONCE:
            async with transaction(engine) as tx:
                done = await audit.prune(tx, organization_id, hours, key, _AT_ONCE)
            gone += done
    return gone
