"""What makes a restored database true again: its schema, what was purged since, what is past its term by now."""

from dataclasses import dataclass
from datetime import datetime

from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import feed, invariants, publication, tombstones
from db.connection import connect, transaction
from db.migrations import upgrade
from db.retention import purge
from db.roles import Role
from db.settings import Settings
from db.terms import Terms
from relais.backups.problem import BackupProblem

__all__ = ["Reckoning", "newest_tombstones", "reckon"]

_PATIENT_SECONDS = 300
_WHAT = text("""
    select (select count(*) from organization) as organizations, (select count(*) from need) as needs,
           (select count(*) from allocation) as allocations, (select max(at) from event) as last_event
""")


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What is there after all: purged again, past its term by now, and what is left."""

    purged_again: int
    past_term: int
    organizations: int
    needs: int
    allocations: int
    last_event: datetime | None


async def newest_tombstones(settings: Settings) -> frozenset[bytes]:
    """All tombstones of a database."""
    engine = connect(settings, "restore")
    try:
        async with transaction(engine) as tx:
            return frozenset(await tombstones.every(tx))
    finally:
        await engine.dispose()


async def reckon(settings: Settings, brought: frozenset[bytes]) -> Reckoning:
    """Bring a restored database to today. Raises BackupProblem where it is not what it must be."""
    terms = Terms(
        database_url=settings.database_url,
        secret_file=settings.secret_file,
        address_key_file=settings.address_key_file,
        statement_seconds=_PATIENT_SECONDS,
    )
    engine, matching = connect(terms, "restore"), connect(terms, "restore", Role.MATCHER)
    try:
        await _migrate(engine)
        key = terms.keys().of("tombstone")
        async with transaction(engine) as tx:
            again = await tombstones.reapply(tx, key, brought)
            # Places in the feed after the moment come a second time, with other events.
            await feed.begin_anew(tx)
            # Weeks that were published after the moment must not be told a second time, otherwise.
            await publication.lose_weeks(tx)
        past = await purge(matching, terms)
        await _check(engine, key, brought)
        async with transaction(engine) as tx:
            row = (await tx.execute(_WHAT)).one()
        return Reckoning(again, past, row.organizations, row.needs, row.allocations, row.last_event)
    finally:
        await engine.dispose()
        await matching.dispose()


async def _migrate(engine: AsyncEngine) -> None:
    try:
        await upgrade(engine)
    except CommandError as error:
        raise BackupProblem(
            "The backup was made by a newer version of Relais, whose tables this one does not know. Nothing was "
            "restored. What to do: restore with that version."
        ) from error


async def _check(engine: AsyncEngine, key: bytes, brought: frozenset[bytes]) -> None:
    async with transaction(engine) as tx:
        found = await invariants.broken(tx)
        if back := await tombstones.risen(tx, key, brought):
            found["what was purged stays purged"] = back
    if found:
        told = "\n".join(f"    {name}: broken by {number}" for name, number in found.items())
        raise BackupProblem(
            f"What was restored is not as it must be:\n{told}\nNothing was put in place. What to do: restore to "
            "another moment, and report this: it is a fault of Relais."
        )
