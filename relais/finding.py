"""What a look of `relais doctor` finds: what is wrong, what is safe, and what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.connection import snapshot
from db.settings import Settings

__all__ = ["KEPT", "Finding", "House", "State", "to_do"]

KEPT: Final = "What was acknowledged is kept."


class State(StrEnum):
    """How a look ended."""

    WELL = "well"
    TO_DO = "to do"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look found."""

    look: str
    state: State
    what: str
    safe: str = ""
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class House:
    """The house that is looked over: its settings, and the operator's way into its database."""

    settings: Settings
    engine: AsyncEngine

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A moment of the database, as the operator sees it."""
        async with snapshot(self.engine) as tx:
            yield tx


def to_do(look: str, what: str, safe: str, what_to_do: str) -> Finding:
    """Something is wrong."""
    return Finding(look, State.TO_DO, what, safe, what_to_do)
