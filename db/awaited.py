"""What one who waits for a need's first hold is told: the need and its allocations of one moment, in one round trip."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import allocations, needs
from db.allocations import AllocationFacts
from db.needs import NeedFacts
from matching.refusals import NotFound

__all__ = ["Awaited", "read"]


@dataclass(frozen=True, slots=True)
class Awaited:
    """A need with its allocations, oldest first."""

    need: NeedFacts
    placed: tuple[AllocationFacts, ...]


_OF_PLACED = tuple(f"placed_{name}" for name in allocations.COLUMNS)
# Inside, `n` is every allocation's own need: so the one that is meant is named by its id.
_READ = text(f"""
    select {", ".join(f"n.{name}" for name in needs.COLUMNS)},
           {", ".join(f"placed.{name} as placed_{name}" for name in allocations.COLUMNS)}
      from need n
      left join ({allocations.SELECT} where a.need_id = :need) placed on true
     where n.id = :need and n.organization_id = :organization
     order by placed.created_at, placed.id
""")


async def read(tx: AsyncConnection, need_id: UUID, organization_id: UUID) -> Awaited:
    """A need of this organization as it stands. Raises `NotFound`."""
    rows = (await tx.execute(_READ, {"need": need_id, "organization": organization_id})).all()
    if not rows:
        raise NotFound
    placed = tuple(
        allocations.facts_of(dict(zip(allocations.COLUMNS, (row._mapping[name] for name in _OF_PLACED), strict=True)))
        for row in rows
        if row.placed_id is not None
    )
    return Awaited(needs.facts_of(rows[0]._mapping), placed)
