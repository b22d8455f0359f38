"""Signing in with a key: what the browser holds is worth little, ends with the key, and is sent by our pages only."""

import re
from itertools import product

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, say
from db import keys
from db.connection import transaction
from db.keys import ONLY_CONFIRMS
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization, Serving
from tests.console.conftest import COOKIE, OURS, Browser, Enter
from tests.db.acts import one, rows
from tests.places import GAP
from tests.protection.test_inputs import routes_of
from web.files import path_of

SIGN_IN = "/console/sign-in"
ENDS_ONE = re.compile("/console/sessions/[0-9a-f-]{36}/end")


async def is_signed_in(browser: Browser) -> bool:
    answer = await browser.http.get("/console/sessions", follow_redirects=False)
    assert answer.status_code in (200, 303), answer.text
    return answer.status_code == 200


async def test_a_key_opens_the_pages_and_is_kept_nowhere(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter.browser()
    shown = await browser.read(SIGN_IN)
    answer = await browser.http.post(SIGN_IN, data={"key": f" {coordination.key}\n"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    cookie, forgotten = answer.headers.get_list("set-cookie")
    assert forgotten.startswith('relais-sign-in=""; '), "of a way to an issuer, begun before"
    assert re.search(r"^relais-session=[\w-]{43}; ", cookie)
    assert {"HttpOnly", "Path=/console", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert "max-age" not in cookie.lower()
    token = browser.http.cookies[COOKIE]
    stored = await rows(engine, "select cast(s.* as text) as row from session s")
    assert len(stored) == 1
    assert token not in stored[0].row
    assert coordination.key not in shown.answer.text + str(answer.headers)
    assert await is_signed_in(browser)


async def test_over_tls_no_neighbour_can_set_the_cookie(serving: Serving, coordination: Organization) -> None:
    async with serving(behind_tls=True) as http:
        answer = await http.post(SIGN_IN, data={"key": coordination.key}, headers={"Origin": OURS})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-relais-session=")
        assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= {part.strip() for part in cookie.split(";")}


async def test_who_has_houses_begins_at_what_waits_for_a_word(enter: Enter, client: JoinNetwork) -> None:
    begins = {}
    for kind, scopes in ((OrganizationKind.COORDINATION, None), (OrganizationKind.MUNICIPALITY, ONLY_CONFIRMS)):
        browser = await enter.browser()
        key = (await client(kind, scopes)).key
        answer = await browser.http.post(SIGN_IN, data={"key": key}, follow_redirects=False)
        begins[kind] = answer.headers["location"]
        again = await browser.http.get(SIGN_IN, follow_redirects=False)
        assert again.headers["location"] == begins[kind]
    assert list(begins.values()) == ["/console", "/console/tonight"]


async def test_what_opens_nothing_is_told_in_the_same_bytes(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter.browser()
    async with transaction(engine) as tx:
        await keys.revoke(tx, coordination.key.split("_")[1])
    told = set()
    for key in ("", "nonsense", coordination.key, f"relais_{'a' * 10}_{'b' * 32}", "\N{ARABIC LETTER AIN}" * 500):
        answer = await browser.http.post(SIGN_IN, data={"key": key})
        assert answer.status_code == 401
        assert COOKIE not in answer.cookies
        told.add(answer.text)
    assert len(told) == 1
    assert say("console.sign_in.wrong", "en") in told.pop()
    assert await rows(engine, "select 1 from session") == []


async def test_who_tries_many_keys_is_held_up_and_a_right_one_uses_up_nothing(
    serving: Serving, coordination: Organization
) -> None:
    headers = {"Origin": OURS}
    async with serving(sign_in_misses_per_client=3, redis_url=None) as http:
        for _ in range(5):
            assert (await http.post(SIGN_IN, data={"key": coordination.key}, headers=headers)).status_code == 303
        tried = [(await http.post(SIGN_IN, data={"key": "x"}, headers=headers)).status_code for _ in range(4)]
        assert tried == [401, 401, 401, 429]


OVER = (
    "update session set last_used_at = now() - interval '31 minutes'",
    "update session set ends_at = now() - interval '1 second'",
    "delete from session",
    "update api_key set expires_at = now() - interval '1 second'",
    "update api_key set expires_at = now() + interval '1 hour', revoked_at = now()",
    "delete from api_key",
)


async def test_a_session_ends_when_it_is_idle_or_over_and_with_its_key(
    enter: Enter, client: JoinNetwork, engine: AsyncEngine
) -> None:
    for over in OVER:
        browser = await enter((await client()).key)
        assert await is_signed_in(browser)
        await rows(engine, over)
        answer = await browser.http.get("/console", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, SIGN_IN), over
        assert 'relais-session=""' in answer.headers["set-cookie"]


async def test_who_is_there_keeps_the_session_alive_and_a_page_by_itself_does_not(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    ages = []
    for path in ("/console?again=1", "/console"):
        await rows(engine, "update session set last_used_at = now() - interval '20 minutes'")
        await browser.read(path)
        ages.append((await one(engine, "select now() - last_used_at > interval '19 minutes' as old from session")).old)
    assert ages == [True, False]


async def test_a_session_of_somebody_elses_key_opens_nothing(
    enter: Enter, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    """Even where a row was added that names another organization's key."""
    browser = await enter(coordination.key)
    await rows(engine, "update session set key_prefix = :prefix", prefix=association.key.split("_")[1])
    assert not await is_signed_in(browser)


FORGED = {
    "another site": {"Origin": "https://elsewhere.example"},
    "a neighbour": {"Origin": "http://other.relais.test"},
    "another scheme's port": {"Origin": "http://relais.test:8080"},
    "a page without an origin": {"Origin": "null"},
    "a program that says nothing": {},
    "another site, as browsers tell": {"Origin": OURS, "Sec-Fetch-Site": "cross-site"},
    "a neighbour, as browsers tell": {"Origin": OURS, "Sec-Fetch-Site": "same-site"},
}
PATHS = (
    SIGN_IN,
    "/console/sign-in/which",
    "/console/sign-in/with/{id}",
    "/console/sign-out",
    "/console/leave",
    "/console/language",
    "/console/sessions/{id}/end",
    "/console/sessions/others/end",
    "/console/notifications",
    "/console/notifications/channels",
    "/console/notifications/channels/{id}/pause",
    "/console/notifications/channels/{id}/remove",
    "/console/notifications/channels/{id}/resume",
    "/console/notifications/channels/{id}/test",
    "/console/needs/new",
    "/console/needs/queue",
    "/console/needs/{id}/change",
    "/console/needs/{id}/refer",
    "/console/needs/{id}/withdraw",
    "/console/referrals/{id}/answer",
    "/console/import",
    "/console/houses/new",
    "/console/houses/{id}/change",
    "/console/houses/{id}/offers/new",
    "/console/houses/{id}/vet",
    "/console/houses/{id}/way",
    "/console/offers/{id}/change",
    "/console/offers/{id}/close",
    "/console/offers/{id}/pause",
    "/console/offers/{id}/resume",
    "/console/offers/{id}/slots/{number}",
    "/console/offers/{id}/verify",
    "/console/pledges/new",
    "/console/pledges/{id}/change",
    "/console/pledges/{id}/end",
    "/console/shifts/{id}/answer",
    "/console/pathways/new",
    "/console/pathways/{id}/withdraw",
    "/console/projects/new",
    "/console/projects/{id}/withdraw",
    "/console/projects/{id}/answer",
    "/console/pacts/new",
    "/console/pacts/{id}/sign",
    "/console/pacts/{id}/terms",
    "/console/pacts/{id}/end",
    "/console/allocations/{id}/answer",
    "/console/allocations/{id}/arrive",
    "/console/allocations/{id}/release",
    "/console/allocations/{id}/address",
)

WITHOUT_TOKEN = (SIGN_IN, "/console/sign-in/which", "/console/sign-in/with/{id}", "/console/leave", "/console/language")
"""Where nobody has to have a session."""
WITH_TOKEN = [path for path in PATHS if path not in WITHOUT_TOKEN]


async def posted(browser: Browser, path: str, headers: dict[str, str], **fields: str) -> int:
    del browser.http.headers["Origin"]
    try:
        answer = await browser.http.post(
            path.format(id="7b1f8a52-7f83-4a53-9d4b-1f0e2a5c9d10", number=1),
            data=fields,
            headers=headers,
            follow_redirects=False,
        )
        return answer.status_code
    finally:
        browser.http.headers["Origin"] = OURS


async def test_a_link_from_elsewhere_which_brings_no_cookie_ends_no_session(
    enter: Enter, coordination: Organization
) -> None:
    """A browser sends a strict cookie with no link of a mail, and would do away with it all the same when told to."""
    browser = await enter(coordination.key)
    cookie = browser.http.cookies.get(COOKIE)
    assert cookie
    browser.http.cookies.clear()
    answer = await browser.http.get("/console", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, SIGN_IN)
    assert "Set-Cookie" not in answer.headers
    browser.http.cookies.set(COOKIE, cookie)
    assert await is_signed_in(browser)
    browser.http.cookies.set(COOKIE, "of a session that is over")
    over = await browser.http.get("/console", follow_redirects=False)
    assert "Max-Age=0" in over.headers["Set-Cookie"], "the control"


def test_every_form_of_the_console_is_among_them(app: FastAPI) -> None:
    taken = {
        re.sub(r"\{\w+\}", "{id}", route.path_format).replace("slots/{id}", "slots/{number}")
        for route in routes_of(app.routes)
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()) and route.path_format.startswith("/console")
    }
    assert taken == set(PATHS)


async def test_a_form_that_no_page_of_ours_has_sent_does_nothing(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    shown = await browser.read("/console/sessions")
    token = dict(shown.form("/console/sign-out").fields)["token"]
    fields = {"token": token, "key": municipality.key, "adults": "1", "language": "fr", "sure": "1", "answer": "yes"}
    for path, headers in product(PATHS, FORGED.values()):
        assert await posted(browser, path, headers, **fields) == 403, f"{path} {headers}"
    assert await is_signed_in(browser)
    assert await rows(engine, "select 1 from need") == []
    # The control: the same from pages of ours is not refused for where it comes from.
    ours = {"Origin": OURS, "Sec-Fetch-Site": "same-origin"}
    assert 403 not in [await posted(browser, path, ours, **fields) for path in (*WITH_TOKEN[1:], "/console/leave")]
    assert not await is_signed_in(browser)


async def test_a_form_of_another_session_does_nothing(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser, other = await enter(municipality.key), await enter(municipality.key)
    theirs = dict((await other.read("/console/sessions")).form("/console/sign-out").fields)["token"]
    for path, token in product(WITH_TOKEN, ("", theirs, "x" * 32, "\N{ARABIC LETTER AIN}")):
        assert await posted(browser, path, {"Origin": OURS}, token=token, adults="1", sure="1", answer="yes") == 403
    assert await is_signed_in(browser)
    assert await rows(engine, "select 1 from need") == []


async def test_signing_out_ends_this_session_and_no_other(enter: Enter, coordination: Organization) -> None:
    browser, other = await enter(coordination.key), await enter(coordination.key)
    token = browser.http.cookies[COOKIE]
    await browser.send(await browser.read("/console/sessions"), "/console/sign-out")
    assert not browser.http.cookies.get(COOKIE)
    browser.http.cookies.set(COOKIE, token, domain="relais.test", path="/console")
    assert not await is_signed_in(browser)
    assert await is_signed_in(other)


async def test_sessions_of_ones_own_organization_are_listed_and_ended(
    enter: Enter, coordination: Organization, association: Organization
) -> None:
    mine, lost, stranger = [await enter(each.key) for each in (coordination, coordination, association)]
    shown = await mine.read("/console/sessions")
    assert shown.words.count("relais_") == 2
    (end,) = [form.action for form in shown.forms if ENDS_ONE.fullmatch(form.action)]
    (theirs,) = [
        form.action for form in (await lost.read("/console/sessions")).forms if ENDS_ONE.fullmatch(form.action)
    ]
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]
    foreign = await stranger.http.post(theirs, data={"token": token})
    missing = await stranger.http.post(f"/console/sessions/{'0' * 32}/end", data={"token": token})
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert await is_signed_in(lost)
    await mine.send(shown, end)
    assert not await is_signed_in(lost)
    assert await is_signed_in(mine)


async def test_all_others_of_ones_own_organization_are_ended_at_once(
    enter: Enter, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    others = "/console/sessions/others/end"
    mine = await enter(coordination.key)
    shown = await mine.read("/console/sessions")
    assert [form for form in shown.forms if form.action == others] == [], "there are none"
    lost, forgotten, stranger = [await enter(each.key) for each in (coordination, coordination, association)]
    asked = await mine.send(await mine.read("/console/sessions"), others)
    assert say("console.sessions.end_others.sure", "en") in asked.words
    assert await is_signed_in(lost), "one tap ends nothing"
    shown = await mine.send(asked, others)
    assert shown.words.count("relais_") == 1
    signed_in = [await is_signed_in(each) for each in (mine, lost, forgotten, stranger)]
    assert signed_in == [True, False, False, True]
    act = f"POST {others}"
    acts = await rows(engine, "select cardinality(objects) as n from audit_pending where act = :act", act=act)
    assert [row.n for row in acts] == [2]


async def test_who_leaves_in_a_hurry_is_out_and_lands_where_anybody_may_be(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    answer = await browser.http.post("/console/leave", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/calendar")
    assert answer.headers["clear-site-data"] == '"cache", "cookies", "storage"'
    assert await rows(engine, "select 1 from session") == []
    landed = await browser.read("/calendar")
    assert "elais" not in re.sub(r'href="[^"]*"', "", landed.answer.text)
    assert not await is_signed_in(browser)
    # Also when it was over already, and twice.
    assert (await browser.http.post("/console/leave")).status_code == 200


async def test_the_way_out_stands_on_every_page_before_all_else(enter: Enter, association: Organization) -> None:
    browser = await enter(association.key)
    for path in ("/console", "/console/tonight", "/console/needs/new", "/console/needs/queue", "/console/sessions"):
        assert (await browser.read(path)).forms[0].action == "/console/leave"


async def test_a_language_is_asked_for_or_chosen(enter: Enter, coordination: Organization) -> None:
    other = await enter(coordination.key)
    for language in LANGUAGES:
        html = {"lang": language, "dir": "rtl" if language == "ar" else "ltr"}
        browser = await enter.browser(**{"Accept-Language": language})
        assert dict((await browser.read(SIGN_IN)).elements)["html"] == html
        switched = await other.send(await other.read("/console/sessions"), "/console/language", language=language)
        assert dict(switched.elements)["html"] == html
        assert switched.answer.url.path == "/console/sessions"
    for there in (
        "https://elsewhere.example",
        "//elsewhere.example",
        "/v1/me",
        "/console/../v1",
        "/console\\..",
        "/console?there=//elsewhere.example",
        "/console?a=1\r\nSet-Cookie: a=1",
        f"/console?{'a' * 1001}",
        "",
    ):
        fields = {"language": "fr", "there": there}
        answer = await other.http.post("/console/language", data=fields, follow_redirects=False)
        assert answer.headers["location"] == "/console"


async def test_who_chooses_another_language_asks_the_same_still(enter: Enter, coordination: Organization) -> None:
    browser = await enter(coordination.key)
    for path in (
        f"/console/what-if?places=4&km=7&wish=lift&wish=step_free&town={GAP.id}",
        f"/console/figures?town={GAP.id}&category=*&from=2026-01-05",
        "/console/network?for=meal",
    ):
        shown = await browser.read(path)
        switched = await browser.send(shown, "/console/language", language="it")
        assert dict(switched.elements)["html"]["lang"] == "it"
        action = next(form.action for form in shown.forms if path.startswith(form.action.partition("#")[0]))
        assert switched.form(action).fields == shown.form(action).fields
        usual = (await browser.read(path.partition("?")[0])).form(action).fields
        assert usual != shown.form(action).fields, "the control"


async def test_every_page_carries_a_policy_that_lets_nothing_else_in(enter: Enter, association: Organization) -> None:
    browser = await enter(association.key)
    elsewhere = ("/console/sign-in/done", "/console/sign-in/not/nobody", "/console/sign-in/which")
    for path in (
        *(SIGN_IN, "/console", "/console/tonight", "/console/needs/new", "/console/nothing", "/calendar"),
        *elsewhere,
    ):
        answer = await browser.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'"), path
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("text/html"), path
        assert not re.search(r"(src|href)=\"(https?:)?//|\son[a-z]+=|style=", answer.text), path


async def test_files_are_kept_under_a_name_of_their_content_and_there_are_no_others(anyone: httpx.AsyncClient) -> None:
    shown = (await anyone.get(SIGN_IN)).text
    for path in re.findall(r'"(/console/files/[^"]+)"', shown):
        answer = await anyone.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for name in ("console.css", "console.0000000000000000.css", "..%2fpages.py", "console.js"):
        assert (await anyone.get(f"/console/files/{name}")).status_code == 404


async def test_files_are_small_on_their_way_and_pages_with_secrets_are_as_they_are(
    enter: Enter, association: Organization
) -> None:
    browser = await enter(association.key)
    shown = (await browser.http.get("/console", headers={"Accept-Encoding": "gzip"})).headers
    assert "content-encoding" not in shown
    style = path_of("console.css")
    plain = await browser.http.get(style, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for accepted in ("gzip", "br, GZIP"):
        zipped = await browser.http.get(style, headers={"Accept-Encoding": accepted})
        assert zipped.headers["content-encoding"] == "gzip"
        assert zipped.headers["vary"] == "Accept-Encoding"
        assert int(zipped.headers["content-length"]) < len(plain.content) / 3
        assert zipped.content == plain.content
    refusing = await browser.http.get(style, headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refusing.headers
