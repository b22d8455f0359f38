"""Redis is a courtesy: flushed, stopped, away, or back with what it knew long ago, needs are posted and placed."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP

import httpx
import pytest
from redis.asyncio import Redis

from api.pace import Bucket, Pace
from tests.api.bodies import need_body
from tests.faults.checker import judged
from tests.faults.history import History
from tests.faults.house import House
from tests.faults.kills import recovered, start_again
from tests.faults.load import Load, under_load

_DRAINED_WITHIN = 30
"""Seconds: what the long form holds against the clock."""


async def test_flushed_stopped_away_or_stale_no_post_fails_and_the_worker_goes_on(
    house: House, history: History, seed: str, *, long: bool
) -> None:
    await start_again(house)
    async with Load(house, history, "").connected() as load:
        # What was done to the house before is over once it has answered.
        assert (await load.post_need(need_body(requires=["pets"]))).acknowledged
    await recovered(house)
    worker, before = house.worker.pid, len(history.calls)
    seconds = 600 if long else 2
    async with under_load(house, history, f"{seed}/redis"), Redis.from_url(house.redis.url) as redis:
        await redis.save()
        stale = shutil.copy(house.dump, house.root / "stale.rdb")
        for _ in range(10):
            await redis.flushall()
            await asyncio.sleep(0.1)
        async with _stopped(house):
            await asyncio.sleep(3)
        house.redis.kill()
        await asyncio.sleep(seconds)
        shutil.copy(stale, house.dump)
        shutil.chown(house.dump, house.cluster.stat().st_uid)
        await start_again(house)
        drained = await recovered(house)
        await asyncio.sleep(2)
    house.dump.unlink()
    posts = [call for call in list(history.calls.values())[before:] if call.act == "post"]
    failed = [call for call in posts if call.attempts[0].status != httpx.codes.CREATED]
    told = f"{len(posts)} needs posted, {len(failed)} not at once; drained {drained:.1f} s after Redis was back"
    print(told)
    assert len(failed) <= len(posts) / 1000, failed
    assert house.worker.pid == worker
    assert await judged(house, history.path) == []
    if long:
        assert drained <= _DRAINED_WITHIN, told


async def test_an_api_that_needs_redis_is_caught(
    house: House, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leaning(self: Pace, wanted: Sequence[Bucket]) -> float:
        assert self._shared is not None
        return await self._shared.take(wanted)

    monkeypatch.setattr(Pace, "_taken", leaning)
    headers = {"Authorization": f"Bearer {house.furnished.coordination.key}"}
    house.redis.kill()
    try:
        said = [(await anyone.post("/v1/needs", json=need_body(), headers=headers)).status_code for _ in range(3)]
    finally:
        await start_again(house)
    assert said == [500] * 3


@asynccontextmanager
async def _stopped(house: House) -> AsyncIterator[None]:
    pid = house.redis.pid
    assert pid is not None
    os.kill(pid, SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, SIGCONT)
