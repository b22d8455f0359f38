"""What may be some seconds old is read from a follower that keeps up, else from the leader: no request fails."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from api.app import create
from api.settings import ApiSettings
from db import keys, late_reading, policies
from db.connection import connect, transaction
from db.late_reading import LateReading
from relais import looks_at_ground
from relais.finding import Finding, House, State
from tests.api.conftest import NO_LIMITS
from tests.db.failing_over import Paired
from tests.places import BRIANCON
from tests.waiting import eventually

_SHORT, _LONG = 0.2, 300.0
NOTHING = Finding("", State.UNKNOWN, "")


@dataclass(frozen=True)
class Reader:
    """A service that reads from the follower, and how to ask it."""

    http: httpx.AsyncClient
    late: LateReading

    async def version(self) -> int:
        """The version of the policy that it answers with."""
        answer = await self.http.get("/v1/policy")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])

    async def serves_from_the_follower(self) -> bool:
        """Whether the follower answered now."""
        await self.version()
        return self.late.serves


@pytest_asyncio.fixture(loop_scope="function")
async def readers(paired: Paired, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Reader, Reader]]:
    """One that takes answers of a fifth of a second ago, and one that takes those of five minutes ago."""
    monkeypatch.setattr(late_reading, "_REST", 0.1)
    async with AsyncExitStack() as undo:
        short, long = [await undo.enter_async_context(_reader(paired, seconds)) for seconds in (_SHORT, _LONG)]
        for each in (short, long):
            await eventually(each.serves_from_the_follower, "the follower answers")
        yield short, long


async def test_who_is_too_far_behind_is_passed_over_until_it_has_caught_up(
    paired: Paired, readers: tuple[Reader, Reader]
) -> None:
    """Five minutes are the negative control: the follower is asked, and answers with what is no longer so."""
    short, long = readers
    before = await short.version()
    async with _told(paired.pair.follower.address) as follower:
        await follower.execute("select pg_wal_replay_pause()")
        newest = await _publish(paired)

        async def is_new() -> bool:
            return await short.version() == newest

        await eventually(is_new, "the leader answers")
        assert (await long.version(), long.late.serves, short.late.serves) == (before, True, False)
        await follower.execute("select pg_wal_replay_resume()")
    await eventually(short.serves_from_the_follower, "the follower answers again")
    assert await short.version() == newest


async def test_who_was_cut_off_is_passed_over_though_it_has_replayed_all_it_got(
    paired: Paired, readers: tuple[Reader, Reader]
) -> None:
    short, long = readers
    async with _told(paired.pair.follower.address) as follower:
        found = await follower.fetchval("show primary_conninfo")
        await _configure(follower, "alter system set primary_conninfo = ''")

        async def is_cut_off() -> bool:
            return not await follower.fetchval("select count(*) from pg_stat_wal_receiver")

        await eventually(is_cut_off, "nothing is received any more")
        newest = await _publish(paired)

        async def is_new() -> bool:
            return await short.version() == newest

        await eventually(is_new, "the leader answers")
        assert await follower.fetchval("select pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()")
        assert await long.version() < newest
        await _configure(follower, f"alter system set primary_conninfo = '{found}'")
    await eventually(short.serves_from_the_follower, "the follower answers again")


async def test_on_an_idle_leader_a_follower_does_not_grow_old(paired: Paired, readers: tuple[Reader, Reader]) -> None:
    async with _told(paired.pair.follower.address) as follower:

        async def was_idle() -> bool:
            age = await follower.fetchval("select now() - pg_last_xact_replay_timestamp()")
            return bool(age > timedelta(seconds=3 * _SHORT))

        await eventually(was_idle, "nothing was written for some time")
    assert await readers[0].serves_from_the_follower()


async def test_what_the_follower_has_not_yet_is_found_at_the_leader(
    paired: Paired, readers: tuple[Reader, Reader]
) -> None:
    """A key that was issued a moment ago, on the one that may be five minutes behind; and one that was revoked."""
    short, long = readers
    async with _told(paired.pair.follower.address) as follower:
        revoked = await _issue(paired)

        async def is_known() -> bool:
            return bool(await follower.fetchval("select count(*) from api_key where prefix = $1", _prefix(revoked)))

        await eventually(is_known, "the follower has the key")
        await follower.execute("select pg_wal_replay_pause()")
        await _revoke(paired, revoked)
        issued = await _issue(paired)
        here = f"/v1/towns/{BRIANCON.id}"
        assert (await long.http.get(here, headers=_with(issued))).status_code == 200

        async def is_refused() -> bool:
            return (await short.http.get(here, headers=_with(revoked))).status_code == 401

        await eventually(is_refused, "refused as soon as the follower is too far behind")
        missing = await long.http.get("/v1/towns/1", headers=_with(issued))
        assert missing.status_code == 404, missing.text
        await follower.execute("select pg_wal_replay_resume()")
    await _revoke(paired, issued)


async def test_the_doctor_tells_whether_a_replica_can_be_read_from(paired: Paired) -> None:
    pair, engine = paired.pair, connect(paired.settings, "test")

    async def look(url: str | None) -> Finding | None:
        told = {"replica_url": url, "replica_seconds": 1.0}
        return await looks_at_ground.replicas(House(paired.settings.model_copy(update=told), engine))

    assert (await look(None) or NOTHING).state is State.WELL
    assert await look(pair.follower.url) is None
    assert "can be read from" in (await look(pair.leader.url) or NOTHING).what
    async with _told(pair.follower.address) as follower:
        await follower.execute("select pg_wal_replay_pause()")
        await _publish(paired)
        assert "too far behind" in (await look(pair.follower.url) or NOTHING).what
        await follower.execute("select pg_wal_replay_resume()")
    pair.follower.kill_all()
    assert "can be read from" in (await look(pair.follower.url) or NOTHING).what
    pair.follower.start()
    await engine.dispose()


async def test_with_the_follower_or_the_leader_gone_nothing_fails(
    paired: Paired, readers: tuple[Reader, Reader]
) -> None:
    paired.pair.follower.kill_all()
    for each in readers:
        for _ in range(5):
            await each.version()
        assert not each.late.serves
    paired.pair.follower.start()
    for each in readers:
        await eventually(each.serves_from_the_follower, "the follower answers again")
    paired.pair.leader.kill_all()
    for each in readers:
        for _ in range(5):
            await each.version()
        assert each.late.serves
    paired.pair.leader.start_again()


@asynccontextmanager
async def _reader(paired: Paired, seconds: float) -> AsyncIterator[Reader]:
    told: dict[str, Any] = {"replica_url": paired.pair.follower.url, "replica_seconds": seconds}
    settings = ApiSettings(**paired.settings.model_dump(exclude={"database_address"}) | NO_LIMITS | told)
    app = create(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://relais.test") as http,
    ):
        yield Reader(http, app.state.house.late)


@asynccontextmanager
async def _told(address: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(address)
    try:
        yield connection
    finally:
        await connection.close()


async def _configure(connection: asyncpg.Connection, statement: str) -> None:
    await connection.execute(statement)
    await connection.execute("select pg_reload_conf()")


async def _publish(paired: Paired) -> int:
    """The next policy; its version."""
    engine = connect(paired.settings, "test")
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        await policies.publish(tx, replace(policy, version=policy.version + 1))
    await engine.dispose()
    return policy.version + 1


async def _issue(paired: Paired) -> str:
    """Another key of who posts."""
    engine = connect(paired.settings, "test")
    async with transaction(engine) as tx:
        owner = (
            await tx.execute(
                text("select organization_id from api_key where prefix = :prefix"),
                {"prefix": _prefix(paired.keys.poster)},
            )
        ).scalar_one()
        issued = await keys.issue(tx, owner, paired.settings.keys().of("api-key"))
    await engine.dispose()
    return issued.text


async def _revoke(paired: Paired, key: str) -> None:
    engine = connect(paired.settings, "test")
    async with transaction(engine) as tx:
        await keys.revoke(tx, _prefix(key))
    await engine.dispose()


def _prefix(key: str) -> str:
    return key.split("_")[1]


def _with(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
