"""The directory: offers as they are told to others, page by page.

To anyone, those at places that their owners made public; to who shows a key, those that the key's list of offers
shows: its organization's own, and for a coordination those of its towns, by cell. Who gives an offer and what its site
provides are told of public places and of one's own.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import policies
from db.offers import OfferFacts, facts_of
from db.roles import Role, acting_as
from db.tables import Offer as OfferRow
from db.tables.metadata import columns
from matching.refusals import NotFound
from matching.vocabulary import OrganizationKind

__all__ = ["IS_PUBLIC", "Chosen", "Giver", "Listing", "Reader", "Shelf", "givers", "page", "read"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads with a key: its organization, and the towns whose offers it sees beside its own."""

    organization_id: UUID
    towns: frozenset[int]


@dataclass(frozen=True, slots=True)
class Giver:
    """The organization that gives something."""

    id: UUID
    name: str
    kind: OrganizationKind
    self_organized: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """An offer in the directory. `giver` is who gives it, where the reader may know; `free` how many it takes today.

    Of an offer without a giver nothing may be told that it shares with another: not even that both are at one place.
    """

    offer: OfferFacts
    town: str
    giver: Giver | None
    site_provides: frozenset[str]
    stale: bool
    free: int | None
    """Not told to strangers: how full houses are tells how many ask for help."""
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which listings a page is of; `None` does not choose."""

    category: str | None = None
    organization_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page of listings, and how many there are in all."""

    listings: tuple[Listing, ...]
    in_all: int


_STANDS = " o.state <> 'closed' and o.last_day >= current_date - 1 "
IS_PUBLIC = " o.is_public and h.visibility = 'public' and h.kind <> 'private_home' and" + _STANDS
"""For an offer `o` at a site `h`: whether anybody may know of it, and who gives it."""
_SEEN = " (o.organization_id = :organization or o.town_id = any(cast(:towns as int[]))) and" + _STANDS
_CHOSEN = """
   and (cast(:category as text) is null or o.category = :category)
   and (cast(:giver as uuid) is null or g.id = :giver)
"""
_JOINS = """
  from offer o join town t on t.id = o.town_id
  left join site h on h.id = o.site_id left join organization g on g.id = o.organization_id
 where
"""
_TOLD = f"""
select {columns(OfferRow, "o")}, t.name as town, g.id as giver_id, g.name as giver, g.kind, g.self_organized,
       h.provides as site_provides, o.verified_at < now() - cast(:stale_after as interval) as stale, now() as seen_at
"""
# What a night takes now; of what has many slots a day, all of them.
_FREE = """,
       (select coalesce(sum(s.capacity - s.used), 0) from slot s
         where s.offer_id = o.id and s.day = (now() at time zone o.timezone)::date) as free
"""
_ORDERED = " order by o.created_at, o.id limit :limit offset :offset"
_COUNT = "select count(*) as number" + _JOINS
_GIVERS = "select g.id as giver_id, g.name as giver, g.kind, g.self_organized" + _JOINS
_GROUPED = " and g.id is not null group by g.id order by g.created_at, g.id"
_ONE = " and o.id = :id"
_PAGE_PUBLIC = text(_TOLD + _JOINS + IS_PUBLIC + _CHOSEN + _ORDERED)
_PAGE_SEEN = text(_TOLD + _FREE + _JOINS + _SEEN + _CHOSEN + _ORDERED)
_COUNT_PUBLIC = text(_COUNT + IS_PUBLIC + _CHOSEN)
_COUNT_SEEN = text(_COUNT + _SEEN + _CHOSEN)
_READ_PUBLIC = text(_TOLD + _JOINS + IS_PUBLIC + _ONE)
_READ_SEEN = text(_TOLD + _FREE + _JOINS + _SEEN + _ONE)
_GIVERS_PUBLIC = text(_GIVERS + IS_PUBLIC + _GROUPED)
_GIVERS_SEEN = text(_GIVERS + _SEEN + _GROUPED)


async def page(tx: AsyncConnection, reader: Reader | None, which: Chosen, number: int, size: int) -> Shelf:
    """The page of this number, from 1 on, of what the reader may see; oldest first."""
    chosen: dict[str, object] = {"category": which.category, "giver": which.organization_id}
    places = {"limit": size, "offset": (number - 1) * size, "stale_after": (await policies.in_force(tx)).stale_after}
    if reader is None:
        counted, rows = await _public(tx, _COUNT_PUBLIC, chosen), await _public(tx, _PAGE_PUBLIC, chosen | places)
    else:
        counted = await _seen(tx, reader, _COUNT_SEEN, chosen)
        rows = await _seen(tx, reader, _PAGE_SEEN, chosen | places)
    return Shelf(tuple(map(_listing, rows)), counted[0].number)


async def read(tx: AsyncConnection, reader: Reader | None, offer_id: UUID) -> Listing:
    """One listing. Raises `NotFound` for what the reader does not see."""
    values = {"id": offer_id, "stale_after": (await policies.in_force(tx)).stale_after}
    if reader is None:
        rows = await _public(tx, _READ_PUBLIC, values)
    else:
        rows = await _seen(tx, reader, _READ_SEEN, values)
    if not rows:
        raise NotFound
    return _listing(rows[0])


async def givers(tx: AsyncConnection, reader: Reader | None) -> tuple[Giver, ...]:
    """Who gives what the reader may see, as far as the reader may know; oldest first."""
    found = await (_public(tx, _GIVERS_PUBLIC, {}) if reader is None else _seen(tx, reader, _GIVERS_SEEN, {}))
    return tuple(map(_giver, found))


async def _public(tx: AsyncConnection, statement: TextClause, values: dict[str, object]) -> list[Row[Any]]:
    # Nobody acts, and the database shows nobody any rows: what is public is asked for by name.
    async with acting_as(tx, Role.MATCHER):
        return list((await tx.execute(statement, values)).all())


async def _seen(
    tx: AsyncConnection, reader: Reader, statement: TextClause, values: dict[str, object]
) -> list[Row[Any]]:
    asks = {"organization": reader.organization_id, "towns": sorted(reader.towns)}
    return list((await tx.execute(statement, values | asks)).all())


def _listing(row: Row[Any]) -> Listing:
    values = row._mapping
    return Listing(
        offer=facts_of(row),
        town=values["town"],
        giver=_giver(row) if values["giver_id"] else None,
        site_provides=frozenset(values["site_provides"] or ()),
        stale=values["stale"],
        free=int(values["free"]) if "free" in values else None,
        seen_at=values["seen_at"],
    )


def _giver(row: Row[Any]) -> Giver:
    return Giver(row.giver_id, row.giver, OrganizationKind(row.kind), row.self_organized)
