"""Channels that fail: each notice by its own tries, paused only by what is theirs, and nobody else waits for them."""

from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from db import channels, gauges, notices
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from tests.acting import in_role
from tests.db.acts import one, rows
from tests.worker.mailbox import TAKEN, mailbox
from tests.worker.noticing import add_channel, all_notices, be_due, held, look_until_settled, noticer


async def failing_for_days(engine: AsyncEngine, failures: int) -> None:
    """All channels since three days, and all that waits so often; it is due."""
    await rows(engine, "update channel set failing_since = now() - interval '3 days'")
    await rows(engine, "update notice set failures = :failures", failures=failures)
    await be_due(engine)


async def channel_state(engine: AsyncEngine) -> tuple[str, str | None]:
    row = await one(engine, "select state, reason from channel")
    return str(row.state), row.reason


async def test_a_hold_that_was_just_made_has_all_its_tries_beside_one_that_has_had_them(
    engine: AsyncEngine, settings: Settings
) -> None:
    provider, _, (old, fresh) = await held(engine, holds=2)
    await add_channel(engine, settings, provider)
    async with mailbox() as box:
        box.answer = lambda: "451 later"
        tells = noticer(engine, settings, box.server)
        await look_until_settled(engine, tells)
        await rows(engine, "update notice set failures = 4 where allocation_id = :old", old=old)
        await rows(engine, "update notice set failures = 0 where allocation_id = :fresh", fresh=fresh)
        await be_due(engine)
        found = {each.allocation_id: each for each in await look_until_settled(engine, tells)}
    assert (found[old].state, found[fresh].state) == ("given_up", "waiting")
    assert found[fresh].pause == timedelta(seconds=20)
    channel = await one(engine, "select try_at - now() < interval '21 seconds' as soon from channel")
    assert channel.soon


async def test_a_channel_by_which_nothing_arrived_for_days_is_paused_when_one_is_given_up(
    engine: AsyncEngine, settings: Settings
) -> None:
    provider, _, _ = await held(engine)
    channel = await add_channel(engine, settings, provider)
    async with mailbox() as box:
        box.answer = lambda: "451 later"
        tells = noticer(engine, settings, box.server)
        await look_until_settled(engine, tells)
        await failing_for_days(engine, failures=0)
        await look_until_settled(engine, tells)
        assert await channel_state(engine) == ("active", None), "it is tried again"
        await failing_for_days(engine, failures=4)
        (notice,) = await look_until_settled(engine, tells)
        assert notice.state == "given_up"
        assert await channel_state(engine) == ("paused", "failing")
        async with transaction(engine) as tx:
            assert (await gauges.read(tx)).channels_failing == 1
            await channels.resume(tx, channel, provider)
        box.answer = lambda: TAKEN
        await rows(engine, "update notice set state = 'waiting', failures = 0")
        await be_due(engine)
        await look_until_settled(engine, tells)
        assert len(box.taken) == 1


@pytest.mark.parametrize("fault", ["not_set_up", "unreachable"])
async def test_what_the_house_cannot_do_pauses_no_channel(engine: AsyncEngine, settings: Settings, fault: str) -> None:
    """Without a mail server, and with one that is away."""
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider)
    async with mailbox() as box:
        server = box.server
    tells = noticer(engine, settings, None if fault == "not_set_up" else server)
    await look_until_settled(engine, tells)
    row = await one(engine, "select fault, failing_since from channel")
    assert (row.fault, row.failing_since) == (fault, None)
    await failing_for_days(engine, failures=4)
    (notice,) = await look_until_settled(engine, tells)
    assert notice.state == "given_up"
    assert await channel_state(engine) == ("active", None)


async def test_a_service_that_is_not_allowed_any_more_is_not_asked(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider, "json://127.0.0.1/a")
    await look_until_settled(engine, noticer(engine, settings, None))
    assert (await one(engine, "select fault from channel")).fault == "unusable"


async def claimed_now(engine: AsyncEngine) -> list[UUID]:
    async with transaction(engine) as tx:
        return [each.channel_id for each in await notices.claim(tx, 8)]


async def test_of_each_organization_one_message_is_in_hand(engine: AsyncEngine, settings: Settings) -> None:
    """Twenty channels at a place that answers slowly have nobody else wait."""
    slow, _, _ = await held(engine)
    other, _, _ = await held(engine)
    theirs = {await add_channel(engine, settings, slow, f"night{number}@example.org") for number in range(3)}
    ours = await add_channel(engine, settings, other)
    matcher = in_role(engine, Role.MATCHER)
    async with transaction(matcher) as tx:
        await notices.lay_out(tx)
    async with transaction(matcher) as tx:
        first = [each.channel_id for each in await notices.claim(tx, 8)]
        assert await claimed_now(matcher) == [], "another worker looks before that is committed"
    assert (len(first), len(theirs & {*first}), ours in first) == (2, 1, True)
    assert await claimed_now(matcher) == []
    await rows(engine, "update notice set state = 'told' where state = 'sending'")
    (second,) = await claimed_now(matcher)
    assert second in theirs - {*first}


async def test_what_a_worker_that_died_had_in_hand_is_counted_as_lost(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, _ = await held(engine, holds=2)
    await add_channel(engine, settings, provider)
    matcher = in_role(engine, Role.MATCHER)
    async with transaction(matcher) as tx:
        await notices.lay_out(tx)
    assert len(await claimed_now(matcher)) == 1
    await rows(engine, "update notice set leased_until = now()")
    registry = CollectorRegistry()
    await look_until_settled(engine, noticer(engine, settings, None, registry))
    assert {each.state for each in await all_notices(engine)} == {"lost"}
    counted = registry.get_sample_value("relais_notices_total", {"happening": "awaits", "end": "lost"})
    assert counted == 1, "one message for both"
