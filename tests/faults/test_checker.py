"""The judge finds what it looks for: each kind of damage, done by hand, and a client that asks twice without a key."""

import asyncio
import contextlib
from dataclasses import replace
from time import time

import httpx

from tests.api.bodies import need_body
from tests.faults.checker import check, judged
from tests.faults.damage import DAMAGES
from tests.faults.history import Attempt, Call, History, read_history
from tests.faults.house import House
from tests.faults.load import Load, under_load
from tests.waiting import eventually

_ACTS = {"post", "withdraw", "confirm", "decline", "pause", "resume", "capacity"}


async def test_an_evening_without_faults_is_without_fault(house: House, history: History, seed: str) -> None:
    async with under_load(house, history, f"{seed}/checker") as load:
        await load.post_need(need_body(requires=["pets"]))  # which nobody provides: it stays open
        await eventually(lambda: _all_was_done(history), "every act was acknowledged")
    assert await judged(house, history.path) == []


async def test_every_kind_of_damage_is_found(house: House, history: History) -> None:
    calls = await asyncio.to_thread(read_history, history.path)
    connection = await house.look()
    unfound = {}
    try:
        for done, damage in DAMAGES.items():
            undone = connection.transaction()
            await undone.start()
            await connection.execute("set local session_replication_role = replica")  # nothing follows from it
            for statement in damage.statements:
                await connection.execute(statement)
            found = await check(connection, calls)
            await undone.rollback()
            if not any(each.startswith(damage.said) for each in found):
                unfound[done] = found
    finally:
        await connection.close()
    assert unfound == {}
    assert await judged(house, history.path) == []


async def test_answers_that_are_no_answers_and_one_need_told_twice_are_found(house: House, history: History) -> None:
    async with Load(house, history, "").connected() as load:
        posted = await load.post_need(need_body(requires=["pets"]))
    assert posted.acknowledged
    calls = await asyncio.to_thread(read_history, history.path)
    broken = Call(0, "coordination", "post", "/v1/needs", None, None, [Attempt(time(), 500, {})])
    connection = await house.look()
    try:
        found = await check(connection, [*calls, broken, replace(posted, key=None)])
    finally:
        await connection.close()
    assert any("answered with 500" in each for each in found), found
    assert any("two calls were told of one need" in each for each in found), found


async def test_a_client_that_asks_again_without_a_key_doubles_and_is_found(house: House, history: History) -> None:
    async with Load(house, history, "").connected() as load:
        lost = history.sends("coordination", "post", "/v1/needs", None, need_body())
        # What was posted, but for the answer, which is lost on the way.
        told = await load.clients["coordination"].post("/v1/needs", json=lost.body)
        history.answered(lost, None, {})
        again = await load.clients["coordination"].post("/v1/needs", json=lost.body)
        history.answered(lost, again.status_code, again.json())
        assert any("needs were posted twice" in each for each in await judged(house, history.path))
        # From here on both are known.
        other = history.sends("coordination", "post", "/v1/needs", None, need_body())
        history.answered(other, told.status_code, told.json())
    assert await judged(house, history.path) == []


async def test_asked_again_with_its_key_it_is_one_need(house: House, history: History) -> None:
    async with Load(house, history, "").connected() as load:
        lost = history.sends("coordination", "post", "/v1/needs", "lost-on-the-way", need_body())
        headers = {"Idempotency-Key": "lost-on-the-way"}
        with contextlib.suppress(httpx.ReadTimeout):
            await load.clients["coordination"].post(
                "/v1/needs", json=lost.body, headers=headers, timeout=httpx.Timeout(5, read=0.001)
            )
        history.answered(lost, None, {})
        await load.go_on_with(lost)
    assert lost.acknowledged
    assert await judged(house, history.path) == []


async def _all_was_done(history: History) -> bool:
    done = [call for call in history.calls.values() if call.acknowledged]
    ended = {call.object_id for call in done if call.act in ("decline", "release", "arrive")}
    confirmed = {call.object_id for call in done if call.act == "confirm"} - ended
    return {call.act for call in done} >= _ACTS and len(confirmed) >= 3
