"""Clients that hang up at any point: no transaction stays open for it, and every connection is there again."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api import transactions
from relais.embedded.ports import LOOPBACK
from tests.api.bodies import need_body
from tests.faults.checker import judged
from tests.faults.history import Call, History
from tests.faults.house import House
from tests.faults.load import Load
from tests.waiting import eventually

_POOL = 8
_AT_ONCE = 20
_LONGEST_IDLE = 1.0
"""Seconds that a transaction may wait for the next word: what the long form holds against the clock."""


class Watch:
    """Looks at the sessions of the API from outside: how long each transaction waited for its next word."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.longest = 0.0
        self.looks = 0

    async def run(self) -> None:
        """Look until cancelled."""
        connection = await self._house.look()
        try:
            while True:
                self.longest = max(self.longest, await connection.fetchval(_LONGEST))
                self.looks += 1
                await asyncio.sleep(0.05)
        finally:
            await connection.close()

    async def open_transactions(self) -> int:
        """How many there are now."""
        connection = await self._house.look()
        try:
            return int(await connection.fetchval(_OPEN))
        finally:
            await connection.close()


_SESSIONS = "from pg_stat_activity where application_name = 'relais-api' and state like 'idle in transaction%'"
_LONGEST = f"select coalesce(max(extract(epoch from clock_timestamp() - state_change)), 0)::float8 {_SESSIONS}"
_OPEN = f"select count(*) {_SESSIONS}"


async def test_whenever_clients_hang_up_no_transaction_stays_open(
    house: House, history: History, seed: str, *, long: bool
) -> None:
    chance, posted, watch = Random(f"{seed}/disconnects"), list[Call](), Watch(house)
    watching = asyncio.create_task(watch.run())
    await _many(10_000 if long else 300, lambda: _hang_up(house, history, chance, posted))
    await eventually(lambda: _quiet(watch), "no transaction is open")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert await _all_serve(house, house.url) == [200] * 2 * _POOL
    async with Load(house, history, seed).connected() as load:
        await _many(len(posted), lambda: _end_well(load, posted.pop()))
    told = f"longest idle in a transaction {watch.longest:.2f} s, seen in {watch.looks} looks"
    print(told)
    assert await judged(house, history.path) == []
    if long:
        assert watch.longest <= _LONGEST_IDLE, told


async def test_an_api_that_forgets_a_transaction_is_caught(
    house: House, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, forgotten = Watch(house), []

    @asynccontextmanager
    async def careless(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        forgotten.append(await engine.connect())
        await forgotten[-1].begin()
        yield forgotten[-1]
        await forgotten[-1].commit()  # where all goes well

    monkeypatch.setattr(transactions, "transaction", careless)
    headers = {"Authorization": f"Bearer {house.furnished.town_hall.key}"}
    try:
        refused = [await anyone.post(f"/v1/allocations/{uuid4()}/confirm", headers=headers) for _ in range(2)]
        left_open = await watch.open_transactions()
    finally:
        await asyncio.gather(*(connection.close() for connection in forgotten))
    assert [answer.status_code for answer in refused] == [404, 404]
    assert left_open >= 2


async def _many(count: int, act: Callable[[], Awaitable[None]]) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with places:
            await act()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())


async def _hang_up(house: House, history: History, chance: Random, posted: list[Call]) -> None:
    """Ask for something over a bare connection and cut it: in the head, in the body, before or in the answer."""
    call, request = _a_request(house, history, chance)
    sent = request[: chance.randrange(1, len(request))] if chance.random() < 0.4 else request
    with suppress(OSError):
        _, writer = await asyncio.open_connection(LOOPBACK, house.port)
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(chance.choice((0, 0.001, 0.01, 0.05, 0.2)))
        if chance.random() < 0.5:  # with a reset, as where a telephone loses its net
            line: socket.socket = writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
    if call is not None:
        history.answered(call, None, {"error": "hung up"})
        posted.append(call)


async def _end_well(load: Load, call: Call) -> None:
    """What its caller does later: asks what became of it, and withdraws the need."""
    await load.go_on_with(call)
    await load.act("coordination", "withdraw", f"/v1/needs/{call.object_id}/withdraw")


def _a_request(house: House, history: History, chance: Random) -> tuple[Call | None, bytes]:
    kind = chance.choices(("post", "post and wait", "list", "confirm"), (2, 1, 4, 3))[0]
    coordination, town_hall = house.furnished.coordination.key, house.furnished.town_hall.key
    match kind:
        case "list":
            return None, _written("GET", "/v1/needs?limit=50", coordination)
        case "confirm":
            return None, _written("POST", f"/v1/allocations/{uuid4()}/confirm", town_hall)
    body, key = need_body(people={"adults": 1}), uuid4().hex
    waits = {"Prefer": "wait=2"} if kind == "post and wait" else {}
    call = history.sends("coordination", "post", "/v1/needs", key, body)
    return call, _written("POST", "/v1/needs", coordination, body, {"Idempotency-Key": key, **waits})


def _written(
    method: str, path: str, key: str, body: dict[str, object] | None = None, headers: dict[str, str] | None = None
) -> bytes:
    told = json.dumps(body, separators=(",", ":")).encode() if body else b""
    fields = {"Host": "relais.test", "Authorization": f"Bearer {key}", "Content-Length": str(len(told))}
    fields |= {"Content-Type": "application/json"} if body else {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (fields | (headers or {})).items())]
    return "\r\n".join([*lines, "", ""]).encode() + told


async def _quiet(watch: Watch) -> bool:
    return await watch.open_transactions() == 0


async def _all_serve(house: House, url: str) -> list[int]:
    """What so many requests at once as would need each connection twice are told."""
    headers = {"Authorization": f"Bearer {house.furnished.coordination.key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
        asked = await asyncio.gather(*(http.get("/v1/needs?limit=1") for _ in range(2 * _POOL)))
    return [answer.status_code for answer in asked]
