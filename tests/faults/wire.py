"""A wire between a process and its server, in the test's hands: slow, silent, or cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

from relais.embedded.ports import LOOPBACK

__all__ = ["Manner", "Wire", "a_wire"]

_SLOW_SECONDS = 0.03
_TRICKLE_SECONDS = 0.005
_TRICKLE_BYTES = 64


class Manner(StrEnum):
    """How a wire carries what is said."""

    WELL = "well"
    SLOW = "slow"
    """Each piece a moment late."""
    TRICKLES = "trickles"
    """A few bytes at a time."""
    SILENT = "silent"
    """Nothing arrives, in either direction, and nobody is told: a connection that is half open."""
    CUT = "cut"
    """Every connection is reset, and each new one."""


class Wire:
    """Carries connections to a server; `manner` may change at any moment, for those that are open too."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self.manner = Manner.WELL
        self.url = ""
        """The server's address over the wire."""
        self._changed = asyncio.Event()
        self._carried: set[asyncio.Task[None]] = set()

    def be(self, manner: Manner) -> None:
        """Carry in this manner from now on."""
        self.manner = manner
        self._changed.set()
        self._changed = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until one of its ends closes it, or it is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._carried.add(task)
        try:
            with suppress(OSError):
                await self._carry(reader, writer)
        finally:
            self._carried.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.manner is Manner.CUT:
            return
        assert self._to.hostname is not None
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, back), (there, writer))]
        cut = asyncio.create_task(self._until_cut())
        try:
            await asyncio.wait([*ways, cut], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (*ways, cut):
                each.cancel()
            await asyncio.gather(*ways, cut, return_exceptions=True)
            back.transport.abort()

    async def _until_cut(self) -> None:
        while self.manner is not Manner.CUT:
            await self._changed.wait()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while said := await source.read(65_536):
            while self.manner is Manner.SILENT:
                await self._changed.wait()
            if self.manner is Manner.TRICKLES:
                for start in range(0, len(said), _TRICKLE_BYTES):
                    sink.write(said[start : start + _TRICKLE_BYTES])
                    await sink.drain()
                    await asyncio.sleep(_TRICKLE_SECONDS)
                continue
            if self.manner is Manner.SLOW:
                await asyncio.sleep(_SLOW_SECONDS)
            sink.write(said)
            await sink.drain()

    async def end(self) -> None:
        """Cut whatever is carried."""
        for task in self._carried:
            task.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)


@asynccontextmanager
async def a_wire(url: str) -> AsyncIterator[Wire]:
    """A wire to the server of an address, for as long as the block runs."""
    wire = Wire(url)
    server = await asyncio.start_server(wire.carry, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(url)
    wire.url = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{LOOPBACK}:{port}"))
    try:
        yield wire
    finally:
        server.close()
        await wire.end()
