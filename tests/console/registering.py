"""Issuers as the operator registers them, and a browser that goes there and comes back."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID, uuid4

import httpx
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from db import issuers
from db.connection import transaction
from db.keys import Scope
from db.settings import Settings
from identity.registration import BACK, Registration
from tests.console.conftest import Browser, Shown

__all__ = ["BACK", "Register", "brought", "sent", "set_out", "signed_in_by", "way_of", "went"]

SIGN_IN = "/console/sign-in"
DONE = f"{SIGN_IN}/done"


@dataclass(frozen=True)
class Register:
    """Registers and admits, as `relais sign-in` does."""

    engine: AsyncEngine
    settings: Settings

    async def __call__(self, registration: Registration, name: str = "Town hall") -> UUID:
        """A new issuer."""
        issuer_id = uuid4()
        sealed = issuers.sealing(self.settings.keys()).seal(issuer_id, registration.secret)
        async with transaction(self.engine) as tx:
            await issuers.add(
                tx,
                issuer_id,
                name,
                registration.issuer,
                registration.client_id,
                sealed,
                registration.scopes,
                registration.also_at,
                pkce=registration.pkce,
                asks_again=registration.asks_again,
            )
        return issuer_id

    async def admit(
        self,
        issuer_id: UUID,
        organization_id: UUID,
        claim: tuple[str, str] | None = ("siret", "21050023700012"),
        scopes: frozenset[Scope] | None = None,
    ) -> tuple[UUID, str]:
        """Whom it admits: the admission, and the prefix of its key."""
        async with transaction(self.engine) as tx:
            admission_id, key = await issuers.admit(tx, issuer_id, organization_id, claim, scopes)
        return admission_id, key.prefix


async def went(browser: Browser, issuer_id: UUID) -> str:
    """Where a browser is sent that presses the button."""
    return way_of(await set_out(browser.http, issuer_id))


async def set_out(http: AsyncClient, issuer_id: UUID) -> httpx.Response:
    """What is answered to the button."""
    origin = str(http.base_url).rstrip("/")
    return await http.post(f"{SIGN_IN}/with/{issuer_id}", headers={"Origin": origin}, follow_redirects=False)


def way_of(answer: httpx.Response) -> str:
    """Where an answer leads on to: a page by itself and by its link, or at once where something went wrong."""
    if answer.status_code == 303:
        return answer.headers["location"]
    assert answer.status_code == 200, answer.text
    shown = Shown(answer)
    (way,) = [held["content"].removeprefix("0; url=") for _, held in shown.elements if "http-equiv" in held]
    assert ("a", way) in {(tag, held.get("href", "")) for tag, held in shown.elements}
    return way


def brought(way: str, **said: str) -> str:
    """Where an issuer sends back to, as it was told to, with what was asked to come back."""
    given = parse_qs(urlsplit(way).query)
    return f"{urlsplit(given['redirect_uri'][0]).path}?{urlencode({'state': given['state'][0]} | said)}"


async def sent(browser: Browser, path: str) -> httpx.Response:
    """What a browser is answered that comes back, before it goes on."""
    answer = await browser.http.get(path, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer


async def signed_in_by(browser: Browser) -> bool:
    """Whether the browser has a session."""
    answer = await browser.http.get("/console/sessions", follow_redirects=False)
    assert answer.status_code in (200, 303), answer.text
    return answer.status_code == 200
