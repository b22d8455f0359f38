"""An offer's opening days in the words of HSDS, which knows weeks and months, one offset from UTC, and no days.

A day's rule becomes a week's or a month's. Where clocks change while the offer is open, a schedule ends and another
with the new offset goes on: read literally, each opens at the right moment. What has no words there is told as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from matching.schedule import Schedule

__all__ = ["Piece", "Recurrence", "pieces_of", "recurrence_of"]

_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule in words that HSDS has."""

    freq: str
    interval: int | None = None
    wkst: str | None = None
    byday: str | None = None
    bymonthday: str | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Days from `first` to `last` on which the clocks of opening and closing stand at the same offsets from UTC."""

    first: date
    last: date
    opens: timedelta
    closes: timedelta


def recurrence_of(schedule: Schedule) -> Recurrence | None:
    """The rule of a schedule; `None` where HSDS has no words for it: months named, or every so many days."""
    said = dict(part.split("=") for part in schedule.rrule.split(";"))
    if "BYMONTH" in said:
        return None
    count = int(said["COUNT"]) if "COUNT" in said else None
    interval = int(said["INTERVAL"]) if said.get("INTERVAL", "1") != "1" else None
    match said["FREQ"]:
        case "DAILY":
            return None if interval else _of_days(said, count)
        case "WEEKLY":
            if "BYMONTHDAY" in said:
                return None
            days = said.get("BYDAY", _WEEKDAYS[schedule.first_day.weekday()])
            return Recurrence("WEEKLY", interval, said.get("WKST"), byday=days, count=count)
    if "BYDAY" in said:
        return Recurrence("MONTHLY", interval, byday=said["BYDAY"], count=count)
    days = said.get("BYMONTHDAY", str(schedule.first_day.day))
    return Recurrence("MONTHLY", interval, bymonthday=days, count=count)


@lru_cache(maxsize=1024)
def pieces_of(zone: ZoneInfo, first: date, last: date, opens: time, closes: time) -> tuple[Piece, ...]:
    """The days from the first to the last, cut where clocks change."""
    return tuple(_pieces(zone, first, last, opens, closes))


def _of_days(said: Mapping[str, str], count: int | None) -> Recurrence:
    if "BYMONTHDAY" in said:
        return Recurrence("MONTHLY", bymonthday=said["BYMONTHDAY"], count=count)
    return Recurrence("WEEKLY", byday=said.get("BYDAY", ",".join(_WEEKDAYS)), count=count)


def _pieces(zone: ZoneInfo, first: date, last: date, opens: time, closes: time) -> Iterator[Piece]:
    over_midnight = timedelta(days=int(closes <= opens))

    def offsets(day: date) -> tuple[timedelta, timedelta]:
        return _offset(day, opens, zone), _offset(day + over_midnight, closes, zone)

    begins, known, day = first, offsets(first), first
    while day <= last:
        if offsets(day) != known:
            yield Piece(begins, day - _DAY, *known)
            begins, known = day, offsets(day)
        day += _DAY
    yield Piece(begins, last, *known)


def _offset(day: date, clock: time, zone: ZoneInfo) -> timedelta:
    return datetime.combine(day, clock, zone).utcoffset() or timedelta()
