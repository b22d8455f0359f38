"""Practices over HTTP: told to the network in words of lists, found by the next town, and never with a name unasked."""

import csv
from io import BytesIO, StringIO
from uuid import uuid4

import hxl
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction
from tests.api.bodies import practice_body
from tests.api.conftest import Organization
from tests.api.scenes import Json
from tests.places import BRIANCON, MONTGENEVRE

_MONTHS = ("2025-12-01", "2026-01-01", "2026-02-01")


async def told(who: Organization, **changes: object) -> Json:
    answer = await who.http.post("/v1/practices", json=practice_body(**changes))
    assert answer.status_code == 201, answer.text
    practice: Json = answer.json()
    return practice


async def listed(who: Organization, **which: str | int | bool) -> list[str]:
    answer = await who.http.get("/v1/practices", params=which)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def test_a_practice_is_read_by_the_network_as_it_was_told(
    municipality: Organization, coordination: Organization
) -> None:
    practice = await told(municipality)
    assert practice | practice_body() | {"audience": ["anyone"], "last_month": None} == practice
    for who, own in ((municipality, True), (coordination, False)):
        read = await who.http.get(f"/v1/practices/{practice['id']}")
        assert read.json() == practice | {"own": own}


@pytest.mark.parametrize("named", [True, False])
async def test_its_organization_is_named_where_it_said_so(
    municipality: Organization, association: Organization, *, named: bool
) -> None:
    practice = await told(municipality, named=named)
    read = (await association.http.get(f"/v1/practices/{practice['id']}")).json()
    assert bool(read["organization"]) is named
    assert str(municipality.id) not in str(read)


async def test_what_is_looked_for_is_found(municipality: Organization, association: Organization) -> None:
    school = await told(municipality)
    homes = await told(association, doing="homes_network", means=["volunteers"], cost_per_year=None, currency=None)
    showers = await told(association, doing="showers", category="sanitation", means=["empty_building"])
    assert await listed(municipality) == [showers["id"], homes["id"], school["id"]]
    assert await listed(municipality, doing="homes_network") == [homes["id"]]
    assert await listed(municipality, category="sanitation") == [showers["id"]]
    assert await listed(municipality, means="empty_building") == [showers["id"], school["id"]]
    assert await listed(municipality, own=True) == [school["id"]]
    assert await listed(municipality, country="IT") == []
    assert len(await listed(municipality, near=MONTGENEVRE.id, within_km=20)) == 3
    assert await listed(municipality, near=MONTGENEVRE.id, within_km=1) == []


async def test_what_came_of_it_is_what_the_public_figures_say(municipality: Organization, engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        for month in _MONTHS:
            # Of another category, of a part, and of another town: none of it counts.
            for area, category, measure, part in (
                (str(BRIANCON.id), "shelter", "served", ""),
                (str(BRIANCON.id), "shelter", "nights", ""),
                (str(BRIANCON.id), "*", "served", ""),
                (str(BRIANCON.id), "shelter", "served_by", "association"),
                (str(MONTGENEVRE.id), "shelter", "served", ""),
            ):
                await tx.execute(
                    text(
                        "insert into figure (span, first_day, area, category, measure, part, value)"
                        f" values ('month', '{month}', '{area}', '{category}', '{measure}', '{part}', 40)"
                    )
                )
    practice = await told(municipality)
    came = (await municipality.http.get(f"/v1/practices/{practice['id']}")).json()["result"]
    assert came == {"months": 2, "asked": None, "served": 80, "unmet": None, "nights": 80}


async def test_a_practice_is_changed_by_its_own_alone_and_withdrawn_for_good(
    municipality: Organization, association: Organization
) -> None:
    practice = await told(municipality)
    act = f"/v1/practices/{practice['id']}"
    any_version = {"If-Match": "*"}
    foreign = await association.http.patch(act, json={"places": 1}, headers=any_version)
    missing = await association.http.patch(f"/v1/practices/{uuid4()}", json={"places": 1}, headers=any_version)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    changed = await municipality.http.patch(act, json={"last_month": "2026-06", "places": None}, headers=any_version)
    assert changed.json()["last_month"] == "2026-06"
    assert changed.json()["places"] is None
    assert (await municipality.http.post(f"{act}/withdraw")).json()["state"] == "withdrawn"
    assert (await association.http.get(act)).status_code == 404
    assert await listed(association) == []
    assert await listed(municipality) == [practice["id"]]
    again = await municipality.http.patch(act, json={"places": 1}, headers=any_version)
    assert again.status_code == 409
    assert "Tell of it anew" in again.json()["detail"]


@pytest.mark.parametrize(
    ("wrong", "at", "code"),
    [
        ({"town": 1}, "/town", "not_its_town"),
        ({"category": "unheard_of"}, "/category", "unknown_category"),
        ({"first_month": "2099-01"}, "/first_month", "in_the_future"),
        ({"last_month": "2025-12"}, "/last_month", "before_first_month"),
        ({"currency": None}, "/currency", "required"),
        ({"first_month": "2026-13"}, "/first_month", "wrong_form"),
        ({"first_month": "0000-01"}, "/first_month", "wrong_form"),
        ({"doing": "a word of my own"}, "/doing", "not_one_of"),
        ({"remarks": "about somebody"}, "/remarks", "unknown_field"),
    ],
)
async def test_what_cannot_be_told_is_said_where_it_is_wrong(
    municipality: Organization, wrong: dict[str, object], at: str, code: str
) -> None:
    answer = await municipality.http.post("/v1/practices", json=practice_body(**wrong))
    assert answer.status_code == 422
    assert [(each["at"], each["code"]) for each in answer.json()["errors"]] == [(at, code)]
    assert await listed(municipality) == []


async def test_the_table_is_one_with_tags(municipality: Organization, association: Organization) -> None:
    practice = await told(municipality)
    gone = await told(association)
    await association.http.post(f"/v1/practices/{gone['id']}/withdraw")
    answer = await association.http.get("/v1/export/practices.csv")
    (row,) = list(csv.DictReader(StringIO(answer.text)))[1:]
    assert row["id"] == practice["id"]
    assert row["means"] == "empty_building volunteers"
    source = hxl.data(BytesIO(answer.content), hxl.InputOptions(allow_local=True))
    assert hxl.schema().validate(source), "as the standard's own schema has it"
