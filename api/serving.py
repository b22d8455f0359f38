"""How the API listens: uvicorn, with a bound on the head of a request and on how long it may take to come.

uvicorn's fast parser takes heads of any size for as long as a client likes to send them: each such connection would
keep memory and a place for nothing. `python -m api --host … --port …`.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.app import create
from api.presence import Presence
from api.settings import ApiSettings

__all__ = ["GuardedProtocol", "LeavingServer", "serve"]

_KEEP_ALIVE_SECONDS = 5
_SPARE_SECONDS = 1.0
"""A connection is looked at this much after its time, so that a timer is set once and not for each request."""


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose request has a head that is too large or does not come."""

    def __init__(self, *arguments: Any, most: int, seconds: float, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._most = most
        self._seconds = seconds
        self._head: int | None = 0
        """Bytes of the head that is coming; nothing while there is none."""
        self._fields = 0
        """Bytes of the address and the fields of this request, those after its body too."""
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self._seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes until the head is complete."""
        if self._head is not None:
            if self._head == 0:
                self._since = self.loop.time()
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > self._most and not self.transport.is_closing():
            self.transport.close()

    def on_message_begin(self) -> None:
        """Nothing of this request has been counted."""
        self._fields = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there: what follows is a body, which is counted elsewhere."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next that comes is a head again."""
        super().on_message_complete()
        self._head = 0

    def _count(self, more: int) -> None:
        self._fields += more
        if self._fields > self._most:
            raise ValueError("the head is too large")  # the parser makes a 400 of it and closes

    def _look(self) -> None:
        """Close a connection on which a head began, or none ever came, and is not complete in time."""
        waits = self._head is not None and (self._head > 0 or self.cycle is None)
        late = self.loop.time() - self._since >= self._seconds
        if waits and late:
            self.transport.close()
            return
        self._timer = self.loop.call_later(self._seconds if not waits else _SPARE_SECONDS, self._look)


class LeavingServer(uvicorn.Server):
    """A server that says that it leaves before it does."""

    def __init__(self, config: uvicorn.Config, presence: Presence, drain_seconds: float) -> None:
        super().__init__(config)
        self._presence = presence
        self._drain_seconds = drain_seconds
        self._leaves_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the drain; another, or Ctrl-C, ends the wait."""
        impatient = self._leaves_at is not None or sig == signal.SIGINT
        self._leaves_at = monotonic() + (0.0 if impatient else self._drain_seconds)
        self._presence.leaving.set()
        if impatient:
            self.should_exit = True
        del frame

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to close the door."""
        over = self._leaves_at is not None and monotonic() >= self._leaves_at
        return await super().on_tick(counter) or over


def serve(settings: ApiSettings, host: str, port: int) -> None:
    """Serve until a signal ends it: not ready at once, then no new connections, then the last answers."""
    door = _door(host, port)
    protocol: Callable[..., asyncio.Protocol] = partial(
        GuardedProtocol, most=settings.header_bytes, seconds=settings.body_seconds
    )
    presence = Presence()
    config = uvicorn.Config(
        create(settings, presence),
        http=protocol,  # type: ignore[arg-type]
        ws="none",
        # The lines of libraries are ours to write.
        log_config=None,
        access_log=False,
        server_header=False,
        # What a proxy says of its clients is read by `api.clients`, and believed of our own alone.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.finish_seconds,
    )
    LeavingServer(config, presence, settings.drain_seconds).run(sockets=[door])


def _door(host: str, port: int) -> socket.socket:
    """The place to listen at, where nobody is let in yet; where it cannot be had, the process says so and ends."""
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        sys.stderr.write(
            f"The API cannot listen on port {port} of {host} ({error.strerror}). Nothing was started or changed. What "
            "to do: end the program that listens there, or give another --port or --host.\n"
        )
        raise SystemExit(2) from None
    return door
