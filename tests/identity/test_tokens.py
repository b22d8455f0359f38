"""What is not proved is not believed: each token that is wrong in one thing, beside the same one that is right."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey

from identity.asking import NoAnswer, Trouble
from identity.issuers import Issuers, Leg
from tests.identity.issuing import BACK, CLIENT, SHARED, SUBJECT, Issuing, Reply, issuing, rsa, said_to

SIRET = {"siret": frozenset({"21050023700012"})}


@pytest_asyncio.fixture(loop_scope="function")
async def issuer() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        yield made


async def untrue(issuer: Issuing, *wanted: str) -> Trouble:
    """What comes of it, which is no answer, after the same with nothing wrong in it was one."""
    with pytest.raises(NoAnswer) as raised:
        await said_to(Issuers(), issuer, *wanted)
    return raised.value.trouble


async def test_of_somebody_nothing_is_told_but_what_was_asked_for(issuer: Issuing) -> None:
    assert await said_to(Issuers(), issuer, "siret") == SIRET
    assert await said_to(Issuers(), issuer) == {}


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "of another issuer": {"iss": "https://elsewhere.example"},
    "of none": {"iss": None},
    "for another house": {"aud": "another"},
    "for nobody": {"aud": None},
    "for several houses, and it is not said for which": {"aud": [CLIENT, "another"]},
    "for several houses, asked for by another": {"aud": [CLIENT, "another"], "azp": "another"},
    "for this house, asked for by another": {"azp": "another"},
    "an audience that is no text": {"aud": [CLIENT, 7], "azp": CLIENT},
    "of another question": {"nonce": "another"},
    "of no question": {"nonce": None},
    "over": {"exp": int(time.time()) - 120},
    "without an end": {"exp": None},
    "without an end that is a time": {"exp": "2099-01-01"},
    "with an end that no clock reaches": {"exp": float("nan")},
    "not yet issued": {"iat": int(time.time()) + 3600},
    "never issued": {"iat": None},
    "not yet to be used": {"nbf": int(time.time()) + 3600},
    "of nobody": {"sub": None},
    "of somebody without a name": {"sub": ""},
    "of a number": {"sub": 7},
    "with another access token": {"at_hash": base64.urlsafe_b64encode(b"x" * 16).decode().rstrip("=")},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
async def test_a_token_that_says_it_wrongly_is_not_believed(issuer: Issuing, wrong: str) -> None:
    issuer.claims = WRONG_CLAIMS[wrong]
    assert await untrue(issuer, "siret") is Trouble.UNTRUE
    issuer.claims = {}
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control"


async def test_a_token_for_several_houses_that_this_one_asked_for_is_believed(issuer: Issuing) -> None:
    issuer.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert await said_to(Issuers(), issuer, "siret") == SIRET


async def test_who_was_known_from_before_is_asked_again(issuer: Issuing) -> None:
    """Else the next person at a shared desk is in by the button, should the address on the way be changed."""
    issuer.claims = {"auth_time": int(time.time()) - 3600}
    assert await untrue(issuer, "siret") is Trouble.NOT_ASKED
    issuer.asks_again = False
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the operator said that it need not"
    issuer.claims, issuer.asks_again = {"auth_time": int(time.time()) - 5}, True
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control"
    issuer.claims = {"auth_time": "now"}
    assert await untrue(issuer, "siret") is Trouble.UNTRUE


async def test_a_clock_may_be_a_moment_off(issuer: Issuing) -> None:
    issuer.claims = {"iat": int(time.time()) + 30, "exp": int(time.time()) - 30}
    assert await said_to(Issuers(), issuer, "siret") == SIRET


def plain(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def unsigned(head: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{plain(head | {'alg': 'none'})}.{plain(claims)}."


def by_secret(secret: bytes) -> Callable[[dict[str, Any], dict[str, Any]], str]:
    """Signs with HMAC, whoever knows the secret: what anybody does who takes a public key for one."""

    def sign(head: dict[str, Any], claims: dict[str, Any]) -> str:
        said = f"{plain(head | {'alg': 'HS256'})}.{plain(claims)}"
        digest = hmac.digest(secret, said.encode(), hashlib.sha256)
        return f"{said}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    return sign


def by_hand(head: dict[str, Any], claims: dict[str, Any]) -> str:
    """Signs whatever the head says."""
    said = f"{plain(head)}.{plain(claims)}"
    private = rsa("first").private_key
    assert private is not None
    signature = private.sign(said.encode(), PKCS1v15(), SHA256())
    return f"{said}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_what_is_signed_by_hand_is_signed(issuer: Issuing) -> None:
    """The control of one case below; and a member of the head that need not be understood is passed over."""
    issuer.signed = lambda head, claims: by_hand(head | {"x": 1}, claims)
    assert await said_to(Issuers(), issuer, "siret") == SIRET


def by_another(head: dict[str, Any], claims: dict[str, Any]) -> str:
    return jwt.encode(head, claims, rsa("second"), algorithms=["RS256"])


def changed_after(head: dict[str, Any], claims: dict[str, Any]) -> str:
    first, _, last = jwt.encode(head, claims, rsa("first"), algorithms=["RS256"]).split(".")
    return f"{first}.{plain(claims | {'siret': '99999999900000'})}.{last}"


PEM = rsa("first").public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
WRONG_SIGNATURES: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "by nobody": unsigned,
    "by whoever has the public key, in PEM": by_secret(PEM),
    "by whoever has the public key, in JSON": by_secret(json.dumps(rsa("first").as_dict(private=False)).encode()),
    "by whoever has the secret": by_secret(SHARED.encode()),
    "by another key under the same name": by_another,
    "of something else": changed_after,
    "which is none": lambda head, claims: f"{plain(head)}.{plain(claims)}.AAAA",
    "with what must be understood and is not": lambda head, claims: by_hand(head | {"crit": ["x"], "x": 1}, claims),
    "no token at all": lambda *_: "no token",
    "nothing": lambda *_: "",
    "too deep": lambda head, _: f"{plain(head)}.{base64.urlsafe_b64encode(b'[' * 90_000).decode()}.AAAA",
}


@pytest.mark.parametrize("wrong", WRONG_SIGNATURES)
async def test_a_token_that_its_issuer_has_not_signed_is_not_believed(issuer: Issuing, wrong: str) -> None:
    issuer.signed = WRONG_SIGNATURES[wrong]
    assert await untrue(issuer, "siret") is Trouble.UNTRUE
    issuer.signed = None
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control"


async def test_a_shared_secret_among_the_keys_signs_nothing(issuer: Issuing) -> None:
    """Not even where the issuer itself publishes one."""
    shared = OctKey.import_key("s" * 32, {"kid": "first"})
    keys = [shared.as_dict(private=True), rsa("first").as_dict(private=False)]
    issuer.instead["/keys"] = Reply(json.dumps({"keys": keys}))
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control: the other key counts"
    issuer.signed = by_secret(b"s" * 32)
    assert await untrue(issuer, "siret") is Trouble.UNTRUE


async def test_keys_that_prove_nothing_are_passed_over(issuer: Issuing) -> None:
    elliptic = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})
    edwards = OKPKey.generate_key("Ed25519", {"kid": "edwards", "use": "sig"})
    for key, algorithm in (
        (rsa("small", 1024), "RS256"),
        (rsa("first"), "RS256"),
        (elliptic, "ES256"),
        (edwards, "EdDSA"),
        (edwards, "Ed25519"),
    ):
        issuer.keys, issuer.algorithm = [key, rsa("other")], algorithm
        if key.kid == "small":
            assert await untrue(issuer, "siret") is Trouble.UNTRUE
        else:
            assert await said_to(Issuers(), issuer, "siret") == SIRET
    issuer.claims = {"at_hash": "x" * 43}
    assert await untrue(issuer, "siret") is Trouble.UNTRUE, "the hash is looked at there too"
    issuer.keys, issuer.algorithm, issuer.claims = [elliptic], "ES256", {}
    assert await said_to(Issuers(), issuer, "siret") == SIRET
    issuer.head = {"alg": "RS256"}
    issuer.signed = lambda head, claims: f"{plain(head)}.{plain(claims)}.AAAA"
    assert await untrue(issuer, "siret") is Trouble.UNTRUE, "an algorithm that its key is not for"


async def test_what_the_token_does_not_say_the_issuer_is_asked_for(issuer: Issuing) -> None:
    issuer.claims = {"siret": None}
    for signs in (False, True):
        issuer.signs_user, issuer.asked = signs, []
        assert await said_to(Issuers(), issuer, "siret") == SIRET
        assert "/user" in issuer.asked
    issuer.asked = []
    assert await said_to(Issuers(), issuer) == {}
    assert "/user" not in issuer.asked, "only where something is missing"


async def test_where_the_signed_token_is_enough_a_userinfo_that_fails_refuses_nobody(issuer: Issuing) -> None:
    """What other organizations go by is asked for too, and may be missing."""

    async def said(*, enough: bool) -> Any:
        issuers, leg = Issuers(), Leg.new()
        code = issuer.code_for(await issuers.way_to(issuer.registration, BACK, leg))
        wanted = ["siret", "town"]
        return await issuers.values(issuer.registration, BACK, leg, code, wanted, lambda _: enough)

    for reply in (Reply("", "500 Broken"), Reply("", "403 Forbidden"), Reply("<html>")):
        issuer.instead = {"/user": reply}
        assert await said(enough=True) == SIRET | {"town": frozenset()}
        with pytest.raises(NoAnswer):
            await said(enough=False)
    issuer.instead, issuer.user = {}, {"sub": "another", "town": "Gap"}
    with pytest.raises(NoAnswer) as raised:
        await said(enough=True)
    assert raised.value.trouble is Trouble.UNTRUE
    issuer.user = {"town": "Gap"}
    assert await said(enough=True) == SIRET | {"town": frozenset({"Gap"})}, (
        "the control: more is heard where it is said"
    )


WRONG_USERS: dict[str, dict[str, Any]] = {
    "of another person": {"sub": "another"},
    "of nobody": {"sub": None},
    "for another house": {"aud": "another"},
    "for nobody": {"aud": None},
    "of another issuer": {"iss": "https://elsewhere.example"},
    "of none": {"iss": None},
    "over": {"exp": 1},
}


@pytest.mark.parametrize("wrong", WRONG_USERS)
async def test_what_is_said_of_another_or_to_another_is_not_believed(issuer: Issuing, wrong: str) -> None:
    issuer.claims, issuer.user, issuer.signs_user = {"siret": None}, WRONG_USERS[wrong], True
    assert await untrue(issuer, "siret") is Trouble.UNTRUE
    issuer.user = {}
    assert await said_to(Issuers(), issuer, "siret") == SIRET, "the control"


async def test_unsigned_words_of_another_person_are_not_believed_and_never_outdo_signed_ones(issuer: Issuing) -> None:
    issuer.claims, issuer.user = {"siret": None}, {"sub": "another"}
    assert await untrue(issuer, "siret") is Trouble.UNTRUE
    issuer.claims, issuer.user = {}, {"sub": SUBJECT, "siret": "99999999900000", "town": "Gap"}
    assert await said_to(Issuers(), issuer, "siret", "town") == SIRET | {"town": frozenset({"Gap"})}


async def test_a_claim_is_texts_and_nothing_like_them(issuer: Issuing) -> None:
    for said, told in (
        (["a", "b", 7, None, ""], {"a", "b"}),
        (True, set()),
        (7, set()),
        ({"a": "b"}, set()),
        ("", set()),
        ([["a"]], set()),
        ([str(each) for each in range(1000)], {str(each) for each in range(1000)}),
    ):
        issuer.claims = {"groups": said}
        assert await said_to(Issuers(), issuer, "groups") == {"groups": frozenset(told)}
