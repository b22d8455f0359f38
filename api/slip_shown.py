"""What the slip's page shows, in the words of its reader: needs and their places, and the plan that waits for a yes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from api.moments import about, country, moment, stretch
from api.slip_preferences import form_of
from api.wording import knows, say
from db.own_slip import Slip
from db.project_slips import PlanFacts
from db.slip_places import SlipPlace
from matching.reveal import Revealed
from matching.states import SEEKING, AllocationState

__all__ = ["houses_in", "id_in", "number_in", "plan_shown", "slip_shown"]

_SHOWN_TIMES: Final = 14
_LONGEST_NUMBER: Final = 7


def slip_shown(slip: Slip, language: str) -> dict[str, Any]:
    """One need with its places, and the other steps or parties."""
    category = f"slip.category.{slip.category}"
    return {
        "category": slip.category,
        "category_name": say(category, language) if knows(category) else None,
        "says": say(f"slip.state.{slip.stands}", language),
        "asked": f"{moment(slip.starts, slip.zone, language)} – {moment(slip.ends, slip.zone, language)}",
        "places": [_place(each, language) for each in slip.places],
        "seeking": any(each.state in SEEKING for each in (slip, *slip.others)),
        "prefer": form_of(slip, language),
        "may_tell": slip.may_tell,
        "others": [slip_shown(each, language) for each in slip.others],
    }


def plan_shown(plan: PlanFacts, slip: Slip, language: str) -> dict[str, Any]:
    """A plan that the people have not answered: until when they may, and the houses that it asks about."""
    asked = [house for house in plan.houses if house.awaits]
    others = [house for house in plan.houses if not house.awaits]
    return {
        "number": plan.plan,
        "answer_by": None if plan.answer_by is None else moment(plan.answer_by, slip.zone, language),
        "people": sum(sum(house.parties) for house in asked),
        "of": plan.people - sum(sum(house.parties) for house in others),
        "houses": [
            {
                "id": house.offer_id,
                "town": f"{house.town} ({country(house.country, language)})",
                "km": house.distance_km,
                "parties": " + ".join(str(people) for people in house.parties),
            }
            for house in asked
        ],
        "others": bool(others),
        "others_stay": plan.others_stay,
    }


def houses_in(fields: Mapping[str, Sequence[str]]) -> list[UUID]:
    """The houses that were ticked; what is no id counts as none."""
    ids = (id_in(written) for written in fields.get("houses", []))
    return [house for house in ids if house is not None]


def number_in(fields: Mapping[str, Sequence[str]]) -> int | None:
    """The number of the plan that was shown; `None` where it is none."""
    written = fields.get("plan", [""])[0]
    return int(written) if written.isascii() and written.isdecimal() and len(written) <= _LONGEST_NUMBER else None


def id_in(written: str) -> UUID | None:
    """An id as a form sends it; `None` where it is none."""
    try:
        return UUID(written)
    except ValueError:
        return None


def _place(place: SlipPlace, language: str) -> dict[str, Any]:
    known = place.whereabouts
    there = known.there if known else None
    return {
        "id": place.id,
        "confirmed": place.state is not AllocationState.HELD,
        "says": say(f"slip.place.{place.state}", language),
        "people": place.people,
        "times": [stretch(each.starts, each.ends, place.zone, language) for each in place.slots[:_SHOWN_TIMES]],
        "more_times": max(len(place.slots) - _SHOWN_TIMES, 0),
        "arrive_by": moment(place.arrive_by, place.zone, language),
        "town": f"{known.town} ({country(known.country, language)})" if known else None,
        "minutes": about(known.minutes) if known and known.minutes is not None else None,
        "readable_from": moment(known.readable_from, place.zone, language)
        if known and known.readable_from and not there
        else None,
        "there": {"meeting": there.what is Revealed.MEETING_POINT, "name": there.name, "text": there.text}
        if there
        else None,
        "bring": [say(f"slip.bring.{each}", language) for each in known.bring] if known else [],
    }
