"""Patroni with etcd promotes by itself, and nothing that was acknowledged is lost: docs/scale.md's reference, run.

Only with `--long`: to notice a death takes its time, whatever the machine.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from db.reaching import open_plain
from relais.embedded.ports import free_port
from relais.embedded.problem import StackProblem
from relais.processes import running_processes
from tests.conftest import environment_of
from tests.db.failing_over import AN_EVENING, History, acting, furnish, lost, more_than, settings_of, so_many_more
from tests.db.patroni import Member, Watched, a_watched_pair, fetch
from tests.waiting import eventually

_SHORT = {"ttl": 6, "loop_wait": 1, "retry_timeout": 2}
_DOCUMENTED = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10}
"""Seconds, as docs/scale.md has them."""


@pytest.fixture(scope="module")
def watched(*, long: bool) -> Iterator[Watched]:
    if not long:
        pytest.skip("a leader that dies is missed after seconds, six servers start: run with --long")
    try:
        fetch()
    except StackProblem as problem:
        pytest.skip(str(problem))
    with a_watched_pair(**_SHORT) as watched:
        yield watched
        print(watched.said())


async def test_patroni_promotes_and_brings_the_old_leader_back(
    watched: Watched, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed with its Patroni, three times with short times and once with the documented ones; then switched over."""
    await eventually(watched.is_whole, "one leads and the other is waited for", 120)
    connection = await open_plain(watched.maintenance_url)
    await connection.execute("create database relais")
    await connection.close()
    settings = settings_of(watched.url, tmp_path)
    keys = await furnish(settings)
    history = History(tmp_path / "history")
    with running_processes(
        free_port(), environment_of(settings) | AN_EVENING, tmp_path_factory.mktemp("log")
    ) as processes:
        async with acting(keys, processes.url, history):
            for times in (_SHORT, _SHORT, _SHORT, _DOCUMENTED):
                watched.change(**times)
                await _the_leader_dies(watched, history, times)
                processes.check()
            watched.change(**_SHORT)
            for _ in range(3):
                await _the_leader_is_relieved(watched, history)
        processes.check()
    assert await lost(watched.url, history) == []
    assert set(history.refused) <= {503}, history.refused
    print(f"{history.length} acknowledged, 0 lost; refused: {history.refused}")


async def _the_leader_dies(watched: Watched, history: History, times: dict[str, int]) -> None:
    old = await _ready(watched, history)
    old.kill_all()
    died, before, rewound = monotonic(), history.length, old.rewound()
    refused = sum(history.refused.values())
    await more_than(history, before)
    again = monotonic()
    # Now it may come back: it rewinds what it wrote alone, and follows.
    old.start()
    await eventually(watched.is_whole, "the old leader follows and is waited for", 180)
    assert (await old.state())["role"] == "replica"
    assert old.rewound() > rewound
    print(
        f"killed, ttl {times['ttl']} s: acknowledged again after {again - died:.1f} s, "
        f"{sum(history.refused.values()) - refused} requests refused meanwhile; "
        f"the old leader followed {monotonic() - again:.1f} s after it was started"
    )


async def _the_leader_is_relieved(watched: Watched, history: History) -> None:
    old = await _ready(watched, history)
    asked, before, refused = monotonic(), history.length, sum(history.refused.values())
    await asyncio.to_thread(watched.switch_over)
    await eventually(partial(_leads_another, watched, old), "another one leads", 60)
    await more_than(history, history.length)
    well, failed = history.length - before, sum(history.refused.values()) - refused
    print(
        f"switched over in {monotonic() - asked:.1f} s: silence of {history.longest_silence(asked):.1f} s "
        f"at most; {well} acts acknowledged, {failed} requests refused ({100 * failed / (well + failed):.0f} %)"
    )


async def _ready(watched: Watched, history: History) -> Member:
    """The leader of a pair that is whole, in the middle of an evening."""
    await eventually(watched.is_whole, "one leads and the other is waited for", 180)
    await so_many_more(history, 8)
    leader = await watched.leader()
    assert leader is not None
    return leader


async def _leads_another(watched: Watched, old: Member) -> bool:
    leader = await watched.leader()
    return leader is not None and leader is not old
