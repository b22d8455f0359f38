"""Pacts as their two parties read them: who they are, every version with its signatures, and which one holds today."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.pages import Page, Place, reading
from db.tables import Pact as PactRow
from db.tables import PactVersion as VersionRow
from db.tables.metadata import columns
from matching.pacts import PactTerms
from matching.refusals import NotFound
from matching.states import PactState
from matching.vocabulary import Acceptance, Transport

__all__ = ["IN_FORCE", "TODAY", "Notice", "PactFacts", "Side", "Signature", "VersionFacts", "at_hand", "page", "read"]


@dataclass(frozen=True, slots=True)
class Side:
    """A party of a pact: the organization that signs, and the town for which it does."""

    organization_id: UUID
    town_id: int


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, and when."""

    organization_id: UUID
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """Terms that were proposed; agreed once both have signed them."""

    number: int
    terms: PactTerms
    proposed_by: UUID
    proposed_at: datetime
    signatures: tuple[Signature, ...]
    agreed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Who gave notice and when, and when the pact ends by it."""

    organization_id: UUID
    given_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class PactFacts:
    """A pact as its two parties see it. `in_force` is the number of the version that holds today."""

    id: UUID
    proposer: Side
    partner: Side
    state: PactState
    versions: tuple[VersionFacts, ...]
    in_force: int | None
    notice: Notice | None
    ended_at: datetime | None
    created_at: datetime
    version: int


TODAY = "cast(now() at time zone home.timezone as date)"
"""The day of a pact `p`, where `home` is the town of its proposer."""
# Of those that both signed and that have begun the newest holds: it replaced those before, also where it ends sooner.
IN_FORCE = f"""
    select v.* from (select {columns(VersionRow, "v")} from pact_version v
                      where v.pact_id = p.id and v.agreed_at is not null and v.first_day <= {TODAY}
                      order by v.number desc limit 1) v
     where v.last_day >= {TODAY} and p.state = 'signed' and (p.ends_at is null or p.ends_at > now())
"""
"""The version of a pact `p` that holds today, if one does."""
_SELECT = f"""
    select {columns(PactRow, "p")}, (select number from ({IN_FORCE}) held) as in_force
      from pact p join town home on home.id = p.proposer_town_id
     where :organization in (p.proposer_id, p.partner_id)
"""
_READ = text(_SELECT + " and p.id = :id")
_PAGE = text(
    _SELECT
    + """
       and (cast(:after_at as timestamptz) is null or (p.created_at, p.id) > (:after_at, cast(:after_id as uuid)))
     order by p.created_at, p.id
     limit :limit
"""
)
_AT_HAND = text(
    _SELECT
    + """
       and (p.state <> 'ended' or p.ended_at > now() - interval '30 days')
     order by p.created_at, p.id
     limit 1000
"""
)
_VERSIONS = text(f"""
    select {columns(VersionRow, "v")},
           array(select s.organization_id from pact_signature s
                  where s.pact_id = v.pact_id and s.number = v.number
                  order by s.signed_at, s.organization_id) as signers,
           array(select s.signed_at from pact_signature s
                  where s.pact_id = v.pact_id and s.number = v.number
                  order by s.signed_at, s.organization_id) as signed
      from pact_version v where v.pact_id = any(cast(:ids as uuid[])) order by v.pact_id, v.number
""")


async def read(tx: AsyncConnection, pact_id: UUID, organization_id: UUID) -> PactFacts:
    """One pact of which this organization is a party. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": pact_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row, (await _versions(tx, [pact_id]))[pact_id])


async def page(tx: AsyncConnection, organization_id: UUID, after: Place | None, limit: int) -> Page[PactFacts]:
    """Pacts of which this organization is a party, oldest first."""
    rows = (await tx.execute(_PAGE, {"organization": organization_id, **reading(after, limit)})).all()
    versions = await _versions(tx, [row.id for row in rows])
    found = [_facts(row, versions[row.id]) for row in rows]
    return Page.of(found, limit, lambda each: Place(each.created_at, each.id))


async def at_hand(tx: AsyncConnection, organization_id: UUID) -> list[PactFacts]:
    """Pacts of this organization that live or ended within thirty days, oldest first."""
    rows = (await tx.execute(_AT_HAND, {"organization": organization_id})).all()
    versions = await _versions(tx, [row.id for row in rows])
    return [_facts(row, versions[row.id]) for row in rows]


async def _versions(tx: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, tuple[VersionFacts, ...]]:
    found: dict[UUID, list[VersionFacts]] = {pact_id: [] for pact_id in ids}
    for row in await tx.execute(_VERSIONS, {"ids": list(ids)}):
        signed = zip(row.signers, row.signed, strict=True)
        found[row.pact_id].append(
            VersionFacts(
                number=row.number,
                terms=_terms(row),
                proposed_by=row.proposed_by,
                proposed_at=row.proposed_at,
                signatures=tuple(Signature(who, at) for who, at in signed),
                agreed_at=row.agreed_at,
            )
        )
    return {pact_id: tuple(versions) for pact_id, versions in found.items()}


def _terms(row: Row[tuple[object, ...]]) -> PactTerms:
    values = row._mapping
    first: date = values["first_day"]
    return PactTerms(
        to_partner_per_week=values["to_partner_per_week"],
        to_proposer_per_week=values["to_proposer_per_week"],
        categories=frozenset(values["categories"]),
        crosses_border=values["crosses_border"],
        transport=Transport(values["transport"]),
        acceptance=Acceptance(values["acceptance"]),
        answer_within_minutes=values["answer_within_minutes"],
        first_day=first,
        last_day=values["last_day"],
        notice_days=values["notice_days"],
    )


def _facts(row: Row[tuple[object, ...]], versions: tuple[VersionFacts, ...]) -> PactFacts:
    values = row._mapping
    given = values["notice_by"] is not None
    return PactFacts(
        id=values["id"],
        proposer=Side(values["proposer_id"], values["proposer_town_id"]),
        partner=Side(values["partner_id"], values["partner_town_id"]),
        state=PactState(values["state"]),
        versions=versions,
        in_force=values["in_force"],
        notice=Notice(values["notice_by"], values["notice_at"], values["ends_at"]) if given else None,
        ended_at=values["ended_at"],
        created_at=values["created_at"],
        version=values["version"],
    )
