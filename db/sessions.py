"""The language of sessions: browsers that showed a key once and hold a token since.

A session is stored as a keyed hash of its token, belongs to an organization and a key, and is nobody's by name. It ends
when it is signed out, after it was not used for a while, when its hours are over, and with its key.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.keys import SCOPES, Holder, Scope
from matching.refusals import NotFound
from matching.vocabulary import OrganizationKind

__all__ = ["Session", "SessionFacts", "begin", "end", "end_others", "found", "of_organization", "use"]


@dataclass(frozen=True, slots=True)
class Session:
    """A session that lives, and the key that it was made with."""

    id: UUID
    holder: Holder
    last_used_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session as its organization sees it."""

    id: UUID
    key_prefix: str
    made_at: datetime
    last_used_at: datetime
    ends_at: datetime


_BEGIN = text("""
    insert into session (organization_id, key_prefix, digest, ends_at)
    values (:organization, :prefix, :digest, clock_timestamp() + cast(:lifetime as interval))
""")
_FOUND = text("select * from session_holder(:digest, cast(:idle as interval))")
_USE = text("""
    update session set last_used_at = clock_timestamp()
     where id = :id and organization_id = :organization
       and last_used_at < clock_timestamp() - interval '30 seconds'
""")
_OF_ORGANIZATION = text("""
    select id, key_prefix, made_at, last_used_at, ends_at from session
     where organization_id = :organization and ends_at > clock_timestamp()
       and last_used_at > clock_timestamp() - cast(:idle as interval)
     order by last_used_at desc, id
     limit 200
""")
_END_OTHERS = text("delete from session where id <> :id and organization_id = :organization returning id")
_END = text("delete from session where id = :id and organization_id = :organization returning id")


async def begin(tx: AsyncConnection, holder: Holder, hashing: bytes, lifetime: timedelta) -> str:
    """Sign in with a key that was checked in this transaction: the token, 256 random bits, which is shown now alone."""
    token = secrets.token_urlsafe(32)
    values = {"organization": holder.organization_id, "prefix": holder.prefix, "lifetime": lifetime}
    await tx.execute(_BEGIN, {**values, "digest": _digest(token, hashing)})
    return token


async def found(tx: AsyncConnection, token: str, hashing: bytes, idle: timedelta) -> Session | None:
    """The session of this token, whose organization acts from now on until the transaction ends.

    `None` when there is none, it is over or was idle for too long, or its key opens nothing any more.
    """
    row = (await tx.execute(_FOUND, {"digest": _digest(token, hashing), "idle": idle})).one_or_none()
    if row is None:
        return None
    kind = OrganizationKind(row.kind)
    holder = Holder(
        organization_id=row.organization_id,
        kind=kind,
        scopes=frozenset(map(Scope, row.scopes)) & SCOPES[kind],
        towns=frozenset(row.towns),
        expires_at=row.expires_at,
        prefix=row.prefix,
        digest=row.digest,
    )
    return Session(row.session_id, holder, row.last_used_at, row.ends_at)


async def use(tx: AsyncConnection, session: Session) -> None:
    """Somebody is there: written down twice a minute at most, so that not each page waits for the disk."""
    await tx.execute(_USE, {"id": session.id, "organization": session.holder.organization_id})


async def of_organization(tx: AsyncConnection, organization_id: UUID, idle: timedelta) -> list[SessionFacts]:
    """The sessions of an organization that live, those used last first; 200 at most."""
    rows = await tx.execute(_OF_ORGANIZATION, {"organization": organization_id, "idle": idle})
    return [SessionFacts(row.id, row.key_prefix, row.made_at, row.last_used_at, row.ends_at) for row in rows]


async def end(tx: AsyncConnection, session_id: UUID, organization_id: UUID) -> None:
    """Sign a session of this organization out, at once. Raises `NotFound`."""
    if (await tx.execute(_END, {"id": session_id, "organization": organization_id})).one_or_none() is None:
        raise NotFound


async def end_others(tx: AsyncConnection, session_id: UUID, organization_id: UUID) -> list[UUID]:
    """Sign all other sessions of this organization out, at once: which they were."""
    rows = await tx.execute(_END_OTHERS, {"id": session_id, "organization": organization_id})
    return list(rows.scalars())


def _digest(token: str, hashing: bytes) -> bytes:
    return hmac.digest(hashing, token.encode(), "sha256")
