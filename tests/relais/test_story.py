"""The story works at any hour: who asks after midnight asks for the night in course."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from matching.windows import Window, nights_of
from relais.story import stay

_PARIS = ZoneInfo("Europe/Paris")
_TODAY, _YESTERDAY = date(2026, 11, 24), date(2026, 11, 23)


@pytest.mark.parametrize(
    ("clock", "first"),
    [
        ("00:30", _YESTERDAY),
        ("02:00", _YESTERDAY),
        ("05:55", _TODAY),
        ("06:30", _TODAY),
        ("12:00", _TODAY),
        ("18:00", _TODAY),
        ("23:50", _TODAY),
    ],
)
@pytest.mark.parametrize("nights", [1, 2])
def test_the_first_night_is_the_one_in_course_or_the_next(clock: str, first: date, nights: int) -> None:
    now = datetime.fromisoformat(f"2026-11-24T{clock}").replace(tzinfo=_PARIS)
    starts, ends = stay(now, nights)
    asked = nights_of(Window(starts, ends), _PARIS)
    assert starts >= now
    assert asked[0] == first
    assert len(asked) == nights
