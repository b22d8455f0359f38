"""Answers already given: a request that is sent twice acts once and gets the same answer.

The answer is stored in the transaction of the act. Slip codes are not in it: where one stood there is a mark, and
the ids of the needs whose codes are to be put back.
"""

import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import Idempotency

__all__ = ["Running", "Stored", "Ticket", "amend", "claim", "keep"]


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to act under an idempotency key, until the transaction ends.

    `key` is a keyed hash of the one that was sent, `fingerprint` one of the request.
    """

    organization_id: UUID
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that was given, with the fingerprint of the request that it answers."""

    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes

    def answers(self, ticket: Ticket) -> bool:
        """Whether it was given to the same request."""
        return hmac.compare_digest(self.fingerprint, ticket.fingerprint)


class Running(Exception):  # noqa: N818 - a state of things, not a mistake
    """Another request with the same key is being worked on at this moment."""


_LOCK = text("select pg_try_advisory_xact_lock(:number)")
_FIND = text("""
    select fingerprint, status, headers, body from idempotency where organization_id = :organization and key = :key
""")


async def claim(tx: AsyncConnection, ticket: Ticket) -> Stored | None:
    """Take the key for this transaction: the answer given before, if there is one. Raises `Running`."""
    # The lock first and in a statement of its own: the next one then sees what its last holder committed.
    name = ticket.organization_id.bytes + ticket.key.encode()
    number = int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)
    if not (await tx.execute(_LOCK, {"number": number})).scalar_one():
        raise Running
    row = (await tx.execute(_FIND, {"organization": ticket.organization_id, "key": ticket.key})).one_or_none()
    return None if row is None else Stored(row.fingerprint, row.status, row.headers, row.body)


async def keep(tx: AsyncConnection, ticket: Ticket, status: int, headers: dict[str, str], body: bytes) -> None:
    """Store the answer."""
    await tx.execute(
        insert(Idempotency),
        {
            "organization_id": ticket.organization_id,
            "key": ticket.key,
            "fingerprint": ticket.fingerprint,
            "status": status,
            "headers": headers,
            "body": body,
        },
    )


async def amend(tx: AsyncConnection, ticket: Ticket, headers: dict[str, str], body: bytes) -> None:
    """Store a fuller form of an answer, for one that waited after its act."""
    await tx.execute(
        update(Idempotency)
        .where(Idempotency.organization_id == ticket.organization_id, Idempotency.key == ticket.key)
        .values(headers=headers, body=body)
    )
