"""The houses of an organization and what each of them gives; whether an offer takes people now, and whether it is true.

Where a house is exactly is not among it: that is shown to the two sides of a confirmed stay, in its time.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.cards import party_words, wish_words
from api.console.pages import HOUSES, page
from api.console.schedules import days_words, hours_words
from api.console.visits import ConsoleRoute, ReadsHouses, Visit, WritesHouses, gone_to
from api.lists import After, cursor_of
from api.moments import day, language_name, skill_name
from api.wording import knows, say
from db import boards, locations, offers, policies, sites, towns
from db.keys import Scope
from db.offers import OfferFacts
from db.sites import SiteFacts
from matching.states import OfferState
from matching.vocabulary import Confirmation, SiteKind, Visibility

__all__ = ["OfferCard", "category_words", "offer_card", "router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_MOST_SITES: Final = 100
"""On a page; the others are on further pages."""
_MOST_OFFERS: Final = 2000
Act = Callable[[AsyncConnection, UUID, UUID], Awaitable[None]]
"""What an organization does to an offer or a site of its own."""


@dataclass(frozen=True, slots=True)
class OfferCard:
    """One kind of help at a house."""

    id: UUID
    category: str
    title: str
    state: OfferState
    facts: list[str]
    wishes: list[str]
    verified: str
    stale: bool
    """Whether nobody is sent there any more, so long ago was it said to be true."""


@dataclass(frozen=True, slots=True)
class SiteCard:
    """A house."""

    id: UUID
    name: str
    town: str
    facts: list[str]
    wishes: list[str]
    missing: list[str]
    to_visit: bool
    offers: list[OfferCard]


@dataclass(frozen=True, slots=True)
class _Ending:
    """What somebody is asked about once more before it is ended."""

    title: str
    counts: str
    times: str


@router.get(HOUSES)
async def list_houses(request: Request, visit: ReadsHouses, after: After) -> Response:
    """All houses with their offers, but for those that are closed for good or over."""
    own = visit.who.organization_id
    found = await sites.page(visit.tx, own, after, _MOST_SITES)
    given = await offers.given_at(visit.tx, own, [each.id for each in found.items], _MOST_OFFERS)
    names = await towns.names(visit.tx, [each.terms.town_id for each in found.items])
    nowhere = await _met_nowhere(visit, found.items)
    now, policy = await boards.clock(visit.tx), await policies.in_force(visit.tx)
    cards = [
        _site_card(
            each,
            names[each.terms.town_id],
            [
                offer_card(one, visit.language, stale=policy.finds_stale(one.verified_at, now))
                for one in given.items
                if one.site_id == each.id
            ],
            each.id in nowhere,
            visit.language,
        )
        for each in found.items
    ]
    return await page(
        request,
        "houses",
        houses=cards,
        may_write=Scope.OFFERS_WRITE in visit.who.scopes,
        further=cursor_of(found.next),
        more_offers=given.next is not None,
    )


async def _met_nowhere(visit: Visit, found: Sequence[SiteFacts]) -> set[UUID]:
    """Houses to which nobody could be told the way: people are met elsewhere, and it was not said where."""
    elsewhere = [each.id for each in found if each.terms.visibility is Visibility.RENDEZVOUS and each.has_address]
    return await locations.met_nowhere(visit.tx, elsewhere, visit.house.vault)


@router.post(f"{HOUSES}/{{site_id}}/vet")
async def vet_house(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The organization has visited this home, once it is said for sure: it is proposed from now on."""
    if visit.form.first("sure"):
        return await _done(visit, site_id, sites.vet)
    site = await sites.read(visit.tx, site_id, visit.who.organization_id)
    town = await towns.get(visit.tx, site.terms.town_id)
    card = _Ending(site.terms.name, say(f"console.kind.{site.terms.kind}", visit.language), town.name)
    return await page(request, "sure", question="console.house.vet.sure", card=card, answer={}, back=HOUSES)


@router.post("/console/offers/{offer_id}/pause")
async def pause_offer(offer_id: UUID, visit: WritesHouses) -> Response:
    """Take nobody new for now."""
    return await _done(visit, offer_id, offers.pause)


@router.post("/console/offers/{offer_id}/resume")
async def resume_offer(offer_id: UUID, visit: WritesHouses) -> Response:
    """Take people again."""
    return await _done(visit, offer_id, offers.resume)


@router.post("/console/offers/{offer_id}/verify")
async def verify_offer(offer_id: UUID, visit: WritesHouses) -> Response:
    """It is still true."""
    return await _done(visit, offer_id, offers.verify)


@router.post("/console/offers/{offer_id}/close")
async def close_offer(offer_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """End it for good, once it is said for sure and nobody has a place in it."""
    if visit.form.first("sure"):
        return await _done(visit, offer_id, offers.close)
    offer = await offers.read(visit.tx, offer_id, visit.who.organization_id, frozenset())
    site = await sites.read(visit.tx, offer.site_id, visit.who.organization_id)
    card = offer_card(offer, visit.language)
    ending = _Ending(card.title, site.terms.name, hours_words(offer.terms.opens, offer.terms.closes, visit.language))
    return await page(request, "sure", question="console.offer.close.sure", card=ending, answer={}, back=HOUSES)


def offer_card(offer: OfferFacts, language: str, *, stale: bool = False) -> OfferCard:
    """An offer in words."""
    terms = offer.terms
    reserved = party_words(terms.audience, language)
    facts = [
        say("console.offer.capacity", language, count=terms.capacity),
        days_words(terms.first_day, terms.last_day, terms.rrule, language),
        hours_words(terms.opens, terms.closes, language),
        ", ".join(reserved) if reserved else say("console.audience.anyone", language),
        say("console.confirmation.standing", language)
        if terms.confirmation is Confirmation.STANDING
        else say("console.offer.answer", language, minutes=terms.confirm_within_minutes),
    ]
    return OfferCard(
        id=offer.id,
        category=terms.category,
        title=category_words(terms.category, terms.language.teaches if terms.language else None, language),
        state=offer.state,
        facts=facts,
        wishes=wish_words(terms.provides, language),
        verified=say("console.offer.verified", language, day=day(offer.verified_at.date(), language)),
        stale=stale,
    )


def category_words(category: str, teaches: str | None, language: str) -> str:
    """A kind of help, and of a class its language."""
    key = f"slip.category.{category}"
    named = say(key, language) if knows(key) else category
    return f"{named}: {language_name(teaches, language)}" if teaches else named


def _site_card(site: SiteFacts, town: str, given: list[OfferCard], nowhere: bool, language: str) -> SiteCard:  # noqa: FBT001 - what it tells
    terms, staffing = site.terms, site.terms.staffing
    to_visit = terms.kind is SiteKind.PRIVATE_HOME and site.vetted_at is None
    missing = [
        ("console.house.no_address", not site.has_address),
        ("console.house.no_meeting_point", nowhere),
        ("console.house.to_visit", to_visit),
    ]
    facts = [say(f"console.kind.{terms.kind}", language), say(f"console.visibility.{terms.visibility}", language)]
    if staffing:
        facts.append(
            say(
                "console.house.staffing",
                language,
                skill=skill_name(staffing.skill, language),
                each=staffing.people_per_volunteer,
                minimum=staffing.minimum,
            )
        )
    return SiteCard(
        id=site.id,
        name=terms.name,
        town=town,
        facts=facts,
        wishes=wish_words(terms.provides, language),
        missing=[say(key, language) for key, is_so in missing if is_so],
        to_visit=to_visit,
        offers=given,
    )


async def _done(visit: Visit, object_id: UUID, act: Act) -> Response:
    await act(visit.tx, object_id, visit.who.organization_id)
    visit.note(object_id)
    visit.ring()
    return gone_to(HOUSES)
