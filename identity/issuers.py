"""The two legs of signing in by an issuer: where to send a browser, and what it brings back (authorization code flow).

A process keeps an issuer's document for ten minutes and its keys for an hour. So that one that is slow slows neither
the house nor another, few questions to each are under way at once, and one that gave no answer is left alone for some
seconds.
"""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
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

_MOST_AT_ONCE: Final = 32
_MOST_OF_ONE: Final = 8
_WHOLE_SECONDS: Final = 15.0
_DOCUMENT_SECONDS: Final = 600.0
_KEYS_SECONDS: Final = 3600.0
_REST_SECONDS: Final = 5.0
_KEYS_AGAIN_SECONDS: Final = 10.0
Values = Mapping[str, frozenset[str]]
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
    keys_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: KeySet | None = None
    keys_at: float = 0.0
    keys_again_at: float = -math.inf
    at_work: int = 0


class Issuers:
    """How a process asks issuers. `asking` and `clock` (seconds) are others in tests alone."""

    def __init__(self, asking: Asking | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._asking = asking or Asking()
        self._whole = _WHOLE_SECONDS
        self._clock = clock
        self._known: dict[tuple[str, tuple[str, ...]], _Known] = {}
        self._at_work = 0

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """All that is asked for one way back: 15 seconds. Raises `NoAnswer` when they are over."""
        try:
            async with asyncio.timeout(self._whole):
                yield
        except TimeoutError:
            raise NoAnswer(Trouble.SLOW) from None

    async def endpoints(self, registration: Registration) -> Endpoints:
        """What the issuer's document says, at most ten minutes old. Raises `NoAnswer`."""
        known = self._of(registration)
        if known.endpoints is not None and self._clock() - known.read_at < _DOCUMENT_SECONDS:
            return known.endpoints
        with self._one_more(known):
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
        self,
        registration: Registration,
        back: str,
        leg: Leg,
        code: str,
        wanted: Collection[str],
        enough: Callable[[Values], bool] = lambda _: False,
    ) -> Values:
        """The values of the claims asked for, by name, of whoever the code is about; of all others nothing is told.

        A claim that is a list has several. Where the signed token says `enough`, nobody needs more. Raises `NoAnswer`.
        """
        with self._one_more(self._of(registration)):
            endpoints, said, access_token = await self._vouched(registration, back, leg, code)
            if endpoints.userinfo is None or access_token is None or set(wanted) <= said.keys():
                return _only(said, wanted)
            try:
                answered = await self._asking.get(
                    endpoints.userinfo, "application/json, application/jwt", Authorization=f"Bearer {access_token}"
                )
                more = await self._by_its_keys(
                    registration, endpoints, lambda keys: tokens.user_info(answered, keys, registration, said["sub"])
                )
            except NoAnswer as none:
                found = _only(said, wanted)
                if none.trouble is Trouble.UNTRUE or not enough(found):
                    raise
                return found
        # What the signed token says is never said otherwise by what may be unsigned.
        return _only(more | said, wanted)

    async def _vouched(
        self, registration: Registration, back: str, leg: Leg, code: str
    ) -> tuple[Endpoints, dict[str, Any], str | None]:
        """Where it is asked, what its token says, and the access token."""
        endpoints = await self._read_document(registration, self._of(registration))
        id_token, access_token = await self._exchange(registration, endpoints, back, leg, code)
        said = await self._by_its_keys(
            registration,
            endpoints,
            lambda keys: tokens.vouched(id_token, keys, registration, leg.nonce, access_token, leg.began),
        )
        return endpoints, said, access_token

    async def _by_its_keys(
        self, registration: Registration, endpoints: Endpoints, check: Callable[[KeySet], dict[str, Any]]
    ) -> dict[str, Any]:
        """What a check finds by the issuer's keys; one that is not known is looked for once. Raises `NoAnswer`."""
        keys = await self._keys(registration, endpoints)
        try:
            return check(keys)
        except UnknownKey:
            keys = await self._keys(registration, endpoints, keys)
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
            raise NoAnswer(answered.refusal)
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

    async def _keys(self, registration: Registration, endpoints: Endpoints, stale: KeySet | None = None) -> KeySet:
        """The keys, or for a token whose key is not among the `stale`, those of now: read again, but not at once."""
        known = self._of(registration)
        async with known.keys_lock:
            again = stale is not None and known.keys is stale
            if again and self._clock() - known.keys_again_at < _KEYS_AGAIN_SECONDS:
                raise NoAnswer(Trouble.UNTRUE)
            # Who waited while another read them takes what that one found.
            if not again and known.keys is not None and self._clock() - known.keys_at < _KEYS_SECONDS:
                return known.keys
            known.keys = tokens.read_keys(await self._asking.get(endpoints.keys, "application/json, */*"))
            known.keys_at = self._clock()
            known.keys_again_at = known.keys_at if again else known.keys_again_at
            return known.keys

    def _of(self, registration: Registration) -> _Known:
        return self._known.setdefault((registration.issuer, registration.also_at), _Known())

    @contextmanager
    def _one_more(self, known: _Known) -> Iterator[None]:
        if known.at_work >= _MOST_OF_ONE or self._at_work >= _MOST_AT_ONCE:
            raise NoAnswer(Trouble.BUSY)
        self._at_work += 1
        known.at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            known.at_work -= 1


def _only(said: Mapping[str, Any], wanted: Collection[str]) -> Values:
    return {name: _values(said.get(name)) for name in wanted}


def _values(said: object) -> frozenset[str]:
    several = said if isinstance(said, list) else [said]
    return frozenset(each for each in several if isinstance(each, str) and each)
