"""From facts to a table: every cell with its totals, and the sums that tie cells to each other.

A cell is a count of a week or a month, of an area (a town, a country, the network) and a category (or all), of one part
of one measure. Cells that count nothing are not in the table.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

from matching.figures.measures import HEADLINES, NEVER, PARTS_OF, SELF_MADE, Measure
from matching.vocabulary import FeedbackWord

__all__ = ["ALL", "FEWEST_PARTIES", "FEWEST_PEOPLE", "Behind", "Cell", "Fact", "Span", "Sum", "Table", "table_of"]

ALL: Final = "*"
"""The network as an area; all categories."""
FEWEST_PEOPLE: Final = 10
"""k: a cell with fewer people behind it is never published."""
FEWEST_PARTIES: Final = 3
"""Nor one with fewer parties: twelve people can be one family."""
_BOUNDS: Final = (
    # Whoever was there was there for a night (where nights are counted), and had been held a place before.
    (Measure.NIGHTS, ((Measure.SERVED, ""),)),
    (Measure.ASKED, ((Measure.SERVED, ""), (Measure.WAITED, NEVER))),
    # And so had been whoever found a place in a partner town.
    (Measure.ASKED, ((Measure.REFERRED_OUT, "placed"), (Measure.WAITED, NEVER))),
    # Whoever says a word gives a mark.
    *((Measure.RATED, ((Measure.SAID, word.value),)) for word in FeedbackWord),
)
"""Measures that are never less than others together."""


class Span(StrEnum):
    """How long a figure's time is."""

    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What is counted where and when. `area` is a town's number, a country's code or `*`; `part` may be empty."""

    span: Span
    first_day: date
    area: str
    category: str
    measure: Measure
    part: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A count of one town and category in one week. `people` and `parties`: how many stand behind it."""

    week: date
    town: int
    country: str
    category: str
    measure: Measure
    part: str
    count: int
    people: int
    parties: int


@dataclass(slots=True)
class Behind:
    """A cell's value, and who stands behind it."""

    value: int = 0
    people: int = 0
    parties: int = 0

    @property
    def sensitive(self) -> bool:
        """Whether somebody could be found in it."""
        return self.people < FEWEST_PEOPLE or self.parties < FEWEST_PARTIES


@dataclass(frozen=True, slots=True)
class Sum:
    """A whole that its parts add up to; where it is not `exact` it is at least that."""

    whole: Cell
    parts: tuple[Cell, ...]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Cells that count something, and all sums between them."""

    cells: Mapping[Cell, Behind]
    sums: Sequence[Sum]


def table_of(facts: Iterable[Fact], month: date | None = None) -> Table:
    """The weekly tables of these facts; with `month` (its first day) the table of that month over them as well."""
    cells: defaultdict[Cell, Behind] = defaultdict(Behind)
    countries: dict[str, str] = {}
    for fact in facts:
        countries[str(fact.town)] = fact.country
        for cell in _counted_in(fact, month):
            behind = cells[cell]
            behind.value += fact.count
            behind.people += fact.people
            behind.parties += fact.parties
    counting = {cell: behind for cell, behind in cells.items() if behind.value}
    return Table(counting, [each for each in _sums(counting, countries, month) if each.parts])


def _counted_in(fact: Fact, month: date | None) -> Iterator[Cell]:
    spans = [(Span.WEEK, fact.week), *([(Span.MONTH, month)] if month else [])]
    for span, first_day in spans:
        # Who is asked for at one town is asked for by another: the network has one number for both.
        areas = (
            (str(fact.town), fact.country)
            if fact.measure is Measure.REFERRED_IN
            else (str(fact.town), fact.country, ALL)
        )
        for area in areas:
            for category in (fact.category, ALL) if fact.measure in HEADLINES else (fact.category,):
                yield Cell(span, first_day, area, category, fact.measure, fact.part)
                if fact.measure in SELF_MADE:
                    yield Cell(span, first_day, area, category, fact.measure)


def _sums(cells: Mapping[Cell, Behind], countries: Mapping[str, str], month: date | None) -> Iterator[Sum]:
    parts: defaultdict[tuple[str, Cell], list[Cell]] = defaultdict(list)
    for cell in cells:
        for along, whole in _wholes_of(cell, countries, month):
            if whole in cells:
                parts[along, whole].append(cell)
    for (_, whole), found in parts.items():
        yield Sum(whole, tuple(found))
    for measure, smaller in _BOUNDS:
        for cell in cells:
            if cell.measure is measure and not cell.part and not (measure is Measure.NIGHTS and cell.category == ALL):
                bounded = (replace(cell, measure=each, part=part) for each, part in smaller)
                yield Sum(cell, tuple(each for each in bounded if each in cells), exact=False)


def _wholes_of(cell: Cell, countries: Mapping[str, str], month: date | None) -> Iterator[tuple[str, Cell]]:
    """What a cell is a part of, each with what the parts of it are told apart by."""
    if cell.category != ALL and cell.measure in HEADLINES:
        yield "category", replace(cell, category=ALL)
    if cell.area in countries:
        yield "town", replace(cell, area=countries[cell.area])
    elif cell.area != ALL and cell.measure is Measure.REFERRED_IN:
        yield "receiving country", replace(cell, area=ALL, measure=Measure.REFERRED_OUT)
    elif cell.area != ALL:
        yield "country", replace(cell, area=ALL)
    if month and cell.span is Span.WEEK:
        yield "week", replace(cell, span=Span.MONTH, first_day=month)
    for whole, measures in PARTS_OF:
        if cell.measure in measures and (whole not in measures or cell.part):
            yield " ".join(measures), replace(cell, measure=whole, part="")
