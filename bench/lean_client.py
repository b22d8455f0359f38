"""An HTTP client that costs next to nothing: it shares the cores with what it measures.

Kept-alive connections and just as much of HTTP/1.1 as our own service speaks; a general client took a core of its own
at a hundred requests a second.
"""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["LeanClient"]

_LONGEST_IDLE = 2.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LeanClient:
    """Posts JSON bodies to one service."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        said = {"Host": parts.netloc, "Content-Type": "application/json", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        self._idle: list[tuple[float, Connection]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, (_, writer) in self._idle:
            writer.close()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        connection = await self._connection()
        reader, writer = connection
        writer.write(f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = head.lower()
        length = int(fields[fields.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
        answer = await reader.readexactly(length)
        self._idle.append((monotonic(), connection))
        return int(head[9:12]), answer

    async def _connection(self) -> Connection:
        """One that the service has not closed for being idle, or a new one."""
        if self._idle:
            since, connection = self._idle.pop()
            if monotonic() - since < _LONGEST_IDLE:
                return connection
            connection[1].close()
            self._idle.clear()
        return await asyncio.open_connection(self._host, self._port)
