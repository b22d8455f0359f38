"""What comes of the way back from an issuer: whom it admits, or why nobody is signed in.

No transaction is open while an issuer is asked.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.beginning import misses
from api.console.legs import MINUTES, Asked
from api.house import House
from api.pace import Bucket, Rate
from api.problems import RateLimited
from db import issuers
from db.connection import transaction
from db.issuers import Admission, Issuer
from identity.asking import NoAnswer, Trouble
from identity.registration import Registration, address_back, mark_of
from matching.refusals import NotFound

__all__ = ["NotIn", "NotSignedIn", "Said", "back_to", "once", "registration_of", "told", "vouched_for"]

_log = structlog.get_logger()
_LONGEST_CODE: Final = 4096


class NotIn(StrEnum):
    """Why somebody is not signed in, as the address of the page that says so."""

    AGAIN = "again"
    DECLINED = "declined"
    NOBODY = "nobody"
    OFTEN = "often"
    AWAY = "away"
    UNUSABLE = "unusable"


_AWAY: Final = frozenset({Trouble.SLOW, Trouble.UNREACHABLE, Trouble.AILING, Trouble.BUSY})
_NOBODYS_MISS: Final = frozenset({NotIn.DECLINED, NotIn.AWAY})
"""Said no, or could not be asked: this is no try to get in."""
_ERRORS: Final = {
    "access_denied": NotIn.DECLINED,
    "server_error": NotIn.AWAY,
    "temporarily_unavailable": NotIn.AWAY,
}
"""What an issuer may say in place of a code (RFC 6749, § 4.1.2.1); all else is a matter of how it was set up."""
_TOLD: Final = frozenset(
    {
        *("invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type", "invalid_client"),
        *("login_required", "interaction_required", "consent_required", "account_selection_required"),
        *("request_not_supported", "request_uri_not_supported", "registration_not_supported", *_ERRORS),
    }
)
"""Words of standards that may stand in the log; what else an issuer says could be anything."""


class NotSignedIn(Exception):  # noqa: N818 - told to a person
    """Nobody is signed in, and why."""

    def __init__(self, why: NotIn) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Said:
    """What an issuer sent with the browser; what stands there twice, or is longer than any code, is nothing."""

    mark: str
    state: str
    code: str
    issuer: str | None
    error: str

    @classmethod
    def of(cls, request: Request, mark: str) -> "Said":
        """What stands behind the `?` of a request to the address that is of the issuer with this mark."""
        issuer = _sole(request, "iss") if "iss" in request.query_params else None
        return cls(mark, _sole(request, "state"), _sole(request, "code"), issuer, _sole(request, "error"))


async def vouched_for(request: Request, house: House, asked: Asked, said: Said) -> list[Admission]:
    """The admissions of whoever came back, one for each organization, at least one.

    Raises `NotSignedIn`, `NoAnswer`, `RateLimited`.
    """
    missed = [misses(house, request, "sign-in-elsewhere")]
    await house.pace.take(missed)
    try:
        admitted = await _admitted(house, asked, said)
    except NotSignedIn as refused:
        if refused.why in _NOBODYS_MISS:
            await house.pace.give_back(missed)
        raise
    except NoAnswer as none:
        if none.trouble in _AWAY:
            await house.pace.give_back(missed)
        raise
    await house.pace.give_back(missed)
    return list(_one_each(admitted))


async def _admitted(house: House, asked: Asked, said: Said) -> list[Admission]:
    await once(house, asked.leg.state)
    async with transaction(house.engine) as tx:
        issuer = await _still_there(tx, asked.issuer_id)
        known = await issuers.admissions(tx, issuer.id)
    wanted = {each.claim for each in known if each.claim is not None}
    registration = registration_of(house, issuer)
    async with house.issuers.in_time():
        await _from_this_one(house, registration, said)
        if said.error:
            _log.warning(f"issuer.said_{said.error if said.error in _TOLD else 'other'}", issuer_id=str(issuer.id))
            raise NotSignedIn(_ERRORS.get(said.error, NotIn.UNUSABLE))
        if not said.code:
            raise NotSignedIn(NotIn.AGAIN)
        vouched = await house.issuers.values(
            registration,
            back_to(house, registration),
            asked.leg,
            said.code,
            wanted,
            lambda values: any(each.takes(values) for each in known),
        )
    async with transaction(house.engine) as tx:
        admitted = [each for each in await issuers.admissions(tx, issuer.id) if each.takes(vouched)]
    if not admitted:
        _log.warning("issuer.admits_not", issuer_id=str(issuer.id))
        raise NotSignedIn(NotIn.NOBODY)
    return admitted


def _sole(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 and len(values[0]) <= _LONGEST_CODE else ""


def _one_each(admitted: Iterable[Admission]) -> Iterable[Admission]:
    """The first of each organization, which is the one that may do most."""
    first: dict[UUID, Admission] = {}
    for each in admitted:
        first.setdefault(each.organization_id, each)
    return first.values()


async def _from_this_one(house: House, registration: Registration, said: Said) -> None:
    """Raise where an issuer's answer is not from the one that was asked (RFC 9700, § 4.4.2; RFC 9207).

    Most do not say who they are. So each has an address back of its own, and sends a browser to no other one: a code
    of another issuer, brought to the address of this one or of its own, is never shown to this one.
    """
    if said.mark != mark_of(registration.issuer):
        raise NoAnswer(Trouble.UNTRUE)
    endpoints = await house.issuers.endpoints(registration)
    if said.issuer is None and not endpoints.tells_issuer:
        return
    if said.issuer != registration.issuer:
        raise NoAnswer(Trouble.UNTRUE)


async def _still_there(tx: AsyncConnection, issuer_id: UUID) -> Issuer:
    try:
        return await issuers.read(tx, issuer_id)
    except NotFound:
        raise NotSignedIn(NotIn.AGAIN) from None


async def once(house: House, what: str) -> None:
    """Use it up, for as long as a browser may hold it."""
    name = hmac.digest(house.leg_sealing, what.encode(), "sha256")[:16].hex()
    try:
        await house.pace.take([Bucket(f"sign-in-once:{name}", Rate(1, MINUTES * 60.0))])
    except RateLimited:
        raise NotSignedIn(NotIn.AGAIN) from None


def registration_of(house: House, issuer: Issuer) -> Registration:
    """Raises `NoAnswer` where its secret was sealed by another house."""
    try:
        secret = house.issuer_secrets.open(issuer.id, issuer.sealed)
    except ValueError:
        raise NoAnswer(Trouble.REFUSED) from None
    return Registration(
        issuer.url, issuer.client_id, secret, issuer.scopes, issuer.also_at, issuer.pkce, issuer.asks_again
    )


def back_to(house: House, registration: Registration) -> str:
    """Where an issuer sends browsers back to. Raises `NotFound` where it is not known."""
    if house.settings.public_origin is None:
        raise NotFound
    return address_back(house.settings.public_origin, registration.issuer)


def told(none: NoAnswer, issuer_id: UUID) -> NotIn:
    """What people are told of a trouble; who runs the house reads in the log which it was, and whose."""
    _log.warning(f"issuer.{none.trouble}", issuer_id=str(issuer_id))
    if none.trouble is Trouble.TOO_LATE:
        return NotIn.AGAIN
    return NotIn.AWAY if none.trouble in _AWAY else NotIn.UNUSABLE
