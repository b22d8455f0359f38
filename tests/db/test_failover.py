"""A pair of servers: the one that takes writes dies, the other is promoted, and nothing that was acknowledged is lost.

People post and confirm through a real API with a real worker all the while; whatever was acknowledged to them is in a
history that is only added to, and is looked for on the server that leads afterwards. The negative control, in which the
follower was not waited for, must lose some.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from db import keys, organizations
from db.bell import SETTLED, Bell, Ear
from db.connection import connect, transaction
from db.migrations import upgrade
from db.reaching import open_plain
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from relais.embedded.ports import free_port
from relais.processes import Processes, running_processes
from tests.api.bodies import need_body
from tests.builders import add_offer
from tests.conftest import environment_of
from tests.db.pair import Member, Pair, a_pair
from tests.places import BRIANCON, add_towns
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("failover")

_AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class Town:
    """A pair with a town's house on it; `http` are the clients of who posts and of who confirms."""

    pair: Pair
    settings: Settings
    poster: str
    provider: str


class History:
    """What was acknowledged, a line each, written before anything else is done; and how often it was refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused: dict[int, int] = {}

    def acknowledged(self, act: str, thing: str) -> None:
        """Write down that an act on a thing was acknowledged."""
        with self.path.open("a") as file:
            file.write(json.dumps({"act": act, "id": thing}) + "\n")

    def refuses(self, answer: httpx.Response) -> None:
        """Count an answer that acknowledges nothing; one that asks to come again says when."""
        assert answer.status_code < 500 or "Retry-After" in answer.headers, answer.text
        self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1

    def of(self, act: str) -> set[UUID]:
        """The things on which an act was acknowledged."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return {UUID(line["id"]) for line in map(json.loads, lines) if line["act"] == act}

    @property
    def length(self) -> int:
        """How many acts were acknowledged."""
        return len(self.of("post")) + len(self.of("confirm"))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("pair")
    (folder / "secret").write_bytes(secrets.token_bytes(64))
    (folder / "address-key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
    with a_pair() as pair:
        settings = Settings(
            database_url=pair.url,
            redis_url=None,
            secret_file=folder / "secret",
            address_key_file=folder / "address-key",
            pool_size=4,
        )
        yield Town(pair, settings, *asyncio.run(_furnish(settings)))


@pytest.fixture(scope="module")
def processes(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """One API and one worker for every failover: they are never started again."""
    given = {"RELAIS_POOL_SIZE": "4", "RELAIS_POLL_SECONDS": "0.3", "RELAIS_KEY_REQUESTS_PER_MINUTE": "1000000"}
    with running_processes(
        free_port(), environment_of(town.settings) | given, tmp_path_factory.mktemp("log")
    ) as processes:
        yield processes


async def test_nothing_acknowledged_is_lost_and_writes_go_on(
    town: Town, processes: Processes, tmp_path: Path, *, long: bool
) -> None:
    """Synchronous: 0 lost, whatever was in hand. Refusals are 503 with Retry-After, never a 500; the bell is heard."""
    history = History(tmp_path / "history")
    times = 50 if long else 1
    async with _evening(town, processes.url, history), _heard(town) as heard:
        for number in range(times):
            await town.pair.wait_for_the_follower()
            await _so_many_more(history, 8)
            town.pair.leader.kill_all()
            died, before = monotonic(), history.length
            await town.pair.promote()
            await _more_than(history, before)
            print(f"failover {number + 1}: acknowledged again {monotonic() - died:.1f} s after the death")
            await eventually(partial(_is_listened_to, town.pair), "the new leader is listened to")
            await eventually(heard, "the bell is heard on it")
            await town.pair.rebuild()
            processes.check()
    assert await _lost(town.pair, history) == []
    assert set(history.refused) <= {503}, history.refused
    print(f"{times} failovers, {history.length} acknowledged, 0 lost, refused meanwhile: {history.refused}")


async def test_a_follower_that_is_not_waited_for_costs_acknowledged_writes(
    town: Town, processes: Processes, tmp_path: Path
) -> None:
    """The negative control: nothing reaches the follower any more, and nobody waits for it."""
    history = History(tmp_path / "history")
    await town.pair.wait_for_nobody()
    town.pair.follower.stop()
    async with _evening(town, processes.url, history):
        await _so_many_more(history, 8)
        town.pair.leader.kill_all()
    town.pair.follower.start()
    await town.pair.promote()
    assert await _lost(town.pair, history)
    await town.pair.rebuild()


async def test_an_old_leader_that_comes_back_as_it_was_is_written_to_by_nobody(town: Town) -> None:
    await town.pair.wait_for_the_follower()
    town.pair.leader.kill_all()
    await town.pair.promote()
    old = town.pair.follower
    old.start()
    for _ in range(5):
        connection = await open_plain(town.pair.url)
        assert await connection.fetchval("show cluster_name") == town.pair.leader.name
        await connection.close()
    await _asked_alone_it_never_says_that_a_write_is_done(old)
    # Who has met the new one does not go back, whatever else there is.
    town.pair.leader.kill_all()
    with pytest.raises(ConnectionError, match="timeline that is over"):
        await open_plain(town.pair.url)
    old.kill_all()
    town.pair.leader.start()
    await town.pair.rebuild()


async def _asked_alone_it_never_says_that_a_write_is_done(old: Member) -> None:
    """It waits for a follower that it has no more."""
    alone, look = [await asyncpg.connect(old.address) for _ in range(2)]
    writing = asyncio.create_task(alone.execute("create table written_where_nobody_looks ()"))

    async def waits() -> bool:
        found = "select exists (select from pg_stat_activity where wait_event = 'SyncRep')"
        return writing.done() or bool(await look.fetchval(found))

    await eventually(waits, "it waits for its follower")
    assert not writing.done()
    alone.terminate()
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await writing
    look.terminate()


async def _furnish(settings: Settings) -> tuple[str, str]:
    """The schema, and a town with a poster and a provider of many beds: their keys."""
    engine = connect(settings, "test")
    await upgrade(engine)
    async with transaction(engine) as tx:
        await add_towns(tx)
        joined = []
        for kind in (OrganizationKind.COORDINATION, OrganizationKind.MUNICIPALITY):
            organization_id = await organizations.add(tx, kind, f"A {kind}", [BRIANCON.id])
            issued = await keys.issue(tx, organization_id, settings.keys().of("api-key"))
            joined.append((organization_id, issued.text))
        await add_offer(tx, joined[1][0], capacity=100_000)
    await engine.dispose()
    return joined[0][1], joined[1][1]


@asynccontextmanager
async def _heard(town: Town) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Whether a bell is heard that is rung now, by who has listened from the beginning."""
    bell, ear = Bell(town.settings), Ear(town.settings, SETTLED)
    helpers = [asyncio.create_task(each) for each in (bell.run(), ear.run())]

    async def heard() -> bool:
        ring = uuid4()
        with ear.expecting(str(ring)) as heard:
            bell.settled(ring)
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.2)
            return heard.is_set()

    try:
        await eventually(heard, "the bell is heard")
        yield heard
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)


@asynccontextmanager
async def _evening(town: Town, url: str, history: History) -> AsyncIterator[None]:
    """Two who post and two who confirm, one act after the other, for as long as the block runs."""

    async def go_on(act: Callable[[httpx.AsyncClient, History], Awaitable[None]], key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
            while True:
                await act(http, history)
                await asyncio.sleep(_AGAIN_SECONDS)

    acts = [(_post, town.poster)] * 2 + [(_confirm, town.provider)] * 2
    people = [asyncio.create_task(go_on(*each)) for each in acts]
    try:
        yield
    finally:
        for each in people:
            each.cancel()
        for ended in await asyncio.gather(*people, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _post(http: httpx.AsyncClient, history: History) -> None:
    answer = await _insist(http, "/v1/needs", need_body(people={"adults": 1, "minors": 0}), history)
    history.acknowledged("post", answer["id"])


async def _confirm(http: httpx.AsyncClient, history: History) -> None:
    found = await http.get("/v1/allocations?state=held&limit=50")
    if not found.is_success:
        history.refuses(found)
    elif held := found.json()["items"]:
        allocation = secrets.choice(held)["id"]
        await _insist(http, f"/v1/allocations/{allocation}/confirm", None, history)
        history.acknowledged("confirm", allocation)


async def _insist(
    http: httpx.AsyncClient, path: str, body: dict[str, object] | None, history: History
) -> dict[str, str]:
    """Ask under one idempotency key until it is known what became of it. Another one may have confirmed before."""
    headers = {"Idempotency-Key": uuid4().hex}
    while True:
        answer = await http.post(path, json=body, headers=headers)
        if answer.is_success:
            return dict(answer.json())
        running = answer.status_code == httpx.codes.CONFLICT and answer.json()["type"].endswith("in-progress")
        if not running:
            history.refuses(answer)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _so_many_more(history: History, more: int) -> None:
    posts, confirms = len(history.of("post")) + more, len(history.of("confirm")) + more

    async def acknowledged() -> bool:
        return len(history.of("post")) >= posts and len(history.of("confirm")) >= confirms

    await eventually(acknowledged, f"{more} more of each act acknowledged")


async def _more_than(history: History, before: int) -> None:
    async def acknowledged() -> bool:
        return history.length > before

    await eventually(acknowledged, "acknowledged again")


async def _lost(pair: Pair, history: History) -> list[str]:
    """What was acknowledged and is not there."""
    connection = await asyncpg.connect(pair.leader.address)
    try:
        posted = {row["id"] for row in await connection.fetch("select id from need")}
        confirmed = {row["id"] for row in await connection.fetch("select id from allocation where state = 'confirmed'")}
    finally:
        await connection.close()
    return [f"need {each}" for each in history.of("post") - posted] + [
        f"confirmation of {each}" for each in history.of("confirm") - confirmed
    ]


async def _is_listened_to(pair: Pair) -> bool:
    connection = await asyncpg.connect(pair.leader.address)
    try:
        return bool(
            await connection.fetchval("select exists (select from pg_stat_activity where query ilike 'listen %')")
        )
    finally:
        await connection.close()
