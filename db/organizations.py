"""The language of organizations: add, read, list, and the towns in which they work."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import Organization, OrganizationTown, Town
from matching.refusals import Flaw, Invalid, NotFound
from matching.vocabulary import OrganizationKind

__all__ = ["OrganizationFacts", "add", "bringing_in", "every", "read"]


@dataclass(frozen=True, slots=True)
class OrganizationFacts:
    """An organization and the towns in which it works."""

    id: UUID
    kind: OrganizationKind
    name: str
    self_organized: bool
    towns: tuple[int, ...]
    version: int


_SELECT = """
    select o.id, o.kind, o.name, o.self_organized, o.version,
           array(select town_id from organization_town t where t.organization_id = o.id order by town_id) as towns
      from organization o
"""
_READ = text(_SELECT + " where o.id = :id")
# Who adds rows that name the organization is not kept waiting by this lock.
# Not of the row: a request may not change it.
_LOCK = text("select pg_advisory_xact_lock(:number, hashtext(cast(:id as text)))")
_FILES = 7_267_136
"""Number of the advisory locks of those who bring in a file."""
_EVERY = text(_SELECT + " order by o.created_at, o.id")


async def add(
    tx: AsyncConnection,
    kind: OrganizationKind,
    name: str,
    towns: Sequence[int] = (),
    *,
    self_organized: bool = False,
) -> UUID:
    """Add an organization. Raises `Invalid` for a town that is not in the gazetteer."""
    wanted = list(dict.fromkeys(towns))
    known = set((await tx.execute(select(Town.id).where(Town.id.in_(wanted)))).scalars())
    unknown = tuple(Flaw(f"/towns/{n}", "unknown_town") for n, town in enumerate(wanted) if town not in known)
    if unknown:
        raise Invalid(unknown)
    organization_id: UUID = (
        await tx.execute(
            insert(Organization).returning(Organization.id),
            {"kind": kind, "name": name, "self_organized": self_organized},
        )
    ).scalar_one()
    if wanted:
        await tx.execute(
            insert(OrganizationTown),
            [{"organization_id": organization_id, "town_id": town} for town in wanted],
        )
    return organization_id


async def read(tx: AsyncConnection, organization_id: UUID) -> OrganizationFacts:
    """One organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": organization_id})).mappings().one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def bringing_in(tx: AsyncConnection, organization_id: UUID) -> None:
    """Wait until nobody else brings in a file for this organization, and keep others waiting."""
    await tx.execute(_LOCK, {"number": _FILES, "id": str(organization_id)})


async def every(tx: AsyncConnection) -> list[OrganizationFacts]:
    """All organizations, oldest first; for the operator of the house, never for an organization."""
    return [_facts(row) for row in (await tx.execute(_EVERY)).mappings()]


def _facts(row: RowMapping) -> OrganizationFacts:
    return OrganizationFacts(
        id=row["id"],
        kind=OrganizationKind(row["kind"]),
        name=row["name"],
        self_organized=row["self_organized"],
        towns=tuple(row["towns"]),
        version=row["version"],
    )
