"""What forms of pathways and projects share: days for times, and what is wrong told where the form asks for it."""

from collections.abc import Sequence
from datetime import date, datetime, time

from api.console.asking import Choices
from api.console.checking import Flawed, flawed
from api.console.forms import NOT_UNDERSTOOD
from api.wording import say
from matching.refusals import Flaw, Invalid

__all__ = ["at", "day_of", "flawed_by_row", "in_form", "row_of"]

_COUNTED = {
    ("/steps", "too_short"): Flaw("/beside", "nothing_beside"),
    ("/steps", "too_long"): Flaw("/beside", "too_much_beside"),
    ("/parties", "too_short"): Flaw("/parties", "too_few_parties"),
}
"""How many there may be, as it is told of the form."""
_PARTIES = "parties"
_DAYS = {"from": "/first_day", "until": "/last_day"}


def at(written: str, clock: time, choices: Choices) -> str:
    """A moment of a day as requests say it, by the clock of the town."""
    found = day_of(written)
    return datetime.combine(found, clock, choices.zone).isoformat() if found else NOT_UNDERSTOOD


def day_of(written: str) -> date | None:
    """A day as a calendar field sends it; nothing for what is none."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def in_form(invalid: Invalid) -> Invalid:
    """The same flaws, each once and where a form asks for it: of a party at its row, and at no step of a request."""
    told = [_COUNTED.get((flaw.at, flaw.code), Flaw(_place(flaw.at), flaw.code, flaw.facts)) for flaw in invalid.flaws]
    return Invalid(tuple(dict.fromkeys(told)))


def row_of(flaw: Flaw) -> int | None:
    """The row of the party that it is about, from 0; nothing where it is about none of them."""
    name, _, row = flaw.at.removeprefix("/").partition("/")
    return int(row) if name == _PARTIES and row.isdecimal() else None


def flawed_by_row(flaws: Sequence[Flaw], language: str) -> Flawed:
    """What is wrong, by field; of a party with the number of its row, from 1 as the form counts."""
    told = flawed([flaw for flaw in flaws if row_of(flaw) is None], language)
    for flaw in flaws:
        if (row := row_of(flaw)) is not None:
            (what,) = flawed([flaw], language)[_PARTIES]
            told.setdefault(_PARTIES, []).append(say("console.project.row", language, number=row + 1, what=what))
    return told


def _place(pointer: str) -> str:
    name = pointer.rpartition("/")[2]
    if name in _DAYS:
        return _DAYS[name]
    if "/language" in pointer:
        return "/teaches"
    if pointer.startswith("/steps") and name != "requires":
        return "/beside"
    party = pointer.split("/")[1:3]
    return "/" + "/".join(party) if party[:1] == [_PARTIES] else pointer
