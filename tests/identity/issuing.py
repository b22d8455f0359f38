"""An issuer of the tests over real connections: it does all rightly, but for what it is told to do otherwise."""

import asyncio
import base64
import hashlib
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from identity.issuers import Issuers, Leg
from identity.registration import Registration

__all__ = ["BACK", "CLIENT", "SHARED", "SUBJECT", "Issuing", "Reply", "issuing", "rsa", "said_to"]

BACK = "http://relais.test/console/sign-in/back"
CLIENT = "relais of briançon".encode().hex()
SHARED = "a+b%c d/e:f"
"""What a head spoils that does not write it as RFC 6749 says."""
SUBJECT = "somebody-9f2c"
HANGS = "hangs"
_OPEN_SECONDS = 600


@dataclass(frozen=True)
class Reply:
    """An answer; `HANGS` in place of a body never comes."""

    body: bytes | str
    status: str = "200 OK"
    kind: str = "application/json"
    head: str = ""


@cache
def rsa(kid: str, bits: int = 2048) -> RSAKey:
    """A key to sign with; making one takes a moment."""
    return RSAKey.generate_key(bits, {"kid": kid, "use": "sig"})


@dataclass
class Issuing:
    """What it says. Each of `claims`, `head`, `document` and `user` changes what is right; `None` leaves out."""

    url: str = ""
    keys: list[RSAKey | ECKey | OKPKey] = field(default_factory=lambda: [rsa("first")])
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    signs_user: bool = False
    signed: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    """Signs head and claims otherwise."""
    instead: dict[str, Reply] = field(default_factory=dict)
    """By path, what is answered instead."""
    asked: list[str] = field(default_factory=list)
    """The paths that were asked for, in order."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asks_again: bool = True

    @property
    def registration(self) -> Registration:
        """How it knows the house of the tests."""
        return Registration(self.url, CLIENT, SHARED, ("siret",), asks_again=self.asks_again)

    def code_for(self, way: str) -> str:
        """The code that somebody brings back who was sent this way and said yes."""
        given = {name: values[0] for name, values in parse_qs(urlsplit(way).query).items()}
        assert (given["client_id"], given["response_type"]) == (CLIENT, "code")
        assert given["scope"].split()[0] == "openid"
        code = secrets.token_hex(8)
        self.codes[code] = given
        return code

    def token(self, nonce: str, access_token: str) -> str:
        """An ID token."""
        now = int(time.time())
        digest = hashlib.sha512 if self.algorithm.startswith("Ed") else hashlib.sha256
        half = digest(access_token.encode()).digest()[: digest().digest_size // 2]
        right = {
            "iss": self.url,
            "sub": SUBJECT,
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
            "siret": "21050023700012",
            "email": "anna@town.example",
        }
        return self._sign(_changed(right, self.claims))

    def _sign(self, claims: dict[str, Any]) -> str:
        head = _changed({"alg": self.algorithm, "kid": self.keys[0].kid}, self.head)
        if self.signed is not None:
            return self.signed(head, claims)
        return jwt.encode(head, claims, self.keys[0], algorithms=[self.algorithm])

    def _document(self) -> dict[str, Any]:
        right = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/user",
        }
        return _changed(right, self.document)

    def reply(self, method: str, path: str, head: Mapping[str, str], body: str) -> Reply:
        """What it answers."""
        self.asked.append(path)
        if path in self.instead:
            return self.instead[path]
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return Reply(json.dumps(self._document()))
            case "GET", "/keys":
                return Reply(json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}))
            case "POST", "/token":
                return self._exchanged(head, {name: values[0] for name, values in parse_qs(body).items()})
            case "GET", "/user" if head.get("authorization", "").startswith("Bearer for-"):
                return self._told_of_user()
        return Reply("{}", "404 Not Found")

    def _told_of_user(self) -> Reply:
        said = {"sub": SUBJECT, "siret": "21050023700012"}
        if not self.signs_user:
            return Reply(json.dumps(_changed(said, self.user)))
        signed = self._sign(_changed(said | {"iss": self.url, "aud": CLIENT}, self.user))
        return Reply(signed, kind="application/jwt; charset=utf-8")

    def _exchanged(self, head: Mapping[str, str], said: Mapping[str, str]) -> Reply:
        shown = [said.get("client_id"), said.get("client_secret")]
        if head.get("authorization", "").startswith("Basic "):
            pair = base64.b64decode(head["authorization"].removeprefix("Basic ")).decode()
            shown = [unquote_plus(each) for each in pair.split(":", 1)]
        if shown != [CLIENT, SHARED]:
            return Reply('{"error": "invalid_client"}', "401 Unauthorized")
        given = self.codes.pop(said.get("code", ""), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(said.get("code_verifier", "").encode()).digest())
        right = (
            given is not None
            and said.get("grant_type") == "authorization_code"
            and said.get("redirect_uri") == given["redirect_uri"]
            and given.get("code_challenge", "") in ("", proof.decode().rstrip("="))
        )
        if given is None or not right:
            return Reply('{"error": "invalid_grant"}', "400 Bad Request")
        access_token = f"for-{secrets.token_hex(8)}"
        token = {
            "access_token": access_token,
            "token_type": "Bearer",
            "id_token": self.token(given["nonce"], access_token),
        }
        return Reply(json.dumps(token))


def _changed(right: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (right | changes).items() if value is not None}


@asynccontextmanager
async def issuing(trust: ssl.SSLContext | None = None) -> AsyncIterator[Issuing]:
    """One that listens on this machine, over TLS where a context is given."""
    made, answering = Issuing(), set[asyncio.Task[None]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            head = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = (await reader.readexactly(int(head.get("content-length", "0")))).decode()
            method, path, _ = first.split(" ")
            reply = made.reply(method, path, head, body)
            if reply.body == HANGS:
                await asyncio.sleep(_OPEN_SECONDS)
            content = reply.body.encode() if isinstance(reply.body, str) else reply.body
            told = f"HTTP/1.1 {reply.status}\r\nContent-Type: {reply.kind}\r\nContent-Length: {len(content)}\r\n"
            writer.write(f"{told}{reply.head}Connection: close\r\n\r\n".encode() + content)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            answering.discard(task)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=trust)
    port = server.sockets[0].getsockname()[1]
    made.url = f"https://localhost:{port}" if trust else f"http://127.0.0.1:{port}"
    try:
        yield made
    finally:
        server.close()
        for each in list(answering):
            each.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


async def said_to(issuers: Issuers, issuer: Issuing, *wanted: str) -> Mapping[str, frozenset[str]]:
    """What a house hears of somebody who went there and came back. Raises `NoAnswer`."""
    leg = Leg.new()
    way = await issuers.way_to(issuer.registration, BACK, leg)
    return await issuers.values(issuer.registration, BACK, leg, issuer.code_for(way), wanted)
