"""Events as they happen, over a real connection: nothing is missed over a reconnect, and a stream ends when it must."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys
from db.connection import transaction
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.served import served, served_here
from tests.db.acts import one, rows, settled
from tests.waiting import eventually

Told = dict[str, str]
FLOOR = """
    update feed_mark m set transaction = e.transaction, event_id = e.id
      from (select transaction, id from event order by id desc limit 1) e
     where m.name = 'purged'
"""
RECORD = "insert into event (kind, object_id, organizations) values (:kind, :thing, array[cast(:id as uuid)])"


@pytest_asyncio.fixture(loop_scope="function")
async def service(app: FastAPI) -> AsyncIterator[str]:
    async with served_here(app) as url:
        yield url


@asynccontextmanager
async def stream(service: str, who: Organization, last: str | None = None) -> AsyncIterator[AsyncIterator[Told]]:
    """The blocks of a stream, as they come."""
    headers = {"Authorization": f"Bearer {who.key}"} | ({"Last-Event-ID": last} if last else {})
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
        http.stream("GET", f"{service}/v1/events", headers=headers) as answered,
    ):
        assert answered.status_code == 200, await answered.aread()
        assert answered.headers["content-type"].startswith("text/event-stream")

        async def blocks() -> AsyncIterator[Told]:
            block: Told = {}
            async for line in answered.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    block[name] = value
                elif block:
                    yield block
                    block = {}

        yield blocks()


async def record(engine: AsyncEngine, who: UUID, kind: str = "need.posted") -> str:
    thing = uuid4()
    await rows(engine, RECORD, kind=kind, thing=thing, id=who)
    return str(thing)


async def hear(blocks: AsyncIterator[Told]) -> Told:
    async with asyncio.timeout(60):
        return await anext(blocks)


async def rest_of(blocks: AsyncIterator[Told]) -> list[Told]:
    async with asyncio.timeout(60):
        return [each async for each in blocks]


async def test_what_happens_is_told_and_goes_on_after_a_break(
    service: str, coordination: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    stranger = await client(OrganizationKind.COORDINATION)
    await record(engine, coordination.id)
    async with stream(service, coordination) as blocks:
        opened = await hear(blocks)
        assert opened["retry"] == "3000"
        await record(engine, stranger.id)
        first = await record(engine, coordination.id)
        told = await hear(blocks)
        assert told["event"] == "need.posted"
        assert first in told["data"], "from now on, and nothing of others"
    missed = [await record(engine, coordination.id) for _ in range(3)]
    async with stream(service, coordination, told["id"]) as blocks:
        await hear(blocks)
        heard = [(await hear(blocks))["data"] for _ in missed]
    assert [thing in data for thing, data in zip(missed, heard, strict=True)] == [True] * 3


async def test_a_stream_ends_with_its_key(service: str, coordination: Organization, engine: AsyncEngine) -> None:
    async with stream(service, coordination) as blocks:
        await hear(blocks)
        async with transaction(engine) as tx:
            await keys.revoke_all(tx, coordination.id)
        await record(engine, coordination.id)
        rest = await rest_of(blocks)
    assert [each.get("event") for each in rest] == ["feed.closed"], "and nothing that happened after"


async def test_a_silent_stream_ends_with_its_key_too(
    service: str, coordination: Organization, engine: AsyncEngine
) -> None:
    async with stream(service, coordination) as blocks:
        await hear(blocks)
        async with transaction(engine) as tx:
            await keys.revoke_all(tx, coordination.id)
        rest = await rest_of(blocks)
    assert [each["event"] for each in rest if "event" in each] == ["feed.closed"]


async def test_a_broken_feed_is_told_and_goes_on_from_now(
    service: str, coordination: Organization, engine: AsyncEngine
) -> None:
    async with stream(service, coordination) as blocks:
        last = (await hear(blocks))["id"]
    await record(engine, coordination.id)
    await rows(engine, FLOOR)
    await settled(engine)
    async with stream(service, coordination, last) as blocks:
        await hear(blocks)
        assert (await hear(blocks))["event"] == "feed.broken"
        later = await record(engine, coordination.id)
        assert later in (await hear(blocks))["data"]


async def test_of_many_that_come_at_once_no_more_than_may_are_let_in(service: str, coordination: Organization) -> None:
    headers = {"Authorization": f"Bearer {coordination.key}"}
    heard: list[int] = []
    enough = asyncio.Event()

    async def listen() -> None:
        async with (
            httpx.AsyncClient(trust_env=False, base_url=service, headers=headers, timeout=60) as http,
            http.stream("GET", "/v1/events") as answered,
        ):
            heard.append(answered.status_code)
            if len(heard) == 40:
                enough.set()
            await enough.wait()

    await asyncio.gather(*(listen() for _ in range(40)))
    assert (heard.count(200), heard.count(429)) == (20, 20)


async def test_streams_hold_no_connection_and_are_bounded(
    service: str, coordination: Organization, engine: AsyncEngine
) -> None:
    """The service has eight connections; twenty listen, and everything else is answered."""
    open_streams = []
    try:
        for _ in range(20):
            entered = stream(service, coordination)
            blocks = await entered.__aenter__()
            open_streams.append((entered, blocks))
            await hear(blocks)
        headers = {"Authorization": f"Bearer {coordination.key}"}
        async with httpx.AsyncClient(trust_env=False, base_url=service, headers=headers, timeout=60) as http:
            assert (await http.get("/v1/me")).status_code == 200
            refused = await http.get("/v1/events")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        thing = await record(engine, coordination.id)
        for _, blocks in open_streams:
            assert thing in (await hear(blocks))["data"]

        async def idle() -> bool:
            busy = await one(
                engine,
                "select count(*) as open from pg_stat_activity where datname = current_database()"
                " and application_name = 'relais-api' and state <> 'idle' and wait_event <> 'ClientRead'",
            )
            return bool(busy.open == 0)

        await eventually(idle, "no transaction is open")
    finally:
        for entered, _ in open_streams:
            await entered.__aexit__(None, None, None)


async def test_a_process_that_ends_closes_its_streams(settings: Settings, coordination: Organization) -> None:
    async with served(settings, pool_size="2") as service:
        async with stream(service.url, coordination) as blocks:
            await hear(blocks)
            service.process.send_signal(signal.SIGTERM)
            await rest_of(blocks)
        async with asyncio.timeout(60):
            assert await service.process.wait() in (0, -signal.SIGTERM)
