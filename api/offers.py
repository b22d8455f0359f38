"""Offers: what is given where, when and to whom.

The provider sees all of its offers; a coordination sees those of its towns, by cell, so that it knows what there
is without learning where it stands.
"""

from collections.abc import Awaitable, Callable
from dataclasses import fields
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.authorization import Caller, ReadsOffers, WritesOffers
from api.filters import OfCategory, OfTown
from api.house import TheHouse
from api.languages import LanguageWire
from api.lists import After, Limit, Listed, listed
from api.problems import problems
from api.sites import CellText, Provisions
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import CategoryCode, Instant, LocalTime, TimezoneName, TownId, Wire, emptied
from db import offers
from db.offers import Filter, OfferFacts
from geo.cells import cell_text
from matching.bounds import CAPACITY, CONFIRM_MINUTES, NIGHTS_MAX, PARTY_MAX, RECURRENCE_CHARACTERS, SLOT_MINUTES
from matching.offering import OfferTerms
from matching.states import OfferState
from matching.vocabulary import Audience, Confirmation, OrganizationKind

__all__ = ["Recurrence", "router", "seen_towns"]

router = APIRouter(prefix="/v1/offers", tags=["offers"], route_class=TransactionalRoute)
Reserved = Annotated[list[Audience], Field(min_length=1, max_length=5)]
Capacity = Annotated[int, Field(ge=CAPACITY.least, le=CAPACITY.most)]
Minutes = Annotated[int, Field(ge=CONFIRM_MINUTES.least, le=CONFIRM_MINUTES.most)]
PartyMax = Annotated[int, Field(ge=PARTY_MAX.least, le=PARTY_MAX.most)]
NightsMax = Annotated[
    int,
    Field(ge=NIGHTS_MAX.least, le=NIGHTS_MAX.most, description="Nights of one stay, those slept already among them."),
]
SlotMinutes = Annotated[int, Field(ge=SLOT_MINUTES.least, le=SLOT_MINUTES.most)]
Recurrence = Annotated[str, Field(min_length=1, max_length=RECURRENCE_CHARACTERS, examples=["FREQ=WEEKLY;BYDAY=TU,TH"])]
Act = Callable[[AsyncConnection, UUID, UUID], Awaitable[None]]
"""What an organization does to an offer of its own."""


class OfferIn(Wire):
    """One kind of help at a site."""

    site_id: UUID
    category: CategoryCode
    capacity: Capacity
    audience: Reserved = Field(default_factory=lambda: [Audience.ANYONE])
    provides: Provisions = Field(default_factory=list)
    confirmation: Confirmation = Confirmation.EACH
    confirm_within_minutes: Minutes = 60
    first_day: date
    last_day: date
    timezone: TimezoneName | None = None
    opens: LocalTime
    closes: LocalTime
    rrule: Recurrence = "FREQ=DAILY"
    slot_minutes: SlotMinutes | None = None
    party_max: PartyMax | None = None
    nights_max: NightsMax | None = None
    arrive_by: LocalTime | None = None
    release_no_shows: bool = False
    language: LanguageWire | None = None

    def terms(self) -> OfferTerms:
        """The offer as the domain knows it."""
        said: dict[str, Any] = {name: _term(self, name) for name in _TERMS}
        return OfferTerms(**said | {"timezone": self.timezone or ""})


class OfferPatch(Wire):
    """What may change of an offer; what is left out stays as it is."""

    capacity: Capacity | None = None
    audience: Reserved | None = None
    provides: Provisions | None = None
    confirmation: Confirmation | None = None
    confirm_within_minutes: Minutes | None = None
    first_day: date | None = None
    last_day: date | None = None
    timezone: TimezoneName | None = None
    opens: LocalTime | None = None
    closes: LocalTime | None = None
    rrule: Recurrence | None = None
    slot_minutes: SlotMinutes | None = None
    party_max: PartyMax | None = None
    nights_max: NightsMax | None = None
    arrive_by: LocalTime | None = None
    release_no_shows: bool | None = None
    language: LanguageWire | None = None

    def applied_to(self, terms: OfferTerms) -> OfferTerms:
        """The offer's terms with the changes. Raises `Invalid` where what must be there is set to null."""
        emptied(self, may_be_null=_MAY_BE_NULL)
        said: dict[str, Any] = {
            name: _term(self, name) if name in self.model_fields_set else getattr(terms, name) for name in _TERMS
        }
        return OfferTerms(**said)


_TERMS = tuple(field.name for field in fields(OfferTerms))
_MAY_BE_NULL = frozenset({"slot_minutes", "party_max", "nights_max", "arrive_by", "language"})


class OfferOut(Wire):
    """An offer. Its site is named to its owner, and to others only where it is public; a home never is."""

    id: UUID
    site_id: UUID | None
    town: TownId
    cell: CellText
    category: CategoryCode
    capacity: Annotated[int, Field(ge=0, le=10_000)]
    audience: Reserved
    provides: Provisions
    confirmation: Confirmation
    confirm_within_minutes: Minutes
    first_day: date
    last_day: date
    timezone: TimezoneName
    opens: LocalTime
    closes: LocalTime
    rrule: Recurrence
    slot_minutes: SlotMinutes | None
    party_max: PartyMax | None
    nights_max: NightsMax | None
    arrive_by: LocalTime | None
    release_no_shows: bool
    language: LanguageWire | None
    state: OfferState
    verified_at: Instant
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: OfferFacts, who: Caller) -> "OfferOut":
        """Render one offer for its reader."""
        terms = facts.terms
        said: dict[str, Any] = {name: getattr(terms, name) for name in _TERMS}
        own = facts.organization_id == who.organization_id
        return cls(
            **said
            | {
                "audience": sorted(terms.audience),
                "provides": sorted(terms.provides),
                "language": LanguageWire.of(terms.language),
            },
            id=facts.id,
            site_id=facts.site_id if own or facts.is_public else None,
            town=facts.town_id,
            cell=cell_text(facts.cell),
            state=facts.state,
            verified_at=facts.verified_at,
            created_at=facts.created_at,
            version=facts.version,
        )


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def add_offer(body: OfferIn, who: WritesOffers, tx: Tx, reply: Reply, house: TheHouse) -> OfferOut:
    """Open an offer; open needs around it are looked at again at once."""
    offer_id = await offers.add(tx, who.organization_id, body.site_id, body.terms(), house.tie_key)
    reply.ring()
    reply.created(f"/v1/offers/{offer_id}")
    return await _offer(tx, who, offer_id, reply)


@router.get("", responses=problems(401, 403, 422))
async def list_offers(
    who: ReadsOffers,
    tx: Tx,
    after: After,
    category: OfCategory,
    town: OfTown,
    limit: Limit = 50,
    state: Annotated[OfferState | None, Query()] = None,
    site_id: Annotated[UUID | None, Query()] = None,
) -> Listed[OfferOut]:
    """The caller's own offers, and for a coordination those of its towns; oldest first."""
    which = Filter(category, state, town, site_id)
    page = await offers.page(tx, who.organization_id, seen_towns(who), which, after, limit)
    return listed(page, lambda facts: OfferOut.of(facts, who))


@router.get("/{offer_id}", responses=problems(401, 403, 404, 422))
async def read_offer(offer_id: UUID, who: ReadsOffers, tx: Tx, reply: Reply) -> OfferOut:
    """One offer."""
    return await _offer(tx, who, offer_id, reply)


@router.patch("/{offer_id}", responses=problems(401, 403, 404, 409, 412, 422, 428))
async def change_offer(
    offer_id: UUID, body: OfferPatch, who: WritesOffers, tx: Tx, reply: Reply, version: IfMatch
) -> OfferOut:
    """Change an offer. Its slots follow, but never from under people who have a place in them.

    Places of those who do not come are released from now on only once everybody whose hour is over is marked as
    arrived, no-show or released.
    """
    await offers.change(tx, offer_id, who.organization_id, version, body.applied_to)
    reply.ring()
    return await _offer(tx, who, offer_id, reply)


@router.post("/{offer_id}/pause", responses=problems(401, 403, 404, 409, 422))
async def pause(offer_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> OfferOut:
    """Take nobody new for now; who has a place keeps it."""
    return await _act(offers.pause, tx, reply, who, offer_id)


@router.post("/{offer_id}/resume", responses=problems(401, 403, 404, 409, 422))
async def resume(offer_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> OfferOut:
    """Take parties again."""
    return await _act(offers.resume, tx, reply, who, offer_id)


@router.post("/{offer_id}/close", responses=problems(401, 403, 404, 409, 422))
async def close(offer_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> OfferOut:
    """End an offer for good, once nobody has a place in it."""
    return await _act(offers.close, tx, reply, who, offer_id)


@router.post("/{offer_id}/verify", responses=problems(401, 403, 404, 409, 422))
async def verify(offer_id: UUID, who: WritesOffers, tx: Tx, reply: Reply) -> OfferOut:
    """Say that an offer is still true: one that nobody speaks for is not proposed any more after a while."""
    return await _act(offers.verify, tx, reply, who, offer_id)


def seen_towns(who: Caller) -> frozenset[int]:
    """Towns whose offers the caller sees beside its own."""
    return who.towns if who.kind is OrganizationKind.COORDINATION else frozenset()


async def _act(act: Act, tx: Tx, reply: Reply, who: Caller, offer_id: UUID) -> OfferOut:
    await act(tx, offer_id, who.organization_id)
    reply.ring()
    return await _offer(tx, who, offer_id, reply)


async def _offer(tx: Tx, who: Caller, offer_id: UUID, reply: Reply) -> OfferOut:
    facts = await offers.read(tx, offer_id, who.organization_id, seen_towns(who))
    reply.version(facts.version)
    return OfferOut.of(facts, who)


def _term(body: OfferIn | OfferPatch, name: str) -> Any:
    value = getattr(body, name)
    match value:
        case LanguageWire():
            return value.language()
        case list():
            return frozenset(value)
    return value
