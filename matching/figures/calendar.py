"""Weeks and months of figures: a week begins on Monday; a month is the weeks whose Thursday lies in it (ISO 8601).

So every week belongs to one month, and the difference between two tables is never a part of a week.
"""

from collections.abc import Iterator
from datetime import date, timedelta

__all__ = ["WEEK", "first_day_of", "last_day_of", "monday_of", "month_of", "months_between", "weeks_of"]

WEEK = timedelta(days=7)


def monday_of(day: date) -> date:
    """The first day of a day's week."""
    return day - timedelta(days=day.weekday())


def month_of(monday: date) -> date:
    """The first of the month that a week belongs to."""
    return (monday + timedelta(days=3)).replace(day=1)


def weeks_of(month: date) -> list[date]:
    """The Mondays of a month, four or five; `month` is its first day."""
    first = monday_of(month)
    return [each for each in (first + n * WEEK for n in range(6)) if month_of(each) == month]


def months_between(first: date, last: date) -> Iterator[date]:
    """The months whose weeks all begin from the Monday `first` to the Monday `last`."""
    month = month_of(first)
    while weeks_of(month)[-1] <= last:
        if weeks_of(month)[0] >= first:
            yield month
        month = (month + timedelta(days=32)).replace(day=1)


def last_day_of(first_day: date, *, month: bool) -> date:
    """The last day of a week, or of the last week of a month."""
    return (weeks_of(first_day)[-1] if month else first_day) + WEEK - timedelta(days=1)


def first_day_of(first_day: date, *, month: bool) -> date:
    """The first day that is counted: of a month, its first Monday's."""
    return weeks_of(first_day)[0] if month else first_day
