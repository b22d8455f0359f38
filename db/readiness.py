"""Whether the database can be worked with: it answers, and has at least the schema that this code needs.

Expand, migrate, contract: a database that is newer than this code is well, as what old code needs is taken away only
after it is gone (`…_post_…`); an older one is not. Who starts before it is so says what is missing, and waits.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from time import monotonic
from typing import Final

import structlog
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import looking
from db.migrations import FOLDER

__all__ = ["Lack", "Readiness", "is_enough", "lack_of", "serves"]

PATIENCE: Final = 2.0
"""Seconds within which the database must answer."""
_BETWEEN_LOOKS: Final = 0.5
_SAY_AGAIN_SECONDS: Final = 30.0
_VERSION: Final = text("select schema_version()")
_log = structlog.get_logger()


class Lack(StrEnum):
    """What is missing."""

    DATABASE = "database"
    LOGIN = "login"
    RIGHTS = "rights"
    MIGRATIONS = "migrations"

    @property
    def words(self) -> str:
        """What is waited for."""
        return _WORDS[self][0]

    @property
    def what_to_do(self) -> str:
        """What whoever reads it may do."""
        return _WORDS[self][1]


_WORDS: Final = {
    Lack.DATABASE: ("the database to answer", "start it, or correct RELAIS_DATABASE_URL; it goes on by itself then"),
    Lack.LOGIN: ("the database to let its user in", "correct the user or the password of RELAIS_DATABASE_URL"),
    Lack.RIGHTS: (
        "its rights in the database",
        "run `relais migrate`; its user must be a member of the role (docs/decisions/0001-roles.md)",
    ),
    Lack.MIGRATIONS: ("the database to be migrated", "run `relais migrate` of this version"),
}


def is_enough(version: str | None) -> bool:
    """Whether a database of this schema version serves this code; one that it does not know is newer."""
    needed, known = _history()
    return serves(version, known, needed)


def serves(version: str | None, known: Sequence[str], needed: str) -> bool:
    """The same for a history: `known` versions, oldest first, of which code needs one."""
    if version is None:
        return False
    return version not in known or known.index(version) >= known.index(needed)


async def lack_of(engine: AsyncEngine) -> Lack | None:
    """What is missing; `None` where all is there."""
    try:
        async with asyncio.timeout(PATIENCE), looking(engine) as connection:
            version = (await connection.execute(_VERSION)).scalar_one_or_none()
    except DBAPIError as error:
        return _lack(str(getattr(error.orig, "sqlstate", None) or ""))
    except (SQLAlchemyError, OSError, TimeoutError):
        return Lack.DATABASE
    return None if is_enough(version) else Lack.MIGRATIONS


class Readiness:
    """What a process knows of it. `name` begins its log lines."""

    def __init__(self, name: str, engine: AsyncEngine) -> None:
        self._name = name
        self._engine = engine
        self._looking: asyncio.Task[Lack | None] | None = None

    async def lack(self) -> Lack | None:
        """What is missing now. Who asks while somebody looks shares the answer: many who ask cost one look."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(lack_of(self._engine))
        return await asyncio.shield(self._looking)

    async def wait(self) -> None:
        """Come back when nothing is missing; meanwhile say what is."""
        said: Lack | None = None
        say_again = 0.0
        while (missing := await self.lack()) is not None:
            if missing is not said or monotonic() >= say_again:
                _log.warning(f"{self._name}.waits", waits_for=missing.words, what_to_do=missing.what_to_do)
                said, say_again = missing, monotonic() + _SAY_AGAIN_SECONDS
            await asyncio.sleep(_BETWEEN_LOOKS)


def _lack(state: str) -> Lack:
    match state[:2], state:
        case "28", _:
            return Lack.LOGIN
        case _, "42501":
            return Lack.RIGHTS
        # No such function; no such role: both are made by migrations.
        case _, "42883" | "22023":
            return Lack.MIGRATIONS
    return Lack.DATABASE


@cache
def _history() -> tuple[str, tuple[str, ...]]:
    """The newest version that this code needs, and all that it knows, oldest first."""
    steps = list(ScriptDirectory(str(FOLDER)).walk_revisions())[::-1]
    needed = next(step.revision for step in reversed(steps) if "_post_" not in step.path)
    return needed, tuple(step.revision for step in steps)
