"""From an offer's schedule to its slots: local opening hours made instants, right over clock changes."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr

from matching.refusals import Flaw, Invalid
from matching.vocabulary import Coverage
from matching.windows import day_of

__all__ = ["LONGEST_SPAN", "MOST_SLOTS", "Schedule", "Session", "sessions_ahead", "sessions_of", "zone_named"]

LONGEST_SPAN = timedelta(days=366)
MOST_SLOTS = 20_000
_LEAP_YEAR = 2028
_NO_ZONES = re.compile(r"(right|posix)/.*|localtime|posixrules|Factory")
"""Files beside the zones: this machine's own time, and clocks that count leap seconds."""
_ZONES = timedelta(days=2)
"""No night that began so long ago goes on anywhere."""

_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAYS = r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)"
_MONTH_DAY = r"-?([1-9]|[12][0-9]|3[01])"
_MONTH = r"([1-9]|1[0-2])"
_RRULE = re.compile(
    r"FREQ=(DAILY|WEEKLY|MONTHLY)"
    r"(;(INTERVAL=[1-9][0-9]?|COUNT=(?P<count>[1-9][0-9]{0,2})|WKST=(MO|TU|WE|TH|FR|SA|SU)"
    rf"|BYDAY={_DAYS}(,{_DAYS}){{0,20}}"
    rf"|BYMONTHDAY={_MONTH_DAY}(,{_MONTH_DAY}){{0,30}}"
    rf"|BYMONTH={_MONTH}(,{_MONTH}){{0,11}}))*"
)
"""The part of RFC 5545 that a building's opening days need; the last day bounds it, so no UNTIL.

Weekdays or days of the month, not both: a fifth Monday that is the first would be searched for ever.
"""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an offer is open, in its own local time.

    `closes` at or before `opens` means the next morning. `slot_minutes` cuts each opening into pieces of that
    length (a shower's half-hours); `None` keeps it whole. `arrive_by` is the local time of each evening after
    which nobody is let in.
    """

    first_day: date
    last_day: date
    zone: ZoneInfo
    opens: time
    closes: time
    rrule: str
    slot_minutes: int | None = None
    arrive_by: time | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One slot to be: its local day, its instants in UTC, and the last instant at which a party may arrive."""

    day: date
    starts: datetime
    ends: datetime
    last_arrival: datetime


def zone_named(name: str) -> ZoneInfo:
    """The time zone of a name. Raises `Invalid` at `/timezone` for one that does not exist."""
    if _NO_ZONES.fullmatch(name):
        raise Invalid.one("/timezone", "unknown_timezone")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid.one("/timezone", "unknown_timezone") from None


def sessions_ahead(schedule: Schedule, coverage: Coverage, now: datetime) -> tuple[Session, ...]:
    """Every slot of a schedule of which some is still to come. Raises `Invalid` as `sessions_of`, and for the past."""
    # Neither calendar nor clock reaches much beyond what may be offered: slots are made inside of it only.
    if schedule.last_day < now.date() - _ZONES:
        raise Invalid.one("/last_day", "in_the_past")
    if schedule.first_day > now.date() + LONGEST_SPAN:
        raise Invalid.one("/first_day", "too_far_ahead", days=LONGEST_SPAN.days)
    sessions = sessions_of(schedule, coverage)
    if sessions[-1].ends <= now:
        raise Invalid.one("/last_day", "in_the_past")
    return sessions


def sessions_of(schedule: Schedule, coverage: Coverage) -> tuple[Session, ...]:
    """Every slot of the schedule, in time order.

    A local time that a clock change skips is moved forward by the change; one that occurs twice is the first.
    Raises `Invalid` for a reversed or too long span, a recurrence outside what is understood, a schedule with
    no day in it, or one with more than `MOST_SLOTS` slots.
    """
    if schedule.last_day < schedule.first_day:
        raise Invalid.one("/last_day", "before_first_day")
    if schedule.last_day - schedule.first_day > LONGEST_SPAN:
        raise Invalid.one("/last_day", "span_too_long", days=LONGEST_SPAN.days)
    sessions: list[Session] = []
    for opening in _openings(schedule):
        sessions.extend(_pieces(opening, schedule, coverage))
        if len(sessions) > MOST_SLOTS:
            raise Invalid.one("/slot_minutes", "too_many_slots", most=MOST_SLOTS)
    if not sessions:
        raise Invalid((Flaw("/rrule", "no_day_in_schedule"),))
    return tuple(sessions)


def _openings(schedule: Schedule) -> Iterator[datetime]:
    """Naive local opening times from the first day to the last."""
    form = _RRULE.fullmatch(schedule.rrule)
    parts = schedule.rrule.split(";")
    said = dict(part.split("=") for part in parts) if form else {}
    if form is None or len(said) < len(parts) or {"BYDAY", "BYMONTHDAY"} <= said.keys() or _numbers_weekdays(said):
        raise Invalid.one("/rrule", "unknown_recurrence")
    if not _some_year_has(said, schedule.first_day):
        raise Invalid.one("/rrule", "no_day_in_schedule")
    # The library knows a count or an end but not both. It searches for the next day until the year 9999: in steps of
    # seven days a Monday never comes after a Tuesday, and looking took half a second. Every day, week or month some
    # year has what is asked for, so the steps are taken here.
    end = datetime.combine(schedule.last_day, time.max)
    simple = ";".join(
        [*(part for part in parts if not part.startswith(("COUNT=", "INTERVAL="))), f"UNTIL={end:%Y%m%dT%H%M%S}"]
    )
    try:
        openings = rrulestr(simple, dtstart=datetime.combine(schedule.first_day, schedule.opens))
        in_step = (opening for opening in openings if _steps(opening, schedule.first_day, said) == 0)
        yield from islice(in_step, int(form["count"]) if form["count"] else None)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise Invalid.one("/rrule", "unknown_recurrence") from error


def _numbers_weekdays(said: Mapping[str, str]) -> bool:
    """Whether a day or a week is asked for its second Monday: only months have one (RFC 5545, § 3.3.10)."""
    return said["FREQ"] != "MONTHLY" and any(letter.isdigit() for letter in said.get("BYDAY", ""))


def _steps(opening: datetime, first: date, said: Mapping[str, str]) -> int:
    """How many days, weeks or months lie between the first day and an opening, beyond whole intervals."""
    day = opening.date()
    match said["FREQ"]:
        case "DAILY":
            passed = (day - first).days
        case "WEEKLY":
            begins = _WEEKDAYS.index(said.get("WKST", "MO"))
            passed = _week(day, begins) - _week(first, begins)
        case _:
            passed = (day.year - first.year) * 12 + day.month - first.month
    return passed % int(said.get("INTERVAL", 1))


def _week(day: date, begins: int) -> int:
    """The number of the week that a day lies in, since weeks begin on this weekday (0 is Monday)."""
    # The first day of the calendar is a Monday, and has the number 1.
    return (day.toordinal() - 1 - begins) // 7


def _some_year_has(said: Mapping[str, str], first: date) -> bool:
    """Whether some month asked for has some day asked for: the 31 February would be searched for ever."""
    # Once a month, and nothing said of the day: it is that of the first.
    unsaid = first.day if said["FREQ"] == "MONTHLY" and "BYDAY" not in said else 1
    months = [int(month) for month in said.get("BYMONTH", "1").split(",")]
    days = [abs(int(day)) for day in said.get("BYMONTHDAY", str(unsaid)).split(",")]
    return min(days) <= max(monthrange(_LEAP_YEAR, month)[1] for month in months)


def _pieces(opening: datetime, schedule: Schedule, coverage: Coverage) -> Iterator[Session]:
    day = day_of(opening, by_night=coverage is Coverage.EVERY)
    starts = _instant(opening, schedule.zone)
    ends = _instant(_next(schedule.closes, opening), schedule.zone)
    arrival = ends if schedule.arrive_by is None else _instant(_at(schedule.arrive_by, opening), schedule.zone)
    if schedule.slot_minutes is None:
        if starts < ends:
            yield Session(day, starts, ends, min(arrival, ends))
        return
    step = timedelta(minutes=schedule.slot_minutes)
    while starts + step <= ends:
        yield Session(day, starts, starts + step, min(arrival, starts + step))
        starts += step


def _at(clock: time, opening: datetime) -> datetime:
    """The first time the local clock shows this from the opening on."""
    return datetime.combine(opening.date() + timedelta(days=int(clock < opening.time())), clock)


def _next(clock: time, opening: datetime) -> datetime:
    """The first time the local clock shows this after the opening."""
    return datetime.combine(opening.date() + timedelta(days=int(clock <= opening.time())), clock)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)
