"""Time zones as calendars carry them: every change of the clocks in a span of days, by itself (RFC 5545, § 3.6.5).

icalendar makes them too (7.3.2), but writes several changes in one line, of which ical.js (2.2.1) reads the first: from
the second spring on it was an hour wrong. And of Morocco's, those of 2027 were left out.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

__all__ = ["zone_between"]

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def zone_between(zone: ZoneInfo, first: date, last: date) -> Timezone:
    """A time zone as it is from the first of these days (UTC) to the end of the last."""
    begins = datetime.combine(first, time(), UTC)
    made = Timezone()
    made.add("tzid", zone.key)
    made.add_component(_observance(zone, begins, _offset(zone, begins)))
    for change in _changes(zone, begins, datetime.combine(last + _DAY, time(), UTC)):
        made.add_component(_observance(zone, change, _offset(zone, change - _MINUTE)))
    return made


def _changes(zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[datetime]:
    """The moments from which another offset holds, to the minute: no clock has changed at another second since 1972."""
    day = begins
    while day < ends:
        before, after = day, day + _DAY
        day = after
        if _standing(zone, before) == _standing(zone, after):
            continue
        while after - before > _MINUTE:
            middle = before + (after - before) // _MINUTE // 2 * _MINUTE
            if _standing(zone, middle) == _standing(zone, before):
                before = middle
            else:
                after = middle
        yield after


def _observance(zone: ZoneInfo, since: datetime, before: timedelta) -> TimezoneStandard | TimezoneDaylight:
    there = since.astimezone(zone)
    made = TimezoneDaylight() if there.dst() else TimezoneStandard()
    # By the clocks as they stood until then.
    made.add("dtstart", (since + before).replace(tzinfo=None))
    made.add("tzoffsetfrom", before)
    made.add("tzoffsetto", _offset(zone, since))
    made.add("tzname", there.tzname())
    return made


def _standing(zone: ZoneInfo, at: datetime) -> tuple[timedelta, str | None]:
    return _offset(zone, at), at.astimezone(zone).tzname()


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
