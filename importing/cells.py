"""What stands in a cell, read as one of our values: numbers, days, times and words as people write them.

Each reader takes the text of a cell that is not empty and raises `Invalid` with a code, never with the text.
"""

import re
from collections.abc import Callable
from datetime import date, time
from enum import StrEnum
from typing import Final, TypeVar

from importing.words import code_of, language_code
from matching.bounds import (
    ADDRESS_CHARACTERS,
    NAME_CHARACTERS,
    PROVISIONS_MOST,
    RECURRENCE_CHARACTERS,
    Bounds,
    visible_line,
)
from matching.refusals import Invalid
from matching.vocabulary import is_provision, is_skill

__all__ = [
    "address",
    "category",
    "clock",
    "country",
    "day",
    "decimal",
    "language",
    "name",
    "one_of",
    "provisions",
    "recurrence",
    "several_of",
    "skill",
    "truth",
    "whole",
]

Word = TypeVar("Word", bound=StrEnum)

EVERY_DAY: Final = "FREQ=DAILY"
_WEEK: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BETWEEN: Final = re.compile(r"\s*[,;|/\n،؛]\s*")
_BETWEEN_DAYS: Final = re.compile(r"\s*[,;|/\n،؛+&]\s*|\s+(?:and|et|e|y|و)\s+", re.IGNORECASE)
_RANGE: Final = re.compile(r"\s*[-–—]\s*|\s+(?:to|till|through|au|à|al|a|إلى)\s+", re.IGNORECASE)
_BEFORE_RANGE: Final = re.compile(r"^(?:from|du|de|dal|da|del|من)\s+", re.IGNORECASE)
_CLOCK: Final = re.compile(r"(\d{1,2})(?:\s*(?:[:.h]|uhr)\s*(\d{2})?)?(?::00)?\s*(?:h|hrs?)?\s*([ap]m)?", re.IGNORECASE)
_ISO_DAY: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})\s*[/.-]\s*(\d{1,2})\s*[/.-]\s*(\d{4})")
_GROUPED: Final = re.compile(r"(?<=\d)[\s\u00a0\u202f'’](?=\d{3}\b)")


def name(text: str) -> str:
    """What people call a building: one visible line."""
    return _line(text, NAME_CHARACTERS)


def address(text: str) -> str:
    """How to get there. It may have several lines."""
    if len(text) > ADDRESS_CHARACTERS:
        raise Invalid.one("", "too_long", most=ADDRESS_CHARACTERS)
    return text


def whole(bounds: Bounds) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        digits = _GROUPED.sub("", text)
        if not re.fullmatch(r"[+-]?\d{1,12}", digits):
            raise Invalid.one("", "not_a_whole_number")
        return int(_within(int(digits), bounds))

    return read


def decimal(bounds: Bounds) -> Callable[[str], float]:
    """A reader of numbers within bounds, with a point or a comma."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[+-]?\d{1,4}(?:[.,]\d{1,20})?", text):
            raise Invalid.one("", "not_a_number")
        return _within(float(text.replace(",", ".")), bounds)

    return read


def day(text: str) -> date:
    """A day: 2026-12-31, or the day first, 31/12/2026."""
    if found := _ISO_DAY.fullmatch(text):
        year, month, number = map(int, found.groups())
    elif found := _DAY_FIRST.fullmatch(text):
        number, month, year = map(int, found.groups())
    else:
        raise Invalid.one("", "not_a_day")
    try:
        return date(year, month, number)
    except ValueError:
        raise Invalid.one("", "not_a_day") from None


def clock(text: str) -> time:
    """A time on the wall: 20:00, 20h, 20h30, 8 pm, midnight."""
    found = _CLOCK.fullmatch(code_of("clock", text) or text)
    if found is None:
        raise Invalid.one("", "not_a_local_time")
    hour, minute, half = int(found[1]), int(found[2] or 0), (found[3] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise Invalid.one("", "not_a_local_time")
        hour = hour % 12 + (12 if half == "pm" else 0)
    try:
        return time(hour, minute)
    except ValueError:
        raise Invalid.one("", "not_a_local_time") from None


def truth(text: str) -> bool:
    """Yes or no."""
    found = code_of("truth", text)
    if found is None:
        raise Invalid.one("", "not_true_or_false")
    return found == "yes"


def one_of(group: str, words: type[Word]) -> Callable[[str], Word]:
    """A reader of one word of a vocabulary, by its code or as people write it."""

    def read(text: str) -> Word:
        code = text if text in set(words) else code_of(group, text)
        if code is None:
            raise Invalid.one("", "not_one_of", words=", ".join(words))
        return words(code)

    return read


def several_of(group: str, words: type[Word]) -> Callable[[str], frozenset[Word]]:
    """A reader of words with commas, semicolons or strokes between them."""
    one = one_of(group, words)
    return lambda text: frozenset(one(part) for part in _parts(text))


def provisions(text: str) -> frozenset[str]:
    """What a place provides; an interpreter with a language, as in `interpreter:fa`."""
    found = frozenset(_provision(part) for part in _parts(text))
    if len(found) > PROVISIONS_MOST:
        raise Invalid.one("", "too_long", most=PROVISIONS_MOST)
    return found


def skill(text: str) -> str:
    """What volunteers can do; `teaching` and `interpreting` with a language."""
    return _with_language("skill", text, is_skill)


def language(text: str) -> str:
    """A language, by its code or its name."""
    found = language_code(text)
    if found is None:
        raise Invalid.one("", "unknown_language")
    return found


def category(text: str) -> str:
    """A kind of help; whether there is one of this code is the database's to say."""
    return code_of("category", text) or text.lower()


def country(text: str) -> str:
    """A country by its two letters."""
    if not re.fullmatch("[A-Za-z]{2}", text):
        raise Invalid.one("", "not_a_country")
    return text.upper()


def recurrence(text: str) -> str:
    """On which days: weekdays, spans of them, every day; or a rule of RFC 5545, which is left as it is."""
    if text.upper().startswith("FREQ="):
        return _line(text.upper(), RECURRENCE_CHARACTERS)
    if code_of("every_day", text):
        return EVERY_DAY
    days = {day for part in _BETWEEN_DAYS.split(text) if part for day in _weekdays(part)}
    if not days:
        raise Invalid.one("", "unknown_days")
    chosen = [each for each in _WEEK if each in days]
    return EVERY_DAY if len(chosen) == len(_WEEK) else f"FREQ=WEEKLY;BYDAY={','.join(chosen)}"


def _weekdays(text: str) -> list[str]:
    ends = [code_of("weekday", part) for part in _RANGE.split(_BEFORE_RANGE.sub("", text.strip()))]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends) or len(known) not in (1, 2):
        raise Invalid.one("", "unknown_days")
    first, last = _WEEK.index(known[0]), _WEEK.index(known[-1])
    return [_WEEK[(first + step) % 7] for step in range((last - first) % 7 + 1)]


def _provision(text: str) -> str:
    return _with_language("provides", text, is_provision)


def _with_language(group: str, text: str, known: Callable[[str], bool]) -> str:
    """A word that may have a language after a colon."""
    if known(text):
        return text
    head, colon, tongue = text.partition(":")
    found = code_of(group, head.strip())
    code = f"{found}:{language_code(tongue.strip())}" if colon else found
    if code is None or not known(code):
        raise Invalid.one("", "unknown_word")
    return code


def _parts(text: str) -> list[str]:
    return [part for part in _BETWEEN.split(text.strip()) if part]


def _line(text: str, most: int) -> str:
    line = visible_line(text)
    if line is None:
        raise Invalid.one("", "unseen_characters")
    if len(line) > most:
        raise Invalid.one("", "too_long", most=most)
    return line


Number = TypeVar("Number", int, float)


def _within(number: Number, bounds: Bounds) -> Number:
    if number < bounds.least:
        raise Invalid.one("", "too_small", least=bounds.least)
    if number > bounds.most:
        raise Invalid.one("", "too_large", most=bounds.most)
    return number
