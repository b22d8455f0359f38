"""Nights as people count them, whatever the clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.windows import Window, day_of, nights_of

PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 12, 1)


def paris(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("starts", "ends", "evenings"),
    [
        (paris(1, 18), paris(4, 9), [1, 2, 3]),
        (paris(2, 2), paris(2, 9), [1]),
        (paris(2, 5, 30), paris(2, 9), [1]),
        (paris(1, 18), paris(2, 22), [1]),
        (paris(1, 18), paris(2, 0), []),
        (paris(1, 18), paris(2, 0, 1), [1]),
        (paris(1, 9), paris(1, 18), []),
    ],
)
def test_a_night_is_asked_for_when_some_of_its_small_hours_are(
    starts: datetime, ends: datetime, evenings: list[int]
) -> None:
    assert nights_of(Window(starts, ends), PARIS) == tuple(date(2026, 12, day) for day in evenings)


@given(
    st.dates(date(2027, 3, 20), date(2027, 11, 10)),
    st.integers(1, 10),
    st.sampled_from(["Europe/Paris", "Europe/London", "Europe/Madrid", "Europe/Athens"]),
)
def test_so_many_evenings_are_so_many_nights_over_clock_changes_too(first: date, nights: int, zone: str) -> None:
    there = ZoneInfo(zone)
    starts = datetime.combine(first, time(18), there).astimezone(UTC)
    ends = datetime.combine(first + timedelta(days=nights), time(9), there).astimezone(UTC)
    assert nights_of(Window(starts, ends), there) == tuple(first + timedelta(days=n) for n in range(nights))


def test_a_night_that_opens_after_midnight_belongs_to_the_evening_before() -> None:
    assert day_of(datetime(2026, 12, 2, 0, 30), by_night=True) == DAY  # noqa: DTZ001 - local clocks have no offset
    assert day_of(datetime(2026, 12, 2, 0, 30), by_night=False) == DAY + timedelta(days=1)  # noqa: DTZ001
    assert day_of(datetime(2026, 12, 1, 19), by_night=True) == DAY  # noqa: DTZ001


@pytest.mark.parametrize("ends", [paris(1, 18), paris(1, 17)])
def test_a_window_ends_after_it_starts(ends: datetime) -> None:
    with pytest.raises(ValueError, match="after it starts"):
        Window(paris(1, 18), ends)
