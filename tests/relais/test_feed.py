"""The feed begins anew when an operator says so, never by mistake; `relais doctor` says when it must."""

from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import events, feed
from db.connection import transaction
from db.feed import Mark
from db.settings import Settings
from matching.refusals import FeedBroken
from relais.finding import House
from relais.looks_at_work import events as look_at_events
from tests.relais.conftest import Relais
from tests.waiting import eventually

_WHO = uuid4()


async def test_only_when_it_is_told_to_does_it_begin_anew(relais: Relais, engine: AsyncEngine) -> None:
    before = await _place(engine)
    asked = await relais("feed", "begin-anew")
    assert (asked.exit_code, await _is_good(engine, before)) == (1, True), asked.output
    assert "410" in asked.output
    told = await relais("feed", "begin-anew", "--yes")
    assert (told.exit_code, await _is_good(engine, before)) == (0, False), told.output


async def test_events_of_another_server_are_read_again_once_it_did_what_the_doctor_said(
    relais: Relais, engine: AsyncEngine, settings: Settings
) -> None:
    async with transaction(engine) as tx:
        await events.record(tx, "need.posted", uuid4(), [_WHO])
    # As from a dump of another server, whose transactions were numbered higher.
    async with transaction(engine) as tx:
        await tx.execute(text("set local session_replication_role = 'replica'"))
        await tx.execute(text("update event set transaction = '1000000000000'"))
    house = House(settings, engine)
    found = await look_at_events(house)
    assert found is not None
    assert "relais feed begin-anew" in found.what_to_do
    assert await _read(engine) == []
    assert (await relais("feed", "begin-anew", "--yes")).exit_code == 0
    assert await look_at_events(house) is None

    async def again() -> bool:
        return await _read(engine) == ["need.posted"]

    await eventually(again, "the event is read again")


async def _place(engine: AsyncEngine) -> Mark:
    async with transaction(engine) as tx:
        return await feed.now(tx)


async def _is_good(engine: AsyncEngine, place: Mark) -> bool:
    """Whether who was there may read on."""
    try:
        async with transaction(engine) as tx:
            await feed.read(tx, _WHO, place, {"need"}, 10)
    except FeedBroken:
        return False
    return True


async def _read(engine: AsyncEngine) -> list[str]:
    """All kinds of event, from the oldest."""
    async with transaction(engine) as tx:
        return [each.kind for each in (await feed.read(tx, _WHO, None, {"need"}, 10)).events]
