"""The map of cells: GeoJSON that geojson-pydantic and GDAL read, of what the same key's list of offers shows."""

import json
import shutil
import subprocess
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from geojson_pydantic import Feature, FeatureCollection
from geojson_pydantic.geometries import Geometry
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction
from geo.cells import Cell, Point, cell_of, cell_text
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import post_need
from tests.builders import TONIGHT, add_offer
from tests.db.acts import hold, rows
from tests.places import BRIANCON, MONTGENEVRE, OULX

Json = dict[str, Any]
PATH = "/v1/export/offers.geojson"
Collection = FeatureCollection[Feature[Geometry, Json]]


async def drawn(who: Organization, day: object = TONIGHT) -> Json:
    """The map of a day."""
    answer = await who.http.get(PATH, params={"day": str(day)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    found: Json = answer.json()
    return found


async def furnish(engine: AsyncEngine, giver: Organization) -> None:
    """Offers in two towns, a home in a coarse cell, and one on the antimeridian."""
    async with transaction(engine) as tx:
        await add_offer(tx, giver.id, capacity=10)
        await add_offer(tx, giver.id, capacity=4)
        await add_offer(tx, giver.id, place=MONTGENEVRE, capacity=7)
        home = cell_of(BRIANCON.point, 6)
        await add_offer(tx, giver.id, capacity=2, site={"kind": "private_home", "cell": home}, cell=home)
        edge = cell_of(Point(180.0, -17.0))
        await add_offer(tx, giver.id, capacity=3, category="sanitation", site={"cell": edge}, cell=edge)


async def test_counts_are_those_of_the_list_of_offers(
    engine: AsyncEngine, municipality: Organization, coordination: Organization
) -> None:
    await furnish(engine, municipality)
    need = await post_need(coordination, people={"adults": 3})
    await hold(engine, UUID(need["id"]))
    for who in (municipality, coordination):
        listed = (await who.http.get("/v1/offers", params={"limit": 200})).json()["items"]
        expected = Counter((each["cell"], each["category"]) for each in listed)
        free: Counter[tuple[str, str]] = Counter()
        for each in listed:
            asked = {"from": str(TONIGHT), "until": str(TONIGHT)}
            slots = (await who.http.get(f"/v1/offers/{each['id']}/slots", params=asked)).json()["items"]
            free[each["cell"], each["category"]] += sum(slot["capacity"] - slot["used"] for slot in slots)
        told = [each["properties"] for each in (await drawn(who))["features"]]
        assert {(each["cell"], each["category"]): each["offers"] for each in told} == expected
        assert {(each["cell"], each["category"]): each["free"] for each in told} == free
    assert sum(free.values()) == 14 + 7 * 0 + 2 + 3 - 3


async def test_who_may_not_list_an_offer_does_not_see_its_cell(
    engine: AsyncEngine, municipality: Organization, association: Organization, client: JoinNetwork
) -> None:
    await furnish(engine, municipality)
    elsewhere = await client(OrganizationKind.COORDINATION, towns=(OULX.id,))
    for who in (association, elsewhere):
        assert (await drawn(who))["features"] == []


async def test_a_home_is_in_a_coarse_cell_and_what_is_closed_or_over_in_none(
    engine: AsyncEngine, municipality: Organization
) -> None:
    await furnish(engine, municipality)
    cells = [each["properties"]["cell"] for each in (await drawn(municipality))["features"]]
    assert cell_text(Cell(cell_of(BRIANCON.point, 6))) in cells
    assert (await drawn(municipality, TONIGHT + timedelta(days=30)))["features"] == []
    await rows(engine, "update offer set state = 'paused'")
    assert (await drawn(municipality))["features"] == []


async def test_geojson_pydantic_reads_it_and_refuses_it_when_it_is_broken(
    engine: AsyncEngine, municipality: Organization
) -> None:
    await furnish(engine, municipality)
    told = await drawn(municipality)
    read = Collection.model_validate(told)
    assert len(list(read.features)) == 4
    kinds = {feature.geometry.type for feature in read.features if feature.geometry}
    assert kinds == {"Polygon", "MultiPolygon"}
    del told["features"][0]["geometry"]["coordinates"][0][-1]
    with pytest.raises(ValidationError):
        Collection.model_validate(told)


async def test_gdal_reads_it_as_valid_polygons(engine: AsyncEngine, municipality: Organization, tmp_path: Path) -> None:
    ogrinfo = shutil.which("ogrinfo")
    if ogrinfo is None:
        pytest.skip("ogrinfo is not on this machine: it is in the package gdal-bin")
    await furnish(engine, municipality)
    told = await drawn(municipality)

    def read(collection: Json) -> str:
        file = tmp_path / "offers.geojson"
        file.write_text(json.dumps(collection))
        valid = "select count(*) as valid from offers where st_isvalid(geometry)"
        looked = [ogrinfo, "-ro", "-al", "-dialect", "sqlite", "-sql", valid, str(file)]
        ran = subprocess.run(looked, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    said = read(told)
    assert "using driver `GeoJSON' successful" in said
    assert "valid (Integer) = 4" in said
    assert "WARNING" not in said
    crossed = [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]
    told["features"][0]["geometry"] = {"type": "Polygon", "coordinates": crossed}
    assert "valid (Integer) = 3" in read(told), "a ring that crosses itself is counted out"
