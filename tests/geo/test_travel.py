"""What is told of a way without a map of roads: the same both ways, never faster than the land allows, and coarse."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.cells import COARSE_RESOLUTION, Cell, Point, cell_of, centroid
from geo.distance import great_circle
from geo.travel import FASTEST_KMH, Ground, Minutes, estimated_minutes, ground_of, minutes_between
from tests.places import BAYONNE, BRIANCON, CLAVIERE, GAP, HENDAYE, IRUN, MENTON, MONTGENEVRE, OULX, PlaceRow

Estimate = Callable[[float, Ground], Minutes]
GROUNDS = st.builds(Ground, st.booleans(), st.booleans())
EUROPE = st.builds(Point, st.floats(-10, 30), st.floats(35, 60))
CELLS = st.builds(cell_of, EUROPE, st.sampled_from([7, COARSE_RESOLUTION]))
FARTHEST = st.floats(0, 1000)


def is_no_faster_than_the_land_allows(estimate: Estimate, km: float, ground: Ground) -> bool:
    return estimate(km, ground) >= 60 * km / FASTEST_KMH


def grows_with_the_way(estimate: Estimate, km: float, more: float, ground: Ground) -> bool:
    return estimate(km, ground) <= estimate(km + more, ground)


@given(FARTHEST, GROUNDS)
def test_no_way_is_faster_than_the_land_allows(km: float, ground: Ground) -> None:
    assert is_no_faster_than_the_land_allows(estimated_minutes, km, ground)


@given(FARTHEST, st.floats(0, 100), GROUNDS)
def test_a_longer_way_over_the_same_ground_never_takes_less(km: float, more: float, ground: Ground) -> None:
    assert grows_with_the_way(estimated_minutes, km, more, ground)


@given(FARTHEST)
def test_mountains_and_borders_never_make_a_way_shorter(km: float) -> None:
    plain = estimated_minutes(km, Ground(mountains=False, border=False))
    for ground in (Ground(mountains=True, border=False), Ground(mountains=False, border=True)):
        assert plain <= estimated_minutes(km, ground) <= estimated_minutes(km, Ground(mountains=True, border=True))


def test_control_an_estimate_that_is_wrong_is_found() -> None:
    flat = Ground(mountains=False, border=False)

    def hurries(km: float, _: Ground) -> Minutes:
        return Minutes(round(km / 2))

    def turns_back(km: float, _: Ground) -> Minutes:
        return Minutes(round(2 * km) % 100)

    assert not is_no_faster_than_the_land_allows(hurries, 100, flat)
    assert not grows_with_the_way(turns_back, 40, 20, flat)


@given(CELLS, CELLS)
def test_the_way_takes_as_long_in_both_directions_and_has_an_end(a: Cell, b: Cell) -> None:
    assert minutes_between(a, b) == minutes_between(b, a)
    assert minutes_between(a, b) >= 60 * great_circle(centroid(a), centroid(b)) / FASTEST_KMH


def test_two_points_of_one_cell_are_told_the_same() -> None:
    middle = centroid(BRIANCON.cell)
    beside = cell_of(Point(middle.longitude + 0.001, middle.latitude - 0.001))
    assert beside == BRIANCON.cell
    assert minutes_between(beside, GAP.cell) == minutes_between(BRIANCON.cell, GAP.cell)


def test_the_ground_is_told_by_where_the_way_lies() -> None:
    assert ground_of(BRIANCON.cell, MONTGENEVRE.cell) == Ground(mountains=True, border=False)
    assert ground_of(BRIANCON.cell, OULX.cell) == Ground(mountains=True, border=True)
    assert ground_of(HENDAYE.cell, IRUN.cell) == Ground(mountains=False, border=True)
    assert ground_of(HENDAYE.cell, BAYONNE.cell) == Ground(mountains=False, border=False)
    assert ground_of(MENTON.cell, BRIANCON.cell).mountains, "one end is enough"


@pytest.mark.parametrize(
    ("a", "b", "least", "most"),
    [
        (BRIANCON, GAP, 80, 115),
        (BRIANCON, MONTGENEVRE, 15, 25),
        (BRIANCON, OULX, 35, 55),
        (MONTGENEVRE, CLAVIERE, 5, 15),
        (HENDAYE, BAYONNE, 30, 45),
    ],
)
def test_ways_of_these_roads_are_told_about_as_long_as_they_are(
    a: PlaceRow, b: PlaceRow, least: int, most: int
) -> None:
    assert least <= minutes_between(a.cell, b.cell) <= most
