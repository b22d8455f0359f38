"""What more places could have meant at most: never less than any evening could have done with them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as some

from matching.figures.calendar import WEEK
from matching.figures.more_places import days_of, limits, reckoned
from matching.figures.tables import Span

MONDAY = date(2026, 1, 5)
Parties = list[tuple[int, int, int]]
parties = some.lists(some.tuples(some.integers(1, 9), some.integers(0, 6), some.integers(1, 10)), max_size=60)
"""People, the night of the week that they came, and how many nights they stay."""


def taken_in(waiting: Parties, places: int) -> int:
    """How many people a house with so many places takes in, each party in turn, whole and for all of its nights."""
    free = [places] * 20
    taken = 0
    for people, first, nights in waiting:
        stay = range(first, first + nights)
        if min(free[night] for night in stay) >= people:
            for night in stay:
                free[night] -= people
            taken += people
    return taken


@given(parties, some.integers(1, 30))
def test_no_house_takes_in_more_than_the_limit(waiting: Parties, places: int) -> None:
    unmet = sum(people for people, _, _ in waiting)
    (limit,) = limits({MONDAY: [unmet]}, places, Span.WEEK)
    assert taken_in(waiting, places) <= limit.at_most


def test_the_limit_is_reached_and_a_lower_one_would_be_passed() -> None:
    """The control: were it not for the days, or one less, a house would take in more."""
    waiting = [(5, night, 1) for night in range(7)] + [(1, 0, 1)]
    (limit,) = limits({MONDAY: [36]}, 5, Span.WEEK)
    assert taken_in(waiting, 5) == limit.at_most == 35
    assert taken_in(waiting, 5) > min(36, 5)
    (few,) = limits({MONDAY: [3, 9]}, 5, Span.WEEK)
    assert (few.towns, few.people, few.at_most) == (2, 12, 12)


def test_what_was_not_told_is_no_nought() -> None:
    told = {MONDAY: [20], MONDAY + WEEK: list[int](), MONDAY + 2 * WEEK: [100]}
    found = limits(told, 10, Span.WEEK)
    assert [each.first_day for each in found] == [MONDAY, MONDAY + 2 * WEEK]
    together = reckoned(found)
    assert (together.told, together.people, together.at_most) == (2, 120, 90)
    assert (reckoned([]).told, reckoned([]).at_most) == (0, 0)


@pytest.mark.parametrize(("first_day", "days"), [(date(2026, 1, 1), 35), (date(2026, 2, 1), 28)])
def test_a_month_of_figures_has_whole_weeks(first_day: date, days: int) -> None:
    assert days_of(first_day, Span.MONTH) == days
    (limit,) = limits({first_day: [10_000]}, 2, Span.MONTH)
    assert limit.at_most == 2 * days
    assert days_of(MONDAY, Span.WEEK) == 7
