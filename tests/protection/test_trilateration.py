"""P3, protection: however many needs are posted from wherever, a hidden site is found no better than its cell's middle.

Most questions are asked of the same code as the API's, without HTTP (`tests.protection.land` says why that is the
same); some go over HTTP.
"""

import re
from collections.abc import Sequence
from math import sqrt

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from geo.cells import Point, cell_of, centroid
from geo.distance import great_circle, kilometres_between
from matching.vocabulary import SiteKind
from tests.api.bodies import offer_body, site_body
from tests.api.conftest import Organization
from tests.api.scenes import place as place_need
from tests.db.acts import rows
from tests.places import BRIANCON, CLAVIERE, MONTGENEVRE, OULX
from tests.protection.adversary import Adversary
from tests.protection.land import HIDDEN, PUBLIC, all_over, around, corners, land
from tests.protection.transcripts import Recorder, normalised


def metres(a: Point, b: Point) -> float:
    return great_circle(a, b) * 1000


def root_mean_square(errors: Sequence[float]) -> float:
    return sqrt(sum(error * error for error in errors) / len(errors))


@pytest.mark.parametrize("kind", [SiteKind.ASSOCIATION_PREMISES, SiteKind.PRIVATE_HOME])
async def test_a_hidden_site_is_placed_no_better_than_by_the_middle_of_its_cell(
    tx: AsyncConnection, kind: SiteKind, *, long: bool
) -> None:
    """Byte for byte the same answers from four far corners of a cell, so whatever is concluded is the same for all."""
    adaptive, in_all = (400, 12_500) if long else (60, 300)
    there = await land(tx, kind)
    transcripts, errors, by_the_middle = set(), [], []
    for true in corners(there.cell):
        await there.move(true)
        adversary = Adversary(BRIANCON.point, PUBLIC, seed=7)
        await adversary.ask(there.answer, adaptive, in_all)
        transcripts.add(there.transcript.hexdigest())
        assert there.asked == in_all
        errors.append(metres(adversary.estimate, true))
        by_the_middle.append(metres(centroid(there.cell), true))
        assert all(there.agreeing(all_over(there.cell))), "answers rule out part of the cell"
        assert not any(there.agreeing(around(there.cell))), "the cell itself is found, or this would prove nothing"
    assert len(transcripts) == 1, "an answer depends on where in its cell the site lies"
    assert root_mean_square(errors) >= root_mean_square(by_the_middle) - 1


@pytest.mark.parametrize("kind", [SiteKind.ASSOCIATION_PREMISES, SiteKind.PRIVATE_HOME])
async def test_against_exact_distances_the_same_adversary_finds_it_within_fifty_metres(
    tx: AsyncConnection, kind: SiteKind
) -> None:
    there = await land(tx, kind)
    transcripts = set()
    for true in corners(there.cell)[:2]:
        await there.move(true)
        await there.measure_from_exact_points({**PUBLIC, HIDDEN: true})
        adversary = Adversary(BRIANCON.point, PUBLIC, seed=7)
        await adversary.ask(there.answer, 60, 60)
        transcripts.add(there.transcript.hexdigest())
        assert metres(adversary.estimate, true) < 50
    assert len(transcripts) == 2


async def answers_over_http(poster: Organization, engine: AsyncEngine) -> list[str]:
    """Needs posted in each town with several limits, each with its place, its reasons and the offers of the town."""
    recorder = Recorder()
    recorder.listen("poster", poster.http)
    for town in (BRIANCON, MONTGENEVRE, CLAVIERE, OULX):
        for most in (None, 2, kilometres_between(town.cell, BRIANCON.cell) or 1):
            need = await place_need(
                engine, poster, town=town.id, people={"adults": 1}, countries=["FR", "IT"], max_km=most
            )
            await poster.http.get(f"/v1/needs/{need['id']}/explanation")
            await poster.http.post(f"/v1/needs/{need['id']}/withdraw")
    await poster.http.get("/v1/offers")
    poster.http.event_hooks["response"].clear()
    # Another pin is another version of the offer, wherever it is: that it was moved is no secret, where to is one.
    (seen,) = recorder.seen.values()
    return normalised(re.sub(r'"version":\d+', "<version>", each) for each in seen)


async def test_over_http_no_answer_depends_on_where_in_its_cell_a_site_lies(
    association: Organization, municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    sites_of = {}
    for name, there in {**PUBLIC, HIDDEN: BRIANCON.point}.items():
        owner, visibility = (association, "on_confirmation") if name == HIDDEN else (municipality, "public")
        body = site_body(location=_geojson(there), visibility=visibility)
        sites_of[name] = (await owner.http.post("/v1/sites", json=body)).json()["id"]
        opened = await owner.http.post("/v1/offers", json=offer_body(sites_of[name]))
        assert opened.status_code == 201, opened.text
    answers = []
    for true in corners(BRIANCON.cell)[:2]:
        moved = await association.http.patch(
            f"/v1/sites/{sites_of[HIDDEN]}", json={"location": _geojson(true)}, headers={"If-Match": "*"}
        )
        assert moved.status_code == 200, moved.text
        answers.append(await answers_over_http(coordination, engine))
    assert answers[0] == answers[1]
    exact = centroid(cell_of(corners(BRIANCON.cell)[0], 15))
    await rows(
        engine,
        "update offer set cell = :cell, point = st_point(:x, :y)::geography where site_id = :id",
        id=sites_of[HIDDEN],
        cell=cell_of(exact, 15),
        x=exact.longitude,
        y=exact.latitude,
    )
    assert await answers_over_http(coordination, engine) != answers[0], "measured from exact points, it shows"


def _geojson(place: Point) -> dict[str, object]:
    return {"type": "Point", "coordinates": [place.longitude, place.latitude]}
