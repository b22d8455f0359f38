"""The two legs of signing in by an issuer: where to send a browser, and what it brings back (authorization code flow).

A process keeps an issuer's document for ten minutes and its keys for an hour. So that one that is slow does not slow
the house, few questions are under way at once, and one that gave no answer is left alone for some seconds.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Final
from urllib.parse import quote_plus

from authlib.oauth2 import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet

from identity import discovery, tokens
from identity.asking import Asking, NoAnswer, Trouble
from identity.discovery import Endpoints
from identity.registration import BY_ITSELF, Registration
from identity.tokens import UnknownKey

__all__ = ["Issuers", "Leg"]

_MOST_AT_ONCE: Final = 8
_WHOLE_SECONDS: Final = 15.0
_DOCUMENT_SECONDS: Final = 600.0
_KEYS_SECONDS: Final = 3600.0
_REST_SECONDS: Final = 5.0
_KEYS_AGAIN_SECONDS: Final = 10.0
_MOST_VALUES: Final = 200
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Leg:
    """What the way back must agree with: three times 256 random bits, known to this house and to one browser.

    It began at a time in seconds since 1970.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    began: float

    @classmethod
    def new(cls) -> "Leg":
        """One that nobody has seen."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), time())


@dataclass
class _Known:
    """What is known of one issuer, and since when, in seconds of the process's clock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    endpoints: Endpoints | None = None
    read_at: float = 0.0
    failed: NoAnswer | None = None
    failed_at: float = 0.0
    keys: KeySet | None = None
    keys_at: float = 0.0


class Issuers:
    """How a process asks issuers. `asking` and `clock` (seconds) are others in tests alone."""

    def __init__(self, asking: Asking | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._asking = asking or Asking()
        self._clock = clock
        self._known: dict[tuple[str, tuple[str, ...]], _Known] = {}
        self._at_work = 0

    async def endpoints(self, registration: Registration) -> Endpoints:
        """What the issuer's document says, at most ten minutes old. Raises `NoAnswer`."""
        known = self._of(registration)
        if known.endpoints is not None and self._clock() - known.read_at < _DOCUMENT_SECONDS:
            return known.endpoints
        with self._one_more():
            return await self._read_document(registration, known)

    async def way_to(self, registration: Registration, back: str, leg: Leg) -> str:
        """Where a browser is sent, to come back to `back`. Raises `NoAnswer`."""
        endpoints = await self.endpoints(registration)
        challenge = (
            {"code_challenge": create_s256_code_challenge(leg.verifier), "code_challenge_method": "S256"}
            if registration.pkce
            else {}
        )
        again = {"prompt": "login"} if registration.asks_again else {}
        way: str = prepare_grant_uri(
            endpoints.authorization,
            client_id=registration.client_id,
            response_type="code",
            redirect_uri=back,
            scope=" ".join((BY_ITSELF, *registration.scopes)),
            state=leg.state,
            nonce=leg.nonce,
            **challenge,
            **again,
        )
        return way

    async def values(
        self, registration: Registration, back: str, leg: Leg, code: str, wanted: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """The values of the claims asked for, by name, of whoever the code is about; of all others nothing is told.

        A claim that is a list has several. Raises `NoAnswer`.
        """
        with self._one_more():
            try:
                async with asyncio.timeout(_WHOLE_SECONDS):
                    said = await self._said(registration, back, leg, code, wanted)
            except TimeoutError:
                raise NoAnswer(Trouble.SLOW) from None
        return {name: _values(said.get(name)) for name in wanted}

    async def _said(
        self, registration: Registration, back: str, leg: Leg, code: str, wanted: Collection[str]
    ) -> Mapping[str, Any]:
        endpoints = await self._read_document(registration, self._of(registration))
        id_token, access_token = await self._exchange(registration, endpoints, back, leg, code)
        said = await self._by_its_keys(
            registration,
            endpoints,
            lambda keys: tokens.vouched(id_token, keys, registration, leg.nonce, access_token, leg.began),
        )
        if endpoints.userinfo is None or access_token is None or set(wanted) <= said.keys():
            return said
        answered = await self._asking.get(
            endpoints.userinfo, "application/json, application/jwt", Authorization=f"Bearer {access_token}"
        )
        more = await self._by_its_keys(
            registration, endpoints, lambda keys: tokens.user_info(answered, keys, registration, said["sub"])
        )
        # What the signed token says is never said otherwise by what may be unsigned.
        return more | said

    async def _by_its_keys(
        self, registration: Registration, endpoints: Endpoints, check: Callable[[KeySet], dict[str, Any]]
    ) -> dict[str, Any]:
        """What a check finds by the issuer's keys; one that is not known is looked for once. Raises `NoAnswer`."""
        try:
            return check(await self._keys(registration, endpoints))
        except UnknownKey:
            keys = await self._keys_again(registration, endpoints)
        try:
            return check(keys)
        except UnknownKey:
            raise NoAnswer(Trouble.UNTRUE) from None

    async def _exchange(
        self, registration: Registration, endpoints: Endpoints, back: str, leg: Leg, code: str
    ) -> tuple[str, str | None]:
        """The ID token and the access token for a code."""
        verifier = {"code_verifier": leg.verifier} if registration.pkce else {}
        body = prepare_token_request("authorization_code", code=code, redirect_uri=back, **verifier)
        name, secret = registration.client_id, registration.secret
        if endpoints.in_head:
            # As RFC 6749 (§ 2.3.1) has it, which Authlib leaves to us.
            name, secret = quote_plus(name), quote_plus(secret)
        url, headers, body = ClientAuth(
            name, secret, "client_secret_basic" if endpoints.in_head else "client_secret_post"
        ).prepare("POST", endpoints.token, dict(_FORM), body)
        answered = await self._asking.ask("POST", url, headers, body.encode("ascii"))
        if answered.status in (400, 401):
            gone = answered.parsed().get("error") == "invalid_grant"
            raise NoAnswer(Trouble.TOO_LATE if gone else Trouble.REFUSED)
        if answered.status != 200:
            raise NoAnswer(Trouble.REFUSED)
        said = answered.parsed()
        id_token, access_token = said.get("id_token"), said.get("access_token")
        if not isinstance(id_token, str):
            raise NoAnswer(Trouble.NONSENSE)
        return id_token, access_token if isinstance(access_token, str) and access_token.isascii() else None

    async def _read_document(self, registration: Registration, known: _Known) -> Endpoints:
        async with known.lock:
            if known.endpoints is not None and self._clock() - known.read_at < _DOCUMENT_SECONDS:
                return known.endpoints
            if known.failed is not None and self._clock() - known.failed_at < _REST_SECONDS:
                raise NoAnswer(known.failed.trouble, known.failed.host)
            try:
                answered = await self._asking.get(discovery.address_of(registration.issuer))
                known.endpoints = discovery.read(answered, registration)
            except NoAnswer as failed:
                known.failed, known.failed_at = failed, self._clock()
                raise
            known.failed, known.read_at = None, self._clock()
            return known.endpoints

    async def _keys(self, registration: Registration, endpoints: Endpoints) -> KeySet:
        known = self._of(registration)
        if known.keys is None or self._clock() - known.keys_at >= _KEYS_SECONDS:
            known.keys = tokens.read_keys(await self._asking.get(endpoints.keys, "application/json, */*"))
            known.keys_at = self._clock()
        return known.keys

    async def _keys_again(self, registration: Registration, endpoints: Endpoints) -> KeySet:
        """The keys as they are now, for a token that names another: once for a token, and not again at once."""
        known = self._of(registration)
        if self._clock() - known.keys_at < _KEYS_AGAIN_SECONDS:
            raise NoAnswer(Trouble.UNTRUE)
        known.keys_at = self._clock()
        known.keys = tokens.read_keys(await self._asking.get(endpoints.keys, "application/json, */*"))
        return known.keys

    def _of(self, registration: Registration) -> _Known:
        return self._known.setdefault((registration.issuer, registration.also_at), _Known())

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if self._at_work >= _MOST_AT_ONCE:
            raise NoAnswer(Trouble.BUSY)
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1


def _values(said: object) -> frozenset[str]:
    several = said[:_MOST_VALUES] if isinstance(said, list) else [said]
    return frozenset(each for each in several if isinstance(each, str) and each)
