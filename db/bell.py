"""The doorbell: telling whoever waits that there is something to look at, and hearing it.

A ring is a courtesy, never a promise: it is sent after the commit, it may be lost, and who waits looks by itself
every few seconds. So ringing never blocks and never fails, with PostgreSQL's NOTIFY or Redis away.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, time
from typing import Final
from uuid import UUID

import asyncpg
import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from db.connection import listening_address
from db.lines import SERVER_SIDE, KeptLine
from db.reaching import open_plain
from db.reaching_redis import open_redis
from db.settings import Settings

__all__ = ["LOOK", "SETTLED", "WORK", "Bell", "Ear"]

WORK: Final = "relais_work"
"""Channel: some need is due, or places appeared."""
SETTLED: Final = "relais_settled"
"""Channel: a need changed; its id is the payload."""
LOOK: Final = "look"
"""Name of the arq job that says the same as `WORK`."""
_PATIENCE = 1.0
"""Seconds that a ring may take, and that a bell which does not answer is left alone."""
_REMEMBERED = 1000
"""Messages that an ear remembers for those who come to listen a moment late."""
_TELL = "select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as ring (channel, payload)"
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError)

_log = structlog.get_logger()


class Bell:
    """Rings for a process: many rings at once become one message."""

    def __init__(self, settings: Settings) -> None:
        self._address = listening_address(settings)
        self._redis = open_redis(settings.redis_url, _PATIENCE, ArqRedis) if settings.redis_url else None
        self._rings: set[tuple[str, str]] = set()
        self._rung = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._redis_rests_until = 0.0
        self._last_job = ""
        self.reaches_postgres = True
        """Whether the last ring got through."""
        self.reaches_redis = self._redis is not None

    def work(self) -> None:
        """Say that there is work to look at."""
        self._ring(WORK, "")

    def settled(self, need_id: UUID) -> None:
        """Say that a need changed."""
        self._ring(SETTLED, str(need_id))

    async def run(self) -> None:
        """Send what is rung, until cancelled."""
        this = asyncio.current_task()
        try:
            # Python 3.11's `wait_for`, by which the client of Redis waits, passes over a cancellation that comes as its
            # answer does.
            while this is None or not this.cancelling():
                await self._rung.wait()
                self._rung.clear()
                rings, self._rings = self._rings, set()
                await self._tell_postgres(rings)
                if (WORK, "") in rings:
                    await self._tell_redis()
        finally:
            await self._close()

    def _ring(self, channel: str, payload: str) -> None:
        self._rings.add((channel, payload))
        self._rung.set()

    async def _tell_postgres(self, rings: set[tuple[str, str]]) -> None:
        channels, payloads = zip(*rings, strict=True)
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await open_plain(self._address, connection_class=KeptLine)
                await self._connection.execute(_TELL, list(channels), list(payloads))
            self.reaches_postgres = True
        except _AWAY as error:
            _log.warning("bell.postgres_away", exception=type(error).__name__)
            self.reaches_postgres = False
            self._connection = None

    async def _tell_redis(self) -> None:
        if self._redis is None or monotonic() < self._redis_rests_until:
            return
        # One job a tenth of a second at most, whoever rings: it says "look", not what to look at.
        job = f"{LOOK}:{int(time() * 10)}"
        if job == self._last_job:
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._redis.enqueue_job(LOOK, _job_id=job, _expires=10)
            self._last_job, self.reaches_redis = job, True
        except _AWAY as error:
            _log.warning("bell.redis_away", exception=type(error).__name__)
            self.reaches_redis = False
            self._redis_rests_until = monotonic() + _PATIENCE

    async def _close(self) -> None:
        with suppress(*_AWAY):
            if self._connection is not None:
                await self._connection.close(timeout=_PATIENCE)
            if self._redis is not None:
                await self._redis.aclose()


class Ear:
    """Hears one channel over a connection of its own, which it opens again whenever it is lost."""

    def __init__(self, settings: Settings, channel: str) -> None:
        self._address = listening_address(settings)
        self._channel = channel
        self._anything = asyncio.Event()
        self._expected: dict[str, asyncio.Event] = {}
        self._lately: OrderedDict[str, None] = OrderedDict()
        self.listens = False
        """Whether it hears what is rung now."""

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except _AWAY as error:
                _log.warning("ear.postgres_away", exception=type(error).__name__)
                await asyncio.sleep(_PATIENCE)

    async def anything(self, patience: float) -> bool:
        """Wait at most `patience` seconds for any message; whether one came since the last call."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._anything.wait()
        heard = self._anything.is_set()
        self._anything.clear()
        return heard

    @contextmanager
    def expecting(self, payload: str) -> Iterator[asyncio.Event]:
        """An event that is set when this payload is heard, or was a moment ago.

        A need may be held before the one who posted it comes to listen: the answer is not to be missed for that.
        """
        event = self._expected.setdefault(payload, asyncio.Event())
        if payload in self._lately:
            event.set()
        try:
            yield event
        finally:
            self._expected.pop(payload, None)

    @property
    def expected(self) -> tuple[str, ...]:
        """The payloads that somebody waits for."""
        return tuple(self._expected)

    def tell(self, payload: str) -> None:
        """Tell who waits for this payload, as if it had been heard."""
        if event := self._expected.get(payload):
            event.set()

    def wake(self) -> None:
        """As if something had been heard."""
        self._anything.set()

    async def _listen(self) -> None:
        lost = asyncio.Event()
        connection = await open_plain(self._address, connection_class=KeptLine, server_settings=SERVER_SIDE)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(self._channel, self._hear)
            # What was said while nobody listened is unknown: look once.
            self._anything.set()
            self.listens = True
            await lost.wait()
        finally:
            self.listens = False
            with suppress(*_AWAY):
                await connection.close(timeout=_PATIENCE)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._anything.set()
        heard = str(payload)
        self.tell(heard)
        self._lately[heard] = None
        if len(self._lately) > _REMEMBERED:
            self._lately.popitem(last=False)
