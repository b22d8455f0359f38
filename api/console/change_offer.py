"""Changing an offer: how many, for whom, when, and who is asked before somebody comes; what kind of help it is stays.

Nobody loses a place by it: where somebody has one in what would go, nothing is changed and that is told. What no form
can say (interpreters, rules such as every second week, the time zone) stays as it is.
"""

from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response

from api.console.cards import wish_words
from api.console.checking import Flawed, changed
from api.console.houses import category_words
from api.console.offer_form import TAUGHT, OfferDraft, offer_words
from api.console.pages import HOUSES, page
from api.console.revising import revise, unchanged_since
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from api.offers import OfferPatch
from api.wording import say
from db import boards, offers, sites, towns
from db.offers import OfferFacts
from matching import bounds
from matching.offering import OfferTerms
from matching.vocabulary import ACCESS, PROTECTIVE, Coverage

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_SHOWN: Final = ACCESS | PROTECTIVE


@router.get("/console/offers/{offer_id}/change")
async def ask_for_change(offer_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The form, as the offer stands."""
    offer = await offers.read(visit.tx, offer_id, visit.who.organization_id, frozenset())
    return await _asked(request, visit, offer, OfferDraft.of_offer(offer.terms))


@router.post("/console/offers/{offer_id}/change")
async def change_offer(offer_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Change it, and go to the houses; or say what stands in the way, and ask again."""
    own = visit.who.organization_id
    offer = await offers.read(visit.tx, offer_id, own, frozenset())
    draft = _draft(visit, offer)

    async def afresh(status: int, wrong: Flawed) -> Response:
        now = await offers.read(visit.tx, offer_id, own, frozenset())
        return await _asked(request, visit, now, OfferDraft.of_offer(now.terms), status, wrong)

    ask = partial(_asked, request, visit, offer, draft)
    return await revise(visit, offer_id, lambda: _change(visit, offer, draft), ask, afresh)


def _draft(visit: Visit, offer: OfferFacts) -> OfferDraft:
    """What the form says, of the kind of help that it is, and on the days that no form can say."""
    before = OfferDraft.of_offer(offer.terms)
    said = OfferDraft.of(visit.form, {}, _taught(offer.terms))
    return replace(said, category=before.category, days=None if before.days is None else said.days)


async def _change(visit: Visit, offer: OfferFacts, draft: OfferDraft) -> str:
    version = unchanged_since(visit, offer.version)
    coverage = (await boards.categories(visit.tx)).get(offer.terms.category)
    patch = changed(OfferPatch, _changes(offer.terms, draft, coverage))
    await offers.change(visit.tx, offer.id, visit.who.organization_id, version, patch.applied_to)
    return HOUSES


def _changes(terms: OfferTerms, draft: OfferDraft, coverage: Coverage | None) -> dict[str, object]:
    """What the form says otherwise than the offer is."""
    before = OfferDraft.of_offer(terms).requested(coverage)
    changes = {name: value for name, value in draft.requested(coverage).items() if value != before[name]}
    if "provides" in changes:
        changes["provides"] = sorted((terms.provides - _SHOWN) | draft.wishes)
    return changes


def _taught(terms: OfferTerms) -> tuple[str, ...]:
    """Languages to choose from; the one that is taught already stays among them."""
    teaches = terms.language.teaches if terms.language else None
    return (*TAUGHT, teaches) if teaches and teaches not in TAUGHT else TAUGHT


async def _other_clock(visit: Visit, offer: OfferFacts) -> list[str]:
    """That the times are not those of the town, where it is so."""
    zone, town = offer.terms.timezone, await towns.get(visit.tx, offer.town_id)
    return [] if zone == town.timezone else [say("console.offer.change.clock", visit.language, zone=zone)]


async def _asked(
    request: Request, visit: Visit, offer: OfferFacts, draft: OfferDraft, status: int = 200, wrong: Flawed | None = None
) -> Response:
    terms, language = offer.terms, visit.language
    site = await sites.read(visit.tx, offer.site_id, visit.who.organization_id)
    coverage = (await boards.categories(visit.tx)).get(terms.category)
    return await page(
        request,
        "change_offer",
        status=status,
        site=site.terms.name,
        title=category_words(terms.category, terms.language.teaches if terms.language else None, language),
        version=offer.version,
        kept=[*wish_words(terms.provides - _SHOWN, language), *await _other_clock(visit, offer)],
        rule=terms.rrule,
        form=uuid4().hex,
        asked=draft,
        flawed=wrong or {},
        bounds=bounds,
        **offer_words(language, coverage, _taught(terms)),
    )
