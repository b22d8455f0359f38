"""Slow, silent and cut wires to the database and Redis: who asks is told within the service's limits, and all goes on.

API and worker are told of the servers by way of the test's wires, and may run one statement for two seconds.
"""

import asyncio
from random import Random

from tests.api.bodies import need_body
from tests.faults.beside import beside
from tests.faults.checker import judged
from tests.faults.history import Call, History
from tests.faults.house import House
from tests.faults.kills import recovered
from tests.faults.load import Load
from tests.faults.wire import Manner, a_wire
from tests.waiting import eventually


async def test_over_bad_wires_all_are_told_and_all_goes_on(
    house: House, history: History, seed: str, *, long: bool
) -> None:
    async with a_wire(house.settings.database_url) as database, a_wire(house.redis.url) as redis:
        chance, bad = Random(f"{seed}/wires"), [manner for manner in Manner if manner is not Manner.WELL]
        faults = [(database, manner) for manner in bad]
        faults += [(redis, manner) for manner in (bad if long else chance.sample(bad, 1))]
        faults *= 10 if long else 1
        chance.shuffle(faults)
        settings = house.settings.model_copy(update={"database_url": database.url, "redis_url": redis.url})
        async with (
            beside(house, settings, {"RELAIS_STATEMENT_SECONDS": "2"}) as served,
            Load(house, history, seed, served.url).connected() as load,
        ):
            for wire, manner in faults:
                wire.be(manner)
                asked = [asyncio.create_task(load.post_need(need_body(people={"adults": 1}))) for _ in range(6)]
                answered = await _first_attempts(history, len(asked))
                wire.be(Manner.WELL)
                await asyncio.gather(*asked)
                await recovered(house)
                told = f"{manner} wire to {'Redis' if wire is redis else 'the database'}: {answered}"
                print(told)
                assert served.worker.ending() is None, told
                carries = wire is redis or manner in (Manner.SLOW, Manner.TRICKLES)
                assert set(answered) == {201 if carries else 503}, told
    assert await judged(house, history.path) == []


async def _first_attempts(history: History, count: int) -> list[int | None]:
    """What the last calls were told first, once each was told something."""

    def newest() -> list[Call]:
        return list(history.calls.values())[-count:]

    async def told() -> bool:
        return all(call.attempts for call in newest())

    await asyncio.sleep(0)
    await eventually(told, "every call was told something", 60)
    return [call.attempts[0].status for call in newest()]
