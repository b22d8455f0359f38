"""Streams of events: who listens, what wakes them, and when they end.

One look for all who listen in this process says whose organization has news; each then reads its own, as its own
organization, with its key checked anew. Between two readings a stream holds no connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from uuid import UUID

import structlog
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.feed_cursors import FeedCursors
from api.problems import RateLimited, Unavailable
from db import feed
from db.connection import snapshot, transaction
from db.feed import FeedEvent, FeedPage, Mark
from db.keys import Holder
from db.roles import Role, acting_as
from matching.refusals import FeedBroken

__all__ = ["Listener", "Streams"]

_BETWEEN_LOOKS: Final = 0.5
"""Seconds: how late a stream hears at most, beside what the feed waits for."""
_BEAT: Final = 15.0
"""Seconds after which a silent stream is told where it is, and its key is looked at."""
_RETRY: Final = 3000
"""Milliseconds after which a client comes again."""
_AT_ONCE: Final = 500
_MOST: Final = 1000
"""Streams of this process."""
_MOST_EACH: Final = 20
"""Streams of one organization in this process."""
_COME_AGAIN: Final = 30
_COMES_WITHIN: Final = 5.0
"""Seconds in which who was let in begins to listen, or is gone."""
_log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class Listener:
    """Who listens, to which kinds of object; `told` writes an event as they read it.

    `lives` says whether they may still hear; then their organization acts in the transaction.
    """

    who: Holder
    objects: frozenset[str]
    told: Callable[[FeedEvent], str]
    lives: Callable[[AsyncConnection], Awaitable[bool]]
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """The streams of this process."""

    def __init__(self, engine: AsyncEngine, cursors: FeedCursors, leaving: asyncio.Event) -> None:
        self._engine = engine
        self._cursors = cursors
        self._leaving = leaving
        self._listeners: dict[UUID, set[Listener]] = {}
        self._expected: dict[UUID, deque[float]] = {}
        """When those were let in who do not listen yet. Who never comes is not waited for."""
        self._anybody = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._listeners.values()))

    async def watch(self) -> None:
        """Wake those who have news, until cancelled."""
        place: Mark | None = None
        while True:
            if not self._listeners:
                place = None
                self._anybody.clear()
                await self._anybody.wait()
            try:
                place = await self._look(place)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("streams.database_away", exception=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(_BETWEEN_LOOKS):
                    await self._leaving.wait()
                    self._wake(frozenset(self._listeners))
                    return

    def told(self, listener: Listener, begin: Mark) -> AsyncIterator[bytes]:
        """What a listener hears from a place on. Raises `RateLimited`, `Unavailable` where there are too many."""
        if len(self) >= _MOST or self._leaving.is_set():
            raise Unavailable
        theirs = listener.who.organization_id
        expected = self._expected.setdefault(theirs, deque())
        while expected and expected[0] < monotonic() - _COMES_WITHIN:
            expected.popleft()
        if len(self._listeners.get(theirs, ())) + len(expected) >= _MOST_EACH:
            raise RateLimited(_COME_AGAIN)
        expected.append(monotonic())
        return self._telling(listener, begin)

    async def _telling(self, listener: Listener, begin: Mark) -> AsyncIterator[bytes]:
        place = begin
        with self._listening(listener):
            yield format_sse_event(id=self._cursor(listener, place), retry=_RETRY, comment="Relais")
            while not self._leaving.is_set():
                listener.news.clear()
                try:
                    page = await self._read(listener, place)
                except (SQLAlchemyError, OSError) as error:
                    # The client comes again and goes on where it is.
                    _log.warning("streams.database_away", exception=type(error).__name__)
                    return
                if page is None:
                    yield format_sse_event(event="feed.closed", data_str="{}")
                    return
                if isinstance(page, Mark):
                    place = page
                    yield self._broken(listener, place)
                    continue
                for event in page.events:
                    yield format_sse_event(
                        id=self._cursor(listener, event.mark), event=event.kind, data_str=listener.told(event)
                    )
                place = page.next
                if page.more:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BEAT):
                        await listener.news.wait()
                        continue
                # Without data nothing is told, but the client goes on from here when it comes again.
                yield format_sse_event(id=self._cursor(listener, place), comment="still here")

    @contextmanager
    def _listening(self, listener: Listener) -> Iterator[None]:
        organization_id = listener.who.organization_id
        if expected := self._expected.get(organization_id):
            expected.popleft()
        self._listeners.setdefault(organization_id, set()).add(listener)
        self._anybody.set()
        try:
            yield
        finally:
            theirs = self._listeners[organization_id]
            theirs.discard(listener)
            if not theirs:
                del self._listeners[organization_id]

    async def _look(self, place: Mark | None) -> Mark:
        async with transaction(self._engine) as tx, acting_as(tx, Role.MATCHER):
            if place is None:
                behind, those = await feed.now(tx), frozenset(self._listeners)
            else:
                those, behind = await feed.heard_since(tx, place)
                if behind.era != place.era:
                    those = frozenset(self._listeners)
        self._wake(those)
        return behind

    def _wake(self, organizations: frozenset[UUID]) -> None:
        for organization_id in organizations:
            for listener in self._listeners.get(organization_id, ()):
                listener.news.set()

    async def _read(self, listener: Listener, place: Mark) -> FeedPage | Mark | None:
        """The next page; the place to go on from where the feed broke; nothing where the key opens nothing any more."""
        async with snapshot(self._engine) as tx:
            if not await listener.lives(tx):
                return None
            try:
                return await feed.read(tx, listener.who.organization_id, place, listener.objects, _AT_ONCE)
            except FeedBroken:
                return await feed.now(tx)

    def _broken(self, listener: Listener, place: Mark) -> bytes:
        return format_sse_event(id=self._cursor(listener, place), event="feed.broken", data_str="{}")

    def _cursor(self, listener: Listener, place: Mark) -> str:
        return self._cursors.seal(place, listener.who.organization_id)
