"""What is told of a week or a month: the cells that may be published, with their values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from matching.figures.calendar import WEEK, monday_of, months_between, weeks_of
from matching.figures.tables import Cell, Fact, Span, table_of
from matching.figures.withholding import published

__all__ = ["Due", "Told", "due_months", "due_weeks", "told"]


@dataclass(frozen=True, slots=True)
class Due:
    """A week or month to publish: its facts, and which cells of its weeks were published before."""

    span: Span
    first_day: date
    facts: Sequence[Fact]
    before: Mapping[Cell, int]


@dataclass(frozen=True, slots=True)
class Told:
    """A published figure."""

    cell: Cell
    value: int


def due_weeks(newest: date, today: date, settled_after: timedelta) -> list[date]:
    """The weeks after the newest closed one that are over for so long that hardly anything is still to be counted."""
    weeks, week = [], newest + WEEK
    while week + WEEK + settled_after <= today:
        weeks.append(week)
        week += WEEK
    return weeks


def due_months(weeks: Iterable[date], months: Iterable[date]) -> list[date]:
    """The months all of whose weeks were published, less those that were dealt with."""
    known, done = set(weeks), set(months)
    if not known:
        return []
    between = months_between(monday_of(min(known)), max(known))
    return [month for month in between if month not in done and known >= set(weeks_of(month))]


def told(due: Due) -> list[Told]:
    """The figures to publish, in order. May take minutes for a large network."""
    month = due.first_day if due.span is Span.MONTH else None
    table = table_of(due.facts, month)
    before = {cell: cell in due.before for cell in table.cells if cell.span is Span.WEEK} if month else {}
    shown = published(table, before)
    return [Told(cell, table.cells[cell].value) for cell in sorted(shown) if cell.span is due.span]
