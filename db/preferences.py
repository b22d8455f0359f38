"""The language of preferences: what the people of a need say on their slip, said anew as a whole, and read.

They enter the matching with the need (`db.seekers`). Written as the matcher, for nobody acts there but the people; read
by the organization that posted the need, and by its people.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.refusals import Invalid
from matching.vocabulary import Wish

__all__ = ["NOTHING_SAID", "NearTown", "Said", "of_need", "of_needs", "say"]


@dataclass(frozen=True, slots=True)
class NearTown:
    """A town that the people would stay near to: within so many kilometres nothing is lost."""

    town_id: int
    km: int


@dataclass(frozen=True, slots=True)
class Said:
    """What the people of a need said: where they would be, how far they go at most, what they wish and wait for."""

    near: NearTown | None = None
    most_km: int | None = None
    wishes: frozenset[Wish] = frozenset()
    waits_for: frozenset[Wish] = frozenset()


NOTHING_SAID: Final = Said()
_TOWN = text("select id from town where id = :id")
_SAY = text("""
    insert into preference (need_id, near_town_id, near_km, most_km, wishes, waits_for)
    values (:need, :near_town, :near_km, :most_km, cast(:wishes as text[]), cast(:waits_for as text[]))
    on conflict (need_id) do update
       set near_town_id = excluded.near_town_id, near_km = excluded.near_km, most_km = excluded.most_km,
           wishes = excluded.wishes, waits_for = excluded.waits_for
""")
_UNSAY = text("delete from preference where need_id = :need")
# Who still looks is looked after at once, under what was said.
_LOOK = text("update need set look_at = now(), version = version + 1 where id = :need")
_OF_NEEDS = text("""
    select need_id, near_town_id, near_km, most_km, wishes, waits_for from preference
     where need_id = any(cast(:needs as uuid[]))
""")


async def say(tx: AsyncConnection, need_id: UUID, said: Said) -> bool:
    """Put this in the place of all that was said before; the caller holds the need's lock. Whether anything changed.

    Raises `Invalid` for a town that is none.
    """
    if said.near is not None and (await tx.execute(_TOWN, {"id": said.near.town_id})).first() is None:
        raise Invalid.one("/near/town", "unknown_town")
    if said == await of_need(tx, need_id):
        return False
    if said == NOTHING_SAID:
        await tx.execute(_UNSAY, {"need": need_id})
    else:
        await tx.execute(
            _SAY,
            {
                "need": need_id,
                "near_town": said.near.town_id if said.near else None,
                "near_km": said.near.km if said.near else None,
                "most_km": said.most_km,
                "wishes": sorted(said.wishes),
                "waits_for": sorted(said.waits_for),
            },
        )
    await tx.execute(_LOOK, {"need": need_id})
    return True


async def of_need(tx: AsyncConnection, need_id: UUID) -> Said:
    """What the people of one need said."""
    return (await of_needs(tx, [need_id])).get(need_id, NOTHING_SAID)


async def of_needs(tx: AsyncConnection, need_ids: Collection[UUID]) -> Mapping[UUID, Said]:
    """What the people of these needs said; those who said nothing are left out."""
    rows = await tx.execute(_OF_NEEDS, {"needs": list(need_ids)})
    return {row.need_id: _said(row) for row in rows}


def _said(row: Row[tuple[object, ...]]) -> Said:
    there = row._mapping
    near = there["near_town_id"]
    return Said(
        near=None if near is None else NearTown(near, there["near_km"]),
        most_km=there["most_km"],
        wishes=frozenset(map(Wish, there["wishes"])),
        waits_for=frozenset(map(Wish, there["waits_for"])),
    )
