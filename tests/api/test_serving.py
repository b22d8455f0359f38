"""The API on a real port, seen by who means to wear it down: heads and bodies that are too large or never end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from tests.api.served import served
from tests.conftest import Servers, a_database, settings_for

HEAD = b"GET /healthz HTTP/1.1\r\nHost: relais.test\r\n"
SECONDS = 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(servers: Servers, secret_files: tuple[Path, Path], template: str) -> AsyncIterator[int]:
    """A service of its own process that waits a second for heads and bodies; who wears it down shares it."""
    async with a_database(servers, template) as name:
        settings = settings_for(servers, secret_files, name)
        async with served(settings, pool_size="2", body_seconds=str(SECONDS), header_bytes="8192") as service:
            yield service.port


async def send(port: int, *parts: bytes) -> bytes:
    """What comes back for these bytes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(SECONDS * 10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def endless(port: int, start: bytes, part: bytes) -> int:
    """How many bytes are taken of something that never ends, before the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    try:
        writer.write(start)
        async with asyncio.timeout(60):
            while sent < 50_000_000 and not reader.at_eof():
                writer.write(part)
                sent += len(part)
                await writer.drain()
                await asyncio.sleep(0)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return sent


async def test_a_usual_request_is_answered_without_a_word_about_the_server(port: int) -> None:
    answered = await send(port, HEAD + b"Connection: close\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"server:" not in answered.lower()


async def test_a_head_that_is_too_large_is_refused(port: int) -> None:
    for head in (b"X-Long: " + b"a" * 10_000, b"\r\n".join(b"X-%d: a" % n for n in range(2000))):
        assert not (await send(port, HEAD + head + b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    long_address = b"GET /slip?" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: relais.test\r\n\r\n"
    assert not (await send(port, long_address)).startswith(b"HTTP/1.1 200 ")


async def test_a_head_that_never_ends_is_cut_off(port: int) -> None:
    assert await endless(port, HEAD + b"X-Long: ", b"a" * 4096) < 20_000_000
    trailers = b"POST /v1/slip HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert await endless(port, trailers, b"X-Trailer: " + b"a" * 1000 + b"\r\n") < 20_000_000


async def test_a_head_that_does_not_come_is_not_waited_for(port: int) -> None:
    assert await send(port) == b""
    assert await send(port, b"GET /healthz HT") == b""
    first = await send(port, HEAD + b"\r\n", HEAD)
    assert first.count(b"HTTP/1.1 200 ") == 1


async def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    for path in (b"/v1/slip", b"/slip", b"/v1/needs"):
        head = (
            b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        answered = await send(port, head)
        assert answered.startswith(b"HTTP/1.1 408 "), answered
        assert b"connection: close" in answered.lower()


async def test_many_who_send_nothing_keep_nobody_out(port: int) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for _, writer in idle:
        writer.write(b"POST /v1/slip HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{port}/readyz", timeout=10)).status_code == 200
    for _, writer in idle:
        writer.close()
