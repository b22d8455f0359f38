"""The organization's calendar, for the programs in which people keep theirs: openings, classes and shifts (RFC 5545).

What it says may lie on machines of others: kinds of help, towns and times; no address, no head-count, and no name of a
place that is not public.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from icalendar import Calendar, Event
from icalendar.enums import CLASS, STATUS, TRANSP

from api.authorization import ReadsCalendar
from api.calendar_zones import zone_between
from api.moments import language_name, skill_name
from api.problems import problems
from api.slip import LanguageTag
from api.transactions import TransactionalRoute, Tx
from api.wording import knows, language_of, say
from db import calendar, organizations
from db.calendar import CalendarShift, Opening
from matching.states import OfferState, ShiftState

__all__ = ["router", "write"]

router = APIRouter(prefix="/v1/calendar.ics", tags=["calendar"], route_class=TransactionalRoute)
_OURS: Final = UUID("4b2f3a7c-6d1e-4c59-8a3b-0c9d5b7e21f6")
"""Entries that are no row of a table are named by hashes in this space: the same each time."""
_MEDIA_TYPE: Final = "text/calendar"
_PROGRAM: Final = "-//Relais//calendar 1//EN"
_AROUND: Final = timedelta(days=2)
"""Days before the first entry and after the last for which clocks are told."""
_MOST_OF_A_SLOT: Final = 999
_OF_SHIFT: Final = {
    ShiftState.PLANNED: STATUS.TENTATIVE,
    ShiftState.CONFIRMED: STATUS.CONFIRMED,
    ShiftState.COMPLETED: STATUS.CONFIRMED,
}
_OF_OFFER: Final = {OfferState.OPEN: STATUS.CONFIRMED, OfferState.PAUSED: STATUS.TENTATIVE}
SpokenLanguage = Literal["en", "fr", "it", "es", "ar"]


@router.get(
    "",
    response_class=Response,
    responses={
        200: {
            "description": "An iCalendar object.",
            "content": {_MEDIA_TYPE: {"schema": {"type": "string", "maxLength": 10_000_000}}},
        },
        **problems(401, 403, 422),
    },
)
async def read_calendar(
    who: ReadsCalendar,
    tx: Tx,
    language: Annotated[SpokenLanguage | None, Query(description="Else that of `Accept-Language`.")] = None,
    accept_language: LanguageTag = None,
) -> Response:
    """When the caller's own offers are open, its classes meet and its shifts are: a week back, three months ahead."""
    spoken = language or language_of(accept_language)
    own = await organizations.read(tx, who.organization_id)
    opened = await calendar.openings(tx, who.organization_id)
    served = await calendar.shifts(tx, who.organization_id)
    written = write(own.id, own.name, opened, served, spoken)
    return Response(written, media_type=_MEDIA_TYPE)


def write(
    organization_id: UUID,
    name: str,
    openings: Sequence[Opening],
    shifts: Sequence[CalendarShift],
    language: str,
) -> bytes:
    """An iCalendar object of these, with the time zones that they are in."""
    called = say("calendar.name", language, name=name)
    made = Calendar.new(prodid=_PROGRAM, name=called, language=language, uid=uuid5(_OURS, str(organization_id)))
    # What programs read that do not know RFC 7986.
    made.add("x-wr-calname", called)
    days: dict[ZoneInfo, list[date]] = defaultdict(list)
    entries: list[Opening | CalendarShift] = [*openings, *shifts]
    for each in entries:
        days[each.zone] += [each.starts.date(), each.ends.date()]
    for zone, used in days.items():
        made.add_component(zone_between(zone, min(used) - _AROUND, max(used) + _AROUND))
    for opening in openings:
        made.add_component(_opening(opening, language))
    for shift in shifts:
        made.add_component(_shift(shift, language))
    return bytes(made.to_ical())


def _opening(opening: Opening, language: str) -> Event:
    status = STATUS.CANCELLED if opening.shut else _OF_OFFER.get(opening.state, STATUS.CANCELLED)
    return Event.new(
        uid=uuid5(_OURS, f"opening {opening.offer_id} {opening.day}"),
        # Slots are made anew when the hours change, which counts in the offer.
        sequence=(opening.offer_version - 1) * 1000 + min(opening.slot_version - 1, _MOST_OF_A_SLOT),
        stamp=opening.changed_at,
        last_modified=opening.changed_at,
        start=opening.starts.astimezone(opening.zone),
        end=opening.ends.astimezone(opening.zone),
        summary=f"{_help(opening, language)} · {opening.site or opening.town}",
        location=opening.town,
        description=say("calendar.offer", language, id=str(opening.offer_id)),
        categories=[opening.category],
        status=status,
        classification=CLASS.PRIVATE,
        # A house that is open takes nobody's time.
        transparency=TRANSP.TRANSPARENT,
    )


def _shift(shift: CalendarShift, language: str) -> Event:
    return Event.new(
        uid=shift.id,
        sequence=shift.version - 1,
        stamp=shift.changed_at,
        last_modified=shift.changed_at,
        start=shift.starts.astimezone(shift.zone),
        end=shift.ends.astimezone(shift.zone),
        summary=f"{say('calendar.shift', language, skill=skill_name(shift.skill, language))} · {shift.town}",
        location=shift.town,
        description=say("calendar.shift_id", language, id=str(shift.id)),
        categories=["shift"],
        status=_OF_SHIFT.get(shift.state, STATUS.CANCELLED),
        classification=CLASS.PRIVATE,
        transparency=TRANSP.OPAQUE,
    )


def _help(opening: Opening, language: str) -> str:
    word = f"slip.category.{opening.category}"
    named = say(word, language) if knows(word) else opening.category
    if opening.language is None:
        return named
    taught = language_name(opening.language.teaches, language)
    return say("calendar.class", language, help=named, language=taught, level=opening.language.level or "").strip()
