"""Organizations that sign pacts and may be named: what the directory and the register of practices tell of them.

There is no list of organizations to look through. Who is named in neither is known by its number alone, which it tells.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.directory import IS_PUBLIC
from db.roles import Role, acting_as

__all__ = ["Signer", "Sought", "giving", "telling"]


@dataclass(frozen=True, slots=True)
class Signer:
    """A municipality or a coordination, and a town of its own of which it is told."""

    organization_id: UUID
    name: str
    town_id: int


@dataclass(frozen=True, slots=True)
class Sought:
    """Those of these towns, or of a name with this in it."""

    own: UUID
    """Who looks: it is not among them."""
    towns: Collection[int] = ()
    name: str = ""


_WANTED = """
       and g.kind in ('municipality', 'coordination') and g.id <> :own
       and exists (select from organization_town t where t.organization_id = g.id and t.town_id = told.town_id)
       and (told.town_id = any(cast(:towns as int[])) or (:name <> '' and strpos(lower(g.name), lower(:name)) > 0))
     group by g.id, g.name, told.town_id
     order by g.name, g.id, told.town_id
     limit 50
"""
_GIVING = text(
    f"""
    select g.id, g.name, told.town_id
      from (select o.organization_id, o.town_id from offer o join site h on h.id = o.site_id where {IS_PUBLIC}) told
      join organization g on g.id = told.organization_id
     where true
"""
    + _WANTED
)
_TELLING = text(
    """
    select g.id, g.name, told.town_id from practice told join organization g on g.id = told.organization_id
     where told.named and told.state = 'told'
"""
    + _WANTED
)


async def giving(tx: AsyncConnection, sought: Sought) -> list[Signer]:
    """Those whom the directory names to anybody, for they give something at a public place."""
    async with acting_as(tx, Role.MATCHER):
        rows = await tx.execute(_GIVING, _values(sought))
    return [Signer(row.id, row.name, row.town_id) for row in rows]


async def telling(tx: AsyncConnection, sought: Sought) -> list[Signer]:
    """Those who are named with a practice, to whoever may read these."""
    async with acting_as(tx, Role.MATCHER):
        rows = await tx.execute(_TELLING, _values(sought))
    return [Signer(row.id, row.name, row.town_id) for row in rows]


def _values(sought: Sought) -> dict[str, object]:
    return {"own": sought.own, "towns": list(sought.towns), "name": sought.name}
