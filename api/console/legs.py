"""What a browser holds while its person is away at an issuer: sealed, for ten minutes, of no use to any other browser.

The cookie comes back with a link from another site, which that of a session does not (`SameSite=Lax`), and with
nothing else. Over TLS it carries the prefix that no neighbour of the host can set: so nobody can give a browser a leg
of their own, and sign its person in unawares.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from fastapi import Request, Response

from api.console.sealing import opened, sealed
from api.house import House
from api.wording import LANGUAGES
from identity.issuers import Leg

__all__ = ["Admitted", "Asked", "admitted_in", "asked_in", "forget_leg", "keep_admitted", "keep_asked"]

MINUTES: Final = 10
_PATH: Final = "/console/sign-in"
Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody was sent to an issuer. The language is that of the page they left: its cookie does not come along."""

    issuer_id: UUID
    language: str
    leg: Leg = field(repr=False)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody may sign in for several organizations and has not said for which; `once` is used up with the answer."""

    issuer_id: UUID
    language: str
    admissions: tuple[UUID, ...]
    once: str = field(repr=False)


def keep_asked(response: Response, house: House, asked: Asked) -> None:
    """Let the browser hold it."""
    leg = [asked.leg.state, asked.leg.nonce, asked.leg.verifier, asked.leg.began]
    _keep(response, house, "asked", [str(asked.issuer_id), asked.language, leg])


def keep_admitted(response: Response, house: House, admitted: Admitted) -> None:
    """Let the browser hold it, in place of what it was asked."""
    admissions = [each.hex for each in admitted.admissions]
    _keep(response, house, "admitted", [str(admitted.issuer_id), admitted.language, admissions, admitted.once])


def asked_in(request: Request, house: House) -> Asked | None:
    """What this browser was sent away with; `None` where it was not, too long ago, or by another house."""
    match _held(request, house, "asked"):
        case [str(issuer), str(language), [str(state), str(nonce), str(verifier), float(began)]] if (
            language in LANGUAGES
        ):
            return Asked(UUID(issuer), language, Leg(state, nonce, verifier, began))
    return None


def admitted_in(request: Request, house: House) -> Admitted | None:
    """For what this browser's person was vouched, likewise."""
    match _held(request, house, "admitted"):
        case [str(issuer_id), str(language), [*admissions], str(once)] if language in LANGUAGES:
            return Admitted(UUID(issuer_id), language, tuple(UUID(str(each)) for each in admissions), once)
    return None


def forget_leg(response: Response, house: House) -> None:
    """Let the browser forget it."""
    tls = house.settings.behind_tls
    response.delete_cookie(_name(house), path=_path(house), secure=tls, httponly=True, samesite="lax")


def _keep(response: Response, house: House, kind: str, content: list[object]) -> None:
    written = json.dumps([time.time() + MINUTES * 60, *content], separators=(",", ":")).encode()
    response.set_cookie(
        _name(house),
        sealed(house.leg_sealing, kind.encode(), written),
        max_age=MINUTES * 60,
        path=_path(house),
        secure=house.settings.behind_tls,
        httponly=True,
        samesite="lax",
    )


def _held(request: Request, house: House, kind: str) -> list[object]:
    content = opened(house.leg_sealing, kind.encode(), request.cookies.get(_name(house), ""))
    if content is None:
        return []
    # Only this house could seal it, so it is what this house wrote.
    until, *rest = json.loads(content)
    return rest if time.time() < until else []


def _name(house: House) -> str:
    return "__Host-relais-sign-in" if house.settings.behind_tls else "relais-sign-in"


def _path(house: House) -> str:
    return "/" if house.settings.behind_tls else _PATH
