"""What notifications promise: in time, not at night, never twice, and nothing of anybody in them."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import channels, notices
from db.connection import transaction
from db.settings import Settings
from matching.notifying import Happening
from matching.states import AllocationState
from tests.db.acts import answer, one, rows, run_out_of_time
from tests.worker.mailbox import TAKEN, Mailbox, body_of, mailbox, subject_of
from tests.worker.noticing import ADDRESS, URL, add_channel, all_notices, be_due, held, look_until_settled, noticer
from web.notices import NOTICE_LANGUAGES, notice_text


async def states(engine: AsyncEngine) -> list[tuple[str, str]]:
    return [(str(each.happening), str(each.state)) for each in await all_notices(engine)]


async def be_quiet(engine: AsyncEngine, organization: UUID, *, now: bool) -> None:
    """Quiet hours of an organization: with this moment in them, or without."""
    clock = datetime.now(UTC)
    begins = clock - timedelta(hours=1) if now else clock + timedelta(hours=2)
    hours = (begins.time().replace(second=0), (begins + timedelta(hours=3)).time().replace(second=0))
    async with transaction(engine) as tx:
        await channels.choose(tx, organization, None, "fr", "UTC", hours)


async def test_a_hold_that_awaits_is_told_once_however_often_one_looks(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider)
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        for _ in range(3):
            await look_until_settled(engine, tells)
        (mail,) = box.mails
    assert (mail["To"], mail["From"]) == (ADDRESS, "Relais <relais@relais.example.org>")
    assert subject_of(mail) == "Relais: Something awaits your answer."
    assert body_of(mail).split() == f"Something awaits your answer. Open Relais: {URL}".split()
    assert await states(engine) == [("awaits", "told")]


async def test_of_many_holds_at_once_one_message_tells_and_the_next_two_minutes_later(
    engine: AsyncEngine, settings: Settings
) -> None:
    provider, poster, _ = await held(engine, holds=5)
    await add_channel(engine, settings, provider, happenings=[Happening.AWAITS])
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        assert len(await look_until_settled(engine, tells)) == 5
        assert len(box.taken) == 1
        await rows(engine, "delete from notice where id = (select max(id) from notice)")
        await look_until_settled(engine, tells)
        assert len(box.taken) == 1, "too soon"
        await rows(engine, "update notice set settled_at = settled_at - interval '2 minutes'")
        await look_until_settled(engine, tells)
        assert len(box.taken) == 2
    assert {state for _, state in await states(engine)} == {"told"}
    assert poster


async def test_what_runs_out_soon_is_told_where_there_was_time_before(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, (early, late) = await held(engine, holds=2)
    await add_channel(engine, settings, provider, happenings=[Happening.EXPIRING])
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        assert await look_until_settled(engine, tells) == []
        soon = "held_until = now() + interval '14 minutes', firm_from = now() - interval"
        await rows(engine, f"update allocation set {soon} '46 minutes' where id = :id", id=early)
        await rows(engine, f"update allocation set {soon} '1 minute' where id = :id", id=late)
        (told,) = await look_until_settled(engine, tells)
        (mail,) = box.mails
    assert (told.allocation_id, told.state) == (early, "told")
    assert "run out" in subject_of(mail)


async def test_a_hold_is_told_of_no_sooner_than_its_provider_is_asked(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, (tentative, planned) = await held(engine, holds=2)
    await rows(engine, "update allocation set firm_from = now() + interval '1 minute' where id = :id", id=tentative)
    await rows(engine, "update allocation set awaits_people = true where id = :id", id=planned)
    await add_channel(engine, settings, provider)
    async with mailbox() as box:
        assert await look_until_settled(engine, noticer(engine, settings, box.server)) == []
        assert box.taken == []


async def test_quiet_hours_put_off_what_is_still_so_when_they_end_and_drop_the_rest(
    engine: AsyncEngine, settings: Settings
) -> None:
    provider, _, (ends, stays) = await held(engine, holds=2)
    channel = await add_channel(engine, settings, provider)
    await be_quiet(engine, provider, now=True)
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        await look_until_settled(engine, tells)
        assert (box.taken, await states(engine)) == ([], [("awaits", "waiting")] * 2)
        async with transaction(engine) as tx:
            await channels.test(tx, channel, provider)
        await look_until_settled(engine, tells)
        assert len(box.taken) == 1, "a test is sent at any hour"
        await run_out_of_time(engine, ends)
        await be_quiet(engine, provider, now=False)
        found = {each.allocation_id: each.state for each in await look_until_settled(engine, tells)}
        assert found == {ends: "past", stays: "told", None: "told"}
        assert len(box.taken) == 2
    assert subject_of(box.mails[1]) == "Relais: Quelque chose attend votre réponse."


NIGHT = (time(22), time(6, 30))


WALL = [
    (NIGHT, "2026-10-24T19:59:00+00:00", False),
    (NIGHT, "2026-10-24T20:00:00+00:00", True),
    (NIGHT, "2026-10-25T04:31:00+00:00", True),  # 05:31 by then: the clocks went back
    (NIGHT, "2026-10-25T05:29:00+00:00", True),
    (NIGHT, "2026-10-25T05:30:00+00:00", False),
    (NIGHT, "2026-03-29T04:29:00+00:00", True),  # 06:29: they went forward
    (NIGHT, "2026-03-29T04:30:00+00:00", False),
    ((time(12), time(14)), "2026-07-01T10:00:00+00:00", True),
    ((time(12), time(14)), "2026-07-01T12:00:00+00:00", False),
    ((time(1), time(2, 30)), "2026-03-29T00:59:00+00:00", True),
    ((time(1), time(2, 30)), "2026-03-29T01:00:00+00:00", False),  # 03:00: half past two never comes
]


async def test_quiet_hours_go_by_the_clock_on_the_wall(engine: AsyncEngine) -> None:
    asked = text(f"""
        select {notices.quiet_at("cast(:at as timestamptz)")}
          from (select cast(:begins as time) as quiet_from, cast(:ends as time) as quiet_until,
                       'Europe/Paris' as timezone) h
    """)
    async with transaction(engine) as tx:
        for hours, at, quiet in WALL:
            values = {"at": datetime.fromisoformat(at), "begins": hours[0], "ends": hours[1]}
            assert (await tx.execute(asked, values)).scalar_one() is quiet, (hours, at)


async def test_what_was_refused_is_tried_again_and_given_up_in_half_an_hour(
    engine: AsyncEngine, settings: Settings
) -> None:
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider)
    pauses = []
    async with mailbox() as box:
        box.answer = lambda: "451 later"
        tells = noticer(engine, settings, box.server)
        for _ in range(5):
            (notice,) = await look_until_settled(engine, tells)
            pauses.append(notice.try_at - notice.settled_at)
            await be_due(engine)
        assert notice.state == "given_up"
        assert [each.total_seconds() for each in pauses] == [20, 60, 300, 900, 0]
        box.answer = lambda: TAKEN
        await look_until_settled(engine, tells)
        assert box.taken == []


async def test_what_was_refused_once_arrives_once(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider)
    async with mailbox() as box:
        said = iter(["550 no", TAKEN])
        box.answer = lambda: next(said)
        tells = noticer(engine, settings, box.server)
        await look_until_settled(engine, tells)
        assert (await one(engine, "select fault, failures from channel")).fault == "refused"
        await be_due(engine)
        await look_until_settled(engine, tells)
        assert len(box.taken) == 1
    row = await one(engine, "select fault, failures, failing_since from channel")
    assert (row.fault, row.failures, row.failing_since) == (None, 0, None)


@pytest.mark.parametrize("dies", ["the connection breaks behind the text", "nobody is there"])
async def test_only_what_surely_did_not_arrive_is_tried_again(
    engine: AsyncEngine, settings: Settings, dies: str
) -> None:
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider)
    async with mailbox() as box:
        box.after_text = lambda: None
        server = box.server
        if dies == "the connection breaks behind the text":
            (notice,) = await look_until_settled(engine, noticer(engine, settings, server))
            assert (notice.state, len(box.taken)) == ("lost", 1)
    if dies == "nobody is there":
        (notice,) = await look_until_settled(engine, noticer(engine, settings, server))
        assert (notice.state, box.taken) == ("waiting", [])


async def test_two_workers_tell_one_thing_once(engine: AsyncEngine, settings: Settings) -> None:
    provider, _, _ = await held(engine, holds=3)
    for number in range(4):
        await add_channel(engine, settings, provider, f"night{number}@example.org", [Happening.AWAITS])
    async with mailbox() as box:
        tellers = [noticer(engine, settings, box.server) for _ in range(3)]
        for _ in range(4):
            await asyncio.gather(*(each.look() for each in tellers))
            for each in tellers:
                await each.leave()
        told = sorted(recipient for recipient, _ in box.taken)
    assert told == [f"night{number}@example.org" for number in range(4)]


async def test_who_posted_hears_of_a_confirmation_and_a_house_only_of_a_standing_one(
    engine: AsyncEngine, settings: Settings
) -> None:
    provider, poster, (allocation,) = await held(engine)
    for organization, address in ((provider, "house@example.org"), (poster, "door@example.org")):
        await add_channel(engine, settings, organization, address, [Happening.CONFIRMED])
    await answer(engine, allocation, provider, AllocationState.CONFIRMED)

    async def laid_out() -> list[str]:
        async with transaction(engine) as tx:
            for _ in range(2):
                await notices.lay_out_confirmed(tx, [allocation])
        async with mailbox() as box:
            await look_until_settled(engine, noticer(engine, settings, box.server))
            return [recipient for recipient, _ in box.taken]

    assert await laid_out() == ["door@example.org"]
    await rows(engine, "update offer set confirmation = 'standing'")
    assert await laid_out() == ["house@example.org"]


def read_by_people(box: Mailbox) -> str:
    return "\n".join(f"{subject_of(mail)}\n{body_of(mail)}" for mail in box.mails)


async def test_nothing_of_anybody_is_in_a_message(engine: AsyncEngine, settings: Settings) -> None:
    provider, poster, (allocation,) = await held(engine, people=7)
    channel = await add_channel(engine, settings, provider)
    ids = await rows(engine, "select n.id as need, o.id as offer, o.site_id as site from need n, offer o")
    planted = {str(value) for value in (provider, poster, allocation, channel, *ids[0])}
    planted |= {"Town hall", "Coordination", "Gym", "Brian", "7", "shelter", "Europe"}
    async with mailbox() as box:
        await look_until_settled(engine, noticer(engine, settings, box.server))
        (mail,) = box.mails
        said = read_by_people(box)
        whole = " ".join([said, *map(str, mail.values())]) if box.taken else ""
    # Dates and names of messages have digits of their own.
    for word in planted:
        assert word not in said, word
        assert len(word) < 3 or word not in whole, word
    assert set(mail.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    } | ({"X-Peer", "X-MailFrom", "X-RcptTo"} & set(mail.keys()))


def test_each_language_has_words_for_all_that_happens() -> None:
    told = {
        (language, happening): notice_text(happening.value, language, URL)
        for language in NOTICE_LANGUAGES
        for happening in Happening
    }
    assert len({words.body for words in told.values()}) == len(told)
    for words in told.values():
        assert words.body.endswith(URL)
        assert URL not in words.subject
        assert not any(letter.isdigit() for letter in words.body)
    assert notice_text("awaits", "ar", None).body.endswith("افتحوا Relais.")
