"""The volunteers of an organization: shifts that wait for its word, those to come, and what it has pledged.

A pledge tells how many of its shifts there are this week, beside the most that were pledged, which no plan passes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.pages import VOLUNTEERS, page
from api.console.schedules import days_words, hours_words
from api.console.visits import ConsoleRoute, ReadsHouses, Visit, WritesHouses, gone_to
from api.moments import date_in_full, skill_name, stretch
from api.wording import say
from db import boards, pledges, shifts, towns
from db.keys import Scope
from db.pages import Page
from db.pledges import Limits, PledgeFacts
from db.shifts import ShiftFacts
from db.towns import TownFacts
from matching.refusals import Conflict, Invalid
from matching.states import PledgeState, ShiftState
from matching.vocabulary import ShiftDeclineReason

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_MOST: Final = 500
_MOST_OVER: Final = 50
_MOST_SHIFTS: Final = 300
_REASONS: Final = (ShiftDeclineReason.NO_VOLUNTEERS, ShiftDeclineReason.TOO_FAR, ShiftDeclineReason.OTHER)
_ANSWERS: Final = frozenset({"yes", *_REASONS})


@dataclass(frozen=True, slots=True)
class ShiftCard:
    """Volunteers who are to serve somewhere."""

    id: UUID
    title: str
    counts: str
    town: str
    times: str
    words: str
    at_risk: bool
    begins: datetime


@dataclass(frozen=True, slots=True)
class PledgeCard:
    """Volunteers who may be called."""

    id: UUID
    title: str
    counts: str
    town: str
    times: str
    facts: list[str]
    used: int
    most: int
    week: str
    over: bool
    may_change: bool
    """Also one that was ended: it may be counted on again, while it has days left."""


@router.get(VOLUNTEERS)
async def show_volunteers(request: Request, visit: ReadsHouses) -> Response:
    """First what waits for an answer, the soonest at the top."""
    own, language = visit.who.organization_id, visit.language
    lasting = await pledges.lasting(visit.tx, own, _MOST)
    over = await pledges.over(visit.tx, own, _MOST_OVER)
    pledged = [*lasting.items, *over.items]
    places = await towns.several(visit.tx, {each.terms.town_id for each in pledged})
    now = await boards.clock(visit.tx)
    used = await pledges.this_week(visit.tx, own)
    cards = [_pledge(each, places[each.terms.town_id], used.get(each.id, 0), now, language) for each in pledged]
    ahead = await shifts.ahead(visit.tx, own, _MOST_SHIFTS)
    waiting, coming = await _shifts(visit, ahead)
    return await page(
        request,
        "volunteers",
        waiting=waiting,
        coming=coming,
        pledges=[card for card in cards if not card.over],
        over=[card for card in cards if card.over],
        more_than={"shifts": ahead.next, "pledges": lasting.next, "over": over.next},
        reasons=_REASONS,
        may_write=Scope.OFFERS_WRITE in visit.who.scopes,
    )


@router.post("/console/shifts/{shift_id}/answer")
async def answer_shift(shift_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The volunteers come, or not with a reason, once it is said for sure."""
    own, said = visit.who.organization_id, visit.form.first("answer")
    if said not in _ANSWERS:
        raise Invalid.one("/reason", "not_understood")
    if not visit.form.first("sure"):
        return await _ask_again(request, visit, shift_id, said)
    if said == "yes":
        await shifts.confirm(visit.tx, shift_id, own)
    else:
        await shifts.decline(visit.tx, shift_id, own, said)
    visit.note(shift_id)
    visit.ring()
    return gone_to(VOLUNTEERS)


@router.post("/console/pledges/{pledge_id}/end")
async def end_pledge(pledge_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Plan no new shifts with these volunteers, once it is said for sure; those that are planned stay."""
    own = visit.who.organization_id
    if visit.form.first("sure"):
        await pledges.change(visit.tx, pledge_id, own, None, Limits(state=PledgeState.CLOSED))
        visit.note(pledge_id)
        return gone_to(VOLUNTEERS)
    found = await pledges.read(visit.tx, pledge_id, own)
    town = await towns.get(visit.tx, found.terms.town_id)
    card = _pledge(found, town, 0, await boards.clock(visit.tx), visit.language)
    return await page(request, "sure", question="console.pledge.end.sure", card=card, answer={}, back=VOLUNTEERS)


async def _ask_again(request: Request, visit: Visit, shift_id: UUID, said: str) -> Response:
    found = await shifts.read(visit.tx, shift_id, visit.who.organization_id)
    # Who only has the house sees the shift, and does not answer for the volunteers.
    await pledges.read(visit.tx, found.pledge_id, visit.who.organization_id)
    if found.state not in (ShiftState.PLANNED, ShiftState.CONFIRMED):
        raise Conflict("shift_is_over", found.state)
    question = "console.shift.confirm.sure" if said == "yes" else "console.shift.decline.sure"
    card = _card(found, await towns.get(visit.tx, found.town_id), visit.language)
    return await page(request, "sure", question=question, card=card, answer={"answer": said}, back=VOLUNTEERS)


async def _shifts(visit: Visit, ahead: Page[ShiftFacts]) -> tuple[list[ShiftCard], list[ShiftCard]]:
    """Those that wait for an answer, and those to which volunteers come; soonest first."""
    places = await towns.several(visit.tx, {each.town_id for each in ahead.items})
    cards = [(_waits(each), _card(each, places[each.town_id], visit.language)) for each in ahead.items]
    ordered = sorted(cards, key=lambda pair: pair[1].begins)
    return [card for waits, card in ordered if waits], [card for waits, card in ordered if not waits]


def _waits(shift: ShiftFacts) -> bool:
    return shift.state is ShiftState.PLANNED or shift.answer_due


def _card(shift: ShiftFacts, town: TownFacts, language: str) -> ShiftCard:
    asked_again = shift.state is ShiftState.CONFIRMED and shift.answer_due
    words = "at_risk" if shift.at_risk else "still_coming" if asked_again else str(shift.state)
    return ShiftCard(
        id=shift.id,
        title=skill_name(shift.skill, language),
        counts=say("console.shift.volunteers", language, count=shift.volunteers),
        town=town.name,
        times=stretch(shift.starts, shift.ends, ZoneInfo(town.timezone), language),
        words=say(f"console.shift.{words}", language),
        at_risk=shift.at_risk,
        begins=shift.starts,
    )


def _pledge(pledge: PledgeFacts, town: TownFacts, used: int, now: datetime, language: str) -> PledgeCard:
    terms = pledge.terms
    today = now.astimezone(ZoneInfo(terms.timezone)).date()
    return PledgeCard(
        id=pledge.id,
        title=skill_name(terms.skill, language),
        counts=say("console.pledge.headcount", language, count=terms.headcount),
        town=town.name,
        times=f"{date_in_full(terms.first_day, language)} – {date_in_full(terms.last_day, language)}",
        facts=[
            days_words(terms.first_day, terms.last_day, terms.rrule, language),
            hours_words(terms.opens, terms.closes, language),
            say("console.pledge.radius", language, km=terms.radius_km),
        ],
        used=used,
        most=terms.shifts_per_week_max,
        week=say("console.pledge.week", language, used=used, most=terms.shifts_per_week_max),
        over=pledge.state is PledgeState.CLOSED or terms.last_day < today,
        may_change=terms.last_day >= today,
    )
