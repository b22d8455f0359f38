"""The language of keys: issue, check, list, revoke. A key is stored as a keyed hash and shown once.

A key is written `relais_<prefix>_<secret>`: the prefix is public and finds the row, the secret holds 160 random
bits. Two keys of an organization may live at once, so that one can be replaced without a pause.
"""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import Row, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import ApiKey
from matching.refusals import Conflict, NotFound
from matching.vocabulary import OrganizationKind

__all__ = [
    "LIFETIME",
    "MOST_LIVE",
    "ONLY_CALENDAR",
    "ONLY_CONFIRMS",
    "SCOPES",
    "Holder",
    "IssuedKey",
    "KeyFacts",
    "Scope",
    "holder",
    "holder_of",
    "issue",
    "issue_to_nobody",
    "lives",
    "of_organization",
    "revoke",
    "revoke_all",
]

LIFETIME: Final = timedelta(days=365)
MOST_LIVE: Final = 2
_WRITTEN = re.compile(r"relais_(?P<prefix>[a-z2-7]{10})_(?P<secret>[a-z2-7]{32})")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


class Scope(StrEnum):
    """What a key may do."""

    NEEDS_READ = "needs:read"
    NEEDS_WRITE = "needs:write"
    OFFERS_READ = "offers:read"
    OFFERS_WRITE = "offers:write"
    ALLOCATIONS_READ = "allocations:read"
    ALLOCATIONS_WRITE = "allocations:write"
    ALLOCATIONS_CONFIRM = "allocations:confirm"
    """To answer holds with yes or no, and nothing else; `allocations:write` holds it."""
    PACTS_READ = "pacts:read"
    """To see pacts of one's town, and referrals."""
    PACTS_WRITE = "pacts:write"
    """To propose, sign and end pacts, and to answer referrals."""
    WEBHOOKS_WRITE = "webhooks:write"
    """To say where events are sent, and see how that goes."""
    NOTIFICATIONS_WRITE = "notifications:write"
    """To say by which channels people are told that something waits."""
    CALENDAR_READ = "calendar:read"
    """To read the organization's calendar."""


SCOPES: Final[dict[OrganizationKind, frozenset[Scope]]] = {
    OrganizationKind.COORDINATION: frozenset(Scope) - {Scope.OFFERS_WRITE},
    OrganizationKind.ASSOCIATION: frozenset(Scope),
    OrganizationKind.MUNICIPALITY: frozenset(Scope),
}
"""The most that keys of each kind of organization may do."""
ONLY_CONFIRMS: Final = frozenset({Scope.ALLOCATIONS_READ, Scope.ALLOCATIONS_CONFIRM})
"""What a key has that sees what waits for an answer, and answers it."""
ONLY_CALENDAR: Final = frozenset({Scope.CALENDAR_READ})
"""What a key for a calendar program has: such a one may be used as a password, and two live beside the other two."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key; `text` is shown now and never again."""

    id: UUID
    text: str
    prefix: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a live key, and what it may do. `digest` is the keyed hash that it is stored as."""

    organization_id: UUID
    kind: OrganizationKind
    scopes: frozenset[Scope]
    towns: frozenset[int]
    expires_at: datetime
    prefix: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key as its organization's operator sees it: never its secret."""

    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    live: bool


_LOCK = text("select kind from organization where id = :id for update")
_LIVE = text("""
    select count(*) from api_key
     where organization_id = :id and revoked_at is null and expires_at > clock_timestamp()
       and (scopes = cast(:calendar as text[])) = :for_calendar
       and not exists (select from admission a where a.key_prefix = api_key.prefix)
""")
_HOLDER = text("select * from key_holder(:prefix, :digest)")
_OF_ORGANIZATION = text("""
    select prefix, scopes, created_at, expires_at, revoked_at,
           revoked_at is null and expires_at > clock_timestamp() as live
      from api_key where organization_id = :id order by created_at, id
""")
_REVOKE = text(
    "update api_key set revoked_at = coalesce(revoked_at, now()) where prefix = :prefix returning id, organization_id"
)
_REVOKE_ALL = text("""
    update api_key set revoked_at = now()
     where organization_id = :id and revoked_at is null
    returning expires_at > clock_timestamp() as lived
""")
_EXPIRY = text("select clock_timestamp() + cast(:lifetime as interval)")


async def issue(
    tx: AsyncConnection,
    organization_id: UUID,
    hashing: bytes,
    scopes: frozenset[Scope] | None = None,
    lifetime: timedelta = LIFETIME,
) -> IssuedKey:
    """Make a key with the scopes asked for, or all that the organization's kind allows.

    Raises `NotFound` for an unknown organization; `Conflict` when it has two live keys already, or when its kind
    does not allow a scope.
    """
    allowed = await _allowed(tx, organization_id, scopes)
    # A calendar's key must not stand in the way of replacing the one that everything hangs on.
    alike = {"calendar": sorted(ONLY_CALENDAR), "for_calendar": scopes == ONLY_CALENDAR}
    if (await tx.execute(_LIVE, {"id": organization_id} | alike)).scalar_one() >= MOST_LIVE:
        raise Conflict("two_keys_already", "live")
    prefix, secret = _random_letters(10), _random_letters(32)
    written = f"relais_{prefix}_{secret}"
    key_id, expires_at = await _add(tx, organization_id, prefix, _digest(written, hashing), allowed, lifetime)
    return IssuedKey(key_id, written, prefix, expires_at)


async def issue_to_nobody(
    tx: AsyncConnection, organization_id: UUID, scopes: frozenset[Scope] | None, lifetime: timedelta
) -> IssuedKey:
    """Make a key that cannot be shown, for those who are admitted otherwise: its `text` is empty.

    Its hash is that of nothing that anybody knows. It is none of the two that may live at once. Raises as `issue` does.
    """
    allowed = await _allowed(tx, organization_id, scopes)
    prefix = _random_letters(10)
    key_id, expires_at = await _add(tx, organization_id, prefix, secrets.token_bytes(32), allowed, lifetime)
    return IssuedKey(key_id, "", prefix, expires_at)


async def holder(tx: AsyncConnection, written: str, hashing: bytes) -> Holder | None:
    """Who holds this key, and acts from now on until the transaction ends.

    `None` when it is no key, unknown, expired or revoked, without telling which.
    """
    form = _WRITTEN.fullmatch(written)
    if form is None:
        return None
    return await holder_of(tx, form["prefix"], _digest(written, hashing))


async def holder_of(tx: AsyncConnection, prefix: str, digest: bytes) -> Holder | None:
    """The same of a key that the house itself knows by its hash; the organization acts from now on."""
    row = await _holding(tx, prefix, digest)
    if row is None:
        return None
    return Holder(
        organization_id=row.organization_id,
        kind=OrganizationKind(row.kind),
        scopes=frozenset(map(Scope, row.scopes)) & SCOPES[OrganizationKind(row.kind)],
        towns=frozenset(row.towns),
        expires_at=row.expires_at,
        prefix=prefix,
        digest=digest,
    )


async def lives(tx: AsyncConnection, known: Holder) -> bool:
    """Whether a key that was checked before still opens something: then its organization acts in this transaction."""
    return await _holding(tx, known.prefix, known.digest) is not None


async def of_organization(tx: AsyncConnection, organization_id: UUID) -> list[KeyFacts]:
    """The keys of an organization, oldest first."""
    return [
        KeyFacts(
            prefix=row.prefix,
            scopes=tuple(map(Scope, row.scopes)),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            live=row.live,
        )
        for row in await tx.execute(_OF_ORGANIZATION, {"id": organization_id})
    ]


async def revoke(tx: AsyncConnection, prefix: str) -> tuple[UUID, UUID]:
    """End a key at once; a second time changes nothing. Its organization and its id. Raises `NotFound`."""
    row = (await tx.execute(_REVOKE, {"prefix": prefix})).one_or_none()
    if row is None:
        raise NotFound
    return row.organization_id, row.id


async def revoke_all(tx: AsyncConnection, organization_id: UUID) -> int:
    """End every key of an organization at once: how many lived. Raises `NotFound`.

    A key that is being issued at the same moment is waited for and ended too.
    """
    if (await tx.execute(_LOCK, {"id": organization_id})).one_or_none() is None:
        raise NotFound
    return sum(row.lived for row in await tx.execute(_REVOKE_ALL, {"id": organization_id}))


async def _allowed(tx: AsyncConnection, organization_id: UUID, scopes: frozenset[Scope] | None) -> frozenset[Scope]:
    """The scopes that were asked for, or all that the organization's kind allows; the organization is locked."""
    kind = (await tx.execute(_LOCK, {"id": organization_id})).scalar_one_or_none()
    if kind is None:
        raise NotFound
    allowed = SCOPES[OrganizationKind(kind)]
    if scopes is not None and not scopes <= allowed:
        raise Conflict("scope_not_for_this_kind", kind)
    return allowed if scopes is None else scopes


async def _add(
    tx: AsyncConnection,
    organization_id: UUID,
    prefix: str,
    digest: bytes,
    scopes: frozenset[Scope],
    lifetime: timedelta,
) -> tuple[UUID, datetime]:
    """The row of a key: its id, and when it ends."""
    expires_at = (await tx.execute(_EXPIRY, {"lifetime": lifetime})).scalar_one()
    row = await tx.execute(
        insert(ApiKey).returning(ApiKey.id),
        {
            "organization_id": organization_id,
            "prefix": prefix,
            "digest": digest,
            "scopes": sorted(scopes),
            "expires_at": expires_at,
        },
    )
    return row.scalar_one(), expires_at


async def _holding(tx: AsyncConnection, prefix: str, digest: bytes) -> Row[tuple[object, ...]] | None:
    # The database compares keyed hashes: how far two of them agree says nothing of a key, and nobody can choose one.
    return (await tx.execute(_HOLDER, {"prefix": prefix, "digest": digest})).one_or_none()


def _digest(written: str, hashing: bytes) -> bytes:
    return hmac.digest(hashing, written.encode(), "sha256")


def _random_letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))
