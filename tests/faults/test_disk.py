"""A full disk under the database: who asks is told to come again, never that it was done, and all goes on after."""

from contextlib import suppress

import asyncpg
import httpx
import pytest

from api import app as service
from api.settings import ApiSettings
from tests.api.bodies import need_body
from tests.faults.checker import judged
from tests.faults.disk import SmallDisk
from tests.faults.history import History
from tests.faults.house import House
from tests.faults.kills import recovered, start_again
from tests.faults.load import under_load
from tests.waiting import eventually


@pytest.fixture
def api_settings(odd_house: House) -> ApiSettings:
    """Settings of an API in the test's own process, which a test may spoil, on that house's servers."""
    return ApiSettings(**odd_house.settings.model_dump(exclude={"database_address"}))


@pytest.fixture
def full(disk: SmallDisk | None) -> SmallDisk:
    """The disk."""
    if disk is None:
        pytest.skip("nobody may have a file system of their own on this machine")
    return disk


async def test_on_a_full_disk_needs_are_refused_for_now_and_nothing_is_lost(
    odd_house: House, full: SmallDisk, seed: str, odd_history: History
) -> None:
    house, history = odd_house, odd_history
    async with under_load(house, history, f"{seed}/disk") as load:
        await load.post_need(need_body())
        full.fill()
        await eventually(lambda: _refused(history), "somebody was told that it is away")
        await _use_up_the_log(house)
        full.clear()
        await eventually(lambda: _up_again(house), "everybody is up again")
        assert (await load.post_need(need_body())).acknowledged
        await recovered(house)
    # The first to find no room may be a new connection, which says what it could not write and not why.
    said = house.postgres.log.path.read_text()
    assert "No space left on device" in said or "could not write init file" in said
    assert await judged(house, history.path) == []


async def test_an_api_that_takes_a_full_disk_for_its_own_mistake_is_caught(
    odd_house: House, full: SmallDisk, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_AWAY_CLASSES", frozenset({"08", "57", "58"}))
    headers = {"Authorization": f"Bearer {odd_house.furnished.coordination.key}"}
    queue = {"needs": [need_body()] * 500}  # for which there is no room anywhere
    full.fill()
    try:
        said = await anyone.post("/v1/needs/batch", json=queue, headers=headers)
    finally:
        full.clear()
    assert said.status_code == 500


async def _refused(history: History) -> bool:
    return any(attempt.status == 503 for call in history.calls.values() for attempt in call.attempts)


async def _use_up_the_log(house: House) -> None:
    """Begin a new file of the log of changes, for which there is no room: the database ends for it."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection = await house.look()
        for _ in range(5):
            await connection.execute("select pg_switch_wal(), pg_logical_emit_message(true, 'full', 'disk')")


async def _up_again(house: House) -> bool:
    await start_again(house)
    try:
        await (await house.look()).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True
