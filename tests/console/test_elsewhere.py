"""Signing in elsewhere: whom an issuer admits is in, for one organization, and nothing of who it is stays anywhere."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create
from api.console.sealing import sealed
from api.house import House
from api.settings import ApiSettings
from api.wording import LANGUAGES, say
from db import issuers, keys
from db.connection import transaction
from db.keys import ONLY_CONFIRMS
from db.settings import Settings
from db.tables import Row
from identity.asking import Asking
from identity.registration import address_back, mark_of
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization, Serving
from tests.console.conftest import COOKIE, OURS, Browser, Enter, Shown
from tests.console.registering import BACK, DONE, SIGN_IN, Register, brought, sent, set_out, signed_in_by, way_of, went
from tests.db.acts import one, rows
from tests.identity.issuing import HANGS, SHARED, SUBJECT, Issuing, Reply, issuing, rsa
from tests.waiting import eventually

LEG = "relais-sign-in"
DOCUMENT = "/.well-known/openid-configuration"
SIRET = "21050023700012"


@pytest.fixture
def api_settings(api_settings: ApiSettings) -> ApiSettings:
    return api_settings.model_copy(update={"public_url": f"{OURS}/console"})


@pytest_asyncio.fixture(loop_scope="function")
async def issuer() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        yield made


@pytest.fixture
def register(engine: AsyncEngine, settings: Settings) -> Register:
    return Register(engine, settings)


@pytest_asyncio.fixture(loop_scope="function")
async def known(register: Register, issuer: Issuing, municipality: Organization) -> UUID:
    """The issuer, registered: who shows the town hall's number signs in for it."""
    issuer_id = await register(issuer.registration)
    await register.admit(issuer_id, municipality.id)
    return issuer_id


async def came_back(browser: Browser, issuer: Issuing, issuer_id: UUID) -> str:
    """Go there, say yes, come back: where one is led then."""
    way = await went(browser, issuer_id)
    return (await sent(browser, brought(way, code=issuer.code_for(way)))).headers["location"]


def why_not(why: str, language: str = "en") -> str:
    return f"{SIGN_IN}/not/{why}?in={language}"


async def sessions(engine: AsyncEngine) -> int:
    return int((await one(engine, "select count(*) as n from session")).n)


async def test_who_is_admitted_is_in(
    enter: Enter, issuer: Issuing, known: UUID, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter.browser()
    shown = await browser.read(SIGN_IN)
    assert len(shown.form(f"{SIGN_IN}/with/{known}").buttons) == 1
    assert "Town hall" in shown.words
    way = await went(browser, known)
    assert parse_qs(urlsplit(way).query)["redirect_uri"] == [address_back(OURS, issuer.url)]
    assert await rows(engine, "select 1 from session union all select 1 from audit_pending") == []
    answer = await sent(browser, brought(way, code=issuer.code_for(way)))
    assert answer.headers["location"] == f"{DONE}?in=en"
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert browser.http.cookies.get(LEG) is None
    done = await browser.read(answer.headers["location"])
    assert ("meta", f"0; url={SIGN_IN}") in {(tag, held.get("content", "")) for tag, held in done.elements}
    home = await browser.http.get(SIGN_IN, follow_redirects=False)
    assert home.headers["location"] == "/console/tonight"
    act = await one(engine, "select organization_id, role, scope, act, objects from audit_pending")
    assert (act.organization_id, act.role, act.scope) == (municipality.id, "municipality", "session")
    assert (act.act, act.objects) == (f"GET {BACK}", [])


async def test_of_who_signed_in_nothing_stays(
    enter: Enter, issuer: Issuing, known: UUID, engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    browser = await enter.browser()
    way = await went(browser, known)
    code = issuer.code_for(way)
    given = {name: values[0] for name, values in parse_qs(urlsplit(way).query).items()}
    await browser.read((await sent(browser, brought(way, code=code))).headers["location"])
    await sent(browser, brought(way, code=code))  # and once more, in vain
    stored = ""
    for table in sorted(Row.metadata.tables):
        stored += "\n".join(row.row for row in await rows(engine, f"select cast(t.* as text) as row from {table} t"))
    logged = "".join(capfd.readouterr())
    for secret in (SUBJECT, "anna@town.example", code, given["state"], given["nonce"], SHARED):
        assert secret not in stored
        assert secret not in logged
    assert SIRET in stored, "the control: what the operator wrote is there"
    assert "request.answered" in logged, "the control"


async def test_the_session_is_its_admissions_keys_and_ends_with_it(
    enter: Enter, issuer: Issuing, register: Register, municipality: Organization, engine: AsyncEngine
) -> None:
    issuer_id = await register(issuer.registration)
    admission_id, prefix = await register.admit(issuer_id, municipality.id, scopes=ONLY_CONFIRMS)

    async def end_key() -> None:
        async with transaction(engine) as tx:
            await keys.revoke(tx, prefix)

    async def end_admission() -> None:
        async with transaction(engine) as tx:
            assert len((await issuers.remove(tx, admission_id)).keys) == 1

    async def end_issuer() -> None:
        async with transaction(engine) as tx:
            await issuers.remove(tx, issuer_id)

    for end in (end_key, end_admission, end_issuer):
        browser = await enter.browser()
        assert await came_back(browser, issuer, issuer_id) == f"{DONE}?in=en"
        shown = await browser.read("/console/sessions")
        assert f"relais_{prefix}_…" in shown.words
        assert (await browser.http.get("/console/houses")).status_code == 403, "it may do what it was given"
        await end()
        assert not await signed_in_by(browser)
        assert (await one(engine, "select count(*) as n from api_key where revoked_at is null")).n == 1
        if end is not end_issuer:
            assert f"/with/{issuer_id}" not in (await browser.read(SIGN_IN)).answer.text
            admission_id, prefix = await register.admit(issuer_id, municipality.id, scopes=ONLY_CONFIRMS)
    assert (await set_out(browser.http, issuer_id)).status_code == 404


async def test_its_key_is_nobodys_and_takes_no_keys_place(
    register: Register, issuer: Issuing, municipality: Organization, engine: AsyncEngine, settings: Settings
) -> None:
    issuer_id = await register(issuer.registration)
    for claim in (("siret", "1"), ("siret", "2"), ("siret", "3")):
        await register.admit(issuer_id, municipality.id, claim)
    async with transaction(engine) as tx:
        second = await keys.issue(tx, municipality.id, settings.keys().of("api-key"))
        listed = await keys.of_organization(tx, municipality.id)
    assert len(listed) == 5
    for each in listed:
        shown = f"relais_{each.prefix}_{second.text.split('_')[2]}"
        async with transaction(engine) as tx:
            holder = await keys.holder(tx, shown, settings.keys().of("api-key"))
        assert (holder is not None) == (each.prefix == second.prefix), "the second is the control"


@pytest.fixture
def house(app: FastAPI) -> House:
    found: House = app.state.house
    return found


async def test_a_leg_of_another_browser_of_another_time_or_of_another_house_is_none(
    enter: Enter, issuer: Issuing, known: UUID, house: House, engine: AsyncEngine
) -> None:
    """The first is a link that somebody sends to sign another in for themselves."""
    theirs, mine = await enter.browser(), await enter.browser()
    way = await went(theirs, known)
    code = issuer.code_for(way)
    assert (await sent(mine, brought(way, code=code))).headers["location"] == why_not("again")
    own = await went(mine, known)
    held = mine.http.cookies[LEG]
    assert (await sent(mine, brought(way, code=code))).headers["location"] == why_not("again"), (
        "with a leg of one's own"
    )
    assert mine.http.cookies[LEG] == held, "which is left as it was"
    given = {name: values[0] for name, values in parse_qs(urlsplit(own).query).items()}
    leg = [given["state"], given["nonce"], "verifier", time.time()]
    for key, bound, until in (
        (b"k" * 32, b"asked", 600),
        (house.leg_sealing, b"admitted", 600),
        (house.leg_sealing, b"asked", -1),
    ):
        content = json.dumps([time.time() + until, str(known), "en", leg]).encode()
        mine.http.cookies.set(LEG, sealed(key, bound, content), domain="relais.test", path=SIGN_IN)
        assert (await sent(mine, brought(own, code=code))).headers["location"] == why_not("again")
    mine.http.cookies.set(LEG, "nonsense", domain="relais.test", path=SIGN_IN)
    assert (await sent(mine, brought(own, code=code))).headers["location"] == why_not("again")
    assert await sessions(engine) == 0
    mine.http.cookies.set(LEG, held, domain="relais.test", path=SIGN_IN)
    done = await sent(mine, brought(own, code=issuer.code_for(own)))
    assert done.headers["location"] == f"{DONE}?in=en", "the control"


async def test_what_came_back_is_used_once(enter: Enter, issuer: Issuing, known: UUID, engine: AsyncEngine) -> None:
    browser = await enter.browser()
    way = await went(browser, known)
    held, path = browser.http.cookies[LEG], brought(way, code=issuer.code_for(way))
    assert (await sent(browser, path)).headers["location"] == f"{DONE}?in=en"
    assert await sessions(engine) == 1
    for code in (path, brought(way, code=issuer.code_for(way))):
        # Even with a copy of the cookie, and with a code that the issuer would take.
        browser.http.cookies.set(LEG, held, domain="relais.test", path=SIGN_IN)
        assert (await sent(browser, code)).headers["location"] == why_not("again")
    assert await sessions(engine) == 1


NOT_SAID = {
    "declined": {"error": "access_denied", "error_description": "<script>alert(1)</script>"},
    "away": {"error": "temporarily_unavailable"},
    "unusable": {"error": "invalid_scope"},
    "again": {},
}


async def test_who_comes_back_without_a_code_is_told_why_in_their_language(
    enter: Enter, issuer: Issuing, known: UUID, engine: AsyncEngine
) -> None:
    for why, language in product(NOT_SAID, LANGUAGES):
        browser = await enter.browser(**{"Accept-Language": language})
        way = await went(browser, known)
        # Of the language that was chosen no cookie comes along.
        browser.http.headers["Accept-Language"] = "xx"
        answer = await sent(browser, brought(way, **NOT_SAID[why]))
        assert answer.headers["location"] == why_not(why, language)
        assert browser.http.cookies.get(LEG) is None
        told = await browser.http.get(answer.headers["location"])
        assert told.status_code >= 400
        assert say(f"console.elsewhere.{why}", language) in re.sub("&#39;", "'", told.text)
        assert f'<html lang="{language}"' in told.text
        assert "script>alert" not in told.text
        page = Shown(told)
        assert ("a", SIGN_IN) in {(tag, held.get("href")) for tag, held in page.elements}
        assert say("console.elsewhere.begin", language) in page.words
        # "You are not signed in" is not told to somebody whom another window signed in.
        assert (say("console.elsewhere.not", language) in page.words) == (why != "again")
        assert "same-origin" in told.headers["referrer-policy"], "so that its forms are known to be ours"
    assert await sessions(engine) == 0
    assert issuer.asked.count("/token") == 0


async def test_who_runs_the_house_reads_in_the_log_which_issuer_did_not_let_people_in_and_why(
    enter: Enter, issuer: Issuing, known: UUID, capfd: pytest.CaptureFixture[str]
) -> None:
    for said, claims, word in (
        ({"error": "invalid_scope"}, {}, "said_invalid_scope"),
        ({"error": "unauthorized_client"}, {}, "said_unauthorized_client"),
        ({"error": "anna@town.example"}, {}, "said_other"),
        ({}, {"siret": "of-another"}, "admits_not"),
        ({}, {"nonce": "of-another"}, "untrue"),
    ):
        issuer.claims = claims
        browser = await enter.browser()
        way = await went(browser, known)
        capfd.readouterr()
        code = issuer.code_for(way)
        await sent(browser, brought(way, **said or {"code": code}))
        logged = "".join(capfd.readouterr())
        (line,) = [line for line in logged.splitlines() if f"issuer.{word}" in line]
        assert str(known) in line
        for secret in ("anna@town", "of-another", SUBJECT, code, parse_qs(urlsplit(way).query)["state"][0]):
            assert secret not in logged


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong: in what the browser brings, in what the issuer says, or in whether it answers."""

    why: str
    brought: tuple[str, str] = ("", "")
    claims: dict[str, Any] = field(default_factory=dict)
    instead: dict[str, Reply] = field(default_factory=dict)


WRONG = {
    "two codes": Wrong("again", ("$", "&code=another")),
    "two states": Wrong("again", ("$", "&state=another")),
    "another state": Wrong("again", ("state=.", "state=")),
    "too long a code": Wrong("again", ("code=", "code=" + "a" * 5000)),
    "a code of nobody": Wrong("again", ("code=", "code=a")),
    "by another issuer": Wrong("unusable", ("$", "&iss=https%3A%2F%2Felsewhere.example")),
    "by two issuers": Wrong("unusable", ("$", "&iss=a&iss=b")),
    "of another question": Wrong("unusable", claims={"nonce": "another"}),
    "not admitted": Wrong("nobody", claims={"siret": "21050023700013"}),
    "almost admitted": Wrong("nobody", claims={"siret": SIRET[:-1]}),
    "admitted as a number": Wrong("nobody", claims={"siret": int(SIRET)}),
    "nothing said": Wrong("nobody", claims={"siret": ""}),
    "it broke": Wrong("away", instead={"/token": Reply("", "503 Gone")}),
    "it will not": Wrong("unusable", instead={"/token": Reply("", "404 Gone")}),
}


async def test_what_is_wrong_signs_nobody_in(enter: Enter, issuer: Issuing, known: UUID, engine: AsyncEngine) -> None:
    for wrong, case in WRONG.items():
        await is_not_in(await enter.browser(), issuer, known, case)
        assert await sessions(engine) == 0, wrong
        issuer.claims, issuer.instead = {}, {}
        assert await came_back(await enter.browser(), issuer, known) == f"{DONE}?in=en", "the control"
        await rows(engine, "delete from session")


async def is_not_in(browser: Browser, issuer: Issuing, known: UUID, case: Wrong) -> None:
    way = await went(browser, known)
    issuer.claims, issuer.instead = case.claims, case.instead
    answer = await sent(
        browser, re.sub(case.brought[0], case.brought[1], brought(way, code=issuer.code_for(way)), count=1)
    )
    assert answer.headers["location"] == why_not(case.why), case
    assert COOKIE not in browser.http.cookies


async def test_a_code_of_one_issuer_is_not_shown_to_another_where_neither_says_who_it_is(
    enter: Enter, issuer: Issuing, known: UUID, register: Register, client: JoinNetwork, engine: AsyncEngine
) -> None:
    """Whoever holds an issuer sends a browser on to an honest one, with a question of their own, for its code."""
    async with issuing() as theirs:
        bad = await register(theirs.registration, "Theirs")
        await register.admit(bad, (await client()).id)
        attacker, victim = await enter.browser(), await enter.browser()
        question, lured = await went(attacker, known), await went(victim, bad)
        code = issuer.code_for(question)
        state = parse_qs(urlsplit(lured).query)["state"][0]
        # The honest one sends back to the address that it knows, with whatever state it was told.
        there = f"{urlsplit(brought(question)).path}?{urlencode({'state': state, 'code': code})}"
        assert (await sent(victim, there)).headers["location"] == why_not("unusable")
        assert theirs.asked.count("/token") == 0, "it never learns the code"
        assert mark_of(issuer.url) != mark_of(theirs.url)
        way = await went(victim, bad)
        done = await sent(victim, brought(way, code=theirs.code_for(way)))
        assert done.headers["location"] == f"{DONE}?in=en", "the control: at its own address it may"
        # What of it would have been worth: the code is good, in the browser that asked.
        assert (await sent(attacker, brought(question, code=code))).headers["location"] == f"{DONE}?in=en"
    assert await sessions(engine) == 2


async def test_one_that_says_who_it_is_must_say_it(enter: Enter, issuer: Issuing, known: UUID) -> None:
    issuer.document = {"authorization_response_iss_parameter_supported": True}
    browser = await enter.browser()
    assert await came_back(browser, issuer, known) == why_not("unusable")
    way = await went(browser, known)
    path = brought(way, code=issuer.code_for(way), iss=issuer.url)
    assert (await sent(browser, path)).headers["location"] == f"{DONE}?in=en", "the control"


async def test_one_that_is_gone_is_told_and_the_key_still_opens(
    enter: Enter, known: UUID, issuer: Issuing, municipality: Organization
) -> None:
    issuer.instead = {DOCUMENT: Reply("", "500 Broken")}
    browser = await enter.browser()
    assert await went(browser, known) == why_not("away")
    assert LEG not in browser.http.cookies
    await browser.send(await browser.read(SIGN_IN), SIGN_IN, key=municipality.key)
    assert await signed_in_by(browser)


async def test_a_claim_that_is_a_list_admits_by_one_of_it_and_a_whole_issuer_by_none(
    enter: Enter, issuer: Issuing, register: Register, municipality: Organization
) -> None:
    issuer_id = await register(issuer.registration)
    admission_id, _ = await register.admit(issuer_id, municipality.id, ("groups", "welcome"))
    for groups, there in ((["roads", "welcome"], f"{DONE}?in=en"), (["roads"], why_not("nobody")), ([], None)):
        issuer.claims = {"groups": groups}
        assert await came_back(await enter.browser(), issuer, issuer_id) == (there or why_not("nobody"))
    async with transaction(register.engine) as tx:
        await issuers.remove(tx, admission_id)
    await register.admit(issuer_id, municipality.id, None)
    assert await came_back(await enter.browser(), issuer, issuer_id) == f"{DONE}?in=en"


async def test_who_is_admitted_by_several_says_for_which(
    enter: Enter, issuer: Issuing, register: Register, client: JoinNetwork, engine: AsyncEngine
) -> None:
    issuer_id = await register(issuer.registration)
    first, second, other = [
        await client(kind) for kind in (*[OrganizationKind.MUNICIPALITY] * 2, OrganizationKind.ASSOCIATION)
    ]
    await rows(engine, "update organization set name = '<b>Gap</b>' where id = :id", id=second.id)
    admitted = [(await register.admit(issuer_id, each.id))[0] for each in (first, second)]
    stranger, _ = await register.admit(issuer_id, other.id, ("siret", "another"))
    # Twice for one organization: that which may do most, without a question.
    few, _ = await register.admit(issuer_id, first.id, ("groups", "night"), ONLY_CONFIRMS)
    issuer.claims = {"groups": ["night"]}
    browser = await enter.browser()
    assert await came_back(browser, issuer, issuer_id) == f"{SIGN_IN}/which?in=en"
    assert await sessions(engine) == 0
    shown = await browser.read(f"{SIGN_IN}/which")
    (form,) = [form for form in shown.forms if form.action == f"{SIGN_IN}/which"]
    assert {button["value"] for button in form.buttons} == {str(each) for each in admitted}
    assert "<b>Gap" not in shown.answer.text
    held = browser.http.cookies[LEG]
    for wrong in (
        {"admission": str(stranger)},
        {"admission": str(few)},
        {"admission": str(uuid4())},
        {"admission": ""},
        {},
    ):
        answer = await browser.http.post(f"{SIGN_IN}/which", data=wrong, follow_redirects=False)
        assert answer.headers["location"] == why_not("again")
    assert await sessions(engine) == 0
    answer = await browser.http.post(f"{SIGN_IN}/which", data={"admission": str(admitted[1])}, follow_redirects=False)
    assert answer.headers["location"] == "/console/tonight"
    assert (await one(engine, "select organization_id from session")).organization_id == second.id
    # Once: neither without the cookie nor with a copy of it.
    for cookie in (None, held):
        if cookie:
            browser.http.cookies.set(LEG, cookie, domain="relais.test", path=SIGN_IN)
        again = await browser.http.post(
            f"{SIGN_IN}/which", data={"admission": str(admitted[0])}, follow_redirects=False
        )
        assert again.headers["location"] == why_not("again")
    assert await sessions(engine) == 1


async def test_who_leaves_in_a_hurry_before_choosing_leaves_nothing_to_choose(
    enter: Enter, issuer: Issuing, register: Register, client: JoinNetwork, engine: AsyncEngine
) -> None:
    issuer_id = await register(issuer.registration)
    halls = [await client(), await client()]
    first, _ = [(await register.admit(issuer_id, each.id))[0] for each in halls]
    for leaves in (True, False):
        browser = await enter.browser()
        await came_back(browser, issuer, issuer_id)
        if leaves:
            await browser.http.post("/console/leave")
        await browser.http.post(f"{SIGN_IN}/which", data={"admission": str(first)}, follow_redirects=False)
        assert await sessions(engine) == (0 if leaves else 1), "who stays is the control"


async def test_what_is_chosen_from_has_a_name_and_what_anybody_may_open_says_nothing_untrue(
    enter: Enter, issuer: Issuing, register: Register, client: JoinNetwork
) -> None:
    issuer_id = await register(issuer.registration)
    for _ in range(2):
        await register.admit(issuer_id, (await client()).id)
    browser = await enter.browser()
    (buttons,) = [
        held for tag, held in (await browser.read(SIGN_IN)).elements if tag == "ul" and held.get("class") == "elsewhere"
    ]
    # Without its marks, a list is none to VoiceOver, and the name is lost with it.
    assert (buttons["role"], buttons["aria-label"]) == ("list", say("console.elsewhere", "en"))
    await came_back(browser, issuer, issuer_id)
    elements = (await browser.read(f"{SIGN_IN}/which")).elements
    named = {held.get("aria-labelledby") for tag, held in elements if tag == "form"}
    assert {held["id"] for tag, held in elements if tag == "h1"} <= named
    for language in LANGUAGES:
        stranger = await (await enter.browser()).read(f"{DONE}?in={language}")
        assert say("console.elsewhere.done", language) in stranger.words
    assert say("console.elsewhere.done", "en") == "One moment"


async def test_a_leg_does_not_outlive_signing_in_with_a_key_nor_signing_out(
    enter: Enter, known: UUID, municipality: Organization
) -> None:
    browser = await enter.browser()
    for signs_out in (False, True):
        if signs_out:
            assert await signed_in_by(browser)
        await went(browser, known)
        assert LEG in browser.http.cookies, "the control"
        if signs_out:
            await browser.send(await browser.read("/console/sessions"), "/console/sign-out")
        else:
            await browser.send(await browser.read(SIGN_IN), SIGN_IN, key=municipality.key)
        assert LEG not in browser.http.cookies
    assert not await signed_in_by(browser)


async def test_of_two_admissions_for_one_organization_the_one_that_may_more(
    enter: Enter, issuer: Issuing, register: Register, municipality: Organization
) -> None:
    issuer_id = await register(issuer.registration)
    await register.admit(issuer_id, municipality.id, ("groups", "night"), ONLY_CONFIRMS)
    _, all_of_it = await register.admit(issuer_id, municipality.id, ("groups", "office"))
    await register.admit(issuer_id, municipality.id, None, ONLY_CONFIRMS)
    issuer.claims = {"groups": ["night", "office"]}
    browser = await enter.browser()
    assert await came_back(browser, issuer, issuer_id) == f"{DONE}?in=en"
    assert f"relais_{all_of_it}_…" in (await browser.read("/console/sessions")).words


async def test_nobody_is_sent_away_by_another_sites_page_or_by_a_link(enter: Enter, known: UUID) -> None:
    """A link that is opened from a mail comes from nowhere (`none`), and so does one that is typed."""
    browser = await enter.browser()
    for site in (*({"Sec-Fetch-Site": each} for each in ("cross-site", "same-site", "same-origin", "none")), {}):
        answer = await browser.http.get(f"{SIGN_IN}/with/{known}", headers=site, follow_redirects=False)
        assert answer.headers["location"] == SIGN_IN
        assert LEG not in browser.http.cookies
    del browser.http.headers["Origin"]
    for told in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "none"}, {"Origin": "null"}, {}):
        answer = await browser.http.post(f"{SIGN_IN}/with/{known}", headers=told, follow_redirects=False)
        assert answer.status_code == 403, told
        assert LEG not in browser.http.cookies
    answer = await set_out(browser.http, known)
    assert answer.status_code == 200, "the control"
    assert LEG in browser.http.cookies
    # Where it leads is told nothing of where people come from, and is nothing that a cache keeps.
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("same-origin", "no-store")


async def test_there_is_no_button_where_it_would_lead_nowhere(
    enter: Enter, issuer: Issuing, register: Register, serving: Serving, municipality: Organization
) -> None:
    browser = await enter.browser()
    assert "/sign-in/with/" not in (await browser.read(SIGN_IN)).answer.text
    issuer_id = await register(issuer.registration, "<i>Town</i> \N{ARABIC LETTER AIN}")
    assert "/sign-in/with/" not in (await browser.read(SIGN_IN)).answer.text, "nobody is admitted"
    await register.admit(issuer_id, municipality.id)
    shown = (await browser.read(SIGN_IN)).answer.text
    assert f"{SIGN_IN}/with/{issuer_id}" in shown, "the control"
    assert "&lt;i&gt;Town" in shown
    async with serving(public_url=None) as http:
        assert "/sign-in/with/" not in (await http.get(SIGN_IN)).text
        assert (await set_out(http, issuer_id)).status_code == 404
    assert (await set_out(browser.http, uuid4())).status_code == 404


async def test_at_another_address_of_this_house_one_is_led_to_its_own_first(serving: Serving, known: UUID) -> None:
    """Else the leg stays behind with the other one, and every try ends in vain."""
    button = f"{SIGN_IN}/with/{known}"
    async with serving() as http:
        for host, here in (("relais.test", True), ("Relais.Test:80", True), ("10.0.0.7:8000", False), ("alias", False)):
            shown = await http.get(SIGN_IN, headers={"Host": host})
            assert (button in shown.text) == here, host
            assert (f'href="{OURS}{SIGN_IN}"' in shown.text) == (not here)
            answer = await http.post(button, headers={"Host": host, "Origin": f"http://{host}"})
            assert answer.status_code == (200 if here else 303)
            assert answer.headers.get("location") == (None if here else SIGN_IN)
            assert ("set-cookie" in answer.headers) == here


async def test_over_tls_no_neighbour_can_give_a_browser_its_leg(serving: Serving, known: UUID) -> None:
    for tls, begins in ((True, "__Host-relais-sign-in="), (False, "relais-sign-in=")):
        async with serving(behind_tls=tls) as http:
            cookie = (await set_out(http, known)).headers["set-cookie"]
        parts = {part.strip() for part in cookie.split(";")}
        assert cookie.startswith(begins)
        assert {"HttpOnly", "SameSite=lax", "Max-Age=600"} <= parts
        assert ({"Secure", "Path=/"} if tls else {f"Path={SIGN_IN}"}) <= parts


async def test_who_fails_often_is_held_up_and_who_is_in_uses_up_nothing(
    serving: Serving, issuer: Issuing, known: UUID, municipality: Organization
) -> None:
    """Nor does who says no there, or comes while the issuer ails; and whatever one did there, a key opens."""
    ails = {"/token": Reply("", "503 Service Unavailable")}
    tries: tuple[tuple[str, dict[str, str], dict[str, Reply], str], ...] = (
        *[(SIRET, {}, {}, f"{DONE}?in=en")] * 4,
        *[(SIRET, {"error": "access_denied"}, {}, why_not("declined"))] * 4,
        *[(SIRET, {}, ails, why_not("away"))] * 4,
        *[("another", {}, {}, why_not("nobody"))] * 3,
        ("another", {}, {}, why_not("often")),
    )
    async with serving(sign_in_misses_per_client=3, redis_url=None) as http:
        for siret, said, instead, there in tries:
            issuer.claims = {"siret": siret}
            way = way_of(await set_out(http, known))
            issuer.instead = instead
            answer = await http.get(brought(way, **(said or {"code": issuer.code_for(way)})))
            assert answer.headers["location"] == there
            issuer.instead = {}
        tried = [
            await http.post(SIGN_IN, data={"key": key}, headers={"Origin": OURS}) for key in (municipality.key, *"xxxx")
        ]
        assert [answer.status_code for answer in tried] == [303, 401, 401, 401, 429], "the control: keys are counted"


async def test_the_document_too_is_read_within_the_time_of_one_sign_in(
    enter: Enter, issuer: Issuing, known: UUID, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    for name, value in (("_asking", Asking(seconds=600)), ("_clock", lambda: now[0]), ("_whole", 0.5)):
        monkeypatch.setattr(house.issuers, name, value)
    browser = await enter.browser()
    way = await went(browser, known)
    issuer.instead, now[0] = {DOCUMENT: Reply(HANGS)}, 700
    async with asyncio.timeout(60):
        assert (await sent(browser, brought(way, code=issuer.code_for(way)))).headers["location"] == why_not("away")
    assert issuer.asked.count(DOCUMENT) == 2
    issuer.instead = {}
    monkeypatch.setattr(house.issuers, "_whole", 60)
    assert await came_back(browser, issuer, known) == f"{DONE}?in=en", "the control"


async def test_while_an_issuer_is_asked_no_connection_is_held(
    api_settings: ApiSettings, issuer: Issuing, known: UUID
) -> None:
    """The house has one connection; others go on with it."""
    made = create(api_settings.model_copy(update={"pool_size": 1, "pool_seconds": 0.5}))
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url=OURS) as http,
    ):
        way = way_of(await set_out(http, known))
        issuer.instead = {"/token": Reply(HANGS)}
        waiting = asyncio.create_task(http.get(brought(way, code=issuer.code_for(way))))

        async def is_asked() -> bool:
            return "/token" in issuer.asked

        try:
            await eventually(is_asked, "the issuer is asked")
            assert (await http.get(SIGN_IN)).status_code == 200
            async with transaction(made.state.house.engine):
                assert (await http.get(SIGN_IN)).status_code == 503, "the control"
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


async def test_a_secret_is_sealed_for_its_issuer_and_its_house(
    enter: Enter, issuer: Issuing, known: UUID, register: Register, municipality: Organization, engine: AsyncEngine
) -> None:
    stored = await one(engine, "select secret, cast(i.* as text) as row from issuer i")
    assert SHARED.encode() not in stored.secret
    assert SHARED not in stored.row
    other = await register(replace(issuer.registration, client_id="another"))
    await register.admit(other, municipality.id)
    await rows(engine, "update issuer set secret = :secret where id = :id", secret=stored.secret, id=other)
    browser = await enter.browser()
    assert await went(browser, other) == why_not("unusable")
    assert await came_back(browser, issuer, known) == f"{DONE}?in=en", "the control"


async def test_keys_that_changed_are_read_anew(enter: Enter, issuer: Issuing, known: UUID, house: House) -> None:
    now = [0.0]
    house.issuers._clock = lambda: now[0]  # noqa: SLF001 - an hour is not waited for
    assert await came_back(await enter.browser(), issuer, known) == f"{DONE}?in=en"
    issuer.keys, now[0] = [rsa("second")], 60
    assert await came_back(await enter.browser(), issuer, known) == f"{DONE}?in=en"
