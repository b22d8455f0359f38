"""Weeks and months of figures."""

from datetime import date, timedelta

from matching.figures.calendar import monday_of, month_of, months_between, weeks_of


def test_every_week_belongs_to_one_month() -> None:
    monday = date(2025, 12, 29)
    while monday < date(2027, 2, 1):
        assert monday in weeks_of(month_of(monday))
        assert monday_of(monday + timedelta(days=6)) == monday
        monday += timedelta(days=7)


def test_a_month_is_the_weeks_whose_thursday_lies_in_it() -> None:
    assert weeks_of(date(2026, 1, 1))[0] == date(2025, 12, 29)
    assert [len(weeks_of(date(2026, month, 1))) for month in range(1, 13)] == [5, 4, 4, 5, 4, 4, 5, 4, 4, 5, 4, 5]


def test_only_whole_months_lie_between_two_weeks() -> None:
    assert list(months_between(date(2026, 1, 5), date(2026, 3, 23))) == [date(2026, 2, 1), date(2026, 3, 1)]
    assert list(months_between(date(2026, 3, 30), date(2026, 4, 13))) == []
