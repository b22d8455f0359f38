"""What webhooks promise: signed so that anybody's library verifies it, at least once, in order, until it is taken."""

import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID, uuid4

import pytest
import trustme
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import deliveries, gauges, webhooks
from db.connection import transaction
from db.deliveries import Failure
from db.settings import Settings
from matching.delivering import SCHEDULE, Trouble
from tests.db.acts import one, rows
from tests.waiting import eventually
from tests.worker.hooks import Hook, add_hook, happen, laid_out, let_it_be_due, look_until, teller, waiting
from tests.worker.receiver import TAKEN, Answer, Receiver, Told, receiving, way_to
from tests.worker.verifying import Message, by_npm, by_pypi
from worker.webhooks import Webhooks

THIN = {"id", "kind", "object_id", "at", "facts"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def told_of_one(engine: AsyncEngine, settings: Settings, authority: trustme.CA) -> tuple[Hook, Told]:
    """One event, told once."""
    async with receiving(authority) as receiver:
        hook = await add_hook(engine, settings, receiver.url)
        await happen(engine, hook.organization_id, uuid4(), "allocation.confirmed")
        tells = teller(engine, settings, way_to(authority))
        await look_until(tells, lambda: bool(receiver.told), "told")
    (told,) = receiver.told
    return hook, told


def changed_anywhere(message: Message) -> list[Message]:
    """The same with one byte changed: each byte of the body, of the id and of the time."""
    made = [
        message.with_body(message.body[:at] + chr(ord(letter) ^ 1) + message.body[at + 1 :])
        for at, letter in enumerate(message.body)
    ]
    event_id, at = message.headers["webhook-id"], int(message.headers["webhook-timestamp"])
    made += [message.with_header("webhook-id", event_id[:-1] + ("0" if event_id[-1] != "0" else "1"))]
    return [*made, message.with_header("webhook-timestamp", str(at + 1))]


async def test_what_is_told_is_verified_by_both_libraries_and_one_changed_byte_by_neither(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    hook, told = await told_of_one(engine, settings, authority)
    message = Message.of(told, hook.secret())
    changed = [*changed_anywhere(message), Message.of(told, hook.secret(2))]
    assert len(changed) > 150
    for library in (by_pypi, by_npm):
        assert library([message]) == [True]
        assert not any(library(changed)), library.__name__


async def test_what_is_told_is_thin_and_its_id_is_the_events(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    hook, told = await told_of_one(engine, settings, authority)
    said = json.loads(told.body)
    assert said.keys() == {"type", "timestamp", "data"}
    assert said["data"].keys() == THIN
    assert said["data"]["id"] == told.id
    assert (said["type"], said["timestamp"]) == (said["data"]["kind"], said["data"]["at"])
    assert told.path == "/relais"
    assert not {"cookie", "authorization"} & told.headers.keys()
    assert await waiting(engine) == [], "what was taken is not kept"
    assert (await one(engine, "select succeeded_at from webhook where id = :id", id=hook.id)).succeeded_at


async def test_a_webhook_hears_what_concerns_its_organization_of_what_it_asked_for(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    async with receiving(authority) as receiver:
        all_of_needs = await add_hook(engine, settings, f"{receiver.url}/all", objects=["need"])
        owner = all_of_needs.organization_id
        await add_hook(engine, settings, f"{receiver.url}/some", ["offer", "need.posted"], organization_id=owner)
        await add_hook(engine, settings, f"{receiver.url}/stranger")
        for kind in ("need.posted", "need.held", "offer.opened", "allocation.held"):
            await happen(engine, owner, uuid4(), kind)
        tells = teller(engine, settings, way_to(authority))
        await look_until(tells, lambda: len(receiver.told) >= 4, "four are told")
        assert not await waiting(engine)
    heard = sorted((told.path, json.loads(told.body)["type"]) for told in receiver.told)
    assert heard == [
        ("/relais/all", "need.held"),
        ("/relais/all", "need.posted"),
        ("/relais/some", "need.posted"),
        ("/relais/some", "offer.opened"),
    ]


async def test_after_rotations_all_their_secrets_sign_for_a_day_and_then_the_newest_alone(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    async with receiving(authority) as receiver:
        hook = await add_hook(engine, settings, receiver.url)
        for _ in range(2):  # the answer to the first was lost
            async with transaction(engine) as tx:
                await webhooks.rotate(tx, hook.id, hook.organization_id)
        tells = teller(engine, settings, way_to(authority))
        await happen(engine, hook.organization_id, uuid4())
        await look_until(tells, lambda: len(receiver.told) == 1, "told")
        a_day_ago = "select array_agg(each - interval '24 hours' order by each) from unnest(retired_at) each"
        await rows(
            engine, f"update webhook set rotated_at = rotated_at - interval '24 hours', retired_at = ({a_day_ago})"
        )
        await happen(engine, hook.organization_id, uuid4())
        await look_until(tells, lambda: len(receiver.told) == 2, "told again")
    assert len({hook.secret(each) for each in (1, 2, 3)}) == 3
    asked = [Message.of(told, hook.secret(each)) for told in receiver.told for each in (1, 2, 3)]
    for library in (by_pypi, by_npm):
        assert library(asked) == [True, True, True, False, False, True]


async def test_a_secret_that_code_of_before_has_replaced_signs_for_a_day_as_well(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    async with receiving(authority) as receiver:
        hook = await add_hook(engine, settings, receiver.url)
        await rows(engine, "update webhook set generation = 2, rotated_at = now()")
        await happen(engine, hook.organization_id, uuid4())
        await look_until(teller(engine, settings, way_to(authority)), lambda: len(receiver.told) == 1, "told")
    assert by_pypi([Message.of(receiver.told[0], hook.secret(each)) for each in (1, 2)]) == [True, True]


async def hold_in_order(engine: AsyncEngine, settings: Settings, authority: trustme.CA, seed: int) -> bool:
    """Whether a receiver that fails now and then took each object's events in the order in which they happened."""
    lots = random.Random(seed)  # noqa: S311 - a receiver that fails now and then
    taken: dict[str, list[str]] = defaultdict(list)

    async def now_and_then(told: Told) -> Answer:
        if lots.random() < 0.4:
            return 503, {}
        event = json.loads(told.body)["data"]
        taken[event["object_id"]].append(event["kind"])
        return TAKEN

    things = [uuid4() for _ in range(4)]
    happened = ["posted", "held", "confirmed", "open", "closed"]
    async with receiving(authority) as receiver:
        receiver.answer = now_and_then
        hook = await add_hook(engine, settings, receiver.url)
        for word in happened:
            for thing in things:
                await happen(engine, hook.organization_id, thing, f"need.{word}")
        tells = teller(engine, settings, way_to(authority))

        async def all_taken() -> bool:
            await tells.look()
            await rows(engine, "update webhook set try_at = now()")
            # One after the other, at random: what is due first is not what happened first.
            await rows(engine, "update webhook_delivery set try_at = now() - random() * interval '1 second'")
            return sum(map(len, taken.values())) >= len(things) * len(happened)

        await eventually(all_taken, "all are taken")
        await tells.leave()
    return all(kinds == [f"need.{word}" for word in happened] for kinds in taken.values())


async def test_of_one_object_events_are_taken_in_order_whatever_fails(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    assert await hold_in_order(engine, settings, authority, 1)


async def test_control_without_waiting_for_the_one_before_the_order_is_lost(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CLAIM", "_LOCK_DUE"):
        whole = str(getattr(deliveries, name))
        assert "e.id < d.id" in whole
        monkeypatch.setattr(deliveries, name, text(whole.replace("e.id < d.id", "false")))
    assert not await hold_in_order(engine, settings, authority, 1)


async def test_two_workers_tell_each_event_once(engine: AsyncEngine, settings: Settings, authority: trustme.CA) -> None:
    async with receiving(authority) as receiver:
        hook = await add_hook(engine, settings, receiver.url)
        for _ in range(40):
            await happen(engine, hook.organization_id, uuid4())
        one_worker, other = (teller(engine, settings, way_to(authority)) for _ in range(2))

        async def all_told() -> bool:
            await one_worker.look()
            await other.look()
            return len(receiver.told) >= 40

        await eventually(all_told, "all are told")
        for each in (one_worker, other):
            await each.leave()
        assert not await waiting(engine)
    assert max(Counter(told.id for told in receiver.told).values()) == 1


async def test_a_webhook_that_is_gone_is_told_nothing_more_until_it_is_enabled_and_replayed(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    async def gone(_told: Told) -> Answer:
        return 410, {}

    async with receiving(authority) as receiver:
        receiver.answer = gone
        hook = await add_hook(engine, settings, receiver.url)
        thing = uuid4()
        for word in ("posted", "held"):
            await happen(engine, hook.organization_id, thing, f"need.{word}")
        tells = teller(engine, settings, way_to(authority))
        await look_until(tells, lambda: bool(receiver.told), "told")
        row = await one(engine, "select state, reason from webhook")
        assert (row.state, row.reason) == ("disabled", "gone")
        event = await one(engine, "select * from event where kind = 'webhook.disabled'")
        assert (event.object_id, event.organizations, event.facts) == (
            hook.id,
            [hook.organization_id],
            {"reason": "gone"},
        )
        parked = [str(each.event_id) for each in await waiting(engine, "parked")]
        assert len(parked) == 2
        await tells.look()
        assert len(receiver.told) == 1
        receiver.answer = Receiver().answer
        async with transaction(engine) as tx:
            await webhooks.enable(tx, hook.id, hook.organization_id)
            await webhooks.replay(tx, hook.id, hook.organization_id, None)
        await look_until(tells, lambda: len(receiver.told) == 3, "replayed")
    assert [told.id for told in receiver.told] == [parked[0], *parked]
    assert not await waiting(engine, "parked")


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [
        ("3600", timedelta(hours=1), timedelta(hours=1)),
        ("the date", timedelta(minutes=59), timedelta(hours=1)),
        ("864000", timedelta(hours=24), timedelta(hours=24)),
        ("1", SCHEDULE[0], SCHEDULE[0] * 1.2),
        ("soon", SCHEDULE[0], SCHEDULE[0] * 1.2),
        ("-5", SCHEDULE[0], SCHEDULE[0] * 1.2),
    ],
)
async def test_the_pause_that_is_asked_for_is_kept_within_bounds(
    engine: AsyncEngine,
    settings: Settings,
    authority: trustme.CA,
    written: str,
    least: timedelta,
    most: timedelta,
) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    async def later(_told: Told) -> Answer:
        return 429, {"Retry-After": in_an_hour if written == "the date" else written}

    async with receiving(authority) as receiver:
        receiver.answer = later
        hook = await add_hook(engine, settings, receiver.url)
        await happen(engine, hook.organization_id, uuid4())
        await look_until(teller(engine, settings, way_to(authority)), lambda: bool(receiver.told), "told")
    (put_off,) = await waiting(engine)
    pause = put_off.pause
    assert isinstance(pause, timedelta)
    assert least <= pause <= most
    assert (put_off.answered, put_off.trouble, put_off.attempts) == (429, "refused", 1)


async def test_a_webhook_that_takes_nothing_is_tried_ten_times_in_three_days_whatever_waits_and_then_disabled(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    async def broken(_told: Told) -> Answer:
        return 500, {}

    pauses = []
    async with receiving(authority) as receiver:
        receiver.answer = broken
        hook = await add_hook(engine, settings, receiver.url)
        await happen(engine, hook.organization_id, uuid4())
        tells = teller(engine, settings, way_to(authority))
        for turn in range(len(SCHEDULE) + 1):
            await look_until(tells, lambda turn=turn: len(receiver.told) > turn, f"try {turn}")  # type: ignore[misc]
            if turn == 0:
                for thing in (others := [uuid4() for _ in range(30)]):
                    await happen(engine, hook.organization_id, thing)
                await laid_out(engine, settings, others[-1])
            if turn < len(SCHEDULE):
                assert await looked_in_vain(engine, settings, authority, receiver), f"it is left alone after {turn}"
                pauses.append(await let_it_be_due(engine))
    for pause, planned in zip(pauses, SCHEDULE, strict=True):
        assert planned <= pause <= planned * 1.21
    assert timedelta(days=3) < sum(pauses, timedelta()) < timedelta(days=4)
    row = await one(engine, "select state, reason from webhook")
    assert (row.state, row.reason) == ("disabled", "failing")
    assert len(await waiting(engine, "parked")) == 31
    assert (await one(engine, "select facts from event where kind = 'webhook.disabled'")).facts == {"reason": "failing"}


async def test_one_event_that_is_never_taken_does_not_end_a_webhook_that_hears_of_nothing_else(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    """It is parked. A second one that is not taken either, in all its time, does end it: nothing was taken between."""
    async with receiving(authority) as receiver:

        async def broken(_told: Told) -> Answer:
            return 500, {}

        receiver.answer = broken
        hook = await add_hook(engine, settings, receiver.url)
        tells = teller(engine, settings, way_to(authority))
        for number, state in ((1, "active"), (2, "disabled")):
            await happen(engine, hook.organization_id, uuid4())
            for _ in range(len(SCHEDULE) + 1):
                before = len(receiver.told)
                await look_until(tells, lambda before=before: len(receiver.told) > before, "a try")  # type: ignore[misc]
                await let_it_be_due(engine)
            row = await one(engine, "select state, failing_since from webhook")
            assert (row.state, len(await waiting(engine, "parked"))) == (state, number)
            assert row.failing_since is not None
    assert len(receiver.told) == 2 * (len(SCHEDULE) + 1)


async def looked_in_vain(engine: AsyncEngine, settings: Settings, authority: trustme.CA, receiver: Receiver) -> bool:
    """Whether a look at this moment tells nothing."""
    before = receiver.connections
    tells = teller(engine, settings, way_to(authority))
    await tells.look()
    await tells.leave()
    return receiver.connections == before


async def test_an_event_that_is_never_taken_is_parked_and_holds_nothing_else_up(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    poison = uuid4()

    async def all_but_one(told: Told) -> Answer:
        return (500, {}) if json.loads(told.body)["data"]["kind"] == "need.posted" else TAKEN

    async with receiving(authority) as receiver:
        receiver.answer = all_but_one
        hook = await add_hook(engine, settings, receiver.url)
        await happen(engine, hook.organization_id, poison, "need.posted")
        await happen(engine, hook.organization_id, poison, "need.closed")
        tells = teller(engine, settings, way_to(authority))
        others: list[UUID] = []
        while not await waiting(engine, "parked"):
            assert len(others) < 40
            others.append(uuid4())
            await happen(engine, hook.organization_id, others[-1], "need.held")
            await laid_out(engine, settings, others[-1])
            await let_it_be_due(engine)

            def other_taken() -> bool:
                return str(others[-1]) in {json.loads(told.body)["data"]["object_id"] for told in receiver.told}

            await look_until(tells, other_taken, "the other is taken")
        await let_it_be_due(engine)
        assert (await one(engine, "select state from webhook")).state == "active"
        await look_until(tells, lambda: json.loads(receiver.told[-1].body)["type"] == "need.closed", "the next of it")
        (parked,) = await waiting(engine, "parked")
        assert (parked.object_id, parked.failures, parked.answered) == (poison, len(SCHEDULE) + 1, 500)
        receiver.answer = Receiver().answer
        async with transaction(engine) as tx:
            await webhooks.replay(tx, hook.id, hook.organization_id, UUID(str(parked.event_id)))
        await look_until(tells, lambda: json.loads(receiver.told[-1].body)["type"] == "need.posted", "replayed")
    assert Counter(told.id for told in receiver.told)[str(parked.event_id)] == len(SCHEDULE) + 2
    assert not await waiting(engine)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_is_followed_elsewhere(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA, status: int
) -> None:
    async with receiving(authority) as receiver, receiving(None) as elsewhere:

        async def away(_told: Told) -> Answer:
            return status, {"Location": elsewhere.url}

        receiver.answer = away
        hook = await add_hook(engine, settings, receiver.url)
        await happen(engine, hook.organization_id, uuid4())
        await look_until(teller(engine, settings, way_to(authority)), lambda: bool(receiver.told), "told")
        (put_off,) = await waiting(engine)
        assert (put_off.answered, put_off.trouble) == (status, "refused")
        assert elsewhere.connections == 0


async def test_a_certificate_for_another_name_or_by_nobody_known_is_told_nothing(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    for by, name in ((authority, "other.example.org"), (trustme.CA(), "hooks.example.org")):
        async with receiving(by, name=name) as receiver:
            hook = await add_hook(engine, settings, receiver.url)
            await happen(engine, hook.organization_id, uuid4())
            tells = teller(engine, settings, way_to(authority))
            await tried_in_vain(engine, tells)
            assert receiver.told == []
            (put_off,) = await waiting(engine)
            assert (put_off.trouble, put_off.answered) == ("insecure", None)
            await rows(engine, "delete from webhook")


async def tried_in_vain(engine: AsyncEngine, tells: Webhooks) -> None:
    async def tried() -> bool:
        await tells.look()
        return any(each.attempts for each in await waiting(engine))

    await eventually(tried, "it was tried")
    await tells.leave()


async def test_where_the_feed_does_not_go_on_webhooks_are_told_to_read_anew(
    engine: AsyncEngine, settings: Settings, authority: trustme.CA
) -> None:
    async with receiving(authority) as receiver:
        hook = await add_hook(engine, settings, receiver.url)
        await rows(engine, "update feed_mark set event_id = event_id + 1 where name = 'era'")
        tells = teller(engine, settings, way_to(authority))
        await look_until(tells, lambda: bool(receiver.told), "told")
        await happen(engine, hook.organization_id, uuid4())
        await look_until(tells, lambda: len(receiver.told) == 2, "it goes on")
    assert [json.loads(told.body)["type"] for told in receiver.told] == ["feed.broken", "need.changed"]


async def test_whose_lease_is_over_changes_nothing_of_what_another_has_in_hand(
    engine: AsyncEngine, settings: Settings
) -> None:
    hook = await add_hook(engine, settings, "https://hooks.example.org/")
    async with transaction(engine) as tx:
        await webhooks.test(tx, hook.id, hook.organization_id)
    async with transaction(engine) as tx:
        (late,) = await deliveries.claim(tx, 10)
    async with transaction(engine) as tx:
        assert await deliveries.claim(tx, 10) == []
    await rows(engine, "update webhook_delivery set leased_until = now()")
    async with transaction(engine) as tx:
        (new,) = await deliveries.claim(tx, 10)
    async with transaction(engine) as tx:
        await deliveries.put_off(tx, late, Failure(Trouble.TOO_SLOW), 0.5)
    (held,) = await waiting(engine)
    assert (held.leased_until, held.attempts) == (new.leased_until, 0)


async def test_what_waits_and_is_parked_is_counted_for_the_operator(engine: AsyncEngine, settings: Settings) -> None:
    hook = await add_hook(engine, settings, "https://hooks.example.org/")
    async with transaction(engine) as tx:
        before = await gauges.read(tx)
        await webhooks.test(tx, hook.id, hook.organization_id)
        await tx.execute(text("update webhook_delivery set since = since - interval '1 hour'"))
        found = await gauges.read(tx)
    assert (before.deliveries_waiting, before.oldest_delivery_seconds) == (0, 0)
    assert (found.deliveries_waiting, found.deliveries_parked, round(found.oldest_delivery_seconds)) == (1, 0, 3600)
