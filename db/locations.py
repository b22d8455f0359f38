"""Where sites are, sealed: the one room that reads `site_location`, and the only one that takes the role for it."""

import json
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.addresses import MARK_BYTES, Part, Vault
from db.roles import Role, acting_as
from geo.cells import Point

__all__ = [
    "HAS_ADDRESS",
    "Address",
    "Sealed",
    "count_under_other_keys",
    "count_unopened",
    "forget",
    "hand_over",
    "is_told",
    "keep_address",
    "keep_place",
    "met_nowhere",
    "read_address",
    "read_place",
    "reseal",
    "take_over",
]


@dataclass(frozen=True, slots=True)
class Address:
    """How to get there; sealed as a whole."""

    address: str
    meeting_point: str | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """Where a site is and how to get there, as ciphertext."""

    site_id: UUID
    location: bytes | None
    address: bytes | None


HAS_ADDRESS: Final = "exists (select from site_location l where l.site_id = h.id and l.has_address) as has_address"
"""For a statement that reads `site h`: whether its way was described."""
_FORGET = text("update site_location set location = null, address = null where site_id = :id")
_TOLD = text("""
    select exists (select from site_location where site_id = :id and coalesce(location, address) is not null)
""")
_KEEP_PLACE = text("""
    insert into site_location (site_id, location) values (:id, :sealed)
    on conflict (site_id) do update set location = excluded.location
""")
_KEEP_ADDRESS = text("""
    insert into site_location (site_id, address) values (:id, :sealed)
    on conflict (site_id) do update set address = excluded.address
""")
_PLACE = text("select location from site_location where site_id = :id")
_ADDRESS = text("select address from site_location where site_id = :id")
_RENDEZVOUS = text("""
    select l.site_id, l.address from site_location l
     where l.site_id = any(cast(:ids as uuid[])) and l.address is not null
""")
_OTHERS = f"""
    from site_location
   where substring(location from 1 for {MARK_BYTES}) <> :mark or substring(address from 1 for {MARK_BYTES}) <> :mark
"""
_UNDER_OTHER_KEYS = text(f"select site_id, location, address {_OTHERS} order by site_id limit :limit for update")
_COUNT = text(f"select count(*) {_OTHERS}")
_SOME = text("select site_id, location from site_location where location is not null limit :limit")
_ALL = text("select site_id, location, address from site_location order by site_id")
_TAKE_OVER = text("insert into site_location (site_id, location, address) values (:id, :location, :address)")
_RESEAL = text("update site_location set location = :location, address = :address where site_id = :id")


async def keep_place(tx: AsyncConnection, site_id: UUID, place: Point, vault: Vault) -> None:
    """Seal the exact place of a site."""
    written = json.dumps([place.longitude, place.latitude])
    async with acting_as(tx, Role.REVEAL):
        await tx.execute(_KEEP_PLACE, {"id": site_id, "sealed": vault.seal(site_id, Part.PLACE, written)})


async def read_place(tx: AsyncConnection, site_id: UUID, vault: Vault) -> Point | None:
    """The exact place of a site; `None` when it was forgotten, as those of closed sites are."""
    async with acting_as(tx, Role.REVEAL):
        sealed = (await tx.execute(_PLACE, {"id": site_id})).scalar_one_or_none()
    if sealed is None:
        return None
    longitude, latitude = json.loads(vault.open(site_id, Part.PLACE, sealed))
    return Point(longitude, latitude)


async def keep_address(tx: AsyncConnection, site_id: UUID, address: Address, vault: Vault) -> None:
    """Seal how to get to a site."""
    written = json.dumps({"address": address.address, "meeting_point": address.meeting_point})
    async with acting_as(tx, Role.REVEAL):
        await tx.execute(_KEEP_ADDRESS, {"id": site_id, "sealed": vault.seal(site_id, Part.ADDRESS, written)})


async def read_address(tx: AsyncConnection, site_id: UUID, vault: Vault) -> Address | None:
    """How to get to a site; `None` when nobody said so, or it was forgotten."""
    async with acting_as(tx, Role.REVEAL):
        sealed = (await tx.execute(_ADDRESS, {"id": site_id})).scalar_one_or_none()
    return None if sealed is None else Address(**json.loads(vault.open(site_id, Part.ADDRESS, sealed)))


async def is_told(tx: AsyncConnection, site_id: UUID) -> bool:
    """Whether anything is kept of where a site is."""
    async with acting_as(tx, Role.REVEAL):
        return bool((await tx.execute(_TOLD, {"id": site_id})).scalar_one())


async def forget(tx: AsyncConnection, site_id: UUID) -> None:
    """Keep neither the place of a site nor the way to it any more."""
    async with acting_as(tx, Role.REVEAL):
        await tx.execute(_FORGET, {"id": site_id})


async def met_nowhere(tx: AsyncConnection, site_ids: Collection[UUID], vault: Vault) -> set[UUID]:
    """Those of these sites, each a rendezvous, to which a way was described but no place to meet; no way is told."""
    if not site_ids:
        return set()
    async with acting_as(tx, Role.REVEAL):
        rows = (await tx.execute(_RENDEZVOUS, {"ids": list(site_ids)})).all()
    found = set()
    for row in rows:
        # What no key opens is for the operator to hear of (`relais doctor`), not for who looks at a list.
        with suppress(ValueError):
            way = Address(**json.loads(vault.open(row.site_id, Part.ADDRESS, row.address)))
            found |= {row.site_id} if not way.meeting_point else set()
    return found


async def reseal(tx: AsyncConnection, vault: Vault, limit: int) -> int:
    """Seal what lies under other keys anew under the vault's newest. How many sites.

    Who seals the same site meanwhile waits; what this transaction did not commit is done again by the next.
    """
    rows = (await tx.execute(_UNDER_OTHER_KEYS, {"mark": vault.mark, "limit": limit})).all()
    for row in rows:
        await tx.execute(
            _RESEAL,
            {
                "id": row.site_id,
                "location": _anew(vault, row.site_id, Part.PLACE, row.location, vault),
                "address": _anew(vault, row.site_id, Part.ADDRESS, row.address, vault),
            },
        )
    return len(rows)


async def count_unopened(tx: AsyncConnection, vault: Vault, limit: int) -> int:
    """How many of so many exact places the vault cannot open; none is kept or told."""
    unopened = 0
    async with acting_as(tx, Role.REVEAL):
        rows = (await tx.execute(_SOME, {"limit": limit})).all()
    for row in rows:
        try:
            vault.open(row.site_id, Part.PLACE, row.location)
        except ValueError:
            unopened += 1
    return unopened


async def count_under_other_keys(tx: AsyncConnection, vault: Vault) -> int:
    """How many sites still need another key than the newest."""
    return int((await tx.execute(_COUNT, {"mark": vault.mark})).scalar_one())


async def hand_over(tx: AsyncConnection, vault: Vault, theirs: Vault) -> AsyncIterator[Sealed]:
    """Every place as another house can open it: sealed under the key that both know, and never in the clear.

    Raises `ValueError` for one that the vault cannot open.
    """
    async with tx.stream(_ALL) as rows:
        async for row in rows:
            place = _anew(vault, row.site_id, Part.PLACE, row.location, theirs)
            yield Sealed(row.site_id, place, _anew(vault, row.site_id, Part.ADDRESS, row.address, theirs))


async def take_over(tx: AsyncConnection, vault: Vault, theirs: Vault, places: Iterable[Sealed]) -> None:
    """Keep places that another house handed over. Raises `ValueError` for one not sealed for this key and site."""
    for place in places:
        values = {
            "id": place.site_id,
            "location": _anew(theirs, place.site_id, Part.PLACE, place.location, vault),
            "address": _anew(theirs, place.site_id, Part.ADDRESS, place.address, vault),
        }
        await tx.execute(_TAKE_OVER, values)


def _anew(vault: Vault, site_id: UUID, part: Part, sealed: bytes | None, under: Vault) -> bytes | None:
    return None if sealed is None else under.seal(site_id, part, vault.open(site_id, part, sealed))
