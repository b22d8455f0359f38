"""The language of offers: add, read, list, change, pause, resume, close, and say that one is still true.

An offer is locked `for update` before its slots; a hold takes its key share in the same order, so that nobody is
placed in an offer that has just been paused or closed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, slots, staffing
from db.pages import Page, Place, reading
from db.tables import Offer as OfferRow
from db.tables.metadata import columns
from geo.borders import country_of_zone
from geo.cells import Cell, centroid
from matching.assign import tie_of
from matching.needs import language_of
from matching.offering import OfferTerms, check
from matching.refusals import CapacityInUse, Conflict, Invalid, NotFound, StaleVersion
from matching.reveal import is_public
from matching.schedule import Session
from matching.states import OfferState
from matching.vocabulary import Audience, Confirmation, Coverage, SiteKind, Visibility

__all__ = [
    "Filter",
    "OfferFacts",
    "add",
    "change",
    "check_new",
    "close",
    "facts_of",
    "given_at",
    "page",
    "pause",
    "read",
    "resume",
    "verify",
]


@dataclass(frozen=True, slots=True)
class OfferFacts:
    """An offer and what its readers may want to know of its site."""

    id: UUID
    site_id: UUID
    organization_id: UUID
    town_id: int
    cell: Cell
    is_public: bool
    """Whether anybody may know which place it is at."""
    terms: OfferTerms
    state: OfferState
    verified_at: datetime
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which offers a list is of; `None` does not choose."""

    category: str | None = None
    state: OfferState | None = None
    town_id: int | None = None
    site_id: UUID | None = None


_SELECT = f"select {columns(OfferRow, 'o')} from offer o "
_OWN = " o.organization_id = :organization "
_IN_TOWNS = " o.town_id = any(cast(:towns as int[])) "
_READ = text(_SELECT + "where o.id = :id and (" + _OWN + "or" + _IN_TOWNS + ")")
_CHOSEN = """
       and (cast(:category as text) is null or o.category = :category)
       and (cast(:state as text) is null or o.state = :state)
       and (cast(:town_id as int) is null or o.town_id = :town_id)
       and (cast(:site_id as uuid) is null or (o.site_id = :site_id and o.organization_id = :organization))
       and (cast(:after_at as timestamptz) is null or (o.created_at, o.id) > (:after_at, cast(:after_id as uuid)))
     order by o.created_at, o.id
     limit :limit
"""
# Two statements, because no index serves "mine, or of my towns": that read every offer there is.
_PAGE_OWN = text(_SELECT + "where" + _OWN + _CHOSEN)
_PAGE_IN_TOWNS = text(_SELECT + "where" + _IN_TOWNS + _CHOSEN)
# What is over is nothing that is given, whether or not somebody ended it.
_GIVEN_AT = text(
    _SELECT
    + "where"
    + _OWN
    + """
       and o.site_id = any(cast(:sites as uuid[])) and o.state <> 'closed'
       and (o.last_day + o.closes + case when o.closes <= o.opens then interval '1 day' else interval '0 days' end)
           at time zone o.timezone > clock_timestamp()
     order by o.created_at, o.id
     limit :limit
"""
)
_LOCK = text("select version from offer where id = :id and organization_id = :organization for update")
_COVERAGE = text("select coverage from category where code = :category")
_ADD = text("""
    insert into offer (id, site_id, organization_id, category, capacity, audience, provides, confirmation,
                       confirm_within_minutes, first_day, last_day, timezone, opens, closes, rrule, slot_minutes,
                       party_max, nights_max, arrive_by, release_no_shows, teaches, level, town_id, is_public,
                       country, cell, point, tie)
    select :id, h.id, h.organization_id, :category, :capacity, :audience, :provides, :confirmation,
           :confirm_within_minutes, :first_day, :last_day, :timezone, :opens, :closes, :rrule, :slot_minutes,
           :party_max, :nights_max, :arrive_by, :release_no_shows, :teaches, :level, h.town_id, :is_public,
           t.country, h.cell, st_point(:longitude, :latitude)::geography, :tie
      from site h join town t on t.id = h.town_id
     where h.id = :site_id
""")
_SITE_SEEN = """
    select h.cell, h.kind, h.visibility, t.timezone, t.country, clock_timestamp() as now
      from site h join town t on t.id = h.town_id
     where h.id = :site_id and h.organization_id = :organization
"""
_SITE = text(_SITE_SEEN + " for share of h")
_SITE_UNLOCKED = text(_SITE_SEEN)
_TOWN = text("""
    select t.timezone, t.country, clock_timestamp() as now from offer o join town t on t.id = o.town_id where o.id = :id
""")
_CHANGE = text("""
    update offer
       set capacity = :capacity, audience = :audience, provides = :provides, confirmation = :confirmation,
           confirm_within_minutes = :confirm_within_minutes, first_day = :first_day, last_day = :last_day,
           timezone = :timezone, opens = :opens, closes = :closes, rrule = :rrule, slot_minutes = :slot_minutes,
           party_max = :party_max, nights_max = :nights_max, arrive_by = :arrive_by,
           release_no_shows = :release_no_shows, teaches = :teaches, level = :level,
           verified_at = now(), verify_asked_at = null, version = version + 1
     where id = :id
""")
_SET_STATE = text("update offer set state = :state, version = version + 1 where id = :id")
_CLOSE = text("update offer set state = 'closed', closed_at = now(), version = version + 1 where id = :id")
_VERIFY = text("update offer set verified_at = now(), verify_asked_at = null, version = version + 1 where id = :id")
_LIVE = text("""
    select id from allocation where offer_id = :id and state in ('held', 'confirmed', 'arrived')
     order by created_at, id
""")
_NOT_SEEN_COMING = text("""
    select exists (select from allocation
                    where offer_id = :id and state = 'confirmed' and last_arrival <= clock_timestamp())
""")
_NEWS = text("insert into capacity_news (offer_id) values (:id)")


async def add(
    tx: AsyncConnection,
    organization_id: UUID,
    site_id: UUID,
    terms: OfferTerms,
    tie_key: bytes,
) -> UUID:
    """Open an offer at a site of this organization, with its slots; an empty `timezone` is the town's.

    Raises `Invalid` with every flaw, among them a site that is unknown or somebody else's.
    """
    site, complete, sessions = await _checked(tx, _SITE, organization_id, site_id, terms)
    offer_id = uuid4()
    middle = centroid(Cell(site.cell))
    await tx.execute(
        _ADD,
        _columns(offer_id, complete)
        | {"site_id": site_id, "category": terms.category, "tie": tie_of(offer_id, tie_key)}
        | {"is_public": is_public(SiteKind(site.kind), Visibility(site.visibility))}
        | {"longitude": middle.longitude, "latitude": middle.latitude},
    )
    await slots.add(tx, offer_id, sessions, terms.capacity)
    await tx.execute(_NEWS, {"id": offer_id})
    await events.record(tx, "offer.opened", offer_id, [organization_id])
    return offer_id


async def check_new(tx: AsyncConnection, organization_id: UUID, site_id: UUID, terms: OfferTerms) -> None:
    """Whether such an offer can be opened: raises what `add` raises, writes nothing and locks nothing."""
    await _checked(tx, _SITE_UNLOCKED, organization_id, site_id, terms)


async def read(tx: AsyncConnection, offer_id: UUID, organization_id: UUID, towns: frozenset[int]) -> OfferFacts:
    """One offer of this organization, or of these towns. Raises `NotFound`."""
    row = (
        await tx.execute(_READ, {"id": offer_id, "organization": organization_id, "towns": sorted(towns)})
    ).one_or_none()
    if row is None:
        raise NotFound
    return facts_of(row)


async def page(
    tx: AsyncConnection,
    organization_id: UUID,
    towns: frozenset[int],
    which: Filter,
    after: Place | None,
    limit: int,
) -> Page[OfferFacts]:
    """Offers of these towns, or where there are none of this organization; oldest first."""
    rows = await tx.execute(
        _PAGE_IN_TOWNS if towns else _PAGE_OWN,
        {
            "organization": organization_id,
            **({"towns": sorted(towns)} if towns else {}),
            "category": which.category,
            "state": which.state,
            "town_id": which.town_id,
            "site_id": which.site_id,
            **reading(after, limit),
        },
    )
    return Page.of([facts_of(row) for row in rows], limit, lambda offer: Place(offer.created_at, offer.id))


async def given_at(
    tx: AsyncConnection, organization_id: UUID, site_ids: Sequence[UUID], limit: int
) -> Page[OfferFacts]:
    """Offers at these sites of this organization that are neither closed nor over, oldest first."""
    values = {"organization": organization_id, "sites": list(site_ids), "limit": limit + 1}
    rows = await tx.execute(_GIVEN_AT, values)
    return Page.of([facts_of(row) for row in rows], limit, lambda offer: Place(offer.created_at, offer.id))


async def change(
    tx: AsyncConnection,
    offer_id: UUID,
    organization_id: UUID,
    version: int | None,
    revise: Callable[[OfferTerms], OfferTerms],
) -> None:
    """Give an offer new terms (same site and category); slots follow the schedule and the capacity.

    The terms are revised under the offer's lock, so that of two changes at once neither undoes the other. Raises
    `NotFound`, `StaleVersion`, `Invalid`, `Conflict` when it is closed or would from now on release places of people
    who may be inside, and `CapacityInUse` with the allocations to move first.
    """
    before = await _lock(tx, offer_id, organization_id, version)
    if before.state is OfferState.CLOSED:
        raise Conflict("offer_is_closed", before.state)
    terms = revise(before.terms)
    town = (await tx.execute(_TOWN, {"id": offer_id})).one()
    sessions = check(terms, await _coverage(tx, terms.category), _countries(town), town.now)
    if (terms.schedule(), terms.capacity) != (before.terms.schedule(), before.terms.capacity):
        await slots.align(tx, offer_id, sessions, before.terms.capacity, terms.capacity, town.now)
    # While nothing hung on it nobody had to say who came: at its next look the worker would put out all of them.
    begins = terms.release_no_shows and not before.terms.release_no_shows
    if begins and (await tx.execute(_NOT_SEEN_COMING, {"id": offer_id})).scalar_one():
        raise Conflict("arrivals_not_marked", before.state)
    await tx.execute(_CHANGE, _columns(offer_id, terms))
    await tx.execute(_NEWS, {"id": offer_id})
    await events.record(tx, "offer.changed", offer_id, [organization_id])


async def pause(tx: AsyncConnection, offer_id: UUID, organization_id: UUID) -> None:
    """Take nobody new; who has a place keeps it. Raises `NotFound`, or `Conflict` when it is closed."""
    await _set_state(tx, offer_id, organization_id, OfferState.PAUSED, "offer.paused")


async def resume(tx: AsyncConnection, offer_id: UUID, organization_id: UUID) -> None:
    """Take parties again; this says that the offer is still true. Raises `NotFound`, or `Conflict` when closed."""
    if await _set_state(tx, offer_id, organization_id, OfferState.OPEN, "offer.resumed"):
        await tx.execute(_VERIFY, {"id": offer_id})
        await tx.execute(_NEWS, {"id": offer_id})


async def close(tx: AsyncConnection, offer_id: UUID, organization_id: UUID) -> None:
    """End an offer for good. Raises `NotFound`, and `CapacityInUse` while somebody has a place in it."""
    before = await _lock(tx, offer_id, organization_id, None)
    if before.state is OfferState.CLOSED:
        return
    live = (await tx.execute(_LIVE, {"id": offer_id})).scalars().all()
    if live:
        raise CapacityInUse(tuple(live))
    await tx.execute(_CLOSE, {"id": offer_id})
    await staffing.release_offer(tx, offer_id)
    await events.record(tx, "offer.closed", offer_id, [organization_id])


async def verify(tx: AsyncConnection, offer_id: UUID, organization_id: UUID) -> None:
    """Say that an offer is still true. Raises `NotFound`, or `Conflict` when it is closed."""
    before = await _lock(tx, offer_id, organization_id, None)
    if before.state is OfferState.CLOSED:
        raise Conflict("offer_is_closed", before.state)
    await tx.execute(_VERIFY, {"id": offer_id})
    await tx.execute(_NEWS, {"id": offer_id})
    await events.record(tx, "offer.verified", offer_id, [organization_id])


def facts_of(row: Row[tuple[object, ...]]) -> OfferFacts:
    """A row of the table as facts, whatever else stands in it."""
    values = row._mapping
    return OfferFacts(
        id=values["id"],
        site_id=values["site_id"],
        organization_id=values["organization_id"],
        town_id=values["town_id"],
        cell=Cell(values["cell"]),
        is_public=values["is_public"],
        terms=OfferTerms(
            category=values["category"],
            capacity=values["capacity"],
            audience=frozenset(Audience(word) for word in values["audience"]),
            provides=frozenset(values["provides"]),
            confirmation=Confirmation(values["confirmation"]),
            confirm_within_minutes=values["confirm_within_minutes"],
            first_day=values["first_day"],
            last_day=values["last_day"],
            timezone=values["timezone"],
            opens=values["opens"],
            closes=values["closes"],
            rrule=values["rrule"],
            slot_minutes=values["slot_minutes"],
            party_max=values["party_max"],
            nights_max=values["nights_max"],
            arrive_by=values["arrive_by"],
            release_no_shows=values["release_no_shows"],
            language=language_of(values["teaches"], values["level"]),
        ),
        state=OfferState(values["state"]),
        verified_at=values["verified_at"],
        created_at=values["created_at"],
        version=values["version"],
    )


async def _checked(
    tx: AsyncConnection, which: TextClause, organization_id: UUID, site_id: UUID, terms: OfferTerms
) -> tuple[Row[tuple[object, ...]], OfferTerms, tuple[Session, ...]]:
    """The site, the terms with their time zone, and the slots that they make. Raises `Invalid`."""
    coverage = await _coverage(tx, terms.category)
    site = (await tx.execute(which, {"site_id": site_id, "organization": organization_id})).one_or_none()
    if site is None:
        raise Invalid.one("/site_id", "unknown_site")
    complete = terms if terms.timezone else replace(terms, timezone=site.timezone)
    return site, complete, check(complete, coverage, _countries(site), site.now)


async def _set_state(tx: AsyncConnection, offer_id: UUID, organization_id: UUID, to: OfferState, event: str) -> bool:
    before = await _lock(tx, offer_id, organization_id, None)
    if before.state is OfferState.CLOSED:
        raise Conflict("offer_is_closed", before.state)
    if before.state is to:
        return False
    await tx.execute(_SET_STATE, {"id": offer_id, "state": to})
    await events.record(tx, event, offer_id, [organization_id])
    return True


async def _lock(tx: AsyncConnection, offer_id: UUID, organization_id: UUID, version: int | None) -> OfferFacts:
    current = (await tx.execute(_LOCK, {"id": offer_id, "organization": organization_id})).scalar_one_or_none()
    if current is None:
        raise NotFound
    if version not in (None, current):
        raise StaleVersion(current)
    return await read(tx, offer_id, organization_id, frozenset())


def _countries(town: Row[tuple[object, ...]]) -> tuple[str | None, ...]:
    """The country of a town, and the one whose clocks it keeps."""
    values = town._mapping
    return values["country"], country_of_zone(values["timezone"])


async def _coverage(tx: AsyncConnection, category: str) -> Coverage:
    found = (await tx.execute(_COVERAGE, {"category": category})).scalar_one_or_none()
    if found is None:
        raise Invalid.one("/category", "unknown_category")
    return Coverage(found)


def _columns(offer_id: UUID, terms: OfferTerms) -> dict[str, object]:
    return {
        "id": offer_id,
        "capacity": terms.capacity,
        "audience": sorted(terms.audience),
        "provides": sorted(terms.provides),
        "confirmation": terms.confirmation,
        "confirm_within_minutes": terms.confirm_within_minutes,
        "first_day": terms.first_day,
        "last_day": terms.last_day,
        "timezone": terms.timezone,
        "opens": terms.opens,
        "closes": terms.closes,
        "rrule": terms.rrule,
        "slot_minutes": terms.slot_minutes,
        "party_max": terms.party_max,
        "nights_max": terms.nights_max,
        "arrive_by": terms.arrive_by,
        "release_no_shows": terms.release_no_shows,
        "teaches": terms.language.teaches if terms.language else None,
        "level": terms.language.level if terms.language else None,
    }
