"""What forms of pathways and projects share: days for times, and what is wrong told where the form asks for it."""

from datetime import date, datetime, time

from api.console.asking import Choices
from api.console.forms import NOT_UNDERSTOOD
from matching.refusals import Flaw, Invalid

__all__ = ["at", "day_of", "in_form"]

_COUNTED = {
    ("/steps", "too_short"): Flaw("/beside", "nothing_beside"),
    ("/steps", "too_long"): Flaw("/beside", "too_much_beside"),
    ("/parties", "too_short"): Flaw("/parties", "too_few_parties"),
}
"""How many there may be, as it is told of the form."""
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
    """The same flaws, each once and where a form asks for it: not at the step or the party of a request."""
    told = [_COUNTED.get((flaw.at, flaw.code), Flaw(_place(flaw.at), flaw.code, flaw.facts)) for flaw in invalid.flaws]
    return Invalid(tuple(dict.fromkeys(told)))


def _place(pointer: str) -> str:
    name = pointer.rpartition("/")[2]
    if name in _DAYS:
        return _DAYS[name]
    if "/language" in pointer:
        return "/teaches"
    if pointer.startswith("/steps") and name != "requires":
        return "/beside"
    return "/parties" if pointer.startswith("/parties") else pointer
