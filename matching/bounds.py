"""How much may be said: the least and the most of each number, and how long a text may be.

The one copy of these figures: requests, and whatever else brings in what organizations have, go by them.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ADDRESS_CHARACTERS",
    "ANSWER_HOURS",
    "ANSWER_HOURS_USUAL",
    "ANSWER_MINUTES",
    "CAPACITY",
    "CAPACITY_OF_A_NIGHT",
    "CONFIRM_MINUTES",
    "HEADCOUNT",
    "LATITUDE",
    "LONGITUDE",
    "MINIMUM_VOLUNTEERS",
    "MOVERS",
    "NAME_CHARACTERS",
    "NEAR_KM",
    "NEAR_KM_USUAL",
    "NIGHTS_MAX",
    "NOTICE_DAYS",
    "PARTY_MAX",
    "PEOPLE_PER_VOLUNTEER",
    "PEOPLE_PER_WEEK",
    "PROVISIONS_MOST",
    "RADIUS_KM",
    "RECURRENCE_CHARACTERS",
    "SHIFTS_PER_WEEK",
    "SLOT_MINUTES",
    "TOGETHER_KM",
    "TOWN_ID",
    "VISIBLE_LINE",
    "WAY_KM",
    "Bounds",
    "visible_line",
]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that a number may be, both allowed."""

    least: int
    most: int


CAPACITY: Final = Bounds(1, 10_000)
CAPACITY_OF_A_NIGHT: Final = Bounds(0, CAPACITY.most)
"""0 closes it."""
CONFIRM_MINUTES: Final = Bounds(5, 2880)
PARTY_MAX: Final = Bounds(1, 10_000)
NIGHTS_MAX: Final = Bounds(1, 366)
SLOT_MINUTES: Final = Bounds(5, 1440)
PEOPLE_PER_VOLUNTEER: Final = Bounds(1, 1000)
MINIMUM_VOLUNTEERS: Final = Bounds(0, 100)
HEADCOUNT: Final = Bounds(1, 1000)
RADIUS_KM: Final = Bounds(0, 500)
SHIFTS_PER_WEEK: Final = Bounds(1, 100)
PEOPLE_PER_WEEK: Final = Bounds(0, 10_000)
"""0 is nobody that way."""
ANSWER_MINUTES: Final = Bounds(5, 1440)
NOTICE_DAYS: Final = Bounds(0, 366)
WAY_KM: Final = Bounds(1, 1000)
"""How far from the town a place may be."""
NEAR_KM: Final = Bounds(1, 100)
"""How far from the bed a step of a pathway may be."""
NEAR_KM_USUAL: Final = 15
TOGETHER_KM: Final = Bounds(0, 200)
"""How far houses of a project may be from each other."""
MOVERS: Final = Bounds(1, 30_000)
"""People of a project who have to find a place at least: 60 parties of 500."""
ANSWER_HOURS: Final = Bounds(1, 336)
"""How long the people of a project may think about a plan."""
ANSWER_HOURS_USUAL: Final = 72
LONGITUDE: Final = Bounds(-180, 180)
LATITUDE: Final = Bounds(-90, 90)
TOWN_ID: Final = Bounds(1, 2_147_483_647)

NAME_CHARACTERS: Final = 120
ADDRESS_CHARACTERS: Final = 400
RECURRENCE_CHARACTERS: Final = 300
PROVISIONS_MOST: Final = 40

_HIDDEN = r"\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
VISIBLE_LINE: Final = re.compile(rf"[^\s{_HIDDEN}]([^{_HIDDEN}]*[^\s{_HIDDEN}])?")


def visible_line(text: str) -> str | None:
    """The text, composed (NFC), if it is one line of characters that can be seen; `None` if not."""
    composed = unicodedata.normalize("NFC", text)
    return composed if VISIBLE_LINE.fullmatch(composed) else None
