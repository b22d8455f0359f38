"""Pacts proposed, renewed and ended on pages: terms are read whole before they are signed, an end is told before."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, catalogue, say
from db import pacts
from db.connection import transaction
from db.keys import Scope
from matching.vocabulary import Acceptance, OrganizationKind
from tests.api.bodies import practice_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer
from tests.api.stored import everything_stored, holds
from tests.builders import TONIGHT
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import one, rows
from tests.pacts import add_pact, terms_body
from tests.places import BRIANCON, GAP, OULX
from tests.waiting import eventually

PACTS, NEW = "/console/pacts", "/console/pacts/new"
FIRST, LAST = TONIGHT.isoformat(), (TONIGHT + timedelta(days=700)).isoformat()
WHAT: dict[str, str | list[str]] = {
    "to_proposer_per_week": "4",
    "to_partner_per_week": "9",
    "categories": ["shelter", "meal"],
    "transport": "receiving",
}
HOW = {"answer_within_minutes": "45", "first_day": FIRST, "last_day": LAST, "notice_days": "60"}


@pytest.fixture
async def briancon(client: JoinNetwork, engine: AsyncEngine) -> Organization:
    await rows(
        engine,
        "insert into town_name (town_id, folded, name) select id, lower(name), name from town on conflict do nothing",
    )
    return await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))


@pytest.fixture
async def gap(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))


def told(shown: Shown, *words: str) -> None:
    for each in words:
        assert each in shown.words, each


async def partner_town(browser: Browser, sought: str = "gap") -> Shown:
    """The step that asks who signs for the town of this name."""
    found = await browser.send(await browser.read(NEW), NEW, q=sought, find="1")
    return await browser.send(found, NEW)


async def read_once_more(browser: Browser, who: Shown, **signs: str) -> Shown:
    """The step that shows all of it."""
    what = await browser.send(who, NEW, 200, **signs)
    return await browser.send(await browser.send(what, NEW, 200, **WHAT), NEW, 200, **HOW)


async def the_pact(who: Organization) -> dict[str, Any]:
    (pact,) = (await who.http.get("/v1/pacts")).json()["items"]
    found: dict[str, Any] = pact
    return found


async def test_a_pact_is_proposed_step_by_step_to_whom_tells_its_number(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    browser, hall = await enter(briancon.key), await enter(gap.key)
    told(await hall.read(PACTS), str(gap.id))
    assert NEW in [held.get("href") for tag, held in (await browser.read(PACTS)).elements if tag == "a"]
    who = await partner_town(browser)
    told(who, say("console.pact.partner.none", "en", town="Gap"))
    nobody = await browser.send(who, NEW, 422, number=str(uuid4()))
    told(nobody, say("flaw.unknown_partner", "en"), "Step 2 of 5")
    whole = await read_once_more(browser, who, number=f" {gap.id} ")
    told(
        whole,
        say("console.pact.whole.lead", "en"),
        "We take at most 4 people a week from Gap · Gap takes at most 9 people a week from us",
        "A meal · A place to sleep",
        say("console.pact.answer.each", "en", minutes=45),
        "Days: 60",
    )
    assert await rows(engine, "select 1 from pact") == []
    back = await browser.send(whole, NEW, back="1")
    assert ("last_day", LAST) in back.form(NEW).fields
    done = await browser.send(whole, NEW)
    assert done.answer.url.path == PACTS
    await browser.send(whole, NEW)
    pact = await the_pact(briancon)
    assert (pact["partner"], pact["state"]) == ({"organization_id": str(gap.id), "town": GAP.id}, "proposed")
    assert pact["versions"][0]["terms"] == {
        "to_partner_per_week": 9,
        "to_proposer_per_week": 4,
        "categories": ["meal", "shelter"],
        "crosses_border": False,
        "transport": "receiving",
        "acceptance": "each",
        "answer_within_minutes": 45,
        "first_day": FIRST,
        "last_day": LAST,
        "notice_days": 60,
    }
    told(await hall.read(PACTS), "We take at most 9 people a week from Briançon")
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert acts.count(f"POST {NEW}") == 1


async def test_partners_to_choose_are_those_who_are_named_and_no_others(
    enter: Enter, briancon: Organization, gap: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    """By the directory, for they give at a public place; by the register, for whoever reads it; and by their names."""
    await rows(engine, "update organization set name = 'Mairie des Alpes' where id = :id", id=gap.id)
    hidden = await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))
    helps = await client(OrganizationKind.ASSOCIATION, towns=(GAP.id,))
    browser = await enter(briancon.key)

    async def listed(sought: str = "gap") -> set[str]:
        shown = await partner_town(browser, sought)
        assert "Gap" in shown.words
        return {held["value"] for tag, held in shown.elements if tag == "option" and held["value"]}

    assert await listed() == set()
    await open_offer(gap, GAP)
    await open_offer(helps, GAP)
    assert await listed() == set(), "only its guests learn of such a place"
    await rows(engine, "update site set visibility = 'public'")
    await rows(engine, "update offer set is_public = true")
    assert await listed() == {str(gap.id)}, "and no association signs"
    assert await listed("mairie des") == {str(gap.id)}
    whole = await read_once_more(browser, await partner_town(browser), partner=str(gap.id))
    told(whole, "Mairie des Alpes")
    await browser.send(whole, NEW)
    assert (await the_pact(briancon))["partner"]["organization_id"] == str(gap.id)
    # Who gives something elsewhere can't sign for the town where it does.
    await rows(
        engine, "update organization_town set town_id = :oulx where organization_id = :id", oulx=OULX.id, id=gap.id
    )
    assert await listed() == set()
    await rows(engine, "update organization_town set town_id = :gap where organization_id = :id", gap=GAP.id, id=gap.id)
    await rows(engine, "update offer set is_public = false")
    assert await listed() == set()
    # The register of practices.
    practice = await hidden.http.post("/v1/practices", json=practice_body(town=GAP.id, named=True))
    assert practice.status_code == 201, practice.text
    assert await listed() == {str(hidden.id)}
    await hidden.http.patch(f"/v1/practices/{practice.json()['id']}", json={"named": False}, headers={"If-Match": "*"})
    assert await listed() == set()
    await rows(engine, "update practice set named = true")
    only = "update api_key set scopes = :scopes where organization_id = :id"
    await rows(engine, only, id=briancon.id, scopes=sorted([Scope.PACTS_READ.value, Scope.PACTS_WRITE.value]))
    assert await listed() == set(), "who may not read practices learns nothing of them"


WRONG: list[tuple[int, str, dict[str, str | list[str]]]] = [
    (0, "partner_town", {"partner_town": ""}),
    (0, "partner_town", {"partner_town": str(BRIANCON.id)}),
    (0, "partner_town", {"partner_town": "999999999"}),
    (0, "town", {"town": str(GAP.id)}),
    (1, "number", {"number": "7b1f"}),
    (1, "number", {"number": ""}),
    (1, "number", {"number": str(uuid4())}),
    (2, "to_partner_per_week", {"to_partner_per_week": "0", "to_proposer_per_week": "0"}),
    (2, "to_proposer_per_week", {"to_proposer_per_week": "10001"}),
    (2, "categories", {"categories": []}),
    (2, "categories", {"categories": ["castles"]}),
    (2, "transport", {"transport": "by_magic"}),
    (3, "answer_within_minutes", {"answer_within_minutes": "4"}),
    (3, "last_day", {"last_day": ""}),
    (3, "last_day", {"last_day": (TONIGHT - timedelta(days=2)).isoformat()}),
    (3, "last_day", {"last_day": (TONIGHT + timedelta(days=9000)).isoformat()}),
    (3, "notice_days", {"notice_days": "367"}),
]


async def test_what_is_wrong_is_said_at_its_field_in_its_step_and_nothing_is_proposed(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(briancon.key)
    steps: list[dict[str, str | list[str]]] = [{}, {"number": str(gap.id)}, WHAT, dict(HOW), {}]
    pages = [await browser.send(await browser.read(NEW), NEW, q="gap", find="1")]
    for said in steps[:-1]:
        pages.append(await browser.send(pages[-1], NEW, 200, **said))
    for at, field, changes in WRONG:
        refused = await browser.send(pages[at], NEW, 422, **steps[at] | changes)
        told(refused, f"Step {at + 1} of 5")
        assert refused.answer.text.count(f'id="wrong-{field}"') == 1, changes
    # Whoever comes to the last page with what does not fit any more is led back.
    late = await browser.send(pages[-1], NEW, 422, to_partner_per_week="-3")
    told(late, "Step 3 of 5")
    assert await rows(engine, "select 1 from pact") == []
    # The control: nothing else was wrong.
    await browser.send(pages[-1], NEW)
    assert len(await rows(engine, "select 1 from pact")) == 1


async def test_a_border_between_two_towns_is_told_of(
    enter: Enter, briancon: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    oulx = await client(OrganizationKind.MUNICIPALITY, towns=(OULX.id,))
    browser = await enter(briancon.key)
    what = await browser.send(await partner_town(browser, "oulx"), NEW, number=str(oulx.id))
    refused = await browser.send(what, NEW, 422, **WHAT)
    assert 'id="wrong-crosses_border"' in refused.answer.text
    whole = await browser.send(await browser.send(refused, NEW, 200, crosses_border="1"), NEW, 200, **HOW)
    told(whole, say("console.pact.border.yes", "en"))
    await browser.send(whole, NEW)
    assert (await one(engine, "select crosses_border as crosses from pact_version")).crosses


async def test_other_terms_are_proposed_from_the_newest_by_either_town(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    async with transaction(engine) as tx:
        pact = await add_pact(tx, (briancon.id, BRIANCON), (gap.id, GAP), to_partner_per_week=7, to_proposer_per_week=2)
    path = f"{PACTS}/{pact}/terms"
    desk, hall = await enter(briancon.key), await enter(gap.key)
    shown = await hall.read(path)
    assert path in [held.get("href") for tag, held in (await hall.read(PACTS)).elements if tag == "a"]
    told(shown, "How many people a week do we take from Briançon at most?")
    fields = dict(shown.form(path).fields)
    # To the partner, what the proposer calls "to the partner" is what we take.
    assert (fields["to_partner_per_week"], fields["to_proposer_per_week"]) == ("7", "2")
    assert list(fields).index("to_partner_per_week") < list(fields).index("to_proposer_per_week")
    how = await hall.send(shown, path, to_partner_per_week="8")
    whole = await hall.send(how, path, last_day=LAST, notice_days="90")
    told(whole, "We take at most 8 people a week from Briançon · Briançon takes at most 2 people a week from us")
    late = await desk.read(path)
    done = await hall.send(whole, path)
    await hall.send(whole, path)
    told(done, "In force until", say("console.pact.waits_for", "en", town="Briançon"))
    versions = await rows(engine, "select number, to_partner_per_week as n, notice_days from pact_version order by 1")
    assert [(row.number, row.n, row.notice_days) for row in versions] == [(1, 7, 30), (2, 8, 90)]
    # The other town had read what was before: it is told, and proposes nothing over it.
    told(await desk.send(late, path, 412), say("console.pact.meanwhile", "en"))
    jump = await desk.send(late, path, 412, step="whole")
    told(jump, say("console.pact.meanwhile", "en"), "Step 1 of 3")
    assert ("number", "2") in jump.form(path).fields
    wrong = await desk.send(jump, path, 422, to_partner_per_week="0", to_proposer_per_week="0")
    assert 'id="wrong-to_partner_per_week"' in wrong.answer.text
    assert len(await rows(engine, "select 1 from pact_version")) == 2
    await rows(engine, "update pact set state = 'ended', ended_at = now()")
    told(await desk.read(path, 409), say("problem.conflict.pact_has_ended.detail", "en"))
    told(await desk.send(jump, path, 409), say("problem.conflict.pact_has_ended.detail", "en"))
    assert path not in (await desk.read(PACTS)).answer.text


async def test_what_an_end_does_is_told_before_it_is_done(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    async with transaction(engine) as tx:
        pact = await add_pact(tx, (briancon.id, BRIANCON), (gap.id, GAP), notice_days=60)
    path = f"{PACTS}/{pact}/end"
    desk, hall = await enter(briancon.key), await enter(gap.key)
    shown = await desk.read(PACTS)
    told(shown, "days of notice (60)")
    sure = await desk.send(shown, path)
    told(sure, say("console.pact.end.notice.sure", "en"), "days of notice (60)")
    theirs = await hall.send(await hall.read(PACTS), path)
    assert (await one(engine, "select notice_by from pact")).notice_by is None
    given = await desk.send(sure, path)
    told(given, "Notice was given")
    assert path not in [form.action for form in given.forms]
    assert (await one(engine, "select notice_by from pact")).notice_by == briancon.id
    await desk.send(sure, path)
    # The other was told of notice; by now it would end at once, and that is said before.
    again = await hall.send(theirs, path, 409)
    told(again, say("console.pact.end.at_once.sure", "en"))
    assert (await one(engine, "select state from pact")).state == "signed"
    ended = await hall.send(again, path)
    told(ended, say("console.pact.state.ended", "en"))
    assert (await one(engine, "select state from pact")).state == "ended"
    await hall.send(again, path)
    # What nobody signed is dropped at once.
    body = {"town": BRIANCON.id, "partner": str(gap.id), "partner_town": GAP.id, "terms": terms_body()}
    second = (await briancon.http.post("/v1/pacts", json=body)).json()["id"]
    sure = await hall.send(await hall.read(PACTS), f"{PACTS}/{second}/end")
    told(sure, say("console.pact.end.at_once", "en"))
    await hall.send(sure, f"{PACTS}/{second}/end")
    assert (await one(engine, "select state from pact where id = :id", id=UUID(second))).state == "ended"


async def test_who_meant_to_give_notice_ends_nothing_at_once_where_the_other_gives_it_in_that_moment(
    enter: Enter, briancon: Organization, gap: Organization, engine: AsyncEngine
) -> None:
    async with transaction(engine) as tx:
        pact = await add_pact(tx, (briancon.id, BRIANCON), (gap.id, GAP), notice_days=60)
    path = f"{PACTS}/{pact}/end"
    hall = await enter(gap.key)
    sure = await hall.send(await hall.read(PACTS), path)

    async def waits() -> bool:
        return bool((await one(engine, "select count(*) as n from pg_locks where not granted")).n)

    async with transaction(engine) as tx:
        await pacts.end(tx, pact, briancon.id)
        asked = asyncio.create_task(hall.send(sure, path, 409))
        await eventually(waits, "a page that waits for the pact")
    told(await asked, say("console.pact.end.at_once.sure", "en"))
    assert (await one(engine, "select state from pact")).state == "signed"


async def test_to_everybody_else_a_pact_is_missing_and_a_key_does_what_the_api_lets_it(
    enter: Enter, briancon: Organization, gap: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    async with transaction(engine) as tx:
        pact = str(await add_pact(tx, (briancon.id, BRIANCON), (gap.id, GAP)))
    stranger = await enter((await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))).key)
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]

    async def answers(wanted: str) -> list[tuple[int, str]]:
        sent = {"token": token, "sure": "1", "does": "notice", "step": "whole", "number": "1"}
        asked = [
            await stranger.http.get(f"{PACTS}/{wanted}/terms"),
            *[await stranger.http.post(f"{PACTS}/{wanted}/{act}", data=sent) for act in ("terms", "end")],
        ]
        assert {each.status_code for each in asked} == {404}
        return [(each.status_code, each.text.replace(wanted, "")) for each in asked]

    assert await answers(pact) == await answers(str(uuid4()))
    hall = await enter(gap.key)
    whole, terms, new = await hall.read(PACTS), await hall.read(f"{PACTS}/{pact}/terms"), await hall.read(NEW)
    only = "update api_key set scopes = :scopes where organization_id = :id"
    await rows(engine, only, id=gap.id, scopes=[Scope.PACTS_READ.value])
    shown = await hall.read(PACTS)
    assert not any(each in shown.answer.text for each in (NEW, f"{pact}/terms", f"{pact}/end"))
    await hall.send(whole, f"{PACTS}/{pact}/end", 403, sure="1", does="notice")
    await hall.send(terms, f"{PACTS}/{pact}/terms", 403)
    await hall.send(new, NEW, 403)
    await hall.read(NEW, 403)
    assert (await one(engine, "select notice_by from pact")).notice_by is None
    assert len(await rows(engine, "select 1 from pact_version")) == 1


async def test_whatever_is_written_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter,
    briancon: Organization,
    gap: Organization,
    engine: AsyncEngine,
    capsys: pytest.CaptureFixture[str],
    *,
    long: bool,
) -> None:
    """In each step all fields at once, and each field alone in the last; with `--long` in every one."""
    async with transaction(engine) as tx:
        pact = await add_pact(tx, (briancon.id, BRIANCON), (gap.id, GAP))
    browser, planted = await enter(briancon.key), "Mariam-Haidari"
    token = dict((await browser.read(NEW)).form(NEW).fields)["token"]
    names = [
        *("form", "step", "find", "q", "back", "town", "partner_town", "partner", "number", "sure", "does"),
        *WHAT,
        *("crosses_border", "acceptance"),
        *HOW,
        planted,
    ]
    sent = {
        "token": token,
        "town": str(BRIANCON.id),
        "partner_town": str(GAP.id),
        "partner": str(gap.id),
        **WHAT,
        **HOW,
    }
    for path in (NEW, f"{PACTS}/{pact}/terms", f"{PACTS}/{pact}/end"):
        steps = ("towns", "what", "how", "whole")
        said = [dict.fromkeys(names, planted) | {"find": "", "back": "", "step": step} for step in steps]
        alone = steps if long else steps[-1:] if path == NEW else ()
        said += [{"step": step, name: planted} for step in alone for name in names]
        for each in said:
            fields = sent | {"number": "1" if path != NEW else ""} | each
            answered = await browser.http.post(path, data=fields)
            assert planted not in answered.text, f"{path} {each}"
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The controls: there was something to keep it in, and what is looked for is found where it is.
    assert len(await rows(engine, "select 1 from pact")) > 1
    assert "pact" in holds(await everything_stored(engine), str(gap.id))


def test_every_choice_has_its_words_in_every_language() -> None:
    keys = {f"console.pact.acceptance.{each}" for each in Acceptance}
    keys |= {f"console.pact.end.{does}{more}" for does in ("notice", "at_once") for more in ("", ".sure")}
    for language in LANGUAGES:
        assert catalogue(language).keys() >= keys, language
