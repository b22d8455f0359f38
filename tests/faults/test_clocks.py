"""Clocks that jump: those of API and worker decide nothing, and the database's loses nothing, forward or back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from tests.api.bodies import need_body, offer_body
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
            await _offer_what_ends_soon(house, load)
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


_SITE_OF = "select site_id from offer where id = $1"
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
        # On a machine that works at much else beside: what is asked here is whether, not how soon.
        return await eventually(first_hold, "a place is held", 240)
    finally:
        await connection.close()


async def _offer_what_ends_soon(house: House, load: Load) -> None:
    """What is open for one more hour is no offer of the past."""
    connection = await house.look()
    site_id = await connection.fetchval(_SITE_OF, house.furnished.offers[0])
    await connection.close()
    opens, closes = (datetime.now(ZoneInfo("Europe/Paris")) + timedelta(hours=hours) for hours in (-1, 1))
    day = opens.date().isoformat()
    times = {"opens": f"{opens:%H:%M}", "closes": f"{closes:%H:%M}", "slot_minutes": 30}
    body = offer_body(str(site_id), category="sanitation", first_day=day, last_day=day, **times)
    opened = await load.clients["town hall"].post("/v1/offers", json=body)
    assert opened.status_code == httpx.codes.CREATED, opened.text
