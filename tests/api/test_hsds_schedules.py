"""Schedules in the words of HSDS mean the same openings: read by its rules, each begins and ends at the same moment."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from api.hsds_schedules import Piece, Recurrence, pieces_of, recurrence_of
from matching.refusals import Invalid
from matching.schedule import Schedule, sessions_of
from matching.vocabulary import Coverage

ZONES = ("Europe/Paris", "Europe/London", "Africa/Casablanca", "America/St_Johns", "Asia/Kolkata")
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

rules = st.one_of(
    st.just("FREQ=DAILY"),
    st.integers(1, 40).map("FREQ=DAILY;COUNT={}".format),
    st.sets(st.sampled_from(DAYS), min_size=1).map(lambda days: f"FREQ=DAILY;BYDAY={','.join(sorted(days))}"),
    st.tuples(st.integers(1, 4), st.sampled_from(DAYS), st.sets(st.sampled_from(DAYS))).map(
        lambda said: (
            f"FREQ=WEEKLY;INTERVAL={said[0]};WKST={said[1]}"
            + (f";BYDAY={','.join(sorted(said[2]))}" if said[2] else "")
        )
    ),
    st.integers(1, 31).map("FREQ=MONTHLY;BYMONTHDAY={}".format),
    st.tuples(st.sampled_from((1, 2, 3, 4, -1)), st.sampled_from(DAYS)).map(
        lambda said: f"FREQ=MONTHLY;BYDAY={said[0]}{said[1]}"
    ),
    st.sampled_from(("FREQ=MONTHLY", "FREQ=MONTHLY;INTERVAL=2;COUNT=3", "FREQ=DAILY;BYMONTHDAY=1,15")),
)
clocks = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))


def read(rule: Recurrence, schedule: Schedule, pieces: tuple[Piece, ...]) -> Iterator[tuple[datetime, datetime]]:
    """The openings that a reader of HSDS finds: each part of RFC 5545, between the days on which a piece is valid."""
    said = {"FREQ": rule.freq, "INTERVAL": rule.interval, "WKST": rule.wkst, "BYDAY": rule.byday}
    said |= {"BYMONTHDAY": rule.bymonthday, "COUNT": rule.count}
    written = ";".join(f"{name}={value}" for name, value in said.items() if value is not None)
    if rule.count is None:
        written += f";UNTIL={schedule.last_day:%Y%m%d}T235959"
    days = [each.date() for each in rrulestr(written, dtstart=datetime.combine(schedule.first_day, time()))]
    for piece in pieces:
        for day in (each for each in days if piece.first <= each <= piece.last):
            after = day + timedelta(days=int(schedule.closes <= schedule.opens))
            yield (
                datetime.combine(day, schedule.opens, timezone(piece.opens)).astimezone(UTC),
                datetime.combine(after, schedule.closes, timezone(piece.closes)).astimezone(UTC),
            )


@settings(max_examples=150, deadline=None)
@given(
    rules,
    st.sampled_from(ZONES),
    st.dates(date(2026, 1, 1), date(2027, 1, 1)),
    st.integers(0, 300),
    clocks,
    clocks,
)
def test_they_open_and_close_at_the_same_moments(
    rrule: str, zone: str, first: date, days: int, opens: time, closes: time
) -> None:
    schedule = Schedule(first, first + timedelta(days=days), ZoneInfo(zone), opens, closes, rrule)
    rule = recurrence_of(schedule)
    assert rule is not None
    try:
        true = [(session.starts, session.ends) for session in sessions_of(schedule, Coverage.ANY)]
    except Invalid:
        return
    pieces = pieces_of(schedule.zone, first, schedule.last_day, opens, closes)
    told = [each for each in read(rule, schedule, pieces) if each[0] < each[1]]
    assert told == true


def test_one_offset_for_the_whole_winter_would_be_an_hour_wrong() -> None:
    schedule = Schedule(
        date(2026, 10, 1), date(2026, 11, 30), ZoneInfo("Europe/Paris"), time(19), time(8), "FREQ=DAILY"
    )
    pieces = pieces_of(schedule.zone, schedule.first_day, schedule.last_day, schedule.opens, schedule.closes)
    assert [(each.first, each.last) for each in pieces] == [
        (date(2026, 10, 1), date(2026, 10, 23)),
        (date(2026, 10, 24), date(2026, 10, 24)),
        (date(2026, 10, 25), date(2026, 11, 30)),
    ]
    rule = recurrence_of(schedule)
    assert rule is not None
    whole = (Piece(schedule.first_day, schedule.last_day, pieces[0].opens, pieces[0].closes),)
    true = [(session.starts, session.ends) for session in sessions_of(schedule, Coverage.ANY)]
    assert list(read(rule, schedule, pieces)) == true
    assert list(read(rule, schedule, whole)) != true


@pytest.mark.parametrize("rrule", ["FREQ=DAILY;INTERVAL=2", "FREQ=WEEKLY;BYMONTH=1", "FREQ=WEEKLY;BYMONTHDAY=3"])
def test_what_it_has_no_words_for_is_not_bent(rrule: str) -> None:
    schedule = Schedule(date(2026, 1, 1), date(2026, 3, 1), ZoneInfo("Europe/Rome"), time(9), time(12), rrule)
    assert recurrence_of(schedule) is None
