"""What "tonight" means in a town: the window that a form asks for when it says an evening and a number of nights."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from matching.vocabulary import Coverage

__all__ = ["MOST_NIGHTS", "evening_of", "window_of"]

_DAWN: Final = 6
"""Until this hour the night is still that of the evening before."""
_EVENING, _MORNING = time(18), time(9)
MOST_NIGHTS: Final = 14


def evening_of(now: datetime, zone: ZoneInfo) -> date:
    """The date of this evening, by the clock of the town; after midnight still that of the day before."""
    there = now.astimezone(zone)
    return there.date() - timedelta(days=1) if there.hour < _DAWN else there.date()


def window_of(
    evening: date, nights: int, coverage: Coverage, now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """From when to when: nights from six in the evening to nine in the morning, all else within that day.

    A night begins at six even when it has begun: so the same party posted twice asks for the same.
    """
    if coverage is Coverage.EVERY:
        morning = evening + timedelta(days=nights)
        return datetime.combine(evening, _EVENING, zone), datetime.combine(morning, _MORNING, zone)
    begins = datetime.combine(evening, time(8), zone)
    hour = now.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    ends = datetime.combine(evening + timedelta(days=nights), time(0), zone)
    return max(begins, hour), max(ends, hour + timedelta(hours=3))
