"""Times, countries, languages and skills as pages say them: on the wall of the place, in the reader's language."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, format_timedelta

from api.wording import say

__all__ = [
    "about",
    "clock",
    "country",
    "date_in_full",
    "day",
    "language_name",
    "left",
    "locale_of",
    "moment",
    "own_name",
    "skill_name",
    "stretch",
    "weekday",
]

_TOLD_MINUTES: Final = 5
_LOCALES: Final = {"en": "en_GB"}


def stretch(starts: datetime, ends: datetime, zone: ZoneInfo, language: str) -> str:
    """From one moment to another; the day is said once where it is the same."""
    same_day = starts.astimezone(zone).date() == ends.astimezone(zone).date()
    until = clock(ends, zone, language) if same_day else moment(ends, zone, language)
    return f"{moment(starts, zone, language)} – {until}"


def moment(at: datetime, zone: ZoneInfo, language: str) -> str:
    """A day and an hour."""
    return f"{day(at.astimezone(zone).date(), language)} {clock(at, zone, language)}"


def day(at: date, language: str) -> str:
    """A day with its name: `Tuesday 1 December`."""
    return format_skeleton("MMMMEEEEd", at, locale=locale_of(language))


def date_in_full(at: date, language: str) -> str:
    """A day with its year: `1 December 2026`."""
    return format_date(at, "long", locale=locale_of(language))


def clock(at: datetime, zone: ZoneInfo, language: str) -> str:
    """An hour: `18:30`."""
    return format_time(at, "HH:mm", tzinfo=zone, locale=locale_of(language))


def left(span: timedelta, language: str) -> str:
    """How long there is until something, in minutes and from an hour and a half on in hours: `in 25 minutes`."""
    ahead = max(span, timedelta(minutes=1))
    return format_timedelta(ahead, granularity="minute", threshold=1.5, add_direction=True, locale=locale_of(language))


def about(minutes: int) -> int:
    """Minutes of a way as one tells them: up to the next five."""
    return -(-minutes // _TOLD_MINUTES) * _TOLD_MINUTES


def country(code: str, language: str) -> str:
    """The name of a country."""
    return str(Locale.parse(locale_of(language)).territories.get(code, code))


def language_name(code: str, language: str) -> str:
    """What a language (ISO 639) is called in another; its code where that is not known."""
    return str(Locale.parse(locale_of(language)).languages.get(code, code))


def skill_name(code: str, language: str) -> str:
    """What volunteers can do: `teaching:fr` is `teaching French`."""
    kind, _, spoken = code.partition(":")
    return say(f"skill.{kind}", language, language=language_name(spoken, language) if spoken else "")


def weekday(number: int, language: str) -> str:
    """The name of a day of the week, 0 is Monday."""
    return str(Locale.parse(locale_of(language)).days["stand-alone"]["wide"][number])


def own_name(language: str) -> str:
    """What a language calls itself."""
    name = Locale.parse(language).get_display_name(language) or language
    return name[:1].upper() + name[1:]


def locale_of(language: str) -> str:
    """The locale by which a language's dates are written."""
    return _LOCALES.get(language, language)
