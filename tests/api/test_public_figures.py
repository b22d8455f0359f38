"""P7: public figures over HTTP: what was told, to everybody, as JSON and as a table that humanitarian tools read."""

import csv
from collections.abc import AsyncIterator
from datetime import date
from io import BytesIO, StringIO
from typing import Any

import httpx
import hxl
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from matching.figures.calendar import WEEK
from matching.figures.measures import Measure
from matching.figures.tables import ALL, Span
from matching.policy import FIRST_POLICY
from tests.db.acts import rows
from tests.places import BRIANCON
from tests.published import tell

FIRST = date(2026, 1, 5)
Json = dict[str, Any]


@pytest_asyncio.fixture(loop_scope="function")
async def reader(anyone: httpx.AsyncClient, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a key, when six weeks and a month were told."""
    town = str(BRIANCON.id)
    for number in range(6):
        await tell(
            engine,
            Span.WEEK,
            FIRST + number * WEEK,
            (ALL, ALL, Measure.ASKED, "", 100 + number),
            ("FR", "shelter", Measure.UNMET, "", 30),
            (town, "shelter", Measure.UNMET, "", 22),
            (town, "shelter", Measure.UNMET_FOR, "distance", 12),
            (town, "meal", Measure.UNMET, "", 11),
        )
    await tell(engine, Span.MONTH, date(2026, 1, 1), (ALL, ALL, Measure.ASKED, "", 400))
    yield anyone


async def asked(reader: httpx.AsyncClient, **parameters: object) -> list[Json]:
    answer = await reader.get("/v1/figures", params={name: str(value) for name, value in parameters.items()})
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return items


async def test_everybody_may_read_what_was_told(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/v1/figures")
    assert answer.headers["cache-control"].startswith("public")
    newest, *others = answer.json()["items"]
    assert len(others) == 3
    assert (newest["first_day"], newest["last_day"]) == ("2026-02-09", "2026-02-15")
    assert newest["policy_version"] == FIRST_POLICY.version
    assert newest["competence_version"] == 1
    whole = next(each for each in newest["figures"] if each["country"] is None)
    assert whole == {
        "town": None,
        "country": None,
        "category": None,
        "measure": "asked",
        "part": None,
        "value": 105,
        "per_thousand": None,
        "duty": None,
    }


async def test_unmet_people_are_told_with_whose_duty_it_was(reader: httpx.AsyncClient) -> None:
    (week,) = await asked(reader, limit=1, town=BRIANCON.id, category="shelter")
    assert [(each["measure"], each["part"], each["value"], each["duty"]) for each in week["figures"]] == [
        ("unmet", None, 22, "state"),
        ("unmet_for", "distance", 12, "state"),
    ]
    assert week["figures"][0]["per_thousand"] == pytest.approx(1.98)
    (week,) = await asked(reader, limit=1, category="meal")
    assert week["figures"][0]["duty"] == "unknown"
    (week,) = await asked(reader, limit=1, country="FR", category="shelter")
    assert [each["town"] for each in week["figures"]] == [BRIANCON.id, BRIANCON.id, None]


async def test_pages_go_back_in_time(reader: httpx.AsyncClient) -> None:
    days: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await reader.get("/v1/figures", params={"limit": "4", **cursor})).json()
        days += [each["first_day"] for each in answer["items"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert days == [(FIRST + number * WEEK).isoformat() for number in (5, 4, 3, 2, 1, 0)]
    between = await asked(reader, **{"from": "2026-01-12", "until": "2026-01-19"})
    assert [each["first_day"] for each in between] == ["2026-01-19", "2026-01-12"]
    assert (await reader.get("/v1/figures", params={"cursor": "2026-13-01"})).status_code == 422


async def test_a_month_is_its_whole_weeks(reader: httpx.AsyncClient) -> None:
    (month,) = await asked(reader, span="month")
    assert (month["first_day"], month["last_day"]) == ("2025-12-29", "2026-02-01")


async def test_the_table_is_one_that_hxl_tools_read(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/v1/export/figures.csv", params={"town": str(BRIANCON.id)})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    source = hxl.data(BytesIO(answer.content), hxl.InputOptions(allow_local=True))
    assert hxl.schema().validate(source), "as the standard's own schema has it"
    table = hxl.data(BytesIO(answer.content), hxl.InputOptions(allow_local=True))
    unmet = [row for row in table if row.get("#indicator+code") == "unmet" and row.get("#sector") == "shelter"]
    assert [row.get("#indicator+value+num") for row in unmet] == ["22"] * 6
    assert {row.get("#loc+name") for row in unmet} == {"Briançon"}
    assert {row.get("#org+responsible+type") for row in unmet} == {"state"}


@pytest.mark.parametrize("name", ['=HYPERLINK("x")', "+1", "-1", "@sum", "\tx"])
async def test_no_cell_is_a_formula(reader: httpx.AsyncClient, engine: AsyncEngine, name: str) -> None:
    await rows(engine, "update town set name = :name where id = :id", name=name, id=BRIANCON.id)
    answer = await reader.get("/v1/export/figures.csv", params={"town": str(BRIANCON.id)})
    for row in csv.DictReader(StringIO(answer.text)):
        assert row["town_name"] in ("#loc+name", f"'{name}")
