"""Opening hours on the wall of the place, on every night of the year."""

from datetime import date, datetime, time, timedelta
from itertools import takewhile
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st

from matching.refusals import Invalid
from matching.schedule import MOST_SLOTS, Schedule, Session, sessions_of
from matching.vocabulary import Coverage

PARIS = ZoneInfo("Europe/Paris")
HOURS = st.builds(time, st.integers(4, 23), st.sampled_from([0, 15, 30, 45]))
ZONES = st.sampled_from(["Europe/Paris", "Europe/London", "Europe/Madrid", "Europe/Athens"]).map(ZoneInfo)


def schedule(**changes: object) -> Schedule:
    """Nights from 19:00 to 08:00 around the spring change of 2027, changed as told."""
    said: dict[str, object] = {
        "first_day": date(2027, 3, 26),
        "last_day": date(2027, 3, 29),
        "zone": PARIS,
        "opens": time(19),
        "closes": time(8),
        "rrule": "FREQ=DAILY",
        **changes,
    }
    return Schedule(**said)  # type: ignore[arg-type]


def nights(**changes: object) -> tuple[Session, ...]:
    return sessions_of(schedule(**changes), Coverage.EVERY)


@given(st.dates(date(2027, 1, 1), date(2027, 12, 1)), HOURS, HOURS, ZONES)
def test_doors_open_and_close_at_the_hours_on_the_wall_before_and_after_clocks_change(
    first: date, opens: time, closes: time, zone: ZoneInfo
) -> None:
    made = nights(first_day=first, last_day=first + timedelta(days=20), opens=opens, closes=closes, zone=zone)
    assert [session.starts.astimezone(zone).time() for session in made] == [opens] * 21
    assert [session.ends.astimezone(zone).time() for session in made] == [closes] * 21
    assert [session.starts.astimezone(zone).date() for session in made] == [
        first + timedelta(days=n) for n in range(21)
    ]
    assert all(timedelta(0) < session.ends - session.starts <= timedelta(hours=25) for session in made)


WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
PARTS = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"])},
    optional={
        "INTERVAL": st.integers(1, 20).map(str),
        "WKST": st.sampled_from(WEEKDAYS),
        "BYMONTH": st.sets(st.integers(1, 12), min_size=4).map(lambda months: ",".join(map(str, months))),
        "BYDAY": st.sets(st.sampled_from(WEEKDAYS), min_size=1).map(",".join),
    },
)


@given(PARTS, st.dates(date(2027, 1, 1), date(2027, 12, 1)), st.integers(0, 366))
def test_days_come_as_the_calendar_standard_says(parts: dict[str, str], first: date, span: int) -> None:
    rrule = ";".join(f"{name}={parts[name]}" for name in sorted(parts, key=lambda name: name != "FREQ"))
    last = first + timedelta(days=span)
    # Elsewhere it is bounded by its end; here it may search, so that it says what the rule means by itself.
    said = rrulestr(rrule, dtstart=datetime.combine(first, time(19)))
    wanted = list(takewhile(lambda day: day <= last, (opening.date() for opening in said)))
    assume(wanted)
    assert [session.day for session in nights(rrule=rrule, first_day=first, last_day=last)] == wanted


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=DAILY;INTERVAL=91;BYDAY=MO",
        "FREQ=MONTHLY;INTERVAL=2;BYMONTH=4",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2;BYDAY=5MO",
        "FREQ=MONTHLY;BYMONTH=2",
        "FREQ=WEEKLY;INTERVAL=99;BYMONTH=2;BYMONTHDAY=29",
    ],
)
def test_a_day_that_never_comes_is_not_searched_for_long(rrule: str) -> None:
    began = process_time()
    with pytest.raises(Invalid) as refused:
        nights(rrule=rrule, first_day=date(2027, 3, 30), last_day=date(2028, 2, 1))
    assert process_time() - began < 0.03
    assert [flaw.code for flaw in refused.value.flaws] == ["no_day_in_schedule"]


def test_the_nights_of_the_changes_are_an_hour_shorter_and_an_hour_longer() -> None:
    spring = [session.ends - session.starts for session in nights()]
    assert spring == [timedelta(hours=hours) for hours in (13, 12, 13, 13)]
    autumn = nights(first_day=date(2027, 10, 29), last_day=date(2027, 10, 31))
    assert [session.ends - session.starts for session in autumn] == [timedelta(hours=hours) for hours in (13, 14, 13)]


def test_a_door_that_closes_to_newcomers_after_midnight_closes_on_the_night_it_opened() -> None:
    (night,) = nights(last_day=date(2027, 3, 26), arrive_by=time(0, 30))
    assert night.last_arrival.astimezone(PARIS).isoformat() == "2027-03-27T00:30:00+01:00"


def test_showers_are_half_hours_that_lose_the_hour_that_is_not() -> None:
    made = sessions_of(
        schedule(
            first_day=date(2027, 3, 27),
            last_day=date(2027, 3, 27),
            opens=time(23, 30),
            closes=time(3, 30),
            slot_minutes=30,
        ),
        Coverage.ANY,
    )
    walls = [session.starts.astimezone(PARIS).strftime("%H:%M") for session in made]
    assert walls == ["23:30", "00:00", "00:30", "01:00", "01:30", "03:00"]
    assert {session.ends - session.starts for session in made} == {timedelta(minutes=30)}


def test_a_course_has_its_lessons_on_its_weekdays() -> None:
    made = sessions_of(
        schedule(last_day=date(2027, 4, 30), opens=time(18), closes=time(20), rrule="FREQ=WEEKLY;BYDAY=TU,TH"),
        Coverage.COURSE,
    )
    assert {session.day.weekday() for session in made} == {1, 3}
    assert len(made) == 10


@pytest.mark.parametrize(
    "rrule",
    [
        "",
        "freq=daily",
        "FREQ=SECONDLY",
        "FREQ=YEARLY",
        "FREQ=DAILY;UNTIL=20300101",
        "FREQ=DAILY;COUNT=1000",
        "FREQ=DAILY;COUNT=5;COUNT=6",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=DAILY;BYDAY=MO,-1SU",
        "FREQ=DAILY\nFREQ=DAILY",
        "FREQ=DAILY;BYDAY=" + ",".join(["MO"] * 99),
    ],
)
def test_a_recurrence_that_is_not_understood_or_never_comes_is_refused(rrule: str) -> None:
    with pytest.raises(Invalid) as refused:
        nights(rrule=rrule)
    assert {flaw.at for flaw in refused.value.flaws} == {"/rrule"}


@pytest.mark.parametrize(
    ("changes", "at", "code"),
    [
        ({"last_day": date(2027, 3, 25)}, "/last_day", "before_first_day"),
        ({"last_day": date(2028, 6, 1)}, "/last_day", "span_too_long"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=WE"}, "/rrule", "no_day_in_schedule"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_where_it_cannot(changes: dict[str, object], at: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        nights(**changes)
    assert [(flaw.at, flaw.code) for flaw in refused.value.flaws] == [(at, code)]


def test_a_schedule_with_more_slots_than_are_kept_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        sessions_of(schedule(last_day=date(2028, 3, 1), opens=time(4), closes=time(3), slot_minutes=5), Coverage.ANY)
    assert refused.value.flaws[0].facts == (("most", MOST_SLOTS),)
