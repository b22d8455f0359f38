"""Whatever is killed or stopped at any moment: nothing that was acknowledged is lost, and nothing is done twice."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from signal import SIGSTOP
from statistics import median

import pytest

from tests.api.bodies import need_body
from tests.faults.checker import judged
from tests.faults.history import History
from tests.faults.house import Furnished, House, a_house
from tests.faults.kills import KINDS, Recovery, draw, kill, recovered, start_again, strike
from tests.faults.load import Load, under_load
from tests.waiting import eventually

_WRITERS = ["walwriter", "background writer", "checkpointer"]
_ANSWERS_WITHIN, _LOOKED_AT_WITHIN = 10, 15
"""Seconds, after everybody was started again and after the first answer: what the long form holds against the clock."""


async def test_killed_at_random_under_load_nothing_is_lost_or_done_twice(
    house: House, history: History, seed: str, *, long: bool
) -> None:
    chance = Random(f"{seed}/kills")
    strikes, looked_at = [], []
    async with under_load(house, history, f"{seed}/kills") as load:
        for kind in draw(chance, 200 if long else 10):
            strikes.append(await strike(house, load, chance, kind))
            if long:
                looked_at.append(await recovered(house))
        looked_at.append(await recovered(house))
    told = _in_figures(strikes, looked_at, history)
    print(told)
    assert await judged(house, history.path) == [], told
    if long:
        assert max(each.seconds for each in strikes) <= _ANSWERS_WITHIN, told
        assert max(looked_at) <= _LOOKED_AT_WITHIN, told


@pytest.fixture
def careless(furnished: Furnished) -> Iterator[House]:
    """A house whose database says that something is written, and would write it later."""
    statements = ("alter system set autovacuum = off", "alter database relais set synchronous_commit = off")
    with a_house(furnished, database=[*statements, "select pg_reload_conf()"]) as house:
        yield house


async def test_a_database_that_acknowledges_before_it_writes_is_caught(
    careless: House, seed: str, tmp_path: Path
) -> None:
    history = History(tmp_path / "history.jsonl")
    connection = await careless.look()
    for row in await connection.fetch("select pid from pg_stat_activity where backend_type = any($1)", _WRITERS):
        os.kill(row["pid"], SIGSTOP)
    async with Load(careless, history, seed).connected() as load:
        await asyncio.gather(*(load.post_need(need_body()) for _ in range(5)))
    await kill(careless, "the whole cluster", Random(seed))
    await start_again(careless)
    found = await judged(careless, history.path)
    assert any("an acknowledged need is lost" in each for each in found), found


def _in_figures(strikes: list[Recovery], looked_at: list[float], history: History) -> str:
    calls = history.calls.values()
    lines = [
        f"{len(strikes)} strikes",
        f"{len(calls)} calls in {sum(len(call.attempts) for call in calls)} attempts",
        f"{sum(call.acknowledged for call in calls)} acknowledged",
        f"answered again within {max(each.seconds for each in strikes):.1f} s",
        f"all looked at within {max(looked_at):.1f} s after that",
    ]
    for kind in KINDS:
        seconds = sorted(each.seconds for each in strikes if each.kind == kind)
        lines.append(
            f"  {kind}: {len(seconds)}, answered within {seconds[-1]:.1f} s, half within {median(seconds):.1f} s"
        )
    return "\n".join(lines)


def test_who_was_started_again_goes_on_when_the_loop_of_that_test_has_ended(house: House) -> None:
    async def killed_and_started_again() -> int:
        await kill(house, "worker", Random(0))
        said_before = house.worker.log.size()
        await start_again(house)
        return said_before

    said_before = asyncio.run(killed_and_started_again())

    async def is_ready() -> bool:
        assert house.worker.ending() is None
        return "worker.ready" in house.worker.log.since(said_before)

    asyncio.run(eventually(is_ready, "the worker goes on"))
