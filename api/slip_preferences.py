"""The form of preferences on the slip's page: what may be chosen in it, and what was chosen."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

from api.moments import moment
from api.wording import say
from db.own_slip import Slip
from db.preferences import NearTown, Said
from matching.states import SEEKING, NeedState
from matching.vocabulary import Wish

__all__ = ["form_of", "leave_by_in", "said_in"]

_NEAR_KM: Final = (5, 10, 20)
_MOST_KM: Final = (5, 10, 20, 50)
_LEAVE_AT: Final = time(9)
_MOST_MORNINGS: Final = 31
_AS_BEFORE: Final = "said"
"""Chosen for what was said over the API, and is none of the form's own choices."""
_STANDS: Final = SEEKING | {NeedState.HELD, NeedState.CONFIRMED}
Option = tuple[str, str, bool]
"""What is sent, what is shown, and whether it is chosen now."""


def form_of(slip: Slip, language: str) -> dict[str, Any] | None:
    """What the form shows: for all needs of the slip, as the first says that still stands; `None` where none does."""
    standing = (each for each in (slip, *slip.others) if each.state in _STANDS and each.ends > each.now)
    first = next(standing, None)
    if first is None:
        return None
    said = first.said
    return {
        "town": first.town,
        "near": list(_near(first, language)),
        "most": list(_most(said, language)),
        "wishes": said.wishes,
        "wait_for": said.waits_for,
        "mornings": [] if slip.others else list(_mornings(slip, language)),
    }


def said_in(fields: Mapping[str, Sequence[str]]) -> Callable[[int, Said], Said]:
    """What was chosen, by the id of the town that is their own and what was said before.

    What is none of the choices counts as none.
    """
    near, most = _number(fields, "near_km", (0, *_NEAR_KM)), _number(fields, "most_km", _MOST_KM)
    wishes, waits_for = frozenset(_wishes(fields, "wishes")), frozenset(_wishes(fields, "wait_for"))

    def said(own_town_id: int, before: Said) -> Said:
        own = None if near is None else NearTown(own_town_id, near)
        return Said(
            near=before.near if _stays(fields, "near_km") else own,
            most_km=before.most_km if _stays(fields, "most_km") else most,
            wishes=wishes,
            waits_for=waits_for,
        )

    return said


def leave_by_in(fields: Mapping[str, Sequence[str]]) -> datetime | None:
    """The morning that was chosen; `None` for none, and for what is no moment with its offset."""
    try:
        chosen = datetime.fromisoformat(fields.get("leave_by", [""])[0])
    except ValueError:
        return None
    return None if chosen.tzinfo is None else chosen


def _near(slip: Slip, language: str) -> Iterator[Option]:
    near = slip.said.near
    elsewhere = near is not None and near.town_id != slip.town_id
    km = None if near is None or elsewhere else near.km
    yield "", say("slip.prefer.near_none", language), near is None
    yield "0", say("slip.prefer.near_closest", language), km == 0
    for each in _NEAR_KM:
        yield str(each), say("slip.prefer.near_within", language, km=each), km == each
    if near is not None and elsewhere:
        yield _AS_BEFORE, say("slip.prefer.near_said", language, town=slip.near_town or ""), True
    elif km is not None and km not in (0, *_NEAR_KM):
        yield _AS_BEFORE, say("slip.prefer.near_within", language, km=km), True


def _most(said: Said, language: str) -> Iterator[Option]:
    yield "", say("slip.prefer.most_none", language), said.most_km is None
    for each in _MOST_KM:
        yield str(each), say("slip.prefer.most_km", language, km=each), said.most_km == each
    if said.most_km is not None and said.most_km not in _MOST_KM:
        yield _AS_BEFORE, say("slip.prefer.most_km", language, km=said.most_km), True


def _mornings(slip: Slip, language: str) -> Iterator[Option]:
    """Mornings before the last one on which they could leave; nothing where there is none."""
    first = max(slip.starts, slip.now).astimezone(slip.zone).date() + timedelta(days=1)
    days = (slip.ends.astimezone(slip.zone).date() - first).days
    mornings = [
        datetime.combine(first + timedelta(days=number), _LEAVE_AT, slip.zone)
        for number in range(min(days, _MOST_MORNINGS))
    ]
    if mornings:
        yield "", say("slip.prefer.leave_keep", language), True
    for morning in mornings:
        yield morning.isoformat(), moment(morning, slip.zone, language), False


def _number(fields: Mapping[str, Sequence[str]], name: str, among: Iterable[int]) -> int | None:
    written = fields.get(name, [""])[0]
    return next((each for each in among if str(each) == written), None)


def _stays(fields: Mapping[str, Sequence[str]], name: str) -> bool:
    return fields.get(name, [""])[0] == _AS_BEFORE


def _wishes(fields: Mapping[str, Sequence[str]], name: str) -> Iterator[Wish]:
    return (Wish(word) for word in fields.get(name, []) if word in list(Wish))
