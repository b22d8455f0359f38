"""More than can be done at once: some are told to come again at once, unread, and nobody else waits longer for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import ApiSettings
from db.settings import Settings
from tests.api.conftest import Serving
from tests.api.test_life import key, locked, waiting
from tests.places import BRIANCON
from tests.waiting import eventually

__all__ = ["key"]

ASKED = 12
SLOW = f"/v1/towns/{BRIANCON.id}"
PATIENT = {"pool_seconds": 60.0, "lock_seconds": 60, "statement_seconds": 60}
TIGHT = PATIENT | {"requests_at_once": 2, "requests_queued": 1}
FULL = TIGHT | {"requests_queued": 0}


async def done(running: Sequence["asyncio.Task[httpx.Response]"], count: int) -> bool:
    return sum(task.done() for task in running) >= count


async def asked_of_a_locked_table(
    http: httpx.AsyncClient, settings: Settings, engine: AsyncEngine, *, turned_away: int
) -> list[int]:
    """The statuses of many requests that come while a table is locked: until so many were told to come again."""
    async with locked(settings, "town"):
        running = [asyncio.create_task(http.get(SLOW)) for _ in range(ASKED)]
        await eventually(lambda: done(running, turned_away), "some are told to come again")
        # They are answered while the others still wait.
        await waiting(engine, 2 if turned_away else 8)
        early = [task.result() for task in running if task.done()]
        assert [answer.headers["retry-after"] for answer in early] == ["2"] * turned_away
        # Who watches is let in, whatever is going on.
        assert [(await http.get(path)).status_code for path in ("/readyz", "/healthz")] == [200, 200]
    return sorted([int((await task).status_code) for task in running])


async def test_beyond_the_places_and_a_short_queue_requests_are_told_to_come_again(
    engine: AsyncEngine, settings: Settings, key: str, serving: Serving
) -> None:
    async with serving(key, **TIGHT) as http:
        statuses = await asked_of_a_locked_table(http, settings, engine, turned_away=ASKED - 3)
    assert statuses == [200] * 3 + [503] * (ASKED - 3)


async def test_control_without_the_limit_all_wait(
    engine: AsyncEngine, settings: Settings, key: str, serving: Serving
) -> None:
    async with serving(key, **PATIENT) as http:
        assert await asked_of_a_locked_table(http, settings, engine, turned_away=0) == [200] * ASKED


async def test_what_is_refused_is_not_read_and_said_in_the_readers_language(
    engine: AsyncEngine, settings: Settings, key: str, serving: Serving
) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"{}"

    async with serving(key, **FULL) as http:
        async with locked(settings, "town"):
            running = [asyncio.create_task(http.get(SLOW)) for _ in range(2)]
            await waiting(engine, 2)
            headers = {"Accept-Language": "it", "Content-Type": "application/json"}
            refused = await http.post("/v1/needs", content=body(), headers=headers)
        assert [(await task).status_code for task in running] == [200, 200]
    assert (refused.status_code, refused.headers["content-language"], read) == (503, "it", 0)
    assert refused.json()["type"] == "/problems/unavailable"


async def test_who_sends_slowly_takes_no_place(key: str, serving: Serving) -> None:
    sent = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await sent.wait()
        yield b"}"

    async with serving(key, **FULL) as http:
        slow = [asyncio.create_task(http.post("/v1/needs", content=slowly())) for _ in range(20)]
        assert (await http.get("/v1/me")).status_code == 200
        sent.set()
        await asyncio.gather(*slow)


async def test_a_wait_for_a_lock_or_for_a_connection_ends_in_a_word(
    engine: AsyncEngine, settings: Settings, key: str, serving: Serving
) -> None:
    async with serving(key, lock_seconds=1, pool_seconds=0.2, pool_size=1) as http:
        async with locked(settings, "town"):
            running = asyncio.create_task(http.get(SLOW))
            await waiting(engine, 1)
            # The only connection is at work: this one does not even get one, and the process is ready all the same.
            no_connection = await http.get(SLOW)
            assert (await http.get("/readyz")).status_code == 200
            assert [(await running).status_code, no_connection.status_code] == [503, 503]
        assert (await http.get(SLOW)).status_code == 200


class Wire:
    """A way to the database that can go dead: both ends stand, and nothing comes through."""

    def __init__(self) -> None:
        self.alive = asyncio.Event()
        self.alive.set()

    @asynccontextmanager
    async def to(self, database_url: str) -> AsyncIterator[str]:
        """The address of a database by this way."""
        there = urlsplit(database_url)
        server = await asyncio.start_server(partial(self._carry, there.hostname or "", there.port or 5432), "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        yield urlunsplit(there._replace(netloc=f"{there.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))
        self.alive.set()
        server.close()

    async def _carry(self, host: str, port: int, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(host, port)
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._pass(near, forth), self._pass(far, back))
        for end in (back, forth):
            end.close()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while part := await source.read(65536):
            await self.alive.wait()
            to.write(part)
            await to.drain()
        to.close()


async def test_while_the_database_says_nothing_requests_are_answered_in_a_word_and_after_it_they_go_on(
    api_settings: ApiSettings, key: str, serving: Serving
) -> None:
    wire = Wire()
    async with wire.to(api_settings.database_url) as address:
        bounds = {"statement_seconds": 1, "wait_seconds": 0.0, "pool_size": 2}
        async with serving(key, database_url=address, **bounds) as http:
            assert (await http.get(SLOW)).status_code == 200
            wire.alive.clear()
            answers = await asyncio.gather(*(http.get(SLOW) for _ in range(4)))
            assert {answer.status_code for answer in answers} == {503}
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200
            wire.alive.set()

            async def again() -> bool:
                return (await http.get(SLOW)).status_code == 200

            await eventually(again, "it goes on")
