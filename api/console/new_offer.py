"""Adding an offer to a house: what and how many, for whom, when, and who is asked before somebody comes."""

from functools import partial
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.asking import Named
from api.console.checking import flawed
from api.console.guided import Guide
from api.console.houses import category_words
from api.console.offer_form import OfferDraft, offer_words
from api.console.pages import HOUSES, page
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from db import boards, offers, sites, towns
from db.sites import SiteFacts
from matching import bounds
from matching.offering import OfferTerms
from matching.refusals import Invalid

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_GUIDE: Final = Guide(
    {
        "what": ("category", "capacity"),
        "who": ("audience", "wish", "provides", "party_max", "nights_max"),
        "when": (
            *("first_day", "last_day", "opens", "closes", "days", "timezone"),
            *("slot_minutes", "arrive_by", "release_no_shows", "teaches", "level", "language"),
        ),
        "how": ("confirmation", "confirm_within_minutes"),
    }
)


@router.get(f"{HOUSES}/{{site_id}}/offers/new")
async def ask_for_offer(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The first step."""
    site = await sites.read(visit.tx, site_id, visit.who.organization_id)
    draft = OfferDraft.of(visit.form, await boards.categories(visit.tx))
    return await _asked(request, visit, site, draft, _GUIDE.first)


@router.post(f"{HOUSES}/{{site_id}}/offers/new")
async def add_offer(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """One step; after the last one the offer is opened."""
    own = visit.who.organization_id
    site = await sites.read(visit.tx, site_id, own)
    categories = await boards.categories(visit.tx)
    draft = OfferDraft.of(visit.form, categories)
    coverage = categories.get(draft.category)
    return await _GUIDE.walk(
        visit.form,
        partial(_asked, request, visit, site, draft),
        lambda: offers.check_new(visit.tx, own, site_id, draft.terms(site_id, coverage)),
        lambda: _add(visit, site_id, draft.terms(site_id, coverage)),
    )


async def _add(visit: Visit, site_id: UUID, terms: OfferTerms) -> str:
    async def act() -> str:
        offer_id = await offers.add(visit.tx, visit.who.organization_id, site_id, terms, visit.house.tie_key)
        visit.note(offer_id)
        visit.ring()
        return f"/console/offers/{offer_id}"

    return await visit.once(act)


async def _asked(
    request: Request, visit: Visit, site: SiteFacts, draft: OfferDraft, step: str, invalid: Invalid | None = None
) -> Response:
    language = visit.language
    categories = await boards.categories(visit.tx)
    coverage = categories.get(draft.category)
    town = await towns.get(visit.tx, site.terms.town_id)
    today = (await boards.clock(visit.tx)).astimezone(ZoneInfo(town.timezone)).date()
    return await page(
        request,
        "new_offer",
        status=422 if invalid else 200,
        site=site.terms.name,
        asked=draft,
        flawed=flawed(invalid.flaws, language) if invalid else {},
        categories=[Named(code, category_words(code, None, language)) for code in sorted(categories)],
        today=today.isoformat(),
        **offer_words(language, coverage),
        bounds=bounds,
        **_GUIDE.facts(step, draft.said()),
    )
