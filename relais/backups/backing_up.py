"""Backing up: a base backup now, the log of all that is changed from then on, and nothing longer than its term."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import looking, transaction
from db.settings import Settings
from db.slip_filing import count_misfiled
from db.slips import SlipKeys
from db.terms import Terms
from relais.backups.keys_at_hand import KeysAtHand
from relais.backups.places import Places, Running
from relais.backups.problem import BackupProblem
from relais.backups.repository import Backup, Repository, past_term
from relais.embedded.postgres import NOT_KEPT

__all__ = ["back_up"]

_NEEDS: Final = 100
"""Newest needs that are looked at for the secret that they are filed under."""


async def back_up(places: Places, engine: AsyncEngine, settings: Settings) -> tuple[Backup, list[Backup]]:
    """Make a base backup and see that the log is kept from now on: the backup, and those that were past their term.

    `engine` as a user who may change the server's settings. Raises StackProblem.
    """
    terms = Terms(
        database_url=settings.database_url,
        secret_file=settings.secret_file,
        address_key_file=settings.address_key_file,
    )
    if places.settings.keep_backups_days >= terms.keep_tombstones_days:
        raise BackupProblem(
            "RELAIS_KEEP_BACKUPS_DAYS must be less than RELAIS_KEEP_TOMBSTONES_DAYS: an older backup would bring back "
            "what was purged. Nothing was backed up. What to do: correct one of them."
        )
    async with transaction(engine) as tx:
        running = await Running.of(tx, settings)
        if await count_misfiled(tx, SlipKeys.of(settings.keys()), _NEEDS):
            raise BackupProblem(
                "The secret file at hand is not the one of this house: needs were filed under another, and such a "
                "backup could not be restored with the right one. Nothing was backed up. What to do: put that file "
                "back (RELAIS_SECRET_FILE), then run this again."
            )
    places.make(running.user)
    repository = places.repository(running.user, running.data, "running")
    repository.set_up(running.connection)
    _check_log(running, repository)
    await asyncio.to_thread(repository.open, running.connection)
    if running.command != repository.archive_command:
        await _keep_log(engine, repository)
    await asyncio.to_thread(repository.back_up, running.connection, KeysAtHand.of(settings).annotations())
    there = repository.backups()
    gone = past_term(there, places.settings.keep_backups_days, datetime.now(UTC))
    for each in gone:
        repository.throw_away(each)
    return there[-1], gone


async def _keep_log(engine: AsyncEngine, repository: Repository) -> None:
    async with looking(engine) as connection:
        for setting in repository.keeping_log():
            await connection.exec_driver_sql(f"alter system set {setting}")
        await connection.exec_driver_sql("select pg_reload_conf()")


def _check_log(running: Running, repository: Repository) -> None:
    if not running.keeps_log:
        raise BackupProblem(
            "The database does not keep its log, so that nothing between two backups could be restored. Nothing was "
            "backed up. What to do: where `relais up` runs it, stop and start that; else add `archive_mode = on` to "
            "its postgresql.conf and restart it. Then run this again."
        )
    if not running.keeps_nothing_yet and running.command != repository.archive_command:
        raise BackupProblem(
            "The database gives its log to another program already (archive_command). Nothing was backed up. What to "
            f"do: go on with that one, or `alter system set archive_command = '{NOT_KEPT}'` and run this again."
        )
