"""A receiver of webhooks on this machine, with a certificate of its own: who comes, and what is told."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import trustme

from worker.outbound import Outbound

__all__ = ["NAME", "Answer", "Receiver", "Told", "receiving", "way_to"]

NAME: Final = "hooks.example.org"
Answer = tuple[int, Mapping[str, str]]
TAKEN: Final[Answer] = (204, {})


@dataclass(frozen=True)
class Told:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id under which the event is told."""
        return self.headers["webhook-id"]


async def _take(_told: Told) -> Answer:
    return TAKEN


@dataclass
class Receiver:
    """What came, and what is answered; `answer` may wait. `connections` counts also those that said nothing."""

    answer: Callable[[Told], Awaitable[Answer]] = _take
    told: list[Told] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is, by a name that only the tests' resolver knows."""
        return f"https://{NAME}:{self.port}/relais"

    async def meet(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            told = Told(first.split(" ")[1], headers, body)
            self.told.append(told)
            status, more = await self.answer(told)
            lines = [f"HTTP/1.1 {status} As Told", *(f"{name}: {value}" for name, value in more.items())]
            writer.write(("\r\n".join([*lines, "Content-Length: 0", "Connection: close"]) + "\r\n\r\n").encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(authority: trustme.CA | None, host: str = "127.0.0.1", name: str = NAME) -> AsyncIterator[Receiver]:
    """A receiver that listens; without an authority it speaks no TLS."""
    made = Receiver()
    context = None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
    server = await asyncio.start_server(made.meet, host, 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def way_to(authority: trustme.CA) -> Outbound:
    """A way out that leads to this machine, whatever the name: the guard is off, certificates are looked at."""

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return Outbound(resolve=here, permits=lambda _address: True, trust=trust)
