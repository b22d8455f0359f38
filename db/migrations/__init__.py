"""The history of the schema, and the acts that depend on it: bring a database up to date, compare it.

Expand, migrate, contract: a `pre` migration only adds, so that the code that is running goes on beside the new one; a
`post` one takes away what only the old code used. Each step is a transaction of its own that never waits long for a
lock, because whoever asks for the same table after it waits behind it: it gives up, lets them pass and tries again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import uniform
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from geoalchemy2 import alembic_helpers
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import tenancy
from db.tables import Row

__all__ = [
    "FOLDER",
    "Haste",
    "LockedOut",
    "Phase",
    "Step",
    "differences",
    "history",
    "patiently",
    "pending",
    "upgrade",
    "upgrade_to",
]

FOLDER: Final = Path(__file__).parent
"""Where the steps of the history are."""
_TRY_AGAIN: Final = {"55P03", "40P01"}
"""SQLSTATE: the lock was not to be had in time; a deadlock."""


class Phase(StrEnum):
    """When a migration runs: before the new code starts, or after the old code is gone."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: its number, its name, and when it runs."""

    revision: str
    name: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Haste:
    """How long a step waits for a lock, how often it tries, and how long it lets others pass in between, at most."""

    lock_seconds: float = 2
    tries: int = 60
    pause_seconds: float = 3


class LockedOut(Exception):  # noqa: N818 - told to people, not a fault of the program
    """A step never got its locks; what came before it is done, and it can be tried again."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def history() -> list[Step]:
    """All migrations, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    steps = []
    for script in reversed(list(scripts.walk_revisions())):
        name = Path(script.path).stem
        steps.append(Step(script.revision, name, Phase(name.split("_")[1])))
    return steps


async def pending(engine: AsyncEngine) -> list[Step]:
    """The migrations that this database lacks, oldest first. Raises CommandError where it knows others."""
    async with engine.connect() as connection:
        current = await connection.run_sync(lambda plain: MigrationContext.configure(plain).get_current_revision())
    ScriptDirectory.from_config(_config()).get_revision(current or "base")
    steps = history()
    done = [step.revision for step in steps].index(current) + 1 if current else 0
    return steps[done:]


async def upgrade(engine: AsyncEngine, phase: Phase = Phase.POST, haste: Haste = Haste()) -> list[Step]:
    """Bring schema, roles and row security up to date; nothing happens where they are already.

    In the phase `pre` up to the first `post` migration, and those that wait from there on are returned. Raises
    `LockedOut`.
    """
    steps = await pending(engine)
    posts = [number for number, step in enumerate(steps) if step.phase is Phase.POST]
    empty = steps == history()
    ready = steps[: posts[0]] if phase is Phase.PRE and posts and not empty else steps
    # In an empty database nobody has to be let pass.
    for step in ready[-1:] if empty else ready:
        await upgrade_to(engine, step, haste)
    await patiently(engine, "roles and row security", _apply_tenancy, haste)
    return steps[len(ready) :]


async def upgrade_to(engine: AsyncEngine, step: Step, haste: Haste = Haste()) -> None:
    """Run the migrations that the database lacks up to this one, in one transaction. Raises `LockedOut`."""

    def run(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, step.revision)

    await patiently(engine, step.name, run, haste)


async def differences(engine: AsyncEngine) -> list[str]:
    """What the migrated database and the models disagree about, in words; empty when they agree."""
    async with engine.begin() as connection:
        return await connection.run_sync(_differences)


async def patiently(engine: AsyncEngine, name: str, act: Callable[[Connection], None], haste: Haste) -> None:
    """Change the schema while others use it: `act` begins and ends its own transactions. Raises `LockedOut`."""
    for _ in range(haste.tries):
        try:
            async with engine.connect() as connection:
                # A large index takes its time; a lock does not.
                for setting in (f"lock_timeout = {round(haste.lock_seconds * 1000)}", "statement_timeout = 0"):
                    await connection.execute(text(f"set {setting}"))
                await connection.commit()
                try:
                    await connection.run_sync(act)
                    await connection.commit()
                finally:
                    # Nobody else is to have a connection with these settings.
                    await connection.invalidate()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _TRY_AGAIN:
                raise
            await asyncio.sleep(uniform(haste.pause_seconds / 2, haste.pause_seconds))  # noqa: S311 - not a secret
        else:
            return
    raise LockedOut(name)


def _config() -> Config:
    return Config(str(FOLDER / "alembic.ini"))


def _apply_tenancy(connection: Connection) -> None:
    with connection.begin():
        tenancy.apply(connection)


def _differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(
        connection, opts={"include_object": alembic_helpers.include_object, "compare_server_default": True}
    )
    return [str(difference) for difference in compare_metadata(context, Row.metadata)]
