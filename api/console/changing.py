"""Changing a need: who they are, when, and what they need. Their place is kept by it, or nothing changes.

What is sent is what the form says otherwise than the page told; a need that somebody changed meanwhile is told as it
stands now, and is not overwritten.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.asking import FIRST_WISHES, MORE_WISHES, PARTIES, Asked, Named
from api.console.checking import Flawed, changed
from api.console.forms import NOT_UNDERSTOOD, Form
from api.console.pages import HOME, page
from api.console.revising import revise, unchanged_since
from api.console.visits import ConsoleRoute, Posts, Visit
from api.moments import country
from api.needs import MOST_PEOPLE, NeedPatch
from api.wording import say
from db import boards, stays, towns
from db.boards import OnBoard
from matching.bounds import WAY_KM
from matching.posting import NeedTerms
from matching.refusals import NotFound
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Urgency

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_SHOWN: Final = ACCESS | PROTECTIVE
_MINUTE: Final = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class _Said:
    """A need as its form has it: as it stands, or as it is to be."""

    asked: Asked
    starts: str
    ends: str
    max_km: int | None

    @classmethod
    def of_need(cls, terms: NeedTerms, zone: ZoneInfo) -> "_Said":
        return cls(
            Asked(
                category=terms.category,
                adults=terms.people.adults,
                minors=terms.people.minors,
                urgency=terms.urgency,
                parties=frozenset(map(str, terms.audience - {Audience.ANYONE})),
                wishes=terms.requires & _SHOWN,
                countries=terms.countries,
                divisible=terms.divisible,
            ),
            terms.starts.astimezone(zone).strftime(_MINUTE),
            terms.ends.astimezone(zone).strftime(_MINUTE),
            terms.max_km,
        )

    @classmethod
    def of_form(cls, form: Form) -> "_Said":
        return cls(Asked.of(form), form.minute("from"), form.minute("until"), form.whole("max_km"))


@dataclass(frozen=True, slots=True)
class _Choices:
    """What there is to choose from."""

    parties: tuple[Audience, ...]
    countries: list[Named]


@router.get("/console/needs/{need_id}/change")
async def ask_for_change(need_id: UUID, request: Request, visit: Posts) -> Response:
    """The form, as the need stands."""
    found = await _found(visit, need_id)
    return await _asked(request, visit, found, _Said.of_need(found.need.terms, found.zone))


@router.post("/console/needs/{need_id}/change")
async def change_need(need_id: UUID, request: Request, visit: Posts) -> Response:
    """Change it and go to its page; or say what stands in the way, and ask again."""
    found = await _found(visit, need_id)
    said = _Said.of_form(visit.form)

    async def afresh(status: int, wrong: Flawed) -> Response:
        now = await _found(visit, need_id)
        return await _asked(request, visit, now, _Said.of_need(now.need.terms, now.zone), status, wrong)

    ask = partial(_asked, request, visit, found, said)
    return await revise(visit, need_id, lambda: _change(visit, found, said), ask, afresh, "console.change.meanwhile")


async def _change(visit: Visit, found: OnBoard, said: _Said) -> str:
    need = found.need
    version = unchanged_since(visit, need.version)
    offered = {each.value for each in await _abroad(visit, found)}
    terms = _patch(found, said, offered).applied_to(need.terms)
    await stays.change(visit.tx, need.id, visit.who.organization_id, version, terms)
    return f"{HOME}/needs/{need.id}"


def _patch(found: OnBoard, said: _Said, offered: set[str]) -> NeedPatch:
    """What the form says otherwise than the need is. Raises `Invalid`."""
    terms, before, now = found.need.terms, _Said.of_need(found.need.terms, found.zone), said.asked
    # A step of a pathway stays its party's.
    changes = _of_party(now, before.asked) if found.need.pathway_id is None else {}
    for name, told_before, told_now in (("from", before.starts, said.starts), ("until", before.ends, said.ends)):
        if told_now != told_before:
            changes[name] = _instant(told_now, found.zone)
    if now.urgency != before.asked.urgency:
        changes["urgency"] = now.urgency
    if now.wishes != before.asked.wishes:
        changes["requires"] = sorted((terms.requires - _SHOWN) | now.wishes)
    if now.countries & offered != terms.countries & offered:
        changes["countries"] = sorted((terms.countries - offered) | (now.countries & offered))
    if said.max_km != before.max_km:
        changes["max_km"] = said.max_km
    return changed(NeedPatch, changes)


def _of_party(now: Asked, before: Asked) -> dict[str, object]:
    changes: dict[str, object] = {}
    if (now.adults, now.minors) != (before.adults, before.minors):
        changes["people"] = {"adults": now.adults, "minors": now.minors}
    if now.parties != before.parties:
        changes["audience"] = sorted(now.parties) or [Audience.ANYONE]
    if now.divisible != before.divisible:
        changes["divisible"] = now.divisible
    return changes


def _instant(written: str, zone: ZoneInfo) -> str:
    try:
        return datetime.fromisoformat(written).replace(tzinfo=zone).isoformat()
    except ValueError:
        return NOT_UNDERSTOOD


async def _found(visit: Visit, need_id: UUID) -> OnBoard:
    found = await boards.need_of(visit.tx, need_id, visit.who.organization_id)
    if found is None:
        raise NotFound
    return found


async def _abroad(visit: Visit, found: OnBoard) -> list[Named]:
    """Countries beside the town's own into which they may agree to go, and those that they agreed to."""
    town = await towns.get(visit.tx, found.need.terms.town_id)
    around = await towns.countries_around(visit.tx, town.point) | found.need.terms.countries
    return [Named(code, country(code, visit.language)) for code in sorted(around - {town.country})]


async def _asked(
    request: Request, visit: Visit, found: OnBoard, said: _Said, status: int = 200, wrong: Flawed | None = None
) -> Response:
    return await page(
        request,
        "change",
        status=status,
        need_id=found.need.id,
        version=found.need.version,
        title=say("slip.people", visit.language, count=found.need.terms.people.count),
        town=found.town,
        fixed_party=found.need.pathway_id is not None,
        said=said,
        asked=said.asked,
        choices=_Choices(PARTIES, await _abroad(visit, found)),
        form=uuid4().hex,
        flawed=wrong or {},
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        urgencies=(Urgency.NORMAL, Urgency.HIGH, Urgency.VITAL),
        most_people=MOST_PEOPLE,
        way=WAY_KM,
    )
