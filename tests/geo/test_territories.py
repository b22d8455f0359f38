"""Territories: who may be sent to the same place is decided together, and who is far apart is not."""

from hypothesis import given
from hypothesis import strategies as st

from geo.cells import Point, cell_of, centroid
from geo.distance import Kilometres, great_circle
from geo.territories import territories

REACH = Kilometres(50)
doors = st.lists(
    st.builds(lambda east, north: cell_of(Point(east, north)), st.floats(-10, 30), st.floats(35, 60)),
    min_size=1,
    max_size=30,
    unique=True,
)


@given(doors)
def test_doors_that_could_share_a_place_are_in_one_territory(cells: list[int]) -> None:
    found = territories(cells, REACH)  # type: ignore[arg-type]
    where = {door: number for number, territory in enumerate(found) for door in territory.doors}
    assert sorted(where) == sorted(cells)
    for one, here in where.items():
        for other, there in where.items():
            assert here == there or great_circle(centroid(one), centroid(other)) > 2 * REACH


@given(doors)
def test_no_two_territories_share_a_cell(cells: list[int]) -> None:
    seen: set[int] = set()
    for territory in territories(cells, REACH):  # type: ignore[arg-type]
        assert territory.number == min(territory.cells)
        assert not seen & set(territory.cells)
        seen |= set(territory.cells)


def test_a_coast_and_a_mountain_pass_are_apart() -> None:
    hendaye, briancon, oulx = (cell_of(Point(*at)) for at in ((-1.774, 43.359), (6.635, 44.899), (6.833, 45.037)))
    found = territories([hendaye, briancon, oulx], REACH)
    assert {frozenset(each.doors) for each in found} == {frozenset({hendaye}), frozenset({briancon, oulx})}
