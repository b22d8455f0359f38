"""The language of issuers: who vouches for people who sign in elsewhere, and for which organization that admits them.

The operator registers and removes; a request reads, by functions of the tables' owner, before anybody acts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Row, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import keys
from db.keys import IssuedKey, Scope
from db.sealing import Sealing
from db.settings import Keys
from db.tables import Admission as AdmissionRow
from db.tables import Issuer as IssuerRow
from matching.refusals import Conflict, NotFound

__all__ = [
    "MOST",
    "MOST_ADMISSIONS",
    "Admission",
    "AdmissionFacts",
    "Issuer",
    "Removed",
    "add",
    "admissions",
    "admit",
    "every",
    "every_admission",
    "read",
    "remove",
    "renew",
    "reseal",
    "sealing",
]

MOST: Final = 12
"""Issuers of a house: each is a button where one signs in."""
MOST_ADMISSIONS: Final = 1000
"""Admissions by one issuer."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer. `sealed` opens with the house's key; `admits` says whether anybody is admitted by it."""

    id: UUID
    name: str
    url: str
    client_id: str
    sealed: bytes = field(repr=False)
    scopes: tuple[str, ...]
    also_at: tuple[str, ...]
    pkce: bool
    asks_again: bool
    admits: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom an issuer admits for an organization, by a key that lives. `claim` and `value` are both there or neither."""

    id: UUID
    organization_id: UUID
    organization: str
    claim: str | None
    value: str | None
    prefix: str
    digest: bytes = field(repr=False)

    def takes(self, said: Mapping[str, Collection[str]]) -> bool:
        """Whether who was vouched for with these values of claims is admitted."""
        return self.claim is None or self.value in said.get(self.claim, ())


@dataclass(frozen=True, slots=True)
class AdmissionFacts:
    """An admission as the operator sees it."""

    id: UUID
    issuer_id: UUID
    organization_id: UUID
    organization: str
    claim: str | None
    value: str | None
    prefix: str
    scopes: tuple[Scope, ...]
    expires_at: datetime
    revoked: bool
    live: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal ended: the organizations that were admitted, each with the key of its admission."""

    keys: tuple[tuple[UUID, UUID], ...]


_LATCH = text("lock table issuer in share row exclusive mode")
_COUNT = text("select count(*) from issuer")
_READ = text("select * from issuers(:id)")
_ADMISSIONS = text("select id, organization_id, organization, claim, value, prefix, digest from admissions(:id)")
_LOCK = text("select id from issuer where id = :id for update")
_KNOWN = text("""
    select count(*) as found,
           count(*) filter (where a.organization_id = :organization
                              and (a.claim, a.value) is not distinct from (cast(:claim as text), cast(:value as text))
                              and k.revoked_at is null and k.expires_at > clock_timestamp()) as alike
      from admission a join api_key k on k.prefix = a.key_prefix
     where a.issuer_id = :id
""")
_EVERY_ADMISSION = text("""
    select a.id, a.issuer_id, a.organization_id, o.name as organization, a.claim, a.value, k.prefix, k.scopes,
           k.expires_at, k.revoked_at is not null as revoked,
           k.revoked_at is null and k.expires_at > clock_timestamp() as live
      from admission a
      join organization o on o.id = a.organization_id
      join api_key k on k.prefix = a.key_prefix
     order by a.created_at, a.id
""")
_RENEW = text("""
    update api_key k
       set expires_at = greatest(k.expires_at, clock_timestamp() + cast(:lifetime as interval))
      from admission a
     where a.key_prefix = k.prefix and a.id = :id and k.revoked_at is null
    returning k.organization_id, k.id, k.prefix, k.expires_at
""")
_THERE = text("select id from admission where id = :id")
_RESEAL = text("update issuer set secret = :secret where id = :id returning id")
_LOCK_OF = text("""
    select id from issuer where id = :id or id = (select issuer_id from admission where id = :id) for update
""")
_KNOWN_AS = text("select id from issuer where url = :url and client_id = :client_id")
_ADMITTED = text("""
    select distinct a.organization_id from admission a join api_key k on k.prefix = a.key_prefix
     where a.issuer_id = :id and k.revoked_at is null and k.expires_at > clock_timestamp()
""")
_REVOKE = text("""
    update api_key k set revoked_at = coalesce(k.revoked_at, now())
      from admission a
     where a.key_prefix = k.prefix and (a.issuer_id = :id or a.id = :id)
    returning k.organization_id, k.id
""")
_REMOVE = tuple(text(f"delete from {table} where id = :id returning id") for table in ("admission", "issuer"))


def sealing(keys_of_house: Keys) -> Sealing:
    """What secrets of issuers are sealed with."""
    return Sealing(keys_of_house.of("issuer-secret"))


async def read(tx: AsyncConnection, issuer_id: UUID) -> Issuer:
    """One issuer. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": issuer_id})).one_or_none()
    if row is None:
        raise NotFound
    return _issuer(row)


async def every(tx: AsyncConnection) -> list[Issuer]:
    """All issuers, the first registered first."""
    return [_issuer(row) for row in await tx.execute(_READ, {"id": None})]


async def admissions(tx: AsyncConnection, issuer_id: UUID) -> list[Admission]:
    """Whom an issuer admits now, by the names of organizations; of one organization those that may do most first."""
    return [Admission(*row) for row in await tx.execute(_ADMISSIONS, {"id": issuer_id})]


async def add(
    tx: AsyncConnection,
    issuer_id: UUID,
    name: str,
    url: str,
    client_id: str,
    sealed: bytes,
    scopes: Collection[str] = (),
    also_at: Collection[str] = (),
    *,
    pkce: bool = True,
    asks_again: bool = True,
) -> None:
    """Register an issuer. Raises `Conflict` where it is known by this client id, or there are as many as may be."""
    await tx.execute(_LATCH)
    if (await tx.execute(_KNOWN_AS, {"url": url, "client_id": client_id})).first() is not None:
        raise Conflict("issuer_already", "known")
    if (await tx.execute(_COUNT)).scalar_one() >= MOST:
        raise Conflict("too_many_issuers", "full")
    await tx.execute(
        insert(IssuerRow),
        {
            "id": issuer_id,
            "name": name,
            "url": url,
            "client_id": client_id,
            "secret": sealed,
            "scopes": list(scopes),
            "also_at": list(also_at),
            "pkce": pkce,
            "asks_again": asks_again,
        },
    )


async def admit(
    tx: AsyncConnection,
    issuer_id: UUID,
    organization_id: UUID,
    claim: tuple[str, str] | None,
    scopes: frozenset[Scope] | None = None,
    lifetime: timedelta = keys.LIFETIME,
) -> tuple[UUID, IssuedKey]:
    """Admit whoever shows this value of this claim, or whoever the issuer knows, for an organization: id and key.

    Raises `NotFound`, and `Conflict` where it stands so already, or there are as many as may be, or as
    `keys.issue_to_nobody` does.
    """
    if (await tx.execute(_LOCK, {"id": issuer_id})).one_or_none() is None:
        raise NotFound
    name, value = claim or (None, None)
    asked = {"id": issuer_id, "organization": organization_id, "claim": name, "value": value}
    known = (await tx.execute(_KNOWN, asked)).one()
    if known.alike:
        raise Conflict("admitted_already", "live")
    if known.found >= MOST_ADMISSIONS:
        raise Conflict("too_many_admissions", "full")
    key = await keys.issue_to_nobody(tx, organization_id, scopes, lifetime)
    row = await tx.execute(
        insert(AdmissionRow).returning(AdmissionRow.id),
        {
            "issuer_id": issuer_id,
            "organization_id": organization_id,
            "claim": name,
            "value": value,
            "key_prefix": key.prefix,
        },
    )
    return row.scalar_one(), key


async def renew(tx: AsyncConnection, admission_id: UUID, lifetime: timedelta = keys.LIFETIME) -> tuple[UUID, IssuedKey]:
    """Let an admission hold this long from now, or as long as it does already: its organization and its key.

    Whoever is signed in by it stays so. One that has ended by itself holds again. Raises `NotFound`, and `Conflict`
    where its key was revoked.
    """
    row = (await tx.execute(_RENEW, {"id": admission_id, "lifetime": lifetime})).one_or_none()
    if row is not None:
        return row.organization_id, IssuedKey(row.id, "", row.prefix, row.expires_at)
    if (await tx.execute(_THERE, {"id": admission_id})).one_or_none() is None:
        raise NotFound
    raise Conflict("admission_revoked", "revoked")


async def every_admission(tx: AsyncConnection) -> list[AdmissionFacts]:
    """All admissions, those whose key has ended too; for the operator."""
    return [
        AdmissionFacts(
            id=row.id,
            issuer_id=row.issuer_id,
            organization_id=row.organization_id,
            organization=row.organization,
            claim=row.claim,
            value=row.value,
            prefix=row.prefix,
            scopes=tuple(map(Scope, row.scopes)),
            expires_at=row.expires_at,
            revoked=row.revoked,
            live=row.live,
        )
        for row in await tx.execute(_EVERY_ADMISSION)
    ]


async def reseal(tx: AsyncConnection, issuer_id: UUID, sealed: bytes) -> tuple[UUID, ...]:
    """Keep another secret for an issuer: the organizations that it admits for now. Raises `NotFound`."""
    if (await tx.execute(_RESEAL, {"id": issuer_id, "secret": sealed})).one_or_none() is None:
        raise NotFound
    return tuple((await tx.execute(_ADMITTED, {"id": issuer_id})).scalars())


async def remove(tx: AsyncConnection, removed_id: UUID) -> Removed:
    """End an issuer with all whom it admits, or one admission: their keys, and with them their sessions, end at once.

    Raises `NotFound`.
    """
    # Whom somebody admits meanwhile has a key too.
    await tx.execute(_LOCK_OF, {"id": removed_id})
    ended = [(row.organization_id, row.id) for row in await tx.execute(_REVOKE, {"id": removed_id})]
    gone = [(await tx.execute(each, {"id": removed_id})).one_or_none() for each in _REMOVE]
    if not any(gone):
        raise NotFound
    return Removed(tuple(ended))


def _issuer(row: Row[tuple[object, ...]]) -> Issuer:
    return Issuer(
        id=row.id,
        name=row.name,
        url=row.url,
        client_id=row.client_id,
        sealed=row.secret,
        scopes=tuple(row.scopes),
        also_at=tuple(row.also_at),
        pkce=row.pkce,
        asks_again=row.asks_again,
        admits=row.admits,
    )
