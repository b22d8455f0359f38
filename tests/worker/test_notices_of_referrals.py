"""That a partner town asks is told to whoever is asked: once, while it may be answered, and with nothing of anybody."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from db import referrals
from db.connection import transaction
from db.settings import Settings
from matching.notifying import Happening
from matching.vocabulary import DeclineReason, OrganizationKind
from tests.builders import add_need, add_organization
from tests.db.acts import Fact, rows
from tests.pacts import add_pact, add_referral, works_in
from tests.places import BRIANCON, GAP
from tests.worker.mailbox import body_of, mailbox, subject_of
from tests.worker.noticing import URL, add_channel, all_notices, be_due, held, look_until_settled, noticer
from tests.worker.test_notices import be_quiet


async def asked(engine: AsyncEngine, times: int = 1) -> tuple[UUID, UUID, list[UUID]]:
    """Briançon asks Gap so often to take somebody: who is asked, who asks, and the referrals."""
    async with transaction(engine) as tx:
        home = await add_organization(tx, OrganizationKind.COORDINATION, "Refuge")
        partner = await add_organization(tx, OrganizationKind.MUNICIPALITY, "Gap")
        await works_in(tx, home, BRIANCON)
        await works_in(tx, partner, GAP)
        from_, to = (home, BRIANCON), (partner, GAP)
        pact = await add_pact(tx, from_, to, acceptance="each")
        made = [await add_referral(tx, await add_need(tx, home, people=1), pact, from_, to) for _ in range(times)]
    return partner, home, made


def states(found: list[Fact]) -> dict[UUID, str]:
    return {each.referral_id: str(each.state) for each in found}


async def test_who_is_asked_is_told_once_however_often_one_looks(engine: AsyncEngine, settings: Settings) -> None:
    partner, home, made = await asked(engine, times=3)
    await add_channel(engine, settings, partner)
    await add_channel(engine, settings, home, "door@example.org")
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        for _ in range(3):
            await look_until_settled(engine, tells)
            await rows(engine, "update notice set settled_at = settled_at - interval '3 minutes'")
        (mail,) = box.mails
    assert mail["To"] != "door@example.org"
    assert subject_of(mail) == "Relais: You are asked something; it awaits your answer."
    assert body_of(mail).split() == f"You are asked something; it awaits your answer. Open Relais: {URL}".split()
    assert states(await all_notices(engine)) == dict.fromkeys(made, "told")


async def test_what_was_answered_or_came_too_late_is_not_told(engine: AsyncEngine, settings: Settings) -> None:
    partner, _, (taken, late, waits) = await asked(engine, times=3)
    await rows(engine, "update referral set state = 'accepted', return_by = answer_by where id = :id", id=taken)
    await rows(engine, "update referral set answer_by = now() where id = :id", id=late)
    await add_channel(engine, settings, partner)
    async with mailbox() as box:
        found = await look_until_settled(engine, noticer(engine, settings, box.server))
    assert states(found) == {waits: "told"}


async def test_quiet_hours_put_it_off_and_drop_what_was_answered_meanwhile(
    engine: AsyncEngine, settings: Settings
) -> None:
    partner, _, (answered, waits) = await asked(engine, times=2)
    await add_channel(engine, settings, partner)
    await be_quiet(engine, partner, now=True)
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        assert set(states(await look_until_settled(engine, tells)).values()) == {"waiting"}
        assert box.taken == []
        async with transaction(engine) as tx:
            await referrals.decline(tx, answered, partner, DeclineReason.FULL)
        await be_quiet(engine, partner, now=False)
        await be_due(engine)
        assert states(await look_until_settled(engine, tells)) == {answered: "past", waits: "told"}
        assert len(box.taken) == 1


async def test_a_channel_is_told_of_what_it_chose_alone(engine: AsyncEngine, settings: Settings) -> None:
    partner, _, _ = await asked(engine)
    await add_channel(engine, settings, partner, "holds@example.org", [Happening.AWAITS, Happening.EXPIRING])
    await add_channel(engine, settings, partner, "asked@example.org", [Happening.ASKED])
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider, "nobody@example.org", [Happening.ASKED])
    async with mailbox() as box:
        tells = noticer(engine, settings, box.server)
        await look_until_settled(engine, tells)
        await look_until_settled(engine, tells)
        assert [mail["To"] for mail in box.mails] == ["asked@example.org"]


async def test_a_notice_goes_with_its_referral(engine: AsyncEngine, settings: Settings) -> None:
    partner, _, _ = await asked(engine)
    await add_channel(engine, settings, partner)
    async with mailbox() as box:
        assert len(await look_until_settled(engine, noticer(engine, settings, box.server))) == 1
    await rows(engine, "delete from need")
    assert await all_notices(engine) == []
