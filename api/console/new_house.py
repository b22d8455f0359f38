"""Adding a house: what it is and in which town, what is there and who learns where it is, then the way to it.

The way is asked for last and sealed at once: no page shows it again, not even the form that it was wrong in.
"""

from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response

from api.console.asking import Choices, read_choices
from api.console.checking import flawed
from api.console.describing import MAY_ASK_WHERE, way_in
from api.console.guided import Guide
from api.console.house_form import HouseDraft, house_words
from api.console.pages import HOUSES, page
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from db import sites
from db.sites import SiteTerms
from matching import bounds
from matching.refusals import Invalid

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_GUIDE: Final = Guide(
    {
        "what": ("name", "kind", "town"),
        "there": ("wish", "provides", "visibility", "skill", "each", "minimum"),
        "where": ("address", "meeting_point", "point"),
    }
)


@router.get(f"{HOUSES}/new")
async def ask_for_house(request: Request, visit: WritesHouses) -> Response:
    """The first step."""
    return await _asked(request, visit, HouseDraft.of(visit.form), await read_choices(visit), _GUIDE.first)


@router.post(f"{HOUSES}/new")
async def add_house(request: Request, visit: WritesHouses) -> Response:
    """One step; after the last one the house is added."""
    draft, choices = HouseDraft.of(visit.form), await read_choices(visit)

    async def look() -> None:
        draft.terms(choices.town)

    return await _GUIDE.walk(
        visit.form,
        partial(_asked, request, visit, draft, choices),
        look,
        lambda: _add(visit, draft.terms(choices.town)),
    )


async def _add(visit: Visit, terms: SiteTerms) -> str:
    told = way_in(visit.form, terms.visibility)

    async def act() -> str:
        own, vault = visit.who.organization_id, visit.house.vault
        site_id = await sites.add(visit.tx, own, terms, told.place, vault)
        if told.address is not None:
            tombstones = visit.house.tombstone_key
            await sites.set_address(visit.tx, site_id, own, None, told.address, vault, tombstones)
        visit.note(site_id)
        return f"{HOUSES}/{site_id}/offers/new"

    return await visit.once(act)


async def _asked(
    request: Request, visit: Visit, draft: HouseDraft, choices: Choices, step: str, invalid: Invalid | None = None
) -> Response:
    answer = await page(
        request,
        "new_house",
        status=422 if invalid else 200,
        choices=choices,
        asked=draft,
        find=visit.form.seeks,
        flawed=flawed(invalid.flaws, visit.language) if invalid else {},
        bounds=bounds,
        **house_words(visit.language),
        **_GUIDE.facts(step, draft.said(choices.town)),
    )
    answer.headers.update(MAY_ASK_WHERE)
    return answer
