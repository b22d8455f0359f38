"""The form of preferences keeps what it cannot show, and is there as long as anything of the slip stands."""

from itertools import takewhile

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import SLIP_LANGUAGES, say
from tests.api.bodies import pathway_body
from tests.api.conftest import Organization
from tests.api.scenes import Json, post_need, read_need
from tests.api.test_slip_page import Page, send
from tests.db.acts import rows
from tests.places import BRIANCON, GAP

SAVED = "/slip/preferences"


async def said_before(anyone: httpx.AsyncClient, code: str, **said: object) -> None:
    told = await anyone.post("/v1/slip/preferences", json={"code": code, **said})
    assert told.status_code == 200, told.text


def options(page: Page, name: str) -> list[dict[str, str]]:
    """The choices of one list, in their order."""
    at = page.elements.index(("select", {"name": name}))
    return [held for _, held in takewhile(lambda each: each[0] == "option", page.elements[at + 1 :])]


def as_it_stands(page: Page) -> dict[str, str]:
    """What a browser sends of the two lists when nobody touches them."""
    chosen = {}
    for name in ("near_km", "most_km"):
        every = options(page, name)
        chosen[name] = next((each for each in every if "selected" in each), every[0])["value"]
    return chosen


@pytest.mark.parametrize("language", SLIP_LANGUAGES)
async def test_a_town_that_was_said_elsewhere_is_shown_and_kept(
    anyone: httpx.AsyncClient, coordination: Organization, language: str
) -> None:
    posted = await post_need(coordination)
    await said_before(anyone, posted["code"], near={"town": GAP.id, "km": 7}, most_km=33)
    code = {"code": posted["code"], "language": language}
    page = await send(anyone, code)
    assert page.says(say("slip.prefer.near_said", language, town="Gap"))
    assert page.says(say("slip.prefer.most_km", language, km=33))
    await send(anyone, {**code, **as_it_stands(page), "wishes": "quiet"}, SAVED)
    kept = (await read_need(coordination, posted["id"]))["preferences"]
    assert kept == {"near": {"town": GAP.id, "km": 7}, "most_km": 33, "wishes": ["quiet"], "wait_for": []}
    other = await send(anyone, {**code, "near_km": "5", "most_km": ""}, SAVED)
    assert not other.says(say("slip.prefer.near_said", language, town="Gap"))
    changed = (await read_need(coordination, posted["id"]))["preferences"]
    assert (changed["near"], changed["most_km"]) == ({"town": BRIANCON.id, "km": 5}, None)


async def test_kilometres_around_their_own_town_that_are_none_of_the_choices_are_kept(
    anyone: httpx.AsyncClient, coordination: Organization
) -> None:
    posted = await post_need(coordination)
    await said_before(anyone, posted["code"], near={"km": 42})
    page = await send(anyone, {"code": posted["code"]})
    await send(anyone, {"code": posted["code"], **as_it_stands(page)}, SAVED)
    kept = (await read_need(coordination, posted["id"]))["preferences"]
    assert kept["near"] == {"town": BRIANCON.id, "km": 42}


async def test_control_where_nothing_was_said_nothing_is_kept(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine
) -> None:
    posted = await post_need(coordination)
    page = await send(anyone, {"code": posted["code"]})
    assert "said" not in [each["value"] for each in (*options(page, "near_km"), *options(page, "most_km"))]
    await send(anyone, {"code": posted["code"], "near_km": "said", "most_km": "said"}, SAVED)
    assert await rows(engine, "select need_id from preference") == []


@pytest.fixture
async def pathway(coordination: Organization) -> Json:
    """A bed and a shower."""
    answered = await coordination.http.post("/v1/pathways", json=pathway_body())
    assert answered.status_code == 201, answered.text
    posted: Json = answered.json()
    return posted


def forms(page: Page) -> list[str]:
    return [held["action"] for held, _ in page.forms]


async def test_what_stands_of_a_pathway_may_be_wished_for_though_its_bed_has_ended(
    anyone: httpx.AsyncClient, coordination: Organization, pathway: Json
) -> None:
    bed, shower = (step["need"]["id"] for step in pathway["steps"])
    await said_before(anyone, pathway["code"], near={"town": GAP.id, "km": 7})
    assert (await coordination.http.post(f"/v1/needs/{bed}/withdraw")).status_code == 200
    page = await send(anyone, {"code": pathway["code"]})
    assert forms(page).count(SAVED) == 1
    assert page.says(say("slip.prefer.near_said", "en", town="Gap"))
    assert ("select", {"name": "leave_by"}) not in page.elements, "of a pathway nobody leaves by a morning"
    saved = await send(anyone, {"code": pathway["code"], **as_it_stands(page), "wishes": "quiet"}, SAVED)
    assert saved.says(say("slip.prefer.done", "en"))
    assert (await read_need(coordination, shower))["preferences"]["wishes"] == ["quiet"]
    assert (await read_need(coordination, bed))["preferences"]["wishes"] == []


async def test_control_once_nothing_of_it_stands_there_is_no_form(
    anyone: httpx.AsyncClient, coordination: Organization, pathway: Json
) -> None:
    assert SAVED in forms(await send(anyone, {"code": pathway["code"]}))
    assert (await coordination.http.post(f"/v1/pathways/{pathway['id']}/withdraw")).status_code == 200
    assert SAVED not in forms(await send(anyone, {"code": pathway["code"]}))
