"""Reading from servers that follow what may be some seconds old: no request waits for one, or fails for it.

How old an answer may be is held for each connection by itself. The server that leads is asked again and again how far
its log is; a follower serves when it has replayed all that was written there a stated time ago. Neither clocks matter
nor whether anything is written: `pg_last_xact_replay_timestamp()` grows old on a leader that is idle, and all that a
follower received it has replayed, also where it was cut off long ago. While no leader can be asked, nothing is known of
more, and followers go on serving what was not too old then.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.connection import connect_to_a_follower, looking, snapshot
from db.roles import Role
from db.settings import Settings

__all__ = ["LateReading", "TooLateError", "has_replayed", "written"]

PATIENCE: Final = 1.0
"""Seconds that anything asked of a follower may take."""
_REST: Final = 5.0
"""Seconds for which followers are left alone when one was away, or was too far behind."""
_WRITTEN: Final = text("select cast(pg_current_wal_lsn() as text)")
_HAS_REPLAYED: Final = text("""
    select pg_is_in_recovery() and pg_last_wal_replay_lsn() >= cast(cast(:place as text) as pg_lsn)
""")
_log = structlog.get_logger()


async def written(leader: AsyncConnection) -> str:
    """How far the log of the server that leads is."""
    return str((await leader.execute(_WRITTEN)).scalar_one())


async def has_replayed(follower: AsyncConnection, place: str) -> bool:
    """Whether a server follows, and has replayed the log up to this place."""
    return bool((await follower.execute(_HAS_REPLAYED, {"place": place})).scalar_one())


class TooLateError(ConnectionError):
    """No follower may answer now: the server that leads is to be asked."""


class LateReading:
    """Followers to read from, none of them more than `seconds` behind."""

    def __init__(self, settings: Settings, address: str, seconds: float, leader: AsyncEngine, name: str) -> None:
        """`address` names one or more of them, and may name one that leads: it is passed over."""
        self._engine = connect_to_a_follower(settings, address, name, Role.APP, PATIENCE)
        self._leader = leader
        self._seconds = seconds
        self._places: deque[tuple[float, str]] = deque()
        self._rests_until = 0.0
        self.serves = False
        """Whether the last that was asked of a follower was answered by it."""

    async def watch(self) -> None:
        """Ask the server that leads how far it is, until cancelled."""
        while True:
            try:
                async with looking(self._leader) as connection:
                    place = await written(connection)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                _log.debug("late_reading.leader_away", exception=type(error).__name__)
            else:
                self._remember(place, monotonic())
            await asyncio.sleep(min(1.0, self._seconds / 4))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A transaction to read in, of one moment that is not too long ago, in the role of requests.

        Raises `TooLateError`, and what a connection raises, where the server that leads is to be asked instead.
        """
        if not self._places or monotonic() < self._rests_until:
            raise TooLateError("followers are left alone")
        async with snapshot(self._engine) as tx:
            if not await has_replayed(tx, self._places[0][1]):
                raise TooLateError("the follower is too far behind")
            yield tx
        self.serves = True

    async def rest(self, error: Exception) -> None:
        """Leave followers alone for a while, because of this; then they are looked for anew."""
        self.serves = False
        if monotonic() >= self._rests_until:
            _log.warning("late_reading.rests", exception=type(error).__name__)
            self._rests_until = monotonic() + _REST
            await self._engine.dispose()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._engine.dispose()

    def _remember(self, place: str, now: float) -> None:
        """Keep the newest place that is old enough to be asked for, and those that will be."""
        if self._places and self._places[-1][0] < now - self._seconds:
            # Nobody looked for so long: what is remembered is older than an answer may be.
            self._places.clear()
        self._places.append((now, place))
        while len(self._places) > 1 and self._places[1][0] <= now - self._seconds:
            self._places.popleft()
