"""What one who waits for a need's first hold is told: the need and its allocations of one moment, in one round trip."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import allocations, needs
from db.allocations import AllocationFacts
from db.needs import NeedFacts

__all__ = ["Awaited", "read"]


@dataclass(frozen=True, slots=True)
class Awaited:
    """A need with its allocations, oldest first."""

    need: NeedFacts
    placed: tuple[AllocationFacts, ...]


_OF_PLACED = tuple(f"placed_{name}" for name in allocations.COLUMNS)
# The key first: nothing is looked for whose organization no live key has named. Inside, `n` is every allocation's own
# need: so the one that is meant is named by its id.
_READ = text(f"""
    select {", ".join(f"n.{name}" for name in needs.COLUMNS)},
           {", ".join(f"placed.{name} as placed_{name}" for name in allocations.COLUMNS)}
      from api_key k
      join need n on n.id = :need and n.organization_id = k.organization_id
      left join ({allocations.SELECT} where a.need_id = :need) placed on true
     where k.prefix = :prefix and k.revoked_at is null and k.expires_at > clock_timestamp()
     order by placed.created_at, placed.id
""")


async def read(tx: AsyncConnection, need_id: UUID, prefix: str) -> Awaited | None:
    """The need as it stands; `None` where the key of this prefix opens nothing any more, or never opened this need."""
    rows = (await tx.execute(_READ, {"need": need_id, "prefix": prefix})).all()
    if not rows:
        return None
    placed = tuple(
        allocations.facts_of(dict(zip(allocations.COLUMNS, (row._mapping[name] for name in _OF_PLACED), strict=True)))
        for row in rows
        if row.placed_id is not None
    )
    return Awaited(needs.facts_of(rows[0]._mapping), placed)
