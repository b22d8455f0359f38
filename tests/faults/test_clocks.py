"""Clocks that jump: those of API and worker decide nothing, and the database's loses nothing, forward or back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.api.bodies import need_body
from tests.faults.beside import beside
from tests.faults.checker import judged
from tests.faults.clocks import Clock
from tests.faults.history import History
from tests.faults.house import House
from tests.faults.kills import recovered
from tests.faults.load import Load, under_load
from tests.waiting import eventually

_HOUR = 3600
_MISSING = "libfaketime is not here: `python -m tests.faults.clocks` fetches it, where the distribution is reached"


async def test_the_clocks_of_api_and_worker_decide_nothing(
    house: House, clock: Clock | None, history: History, seed: str
) -> None:
    if clock is None:
        pytest.skip(_MISSING)
    clock.set(0)
    async with (
        beside(house, house.settings, clock.environment) as served,
        Load(house, history, seed, served.url).connected() as load,
    ):
        for ahead in (3 * _HOUR, -3 * _HOUR):
            clock.set(ahead)
            need = await _held(house, load)
            assert timedelta(minutes=29) < need["deadline"] - need["posted_at"] < timedelta(minutes=31)
            assert timedelta(minutes=0) < need["held_until"] - need["created_at"] <= timedelta(minutes=60)
            # Else nothing was tried: its own time is another.
            said = json.loads((house.log / "beside-api.log").read_text().splitlines()[-1])["timestamp"]
            assert abs(datetime.fromisoformat(said) - datetime.now(UTC)) > timedelta(hours=2)
        await recovered(house)
        connection = await house.look()
        assert await connection.fetchval("select count(*) from allocation where state = 'expired'") == 0
        await connection.close()
    assert await judged(house, history.path) == []


async def test_when_the_databases_clock_jumps_holds_run_out_and_nothing_is_lost(
    odd_house: House, clock: Clock | None, odd_history: History, seed: str
) -> None:
    if clock is None:
        pytest.skip(_MISSING)
    clock.set(0)
    connection = await odd_house.look()

    async def ran_out() -> bool:
        return bool(await connection.fetchval(_STATE, before["allocation"]) != "held")

    async with under_load(odd_house, odd_history, f"{seed}/clocks") as load:
        before = await _held(odd_house, load)
        for ahead in (2 * _HOUR, 1 * _HOUR, 0):
            clock.set(ahead)
            now = await connection.fetchval("select clock_timestamp()")
            assert abs(now - datetime.now(UTC) - timedelta(seconds=ahead)) < timedelta(minutes=10)
            await _held(odd_house, load)
            await eventually(ran_out, "a hold of before the jump has run out")
    await connection.close()
    await recovered(odd_house)
    assert await judged(odd_house, odd_history.path) == []


_STATE = "select state from allocation where id = $1"
_FIRST_HOLD = """
    select n.posted_at, n.deadline, a.id as allocation, a.created_at, a.held_until
      from need n join allocation a on a.need_id = n.id
     where n.id = $1
"""


async def _held(house: House, load: Load) -> asyncpg.Record:
    """A need whose time has begun, with the first hold for it."""
    now = datetime.now(UTC)
    window = {"from": (now - timedelta(minutes=10)).isoformat(), "until": (now + timedelta(hours=20)).isoformat()}
    posted = await load.post_need(need_body(category="sanitation", people={"adults": 1}, **window))
    assert posted.acknowledged, posted.attempts
    connection = await house.look()

    async def first_hold() -> Any:
        return await connection.fetchrow(_FIRST_HOLD, posted.object_id)

    try:
        return await eventually(first_hold, "a place is held")
    finally:
        await connection.close()
