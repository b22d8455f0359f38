"""Distances are cell to cell, the same in Python as in PostGIS, and say nothing finer."""

import random
from math import floor

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import RESOLUTION, Point, cell_of, centroid
from geo.distance import great_circle, kilometres_between
from tests.places import BRIANCON, GAP, OULX


async def test_distances_agree_with_postgis(tx: AsyncConnection) -> None:
    chance = random.Random(7)  # noqa: S311 - places on a map, not secrets
    for _ in range(200):
        here, there = (Point(chance.uniform(-10, 30), chance.uniform(35, 60)) for _ in range(2))
        asked = text("select st_distance(st_point(:a, :b)::geography, st_point(:c, :d)::geography, false)")
        a, b = centroid(cell_of(here)), centroid(cell_of(there))
        metres = (
            await tx.execute(asked, {"a": a.longitude, "b": a.latitude, "c": b.longitude, "d": b.latitude})
        ).scalar_one()
        assert abs(great_circle(a, b) * 1000 - metres) < 0.01
        assert kilometres_between(cell_of(here), cell_of(there)) == floor(metres / 1000 + 0.5)


def test_two_points_of_one_cell_are_as_far_from_everything() -> None:
    cell = BRIANCON.cell
    middle = centroid(cell)
    beside = Point(middle.longitude + 0.001, middle.latitude - 0.001)
    assert cell_of(beside, RESOLUTION) == cell
    assert kilometres_between(cell_of(beside), GAP.cell) == kilometres_between(cell, GAP.cell)


def test_the_way_is_as_long_in_both_directions() -> None:
    assert kilometres_between(BRIANCON.cell, OULX.cell) == kilometres_between(OULX.cell, BRIANCON.cell) > 0
