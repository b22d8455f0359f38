"""Changing a house: what it is called, what it is and in which town, what is there, and who may learn where it is.

Where it is exactly is told on a page of its own (`api.console.describing`). Only of a house at which people are to be
met elsewhere from now on, or that goes to another town, the way is asked for here: until then people would be told
none, or the one to the old door.
"""

from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response

from api.console.asking import Choices, read_choices
from api.console.cards import wish_words
from api.console.checking import Flawed, changed
from api.console.describing import MAY_ASK_WHERE, way_in
from api.console.forms import Form
from api.console.house_form import HouseDraft, house_words
from api.console.pages import HOUSES, page
from api.console.revising import revise, unchanged_since
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from api.sites import SitePatch
from db import locations, sites
from db.sites import SiteFacts
from matching import bounds
from matching.vocabulary import ACCESS, PROTECTIVE, SKILLS, Visibility

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_SHOWN: Final = ACCESS | PROTECTIVE


@router.get(f"{HOUSES}/{{site_id}}/change")
async def ask_for_change(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The form, as the house stands."""
    site = await sites.read(visit.tx, site_id, visit.who.organization_id)
    return await _asked(request, visit, site, HouseDraft.of_house(site.terms))


@router.post(f"{HOUSES}/{{site_id}}/change")
async def change_house(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Change it, or look for a town; or say what stands in the way, and ask again."""
    own = visit.who.organization_id
    site = await sites.read(visit.tx, site_id, own)
    draft = HouseDraft.of(visit.form, _skills(site))
    if visit.form.seeks:
        return await _asked(request, visit, site, draft)

    async def afresh(status: int, wrong: Flawed) -> Response:
        now = await sites.read(visit.tx, site_id, own)
        unread = replace(visit, form=Form({}))
        return await _asked(request, unread, now, HouseDraft.of_house(now.terms), status, wrong)

    ask = partial(_asked, request, visit, site, draft)
    return await revise(visit, site_id, lambda: _change(visit, site, draft), ask, afresh)


async def _change(visit: Visit, site: SiteFacts, draft: HouseDraft) -> str:
    """Where to go on, once all of it is changed, with the way where that is to be told anew."""
    own, keys = visit.who.organization_id, (visit.house.vault, visit.house.tombstone_key)
    version = unchanged_since(visit, site.version)
    choices = await read_choices(visit, site.terms.town_id)
    patch = changed(SitePatch, _changes(site, draft, choices))
    told_way = None
    if await _is_to_say_where(visit, site, draft, choices):
        # What is no choice of ours is refused with the other terms.
        visibility = Visibility(draft.visibility) if draft.visibility else site.terms.visibility
        told_way = way_in(visit.form, visibility)
    place = told_way.place if told_way else None
    write = sites.change if patch.town is None else sites.move
    await write(visit.tx, site.id, own, version, patch.applied_to, place, *keys)
    if told_way and told_way.address:
        await sites.set_address(visit.tx, site.id, own, None, told_way.address, *keys)
    return HOUSES


def _changes(site: SiteFacts, draft: HouseDraft, choices: Choices) -> dict[str, object]:
    """What the form says otherwise than the house is."""
    terms, before = site.terms, HouseDraft.of_house(site.terms)
    changes: dict[str, object] = {}
    for name in ("name", "kind", "visibility"):
        if getattr(draft, name) != getattr(before, name):
            changes[name] = getattr(draft, name)
    if choices.town is not None and choices.town.id != terms.town_id:
        changes["town"] = choices.town.id
    if draft.wishes != before.wishes:
        changes["provides"] = sorted((terms.provides - _SHOWN) | draft.wishes)
    if draft.staffing != before.staffing:
        changes["staffing"] = None if _lets_volunteers_go(before, draft) else draft.staffing
    return changes


def _lets_volunteers_go(before: HouseDraft, now: HouseDraft) -> bool:
    """Whether none are needed any more; numbers that stood there already say nothing against it."""
    return not now.skill and (now.each, now.minimum) == (before.each, before.minimum)


async def _is_to_say_where(visit: Visit, site: SiteFacts, draft: HouseDraft, choices: Choices) -> bool:
    """Whether what was told of the way, if anything, would be wrong from now on, or say nowhere to meet."""
    if _goes_to_another_town(site, choices) and await locations.is_told(visit.tx, site.id):
        return True
    if draft.visibility != Visibility.RENDEZVOUS or site.terms.visibility is Visibility.RENDEZVOUS:
        return False
    return not site.has_address or bool(await locations.met_nowhere(visit.tx, [site.id], visit.house.vault))


def _goes_to_another_town(site: SiteFacts, choices: Choices) -> bool:
    return choices.town is not None and choices.town.id != site.terms.town_id


def _skills(site: SiteFacts) -> frozenset[str]:
    """What volunteers may be asked for; what the house asks for already stays among it."""
    return SKILLS | ({site.terms.staffing.skill} if site.terms.staffing else frozenset())


async def _asked(
    request: Request, visit: Visit, site: SiteFacts, draft: HouseDraft, status: int = 200, wrong: Flawed | None = None
) -> Response:
    choices = await read_choices(visit, site.terms.town_id)
    answer = await page(
        request,
        "change_house",
        status=status,
        site=site,
        version=visit.form.whole("version") if visit.form.seeks else site.version,
        kept=wish_words(site.terms.provides - _SHOWN, visit.language),
        asks_where=await _is_to_say_where(visit, site, draft, choices),
        moves=_goes_to_another_town(site, choices),
        choices=choices,
        find=visit.form.seeks,
        form=uuid4().hex,
        asked=draft,
        flawed=wrong or {},
        bounds=bounds,
        **house_words(visit.language, _skills(site)),
    )
    answer.headers.update(MAY_ASK_WHERE)
    return answer
