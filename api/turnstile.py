"""How many requests are in work at once: a bound, a short queue before it, and a quick word to all others.

Who is told at once to come again in a moment is served sooner than one who waits in a line that only grows. It is
decided before a body is read. A place is taken once the body is there, so that who sends slowly keeps nobody out.
"""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.presence import Presence
from api.problems import Busy, Unavailable, answer
from api.settings import ApiSettings

__all__ = ["Turnstile"]

_ALWAYS: Final = frozenset({"/healthz", "/readyz"})
_STREAM: Final = "text/event-stream"


class Turnstile:
    """Lets requests in while there is room; until the process has begun, none."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, metrics: Metrics, presence: Presence) -> None:
        self._app = app
        self._metrics = metrics
        self._presence = presence
        self._places = asyncio.Semaphore(settings.requests_at_once)
        self._most_waiting = settings.requests_queued
        self._patience = settings.pool_seconds
        self._longest = settings.wait_seconds + 2 * settings.statement_seconds
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or tell it to come again."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
        elif not self._presence.began.is_set():
            await answer(Request(scope), Unavailable())(scope, receive, send)
        elif self._is_full():
            self._metrics.shed.inc()
            await answer(Request(scope), Busy())(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = _Visit(self, receive, send, self._longest)
        try:
            async with asyncio.timeout(None) as visit.limit:
                if not _has_body(scope):
                    await visit.begin()
                await self._app(scope, visit.receive, visit.send)
        except Busy as busy:
            await answer(Request(scope), busy)(scope, receive, send)
        except TimeoutError:
            if visit.answered or not visit.limit.expired():
                raise
            await answer(Request(scope), Unavailable())(scope, receive, send)
        finally:
            visit.end()

    async def take(self) -> None:
        """A place, in the order of coming. Raises `Busy` where none is free in time."""
        if self._is_full():
            self._metrics.shed.inc()
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            self._metrics.shed.inc()
            raise Busy from None
        finally:
            self._waiting -= 1
        self._metrics.in_work.inc()

    def leave(self) -> None:
        """Give a place back."""
        self._metrics.in_work.dec()
        self._places.release()

    def _is_full(self) -> bool:
        return self._places.locked() and self._waiting >= self._most_waiting


class _Visit:
    """One request: its place, taken once it is there and given back once, and the time until its answer begins."""

    limit: asyncio.Timeout

    def __init__(self, turnstile: Turnstile, receive: Receive, send: Send, longest: float) -> None:
        self._turnstile = turnstile
        self._receive = receive
        self._send = send
        self._longest = longest
        self._begun = False
        self._inside = False
        self.answered = False

    async def begin(self) -> None:
        self._begun = True
        await self._turnstile.take()
        self._inside = True
        self.limit.reschedule(asyncio.get_running_loop().time() + self._longest)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False) and not self._begun:
            await self.begin()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            self.limit.reschedule(None)
            kind = Headers(raw=message.get("headers", [])).get("content-type", "")
            if kind.startswith(_STREAM):
                self.end()  # a stream waits for hours and works for moments
        await self._send(message)

    def end(self) -> None:
        if self._inside:
            self._inside = False
            self._turnstile.leave()


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
