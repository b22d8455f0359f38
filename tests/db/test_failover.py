"""A pair of servers: the one that takes writes dies, the other is promoted, and nothing that was acknowledged is lost.

People post and confirm through a real API with a real worker all the while; whatever was acknowledged to them is in a
history that is only added to, and is looked for on the server that leads afterwards. The negative control, in which the
follower was not waited for, must lose some.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import uuid4

import asyncpg
import pytest

from db.bell import SETTLED, Bell, Ear
from db.reaching import open_plain
from db.roles import Role
from relais.embedded.ports import free_port
from relais.processes import Processes, running_processes
from tests.api.pooler import a_pooler, logins_through_a_pooler
from tests.api.processes import StartApi, start_api
from tests.conftest import Logins, Servers, environment_of
from tests.db.failing_over import AN_EVENING, History, Paired, acting, lost, more_than, so_many_more
from tests.db.pair import Member, Pair, together
from tests.waiting import eventually
from tests.worker.conftest import StartWorker, start_worker

__all__ = ["start_api", "start_worker"]

pytestmark = pytest.mark.xdist_group("failover")


@pytest.fixture(scope="module")
def processes(paired: Paired, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """One API and one worker for every failover: they are never started again."""
    with running_processes(
        free_port(), environment_of(paired.settings) | AN_EVENING, tmp_path_factory.mktemp("log")
    ) as processes:
        yield processes


async def test_nothing_acknowledged_is_lost_and_writes_go_on(
    paired: Paired, processes: Processes, tmp_path: Path, *, long: bool
) -> None:
    """Synchronous: 0 lost, whatever was in hand. Refusals are 503 with Retry-After, never a 500; the bell is heard."""
    history = History(tmp_path / "history")
    times = 50 if long else 1
    async with acting(paired.keys, processes.url, history), _heard(paired) as heard:
        for number in range(times):
            await paired.pair.wait_for_the_follower()
            await so_many_more(history, 8)
            paired.pair.leader.kill_all()
            died, before = monotonic(), history.length
            await paired.pair.promote()
            await more_than(history, before)
            print(f"failover {number + 1}: acknowledged again {monotonic() - died:.1f} s after the death")
            await eventually(partial(_is_listened_to, paired.pair), "the new leader is listened to")
            await eventually(heard, "the bell is heard on it")
            await paired.pair.rebuild()
            processes.check()
    assert await lost(paired.pair.url, history) == []
    assert set(history.refused) <= {503}, history.refused
    print(f"{times} failovers, {history.length} acknowledged, 0 lost, refused meanwhile: {history.refused}")


async def test_a_follower_that_is_not_waited_for_costs_acknowledged_writes(
    paired: Paired, processes: Processes, tmp_path: Path
) -> None:
    """The negative control: nothing reaches the follower any more, and nobody waits for it."""
    history = History(tmp_path / "history")
    await paired.pair.wait_for_nobody()
    paired.pair.follower.stop()
    async with acting(paired.keys, processes.url, history):
        await so_many_more(history, 8)
        paired.pair.leader.kill_all()
    paired.pair.follower.start()
    await paired.pair.promote()
    assert await lost(paired.pair.url, history)
    await paired.pair.rebuild()


async def test_through_a_pooler_beside_each_server_requests_go_on_as_well(
    paired: Paired, start_api: StartApi, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Both poolers in the one address, the servers themselves in the other: nothing has to be told to anybody."""
    await paired.pair.wait_for_the_follower()
    history = History(tmp_path / "history")
    async with AsyncExitStack() as undo:
        users = await undo.enter_async_context(logins_through_a_pooler(Servers(paired.pair.url, "")))
        passwords = {name: name for name in users.values()}
        poolers = [undo.enter_context(a_pooler(each.url, passwords, 8)) for each in paired.pair.members]

        def given(role: Role) -> dict[str, str]:
            return {
                **environment_of(paired.settings),
                **AN_EVENING,
                "RELAIS_DATABASE_URL": Logins.address(together(poolers), users[role]),
                "RELAIS_LISTEN_URL": Logins.address(paired.pair.url, users[role]),
            }

        api = start_api(**given(Role.APP))
        worker = start_worker(**given(Role.MATCHER))
        await api.answers(200)
        async with acting(paired.keys, api.url, history):
            await so_many_more(history, 8)
            paired.pair.leader.kill_all()
            before = history.length
            await paired.pair.promote()
            await more_than(history, before)
            await so_many_more(history, 8)
        assert await lost(paired.pair.url, history) == []
        assert set(history.refused) <= {503}, history.refused
        assert (api.process.poll(), worker.poll()) == (None, None)
        print(
            f"{history.length} acknowledged, silent for {history.longest_silence(0):.1f} s, refused {history.refused}"
        )
    await paired.pair.rebuild()


async def test_an_old_leader_that_comes_back_as_it_was_is_written_to_by_nobody(paired: Paired) -> None:
    await paired.pair.wait_for_the_follower()
    paired.pair.leader.kill_all()
    await paired.pair.promote()
    old = paired.pair.follower
    old.start()
    for _ in range(5):
        connection = await open_plain(paired.pair.url)
        assert await connection.fetchval("show cluster_name") == paired.pair.leader.name
        await connection.close()
    await _asked_alone_it_never_says_that_a_write_is_done(old)
    # Who has met the new one does not go back, whatever else there is.
    paired.pair.leader.kill_all()
    with pytest.raises(ConnectionError, match="timeline that is over"):
        await open_plain(paired.pair.url)
    old.kill_all()
    paired.pair.leader.start()
    await paired.pair.rebuild()


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


@asynccontextmanager
async def _heard(paired: Paired) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Whether a bell is heard that is rung now, by who has listened from the beginning."""
    bell, ear = Bell(paired.settings), Ear(paired.settings, SETTLED)
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


async def _is_listened_to(pair: Pair) -> bool:
    connection = await asyncpg.connect(pair.leader.address)
    try:
        return bool(
            await connection.fetchval("select exists (select from pg_stat_activity where query ilike 'listen %')")
        )
    finally:
        await connection.close()
