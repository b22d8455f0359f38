"""Days and hours at which something is there, as forms ask for them and as pages say them."""

from collections.abc import Collection
from datetime import date, time
from typing import Final

from api.console.asking import Named
from api.moments import date_in_full, weekday
from api.wording import say

__all__ = ["WEEK", "days_words", "hours_words", "recurrence", "weekdays", "weekdays_of"]

WEEK: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_EVERY_DAY: Final = "FREQ=DAILY"
_ON_WEEKDAYS: Final = "FREQ=WEEKLY;BYDAY="


def weekdays(language: str) -> list[Named]:
    """The days of the week to choose from."""
    return [Named(code, weekday(number, language)) for number, code in enumerate(WEEK)]


def recurrence(days: Collection[str]) -> str:
    """On which days of the week as a rule of RFC 5545; every day where none was chosen."""
    chosen = [each for each in WEEK if each in days]
    return f"{_ON_WEEKDAYS}{','.join(chosen)}" if 0 < len(chosen) < len(WEEK) else _EVERY_DAY


def weekdays_of(rrule: str) -> frozenset[str] | None:
    """The days of the week of a rule, none where it is every day; `None` for a rule that says something else."""
    if rrule == _EVERY_DAY:
        return frozenset()
    codes = rrule.removeprefix(_ON_WEEKDAYS).split(",")
    return frozenset(codes) if rrule.startswith(_ON_WEEKDAYS) and set(codes) <= set(WEEK) else None


def days_words(first: date, last: date, rrule: str, language: str) -> str:
    """From day to day, and on which weekdays; other rules are said as they are written."""
    span = f"{date_in_full(first, language)} – {date_in_full(last, language)}"
    days = weekdays_of(rrule)
    if days is None:
        return f"{span} · {rrule}"
    named = [weekday(number, language) for number, code in enumerate(WEEK) if code in days]
    return f"{span} · {', '.join(named)}" if named else span


def hours_words(opens: time, closes: time, language: str) -> str:
    """From when to when; until the next morning where it is so."""
    key = "console.hours.next_day" if closes <= opens else "console.hours"
    return say(key, language, opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}")
