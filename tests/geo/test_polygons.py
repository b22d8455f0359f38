"""Polygons of cells: counter-clockwise, closed, around the middle of the cell, and in two parts at the antimeridian."""

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry import Point as Spot

from geo.cells import COARSE_RESOLUTION, RESOLUTION, Point, cell_of, cell_text, centroid
from geo.polygons import polygons_of

places = st.builds(Point, st.floats(-180, 180), st.floats(-85, 85))


@given(places, st.sampled_from((RESOLUTION, COARSE_RESOLUTION)))
def test_every_ring_is_closed_counter_clockwise_and_within_the_world(place: Point, resolution: int) -> None:
    for ring in polygons_of(cell_of(place, resolution)):
        assert ring[0] == ring[-1]
        assert Polygon(ring).exterior.is_ccw
        assert Polygon(ring).is_valid
        assert max(x for x, _ in ring) - min(x for x, _ in ring) < 2
        assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring)


@given(places)
def test_the_middle_of_a_cell_lies_in_it(place: Point) -> None:
    cell = cell_of(place)
    middle = centroid(cell)
    drawn = MultiPolygon([Polygon(ring) for ring in polygons_of(cell)])
    assert drawn.distance(Spot(middle.longitude, middle.latitude)) < 1e-9


@pytest.mark.parametrize("latitude", [-17.0, 0.0, 65.0])
def test_at_the_antimeridian_there_are_two_parts_as_large_as_their_neighbour_is_whole(latitude: float) -> None:
    cell = cell_of(Point(180.0, latitude))
    parts = polygons_of(cell)
    assert len(parts) == 2
    assert {round(max(x for x, _ in part)) for part in parts} == {180, -180}
    around = next(each for each in h3.grid_ring(cell_text(cell), 3) if len(_whole(each)) == 1)
    drawn = sum(Polygon(part).area for part in parts)
    assert drawn == pytest.approx(Polygon(_whole(around)[0]).area, rel=0.02)


def _whole(cell: str) -> tuple[tuple[tuple[float, float], ...], ...]:
    return polygons_of(h3.str_to_int(cell))
