"""Pacts on a page: what was agreed, how full this week is, and terms that are signed by who has read them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, catalogue, say
from db.connection import transaction
from db.keys import Scope
from matching.states import PactState
from matching.vocabulary import OrganizationKind, Transport
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import post_need
from tests.builders import TONIGHT
from tests.console.conftest import Enter, Shown
from tests.db.acts import one, rows
from tests.pacts import add_pact, add_referral, terms_body
from tests.places import BRIANCON, GAP, OULX

PACTS = "/console/pacts"
TODAY = TONIGHT - timedelta(days=1)


@pytest.fixture
async def briancon(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))


@pytest.fixture
async def gap(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))


async def proposed(by: Organization, to: Organization, **terms: object) -> str:
    """A pact that Gap is to sign, and the path at which it does."""
    body = {"town": BRIANCON.id, "partner": str(to.id), "partner_town": GAP.id, "terms": terms_body(**terms)}
    answer = await by.http.post("/v1/pacts", json=body)
    assert answer.status_code == 201, answer.text
    return f"{PACTS}/{answer.json()['id']}/sign"


async def signatures(engine: AsyncEngine) -> int:
    return int((await one(engine, "select count(*) as n from pact_signature")).n)


def told(shown: Shown, *words: str) -> None:
    for each in words:
        assert each in shown.words, each


async def test_terms_are_read_whole_and_signed_once_it_is_said_for_sure(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    path = await proposed(
        briancon,
        gap,
        to_proposer_per_week=4,
        categories=["shelter", "meal"],
        transport="receiving",
        acceptance="each",
        answer_within_minutes=45,
        notice_days=60,
        first_day="2026-11-01",
        last_day="2031-02-03",
    )
    asks, hall = await enter(briancon.key), await enter(gap.key)
    waits = await asks.read(PACTS)
    told(waits, say("console.pact.waits_for", "en", town="Gap"), say("console.pact.state.proposed", "en"))
    assert path not in [form.action for form in waits.forms]
    shown = await hall.read(PACTS)
    told(
        shown,
        "We take at most 10 people a week from Briançon · Briançon takes at most 4 people a week from us",
        "A meal · A place to sleep",
        say("console.pact.border.no", "en"),
        say("console.pact.way.receiving", "en"),
        say("console.pact.answer.each", "en", minutes=45),
        "1 November 2026 – 3 February 2031",
        "Days: 60",
    )
    sure = await hall.send(shown, path)
    told(sure, say("console.pact.sign.sure", "en"), "version 1")
    assert await signatures(engine) == 1
    done = await hall.send(sure, path)
    assert await signatures(engine) == 2
    told(done, "In force until 3 February 2031", "This week: 0 of 10", "This week: 0 of 4")
    assert path not in [form.action for form in done.forms]
    await hall.send(sure, path)
    assert await signatures(engine) == 2
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert "POST /console/pacts/{pact_id}/sign" in acts


async def test_what_was_not_read_is_not_signed(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    path = await proposed(briancon, gap)
    hall = await enter(gap.key)
    shown = await hall.read(PACTS)
    pact_id = path.split("/")[3]
    other = await briancon.http.post(f"/v1/pacts/{pact_id}/versions", json={"terms": terms_body(notice_days=366)})
    assert other.status_code == 201, other.text
    before = await signatures(engine)
    late = await hall.send(shown, path, status=409, sure="1")
    told(late, say("problem.conflict.not_the_newest_version.detail", "en"))
    for number in ("3", "x"):
        await hall.send(shown, path, status=422, number=number)
    await hall.send(shown, path, status=409, number="x", sure="1")
    await rows(engine, "update pact_version set first_day = '2020-01-01', last_day = '2020-12-31'")
    over = await hall.send(await hall.read(PACTS), path, status=409, sure="1")
    told(over, say("problem.conflict.version_is_over.detail", "en"))
    assert await signatures(engine) == before
    # The control: the newest is signed where its days are not over.
    await rows(engine, "update pact_version set last_day = :day", day=TODAY + timedelta(days=9))
    await hall.send(await hall.read(PACTS), path, sure="1")
    assert await signatures(engine) == before + 1


async def test_each_town_sees_how_full_this_week_is_both_ways_and_until_when_it_holds(
    enter: Enter, briancon: Organization, gap: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    oulx = await client(OrganizationKind.MUNICIPALITY, towns=(OULX.id,))
    home, away = (briancon.id, BRIANCON), (gap.id, GAP)
    need = (await post_need(briancon))["id"]
    async with transaction(engine) as tx:
        pact_id = await add_pact(tx, home, away, to_partner_per_week=7, to_proposer_per_week=0)
        await add_referral(tx, need, pact_id, home, away)
        ended = await add_pact(tx, home, (oulx.id, OULX))
    monday = TODAY - timedelta(days=TODAY.weekday())
    await rows(engine, "update pact_week set week = :monday, people = 5", monday=monday)
    await rows(
        engine,
        "insert into pact_week (pact_id, to_town_id, week, people) values (:id, :town, :week, 6)",
        id=pact_id,
        town=GAP.id,
        week=monday + timedelta(days=7),
    )
    await rows(engine, "update pact set state = 'ended', ended_at = now() where id = :id", id=ended)
    shown = await (await enter(briancon.key)).read(PACTS)
    told(shown, "Gap takes at most 7 people a week from us", "This week: 5 of 7", "We take nobody from Gap")
    told(shown, "Oulx", say("console.pact.state.ended", "en"))
    assert shown.words.index("Gap takes") < shown.words.index("Oulx")
    other = await (await enter(gap.key)).read(PACTS)
    told(other, "We take at most 7 people a week from Briançon", "This week: 5 of 7", "Briançon takes nobody from us")
    assert "Oulx" not in other.words
    given = await briancon.http.post(f"/v1/pacts/{pact_id}/end")
    assert given.is_success
    told(await (await enter(gap.key)).read(PACTS), "Notice was given")


async def test_to_everybody_else_a_pact_is_missing(
    enter: Enter, briancon: Organization, gap: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    path = await proposed(briancon, gap)
    stranger = await enter((await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))).key)
    shown = await stranger.read(PACTS)
    told(shown, say("console.pacts.none", "en"))
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]

    async def answers(pact_id: str) -> list[tuple[int, str]]:
        asked = [
            await stranger.http.post(f"{PACTS}/{pact_id}/sign", data={"token": token, "number": "1", **sure})
            for sure in ({}, {"sure": "1"})
        ]
        return [(each.status_code, each.text.replace(pact_id, "")) for each in asked]

    assert await answers(path.split("/")[3]) == await answers(str(uuid4()))
    assert await signatures(engine) == 1


async def test_a_key_reads_and_signs_what_the_api_would_let_it(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    path = await proposed(briancon, gap)
    hall = await enter(gap.key)
    whole = await hall.read(PACTS)

    async def only(*scopes: Scope) -> None:
        values = {"id": gap.id, "scopes": sorted(scopes)}
        await rows(engine, "update api_key set scopes = :scopes where organization_id = :id", **values)

    await only(Scope.PACTS_READ)
    shown = await hall.read(PACTS)
    told(shown, "Briançon")
    assert path not in [form.action for form in shown.forms]
    await hall.send(whole, path, status=403, sure="1")
    await only(Scope.NEEDS_READ)
    await hall.read(PACTS, 403)
    assert PACTS not in (await hall.read("/console")).answer.text
    assert await signatures(engine) == 1


def test_every_term_has_its_words_in_every_language() -> None:
    keys = {f"console.pact.way.{each}" for each in Transport} | {f"console.pact.state.{each}" for each in PactState}
    keys |= {"console.pact.answer.each", "console.pact.answer.standing", "console.pact.we_take.nobody"}
    for language in LANGUAGES:
        assert catalogue(language).keys() >= keys, language
    assert len({say(key, language) for key in keys for language in LANGUAGES}) == len(keys) * len(LANGUAGES)
