"""What more places could have meant, as far as published figures tell: a limit, and never a forecast.

It is reckoned from what was published and from nothing else: so it tells nothing that was withheld.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from matching.figures.calendar import first_day_of, last_day_of
from matching.figures.tables import Span

__all__ = ["Limit", "Reckoned", "days_of", "limits", "reckoned"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one week or month: in how many towns how many people were told of, and the most of them taken in."""

    first_day: date
    towns: int
    people: int
    at_most: int


@dataclass(frozen=True, slots=True)
class Reckoned:
    """The same over all weeks or months in which anything was told: `told` of them."""

    told: int
    people: int
    at_most: int


def days_of(first_day: date, span: Span) -> int:
    """How many days a week or month of figures has: 7, 28 or 35."""
    month = span is Span.MONTH
    return (last_day_of(first_day, month=month) - first_day_of(first_day, month=month)).days + 1


def limits(told: Mapping[date, Iterable[int]], places: int, span: Span) -> list[Limit]:
    """For each first day the most of the people told of whom so many `places` could have taken in, in that time.

    `told`: by first day, what each town that told anything told. `places`: of nights, places; of help by day, people a
    day, for there one place serves many, one after the other. Whoever takes a place takes it for one night at least:
    in these days it is no more people than places times days, and no more than there were. Where nothing was told
    there is no limit to tell, which is no nought.
    """
    found = []
    for first_day in sorted(told):
        people = list(told[first_day])
        if people:
            most = min(sum(people), places * days_of(first_day, span))
            found.append(Limit(first_day, len(people), sum(people), most))
    return found


def reckoned(each: Iterable[Limit]) -> Reckoned:
    """All weeks or months together."""
    every = list(each)
    return Reckoned(len(every), sum(limit.people for limit in every), sum(limit.at_most for limit in every))
