"""The language of sites: add, read, list, change, vet, and keep their exact place sealed.

A site is known by its cell. Where it lies in that cell is sealed in `locations`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, locations, staffing, tombstones
from db.addresses import Vault
from db.locations import Address
from db.pages import Page, Place, reading
from db.tables import Site as SiteRow
from db.tables.metadata import columns
from geo.borders import is_surely_abroad
from geo.cells import COARSE_RESOLUTION, RESOLUTION, Cell, Point, cell_of, centroid
from geo.distance import great_circle
from matching.refusals import CapacityInUse, Invalid, NotFound, StaleVersion
from matching.reveal import is_public
from matching.vocabulary import SiteKind, Visibility

__all__ = [
    "Address",
    "SiteFacts",
    "SiteTerms",
    "Staffing",
    "add",
    "change",
    "check_new",
    "move",
    "page",
    "read",
    "set_address",
    "vet",
]

FARTHEST_FROM_TOWN_KM: Final = 50
SAME_PLACE_KM: Final = 0.1
"""A pin set right by less than this is no move."""


@dataclass(frozen=True, slots=True)
class Staffing:
    """Volunteers that a site needs for each slot."""

    skill: str
    people_per_volunteer: int
    minimum: int


@dataclass(frozen=True, slots=True)
class SiteTerms:
    """What a site's owner states of it, but for where it is."""

    name: str
    town_id: int
    kind: SiteKind
    visibility: Visibility
    provides: frozenset[str]
    staffing: Staffing | None


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """A site as its owner sees it."""

    id: UUID
    organization_id: UUID
    terms: SiteTerms
    cell: Cell
    vetted_by: UUID | None
    vetted_at: datetime | None
    has_address: bool
    created_at: datetime
    version: int


_SELECT = f"select {columns(SiteRow, 'h')}, {locations.HAS_ADDRESS} from site h "
_READ = text(_SELECT + " where h.id = :id and h.organization_id = :organization")
_LOCK = text("select version from site where id = :id and organization_id = :organization for update")
_PAGE = text(
    _SELECT
    + """
     where h.organization_id = :organization
       and (cast(:after_at as timestamptz) is null or (h.created_at, h.id) > (:after_at, cast(:after_id as uuid)))
     order by h.created_at, h.id
     limit :limit
"""
)
_TOWN = text("select longitude, latitude, country from town where id = :id")
_ADD = text("""
    insert into site (id, organization_id, town_id, name, kind, cell, visibility, provides,
                      staffing_skill, staffing_people_per_volunteer, staffing_minimum)
    values (:id, :organization, :town_id, :name, :kind, :cell, :visibility, :provides, :skill, :each, :minimum)
""")
_CHANGE = text("""
    update site set town_id = :town_id, name = :name, kind = :kind, cell = :cell, visibility = :visibility,
                    provides = :provides, staffing_skill = :skill, staffing_people_per_volunteer = :each,
                    staffing_minimum = :minimum, version = version + 1,
                    vetted_by = case when :moved then null else vetted_by end,
                    vetted_at = case when :moved then null else vetted_at end
     where id = :id
""")
_TOUCH = text("update site set version = version + 1 where id = :id")
_VET = text("""
    update site set vetted_by = :organization, vetted_at = now(), version = version + 1 where id = :id
""")
_LOCK_OFFERS = text("select id from offer where site_id = :id order by id for update")
_LIVE = text("""
    select a.id from allocation a join offer o on o.id = a.offer_id
     where o.site_id = :id and a.state in ('held', 'confirmed', 'arrived')
     order by a.created_at, a.id
""")
_MOVE_OFFERS = text("""
    update offer set town_id = :town_id, cell = :cell, country = :country, version = version + 1,
                     point = st_point(:longitude, :latitude)::geography
     where site_id = :id
""")
_RENEW_OFFERS = text("update offer set is_public = :is_public, version = version + 1 where site_id = :id")
_NEWS = text("insert into capacity_news (offer_id) select id from offer where site_id = :id and state = 'open'")


async def add(
    tx: AsyncConnection, organization_id: UUID, terms: SiteTerms, location: Point | None, vault: Vault
) -> UUID:
    """Add a site; of one whose location is not known the cell is that of the town's middle, and no place is kept.

    Raises `Invalid` for an unknown town, or a place too far from it or over a border.
    """
    known = location or await _middle(tx, terms)
    await _country(tx, terms, known)
    site_id = uuid4()
    cell = _cell(terms, known)
    await tx.execute(_ADD, _columns(site_id, terms, cell) | {"organization": organization_id})
    # The middle of a town is nobody's door: told as a place, it would send people there.
    if location is not None:
        await locations.keep_place(tx, site_id, location, vault)
    await events.record(tx, "site.added", site_id, [organization_id])
    return site_id


async def check_new(tx: AsyncConnection, terms: SiteTerms, location: Point) -> None:
    """Whether such a site can be added: raises what `add` raises, and writes nothing."""
    await _country(tx, terms, location)


async def read(tx: AsyncConnection, site_id: UUID, organization_id: UUID) -> SiteFacts:
    """One site of this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, {"id": site_id, "organization": organization_id})).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def page(tx: AsyncConnection, organization_id: UUID, after: Place | None, limit: int) -> Page[SiteFacts]:
    """Sites of this organization, oldest first."""
    rows = await tx.execute(
        _PAGE,
        {
            "organization": organization_id,
            **reading(after, limit),
        },
    )
    return Page.of([_facts(row) for row in rows], limit, lambda site: Place(site.created_at, site.id))


async def change(
    tx: AsyncConnection,
    site_id: UUID,
    organization_id: UUID,
    version: int | None,
    revise: Callable[[SiteTerms], SiteTerms],
    location: Point | None,
    vault: Vault,
    tombstone_key: bytes,
) -> None:
    """Give a site new terms, and a new place where one is given: who visited it before has not seen that one.

    The terms are revised under the site's lock, so that of two changes at once neither undoes the other. Raises
    `NotFound`, `StaleVersion`, `Invalid`, and `CapacityInUse` when it would move from under its people.
    """
    before = await _lock(tx, site_id, organization_id, version)
    terms = revise(before.terms)
    kept = await locations.read_place(tx, site_id, vault)
    # What was forgotten is known by its cell alone, until somebody says where it is again.
    known = kept or centroid(before.cell)
    other_town = terms.town_id != before.terms.town_id
    place = location or (await _middle(tx, terms) if other_town and kept is None else known)
    moved = great_circle(known, place) > SAME_PLACE_KM or (other_town and kept is None)
    country = await _country(tx, terms, place)
    cell = _cell(terms, place)
    if moved or other_town or cell != before.cell:
        # Who is inside loses nothing by it that others are told less exactly where that is.
        if moved or other_town or not (_is_guarded(terms) and not _is_guarded(before.terms)):
            await _check_empty(tx, site_id)
        await _move_offers(tx, site_id, terms.town_id, cell, country)
    if _what_offers_repeat(terms) != _what_offers_repeat(before.terms):
        await _renew_offers(tx, site_id, is_public(terms.kind, terms.visibility))
    await tx.execute(_CHANGE, _columns(site_id, terms, cell) | {"moved": moved})
    if terms.staffing != before.terms.staffing:
        await tx.execute(_LOCK_OFFERS, {"id": site_id})
        await staffing.bind(tx, site_id)
    if location is not None:
        await locations.keep_place(tx, site_id, location, vault)
        await tombstones.lower(tx, tombstones.name_of("place", site_id, tombstone_key))
    await tx.execute(_NEWS, {"id": site_id})
    await events.record(tx, "site.changed", site_id, [organization_id])


async def move(
    tx: AsyncConnection,
    site_id: UUID,
    organization_id: UUID,
    version: int | None,
    revise: Callable[[SiteTerms], SiteTerms],
    location: Point | None,
    vault: Vault,
    tombstone_key: bytes,
) -> None:
    """Change a site that goes to another town: nothing of where it was is told any more. Raises what `change` raises.

    Without a new place it is known by the middle of the new town.
    """
    await _lock(tx, site_id, organization_id, version)
    await locations.forget(tx, site_id)
    await change(tx, site_id, organization_id, version, revise, location, vault, tombstone_key)


async def set_address(
    tx: AsyncConnection,
    site_id: UUID,
    organization_id: UUID,
    version: int | None,
    address: Address,
    vault: Vault,
    tombstone_key: bytes,
) -> None:
    """Seal how to get there. Raises `NotFound` and `StaleVersion`."""
    await _lock(tx, site_id, organization_id, version)
    await locations.keep_address(tx, site_id, address, vault)
    await tombstones.lower(tx, tombstones.name_of("place", site_id, tombstone_key))
    await tx.execute(_TOUCH, {"id": site_id})
    await events.record(tx, "site.address_set", site_id, [organization_id])


async def vet(tx: AsyncConnection, site_id: UUID, organization_id: UUID) -> None:
    """Record that an organization has visited a site; its offers may be proposed from now on. Raises `NotFound`.

    One that was visited stays as it is: a button pressed again is no second visit.
    """
    before = await _lock(tx, site_id, organization_id, None)
    if before.vetted_at is not None:
        return
    await tx.execute(_VET, {"id": site_id, "organization": organization_id})
    await tx.execute(_NEWS, {"id": site_id})
    await events.record(tx, "site.vetted", site_id, [organization_id])


async def _lock(tx: AsyncConnection, site_id: UUID, organization_id: UUID, version: int | None) -> SiteFacts:
    current = (await tx.execute(_LOCK, {"id": site_id, "organization": organization_id})).scalar_one_or_none()
    if current is None:
        raise NotFound
    if version not in (None, current):
        raise StaleVersion(current)
    return await read(tx, site_id, organization_id)


async def _middle(tx: AsyncConnection, terms: SiteTerms) -> Point:
    town = (await tx.execute(_TOWN, {"id": terms.town_id})).one_or_none()
    if town is None:
        raise Invalid.one("/town", "unknown_town")
    return Point(town.longitude, town.latitude)


async def _country(tx: AsyncConnection, terms: SiteTerms, location: Point) -> str:
    """The country of the site's town, once it is known and the place may lie in it."""
    town = (await tx.execute(_TOWN, {"id": terms.town_id})).one_or_none()
    if town is None:
        raise Invalid.one("/town", "unknown_town")
    middle = Point(town.longitude, town.latitude)
    if great_circle(location, middle) > FARTHEST_FROM_TOWN_KM:
        raise Invalid.one("/location", "location_far_from_town", most=FARTHEST_FROM_TOWN_KM)
    # The town says the country that the rule `border` goes by: a pin over the line would send people across unasked.
    if is_surely_abroad(location, middle, town.country):
        raise Invalid.one("/location", "location_in_another_country")
    return str(town.country)


def _cell(terms: SiteTerms, location: Point) -> Cell:
    return cell_of(location, COARSE_RESOLUTION if _is_guarded(terms) else RESOLUTION)


def _is_guarded(terms: SiteTerms) -> bool:
    """Whether others are told only roughly where it is."""
    return terms.kind is SiteKind.PRIVATE_HOME or terms.visibility is Visibility.RENDEZVOUS


def _what_offers_repeat(terms: SiteTerms) -> tuple[object, ...]:
    """What an offer says, or is found by, of the site that it is at."""
    return terms.kind, terms.visibility, terms.provides


async def _check_empty(tx: AsyncConnection, site_id: UUID) -> None:
    await tx.execute(_LOCK_OFFERS, {"id": site_id})
    live = (await tx.execute(_LIVE, {"id": site_id})).scalars().all()
    if live:
        raise CapacityInUse(tuple(live))


async def _move_offers(tx: AsyncConnection, site_id: UUID, town_id: int, cell: Cell, country: str) -> None:
    await tx.execute(_LOCK_OFFERS, {"id": site_id})
    middle = centroid(cell)
    moved = {"id": site_id, "town_id": town_id, "cell": cell, "country": country}
    await tx.execute(_MOVE_OFFERS, moved | {"longitude": middle.longitude, "latitude": middle.latitude})


async def _renew_offers(tx: AsyncConnection, site_id: UUID, public: bool) -> None:  # noqa: FBT001 - what it sets
    """Nobody who found these offers fitting before the change takes places in them without looking again."""
    await tx.execute(_LOCK_OFFERS, {"id": site_id})
    await tx.execute(_RENEW_OFFERS, {"id": site_id, "is_public": public})


def _columns(site_id: UUID, terms: SiteTerms, cell: Cell) -> dict[str, object]:
    staffing = terms.staffing
    return {
        "id": site_id,
        "town_id": terms.town_id,
        "name": terms.name,
        "kind": terms.kind,
        "cell": cell,
        "visibility": terms.visibility,
        "provides": sorted(terms.provides),
        "skill": staffing.skill if staffing else None,
        "each": staffing.people_per_volunteer if staffing else None,
        "minimum": staffing.minimum if staffing else None,
    }


def _facts(row: Row[tuple[object, ...]]) -> SiteFacts:
    values = row._mapping
    skill = values["staffing_skill"]
    return SiteFacts(
        id=values["id"],
        organization_id=values["organization_id"],
        terms=SiteTerms(
            name=values["name"],
            town_id=values["town_id"],
            kind=SiteKind(values["kind"]),
            visibility=Visibility(values["visibility"]),
            provides=frozenset(values["provides"]),
            staffing=Staffing(skill, values["staffing_people_per_volunteer"], values["staffing_minimum"])
            if skill
            else None,
        ),
        cell=Cell(values["cell"]),
        vetted_by=values["vetted_by"],
        vetted_at=values["vetted_at"],
        has_address=values["has_address"],
        created_at=values["created_at"],
        version=values["version"],
    )
