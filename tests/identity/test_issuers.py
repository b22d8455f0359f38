"""An issuer that is slow, silent, huge, elsewhere or gone costs a moment and no more; each beside one that answers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
import trustme

from identity.asking import Asking, NoAnswer, Trouble
from identity.issuers import Issuers, Leg
from identity.registration import Registration, is_issuer, origin_of
from tests.identity.issuing import BACK, HANGS, SHARED, Issuing, Reply, issuing, rsa, said_to
from tests.waiting import eventually

DOCUMENT = "/.well-known/openid-configuration"
PATHS = (DOCUMENT, "/token", "/keys", "/user")
SIRET = {"siret": frozenset({"21050023700012"})}


@pytest_asyncio.fixture(loop_scope="function")
async def issuer() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        made.claims = {"siret": None}  # so that all of it is asked
        yield made


async def trouble(issuers: Issuers, issuer: Issuing) -> Trouble:
    with pytest.raises(NoAnswer) as raised:
        await said_to(issuers, issuer, "siret")
    return raised.value.trouble


ANSWERS = {
    "nothing comes": (Reply(HANGS), {Trouble.SLOW}),
    "it sends elsewhere": (Reply("", "302 Found", head="Location: http://127.0.0.1:1/\r\n"), {Trouble.REFUSED}),
    "it broke": (Reply("", "500 Internal Server Error"), {Trouble.AILING}),
    "too many ask it": (Reply("", "429 Too Many Requests"), {Trouble.AILING}),
    "it will not": (Reply("", "403 Forbidden"), {Trouble.REFUSED}),
    "a page": (Reply("<html>", kind="text/html"), {Trouble.NONSENSE}),
    "a list": (Reply("[]"), {Trouble.NONSENSE}),
    "too much": (Reply(b"{" + b" " * 300_000 + b"}"), {Trouble.NONSENSE}),
    "too deep": (Reply("[" * 100_000), {Trouble.NONSENSE}),
    "bytes that are no text": (Reply(b"\xff\xfe{"), {Trouble.NONSENSE}),
    "an object without anything": (Reply("{}"), {Trouble.NONSENSE, Trouble.ANOTHER, Trouble.UNTRUE}),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_answer_that_cannot_be_used_is_none(issuer: Issuing, answer: str) -> None:
    reply, told = ANSWERS[answer]
    for path in PATHS:
        issuers = Issuers(Asking(seconds=0.4 if reply.body == HANGS else 6))
        issuer.instead = {path: reply}
        assert await trouble(issuers, issuer) in told, path
        issuer.instead = {}
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control"


async def test_nobody_is_there(issuer: Issuing) -> None:
    registration = Registration("http://127.0.0.1:1", "client", SHARED)
    with pytest.raises(NoAnswer) as raised:
        await Issuers().endpoints(registration)
    assert raised.value.trouble is Trouble.UNREACHABLE
    assert (await Issuers().endpoints(issuer.registration)).token == f"{issuer.url}/token", "the control"


async def test_a_certificate_of_nobody_known_is_told_as_such() -> None:
    authority = trustme.CA()
    context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(context)
    async with issuing(context) as made:
        assert await trouble(Issuers(), made) is Trouble.INSECURE
        authority.configure_trust(trust)
        assert await said_to(Issuers(Asking(trust)), made, "siret") == SIRET, "the control"


ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")


@pytest.mark.parametrize("named", ENDPOINTS)
async def test_a_host_that_nobody_agreed_to_is_not_asked(issuer: Issuing, named: str) -> None:
    async with issuing() as other:
        other.claims = {"siret": None}
        for url in (other.url, "https://169.254.169.254", issuer.url.replace("127.0.0.1", "user@127.0.0.1")):
            issuer.document = {named: f"{url}/token"}
            assert await trouble(Issuers(), issuer) is Trouble.ELSEWHERE, url
        for strange in (7, None, f"{issuer.url}/#a"):
            issuer.document = {named: strange}
            if named != "userinfo_endpoint" or strange is not None:
                assert await trouble(Issuers(), issuer) in (Trouble.NONSENSE, Trouble.ELSEWHERE), strange
        assert other.asked == []
        issuer.document = {named: f"{other.url}/other"}
        allowed = Registration(issuer.url, "client", SHARED, also_at=(other.url,))
        assert await Issuers().endpoints(allowed), "the control: the operator named it"


async def test_the_document_of_another_is_not_taken_for_its_own(issuer: Issuing) -> None:
    for other in (f"{issuer.url}/", issuer.url.upper(), "https://elsewhere.example", None, 7):
        issuer.document = {"issuer": other}
        assert await trouble(Issuers(), issuer) is Trouble.ANOTHER
    issuer.document = {}
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control"


async def test_the_way_there_carries_what_must_come_back_and_no_secret(issuer: Issuing) -> None:
    leg = Leg.new()
    way = await Issuers().way_to(issuer.registration, BACK, leg)
    given = parse_qs(urlsplit(way).query, strict_parsing=True)
    assert set(given) == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce"),
        *("code_challenge", "code_challenge_method", "prompt"),
    }
    assert (given["state"], given["nonce"], given["scope"]) == ([leg.state], [leg.nonce], ["openid siret"])
    assert (given["code_challenge_method"], given["prompt"]) == (["S256"], ["login"])
    assert leg.verifier not in way
    assert SHARED not in way
    assert len({*(each for _ in range(50) for each in (Leg.new().state, Leg.new().nonce))}) == 100
    bare = await Issuers().way_to(Registration(issuer.url, "client", SHARED, pkce=False, asks_again=False), BACK, leg)
    assert not any(each in bare for each in ("challenge", "prompt")), "where the operator said so"


async def test_a_code_is_nothing_without_what_its_own_browser_holds(issuer: Issuing) -> None:
    issuers, mine, theirs = Issuers(), Leg.new(), Leg.new()
    code = issuer.code_for(await issuers.way_to(issuer.registration, BACK, mine))
    for leg in (theirs, Leg(mine.state, mine.nonce, theirs.verifier, mine.began)):
        with pytest.raises(NoAnswer) as raised:
            await issuers.values(issuer.registration, BACK, leg, code, ["siret"])
        assert raised.value.trouble is Trouble.TOO_LATE
        code = issuer.code_for(await issuers.way_to(issuer.registration, BACK, mine))
    assert await issuers.values(issuer.registration, BACK, mine, code, ["siret"]) == SIRET, "the control"
    with pytest.raises(NoAnswer):
        await issuers.values(issuer.registration, BACK, mine, code, ["siret"])


@pytest.mark.parametrize("ways", [None, ["client_secret_post"], ["private_key_jwt", "client_secret_basic"]])
async def test_the_secret_is_shown_as_the_issuer_asks_for_it(issuer: Issuing, ways: list[str] | None) -> None:
    issuer.document = {"token_endpoint_auth_methods_supported": ways}
    assert await said_to(Issuers(), issuer, "siret") == SIRET
    issuer.document = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    assert await trouble(Issuers(), issuer) is Trouble.NONSENSE


async def test_keys_that_changed_are_read_once_more_and_not_again_at_once(issuer: Issuing) -> None:
    now = [0.0]
    issuers = Issuers(clock=lambda: now[0])
    assert await said_to(issuers, issuer, "siret") == SIRET
    issuer.keys, now[0] = [rsa("second")], 60
    assert await said_to(issuers, issuer, "siret") == SIRET
    assert issuer.asked.count("/keys") == 2
    # A key that it does not know itself is asked for once, and then left alone for a while.
    issuer.head, now[0] = {"kid": "nobody's"}, 120
    for _ in range(3):
        assert await trouble(issuers, issuer) is Trouble.UNTRUE
    assert issuer.asked.count("/keys") == 3
    issuer.head = {}
    assert await said_to(issuers, issuer, "siret") == SIRET, "the control"


async def test_when_keys_rotate_all_who_sign_in_then_are_understood(issuer: Issuing) -> None:
    issuers = Issuers()
    assert await said_to(issuers, issuer, "siret") == SIRET
    issuer.keys = [rsa("second")]
    # Each reads its document, code and token over a connection of its own.
    assert await asyncio.gather(*(said_to(issuers, issuer, "siret") for _ in range(6))) == [SIRET] * 6
    assert issuer.asked.count("/keys") == 2, "one has read them for all"


async def test_keys_that_could_not_be_read_again_are_no_younger_for_it(issuer: Issuing) -> None:
    now = [0.0]
    issuers = Issuers(clock=lambda: now[0])
    assert await said_to(issuers, issuer, "siret") == SIRET
    issuer.head, issuer.instead, now[0] = {"kid": "second"}, {"/keys": Reply("", "503 Service Unavailable")}, 3000
    assert await trouble(issuers, issuer) is Trouble.AILING
    issuer.head, issuer.instead, now[0] = {}, {}, 3500
    issuer.instead = {"/keys": Reply(json.dumps({"keys": [rsa("second").as_dict(private=False)]}))}
    assert await said_to(issuers, issuer, "siret") == SIRET, "the control: they are kept for an hour"
    now[0] = 3601
    assert await trouble(issuers, issuer) is Trouble.UNTRUE, "the first was withdrawn"


async def test_a_token_that_names_no_key_is_believed_where_there_is_but_one(issuer: Issuing) -> None:
    issuer.head = {"kid": None}
    assert await said_to(Issuers(), issuer, "siret") == SIRET
    issuer.keys = [rsa("first"), rsa("second")]
    assert await trouble(Issuers(), issuer) is Trouble.UNTRUE


async def test_one_that_gave_no_answer_is_left_alone_for_a_moment(issuer: Issuing) -> None:
    now = [0.0]
    issuers = Issuers(clock=lambda: now[0])
    issuer.instead = {DOCUMENT: Reply("", "503 Service Unavailable")}
    for _ in range(4):
        assert await trouble(issuers, issuer) is Trouble.AILING
    assert issuer.asked == [DOCUMENT]
    issuer.instead, now[0] = {}, 6
    assert await said_to(issuers, issuer, "siret") == SIRET
    now[0] = 500
    await issuers.endpoints(issuer.registration)
    assert issuer.asked.count(DOCUMENT) == 2, "it is kept for ten minutes"


async def test_few_wait_for_an_issuer_at_one_time_and_others_are_told_at_once(issuer: Issuing) -> None:
    issuers = Issuers()
    issuer.instead = {"/token": Reply(HANGS)}
    await issuers.endpoints(issuer.registration)
    waiting = [asyncio.create_task(said_to(issuers, issuer, "siret")) for _ in range(8)]

    async def all_wait() -> bool:
        return issuer.asked.count("/token") == 8

    try:
        await eventually(all_wait, "eight wait")
        assert await trouble(issuers, issuer) is Trouble.BUSY
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    issuer.instead = {}
    assert await said_to(issuers, issuer, "siret") == SIRET, "the control: nobody waits any more"


async def test_one_that_is_slow_stops_no_other_and_a_house_asks_so_many_in_all(issuer: Issuing) -> None:
    issuers = Issuers()
    async with AsyncExitStack() as opened:
        slow = [await opened.enter_async_context(issuing()) for _ in range(4)]
        waiting: list[asyncio.Task[object]] = []
        try:
            for count, each in enumerate(slow, start=1):
                assert await said_to(issuers, issuer, "siret") == SIRET, f"{count - 1} are slow"
                each.instead = {"/token": Reply(HANGS)}
                await issuers.endpoints(each.registration)
                waiting += [asyncio.create_task(said_to(issuers, each, "siret")) for _ in range(8)]

                async def all_wait(each: Issuing = each) -> bool:
                    return each.asked.count("/token") == 8

                await eventually(all_wait, "eight wait")
            assert await trouble(issuers, issuer) is Trouble.BUSY
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    assert await said_to(issuers, issuer, "siret") == SIRET, "the control: nobody waits any more"


ADDRESSES: dict[str, str | None] = {
    "https://issuer.example": "https://issuer.example",
    "https://issuer.example:443/a/b": "https://issuer.example",
    "https://issuer.example:8443/": "https://issuer.example:8443",
    "https://10.0.0.7/realm": "https://10.0.0.7",
    "https://[fd00::1]/": "https://[fd00::1]",
    "http://127.0.0.1:8080/": "http://127.0.0.1:8080",
    "http://localhost": "http://localhost",
    "http://[::1]:80/": "http://[::1]",
    "http://issuer.example": None,
    "http://10.0.0.7": None,
    "http://127.0.0.1.example": None,
    "http://localhost.example": None,
    "https://user@issuer.example": None,
    "https://issuer.example\\@elsewhere.example": None,
    "https://issuer.example/a b": None,
    "https://issuer.example/\n": None,
    "https://issuer.example:99999": None,
    "https://": None,
    "ftp://issuer.example": None,
    "//issuer.example": None,
    "javascript:alert(1)": None,
    "https://issuer.example/" + "a" * 300: None,
}


def test_addresses_that_may_be_asked() -> None:
    assert {url: origin_of(url) for url in ADDRESSES} == ADDRESSES
    assert is_issuer("https://issuer.example/realms/town")
    assert not any(map(is_issuer, ("https://issuer.example/?a", "https://issuer.example/#a", "http://issuer.example")))


def test_no_secret_shows_in_what_is_written_down_of_it() -> None:
    leg = Leg.new()
    shown = repr(Registration("https://issuer.example", "client", SHARED)) + repr(leg)
    assert not any(each in shown for each in (SHARED, leg.state, leg.nonce, leg.verifier))
