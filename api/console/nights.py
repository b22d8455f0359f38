"""The calendar of an offer: its nights or sessions of the next four weeks, how full each is, and how many it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request, Response

from api.console.checking import checked, flawed
from api.console.evenings import evening_of
from api.console.houses import offer_card
from api.console.pages import page
from api.console.visits import ConsoleRoute, ReadsHouses, Visit, WritesHouses, gone_to
from api.moments import clock, day
from api.problems import STATUS, told
from api.slots import SlotPatch
from api.wording import say
from db import boards, offers, sites, slots
from db.keys import Scope
from db.offers import OfferFacts
from db.slots import SlotFacts
from matching.bounds import CAPACITY_OF_A_NIGHT
from matching.refusals import CapacityInUse, Invalid, Refusal, StaleVersion
from matching.states import OfferState

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_WEEKS: Final = timedelta(weeks=4)
_MOST: Final = 60
"""Slots on a page, but for the rest of its last day: each is a form, and telephones are old."""
_MOST_IN_A_DAY: Final = 300
SlotId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class SlotLine:
    """A night or a session."""

    id: int
    times: str
    words: str
    staffed: str
    capacity: int
    used: int
    version: int
    wrong: str
    asked: int
    """What stands in its field: what was asked for last, or else how many it takes."""


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What was refused: of which slot, and why in words."""

    slot_id: int
    words: str
    status: int
    asked: int | None


@router.get("/console/offers/{offer_id}")
async def show_nights(offer_id: UUID, request: Request, visit: ReadsHouses) -> Response:
    """From today, or from a later day; the past is over."""
    return await _shown(request, visit, offer_id, None)


@router.post("/console/offers/{offer_id}/slots/{slot_id}")
async def change_night(offer_id: UUID, slot_id: SlotId, request: Request, visit: WritesHouses) -> Response:
    """Change how many one night takes, unless somebody changed it since the page was read; 0 closes it."""
    own, form = visit.who.organization_id, visit.form
    version = form.whole("version")
    try:
        capacity = checked(SlotPatch, {"capacity": form.whole("capacity")}).capacity
        await slots.change_capacity(visit.tx, offer_id, slot_id, own, -1 if version is None else version, capacity)
    except (CapacityInUse, StaleVersion, Invalid) as refusal:
        # Whoever reads that it stands otherwise by now is to answer to that, not to what was.
        asked = None if isinstance(refusal, StaleVersion) else form.whole("capacity")
        wrong = _Wrong(slot_id, _why(refusal, visit.language), STATUS[refusal.slug], asked)
        return await _shown(request, visit, offer_id, wrong)
    visit.note(offer_id)
    visit.ring()
    since = form.day("from")
    query = f"?from={since}" if _day_of(since) else ""
    return gone_to(f"/console/offers/{offer_id}{query}#slot-{slot_id}")


def _why(refusal: Refusal, language: str) -> str:
    match refusal:
        case StaleVersion():
            return say("console.night.changed", language)
        case Invalid(flaws=flaws):
            return " ".join(words for sentences in flawed(flaws, language).values() for words in sentences)
    return told(refusal, language)[0].detail


async def _shown(request: Request, visit: Visit, offer_id: UUID, wrong: _Wrong | None) -> Response:
    own, language = visit.who.organization_id, visit.language
    offer = await offers.read(visit.tx, offer_id, own, frozenset())
    site = await sites.read(visit.tx, offer.site_id, own)
    zone = ZoneInfo(offer.terms.timezone)
    today = evening_of(await boards.clock(visit.tx), zone)
    asked = _day_of(visit.form.day("from") or request.query_params.get("from", ""))
    since = max(min(asked or today, offer.terms.last_day), today)
    found, further = await _some(visit, offer, since)
    return await page(
        request,
        "nights",
        status=wrong.status if wrong else 200,
        site=site.terms.name,
        offer=offer_card(offer, language),
        days=[
            (day(each, language), [_line(slot, zone, language, wrong) for slot in several])
            for each, several in groupby(found, lambda slot: slot.day)
        ],
        since=since.isoformat() if since > today else "",
        bounds=CAPACITY_OF_A_NIGHT,
        further=further.isoformat() if further else "",
        may_write=Scope.OFFERS_WRITE in visit.who.scopes and offer.state is not OfferState.CLOSED,
    )


async def _some(visit: Visit, offer: OfferFacts, since: date) -> tuple[Sequence[SlotFacts], date | None]:
    """Whole days from one on, and where to go on from, if there is more within the four weeks."""
    until = since + _WEEKS - timedelta(days=1)
    found = (await slots.page(visit.tx, offer.id, since, until, None, _MOST + _MOST_IN_A_DAY)).items
    if len(found) > _MOST:
        cut = found[_MOST].day
        whole = [slot for slot in found if slot.day < cut] or [slot for slot in found if slot.day == cut]
        later = whole[-1].day + timedelta(days=1)
        return whole, later if later <= offer.terms.last_day else None
    return found, until + timedelta(days=1) if until < offer.terms.last_day else None


def _line(slot: SlotFacts, zone: ZoneInfo, language: str, wrong: _Wrong | None) -> SlotLine:
    free = max(slot.capacity - slot.used, 0)
    here = wrong if wrong and wrong.slot_id == slot.id else None
    return SlotLine(
        id=slot.id,
        times=f"{clock(slot.starts, zone, language)} – {clock(slot.ends, zone, language)}",
        words=say("console.night", language, used=slot.used, capacity=slot.capacity, free=free),
        staffed="" if slot.staffed is None else say("console.night.staffed", language, count=slot.staffed),
        capacity=slot.capacity,
        used=slot.used,
        version=slot.version,
        wrong=here.words if here else "",
        asked=here.asked if here and here.asked is not None and here.asked >= 0 else slot.capacity,
    )


def _day_of(written: str) -> date | None:
    try:
        return date.fromisoformat(written) if len(written) == 10 else None
    except ValueError:
        return None
