"""The API from its start to its end: it waits for what is missing, says when it is ready, and leaves without a loss."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys, organizations
from db.connection import connect, listening_address, transaction
from db.lines import KeptLine
from db.migrations import upgrade
from db.readiness import Lack, lack_of, serves
from db.roles import Role
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body
from tests.api.processes import ApiProcess, StartApi, start_api
from tests.conftest import Logins, Servers, run_on_server
from tests.places import BRIANCON
from tests.protection.houses import said
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

__all__ = ["start_api"]


@pytest.fixture
async def key(engine: AsyncEngine, settings: Settings) -> str:
    """A key of a coordination."""
    async with transaction(engine) as tx:
        coordination = await organizations.add(tx, OrganizationKind.COORDINATION, "Coordination", [BRIANCON.id])
        return (await keys.issue(tx, coordination, settings.keys().of("api-key"))).text


async def test_api_and_worker_wait_for_the_database_and_its_migrations_and_then_begin(
    servers: Servers, settings: Settings, logins: Logins, start_api: StartApi, start_worker: StartWorker
) -> None:
    name = f"relais_test_{uuid4().hex[:12]}"
    late = settings.model_copy(update={"database_url": servers.database(name)})
    api = start_api(RELAIS_DATABASE_URL=logins.address(late.database_url, logins.api))
    worker = start_worker(RELAIS_DATABASE_URL=logins.address(late.database_url, logins.worker))
    await api.answers(200, "/healthz")
    assert await api.status() == 503
    assert await api.status("/v1/me") in {401, 503}
    await said(api.log, "the database to answer")
    try:
        await run_on_server(servers, f"create database {name}")
        await said(api.log, "the database to be migrated")
        await said(api.log, "run `relais migrate`")
        assert await api.status() == 503
        assert worker.poll() is None
        engine = connect(late, "test")
        await upgrade(engine)
        await engine.dispose()
        await api.answers(200)
        await said(api.log, "api.ready")
        api.stop()
        worker.terminate()
        assert await api.ends() == 0
    finally:
        await run_on_server(servers, f"drop database if exists {name} with (force)")


async def test_an_older_schema_is_not_enough_and_a_newer_one_is(engine: AsyncEngine, settings: Settings) -> None:
    own = connect(settings, "test", Role.APP)
    found = {}
    for version in ("0013", "9999", None):
        async with transaction(engine) as tx:
            await tx.execute(text("update alembic_version set version_num = coalesce(:v, version_num)"), {"v": version})
            if version is None:
                await tx.execute(text("revoke execute on function schema_version() from public"))
        found[version] = await lack_of(own)
    assert found == {"0013": Lack.MIGRATIONS, "9999": None, None: Lack.RIGHTS}
    await own.dispose()


@pytest.mark.parametrize(
    ("version", "enough"), [(None, False), ("1", False), ("2", True), ("3 post", True), ("4", True), ("", True)]
)
def test_what_the_next_version_takes_away_need_not_be_gone(version: str | None, *, enough: bool) -> None:
    assert serves(version, ("1", "2", "3 post"), needed="2") is enough


@asynccontextmanager
async def locked(settings: Settings, table: str) -> AsyncIterator[None]:
    """Nobody reads a table while the block runs."""
    holder = await asyncpg.connect(listening_address(settings))
    try:
        async with holder.transaction():
            await holder.execute(f"lock table {table} in access exclusive mode")
            yield
    finally:
        await holder.close()


async def waiting(engine: AsyncEngine, count: int) -> None:
    """Come back when so many sessions wait for a lock."""

    async def so() -> bool:
        asked = text(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with transaction(engine) as tx:
            return int((await tx.execute(asked)).scalar_one()) >= count

    await eventually(so, f"{count} statements wait", 180)


async def test_told_to_stop_it_is_not_ready_serves_on_for_the_drain_and_finishes_what_runs(
    engine: AsyncEngine, settings: Settings, key: str, start_api: StartApi
) -> None:
    api = start_api(RELAIS_DRAIN_SECONDS="2")
    await api.answers(200)
    headers = {"Authorization": f"Bearer {key}"}
    kept = await api.http.get("/healthz")
    assert "connection" not in kept.headers
    async with locked(settings, "town"):
        running = asyncio.create_task(api.http.get(f"/v1/towns/{BRIANCON.id}", headers=headers))
        await waiting(engine, 1)
        api.stop()
        await api.answers(503)
        on = await api.http.get("/v1/me", headers=headers)
        assert (on.status_code, on.headers["connection"]) == (200, "close")
        assert await api.status("/healthz") == 200

        async def closed() -> bool:
            return await api.status("/healthz") == 0

        await eventually(closed, "no new connection is taken")
        assert api.process.poll() is None
    assert (await running).status_code == 200
    assert await api.ends() == 0


async def test_a_port_that_is_taken_is_told_in_words(start_api: StartApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        api = start_api(port)
        assert await asyncio.to_thread(api.process.wait, 60) == 2
    assert f"cannot listen on port {port} of 127.0.0.1" in api.log.read_text()
    assert "What to do: end the program" in api.log.read_text()


async def test_without_a_drain_it_ends_at_once_and_closes_kept_connections(start_api: StartApi) -> None:
    api = start_api()
    await api.answers(200)
    assert (await api.http.get("/healthz")).status_code == 200
    api.stop()
    assert await api.ends() == 0


@dataclass
class Balancer:
    """Hands requests to who says that it is ready, in turn, over connections that it keeps; nothing is tried twice."""

    behind: Sequence[ApiProcess]
    ready: list[ApiProcess] = field(default_factory=list)
    turn: "itertools.count[int]" = field(default_factory=itertools.count)

    async def look(self) -> None:
        """Ask who is ready, again and again."""
        while True:
            asked = await asyncio.gather(*(each.status() for each in self.behind))
            self.ready = [each for each, status in zip(self.behind, asked, strict=True) if status == 200]
            await asyncio.sleep(0.3)

    async def ask(self, method: str, path: str, **more: object) -> int:
        """The status of the answer; 0 where there was none."""
        if not self.ready:
            await asyncio.sleep(0.02)
            return 0
        to = self.ready[next(self.turn) % len(self.ready)]
        try:
            return (await to.http.request(method, path, **more)).status_code  # type: ignore[arg-type]
        except httpx.TransportError:
            return 0


async def asked_without_pause(balancer: Balancer, key: str, stop: asyncio.Event, seen: list[int]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    while not stop.is_set():
        seen.append(await balancer.ask("POST", "/v1/needs", headers=headers, json=need_body()))
        seen.append(await balancer.ask("GET", "/v1/me", headers=headers))
        await asyncio.sleep(0.02)  # the machine has others to serve, among them who starts


@pytest.mark.parametrize("graceful", [True, pytest.param(False, id="control-killed")])
async def test_a_rolling_restart_behind_a_balancer_fails_no_request(
    key: str, start_api: StartApi, *, graceful: bool
) -> None:
    behind = [start_api(RELAIS_DRAIN_SECONDS="1.5") for _ in range(4 if graceful else 2)]
    balancer, stop, seen = Balancer(behind), asyncio.Event(), list[int]()
    looking = asyncio.create_task(balancer.look())

    async def all_ready() -> bool:
        return len(balancer.ready) == len(behind)

    await eventually(all_ready, "all are ready", 180)
    load = [asyncio.create_task(asked_without_pause(balancer, key, stop, seen)) for _ in range(4)]
    for leaving in behind[: len(behind) // 2]:
        await eventually(partial(more_than, seen, len(seen) + 20), "requests go on")
        if graceful:
            leaving.stop()
            assert await leaving.ends() == 0
        else:
            leaving.kill()
    await eventually(partial(more_than, seen, len(seen) + 20), "requests go on")
    stop.set()
    await asyncio.gather(*load)
    looking.cancel()
    failed = [status for status in seen if status not in {200, 201}]
    assert (failed == []) is graceful, (len(seen), failed)
    for each in behind:
        await each.http.aclose()


async def more_than(seen: Sequence[int], count: int) -> bool:
    return len(seen) > count


async def test_each_line_to_the_database_notices_that_the_other_end_is_gone(settings: Settings) -> None:
    engine = connect(settings, "test", Role.APP)
    try:
        async with engine.connect() as connection:
            shown = {
                name: (await connection.execute(text(f"show {name}"))).scalar_one()
                for name in ("tcp_user_timeout", "tcp_keepalives_idle", "lock_timeout", "statement_timeout")
            }
            has = text("select count(*) from pg_settings where name = 'transaction_timeout' and setting <> '30000'")
            assert (await connection.execute(has)).scalar_one() == 0
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, KeptLine)
            line = driver.kept_line
    finally:
        await engine.dispose()
    if urlsplit(settings.database_url).hostname:
        assert line | {"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 10, "TCP_USER_TIMEOUT": 10000} == line
    assert shown["lock_timeout"] == "5s"
    assert shown["statement_timeout"] == "10s"
    assert shown["tcp_user_timeout"] in {"10000", "0"}
