"""`Idempotency-Key`: a request sent again acts once and gets the same answer, if its key may still ask for it.

Slip codes, and what only the two ends of a webhook know, are cut out of what is stored and put back in the answer
(`Withheld`). The key itself is stored as a keyed hash:
clients make keys of what they know, be it a name and an evening.
"""

import hmac
import re
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.problems import IdempotencyInProgress, IdempotencyMismatch
from api.strict import sole
from api.withheld import Withheld
from db import idempotency
from db.idempotency import Running, Stored, Ticket
from matching.refusals import Invalid

__all__ = ["HEADER", "LONGEST", "AnsweredBefore", "again", "amend", "claim", "keep", "stored_name"]

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 255
_KEPT: Final = ("Location", "ETag", "Content-Type")
_CODES: Final = "codes"
_VISIBLE = re.compile(r"[!-~]{1,255}")


class AnsweredBefore(Exception):  # noqa: N818 - a turn in the flow, not a mistake
    """The same request was answered before."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.stored = stored


async def claim(
    tx: AsyncConnection, request: Request, raw: bytes, organization_id: UUID, hashing: bytes
) -> Ticket | None:
    """The right to act under the request's key; `None` where it has none.

    Raises `AnsweredBefore` when it was answered, `IdempotencyMismatch`, `IdempotencyInProgress`, and `Invalid` for
    a key that is not 1 to 255 visible ASCII characters, or two of them.
    """
    key = sole(request, HEADER)
    if key is None:
        return None
    if not _VISIBLE.fullmatch(key):
        raise Invalid.one(HEADER, "wrong_form")
    ticket = Ticket(organization_id, stored_name(key, hashing), _fingerprint(request, raw, hashing))
    try:
        stored = await idempotency.claim(tx, ticket)
    except Running:
        raise IdempotencyInProgress from None
    if stored is None:
        return ticket
    if not stored.answers(ticket):
        raise IdempotencyMismatch
    raise AnsweredBefore(stored)


def stored_name(key: str, hashing: bytes) -> str:
    """What a key is stored as: HMAC-SHA256, in hexadecimal."""
    # No request's fingerprint is made of this: a method comes before its path on one line.
    return hmac.digest(hashing, f"key\n{key}".encode(), "sha256").hex()


async def keep(
    tx: AsyncConnection, ticket: Ticket, response: Response, names: Iterable[str], withheld: Withheld
) -> None:
    """Store an answer without what is withheld in it, by names."""
    headers, body = _storable(response, tuple(names), withheld)
    await idempotency.keep(tx, ticket, response.status_code, headers, body)


async def amend(
    tx: AsyncConnection, ticket: Ticket, response: Response, names: Iterable[str], withheld: Withheld
) -> None:
    """Store a fuller form of an answer."""
    headers, body = _storable(response, tuple(names), withheld)
    await idempotency.amend(tx, ticket, headers, body)


def again(stored: Stored, withheld: Withheld) -> Response:
    """The stored answer, with what was cut out put back."""
    body = stored.body
    for name in filter(None, stored.headers.get(_CODES, "").split(",")):
        body = body.replace(_mark(name), withheld.text(name).encode())
    headers = {name: value for name, value in stored.headers.items() if name != _CODES}
    return Response(body, stored.status, headers)


def _storable(response: Response, names: tuple[str, ...], withheld: Withheld) -> tuple[dict[str, str], bytes]:
    body = bytes(response.body)
    for name in names:
        body = body.replace(withheld.text(name).encode(), _mark(name))
    headers = {name: response.headers[name] for name in _KEPT if name in response.headers}
    if names:
        headers[_CODES] = ",".join(names)
    return headers, body


def _mark(name: str) -> bytes:
    return f"<code of {name}>".encode()


def _fingerprint(request: Request, raw: bytes, hashing: bytes) -> bytes:
    target = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hmac.digest(hashing, target + raw, "sha256")
