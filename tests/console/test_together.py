"""Who is placed with others, on the board: that it is so, where it stands, and until when the people may answer."""

import re

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, catalogue, say
from db.bell import Bell
from db.roles import Role
from db.settings import Settings
from matching.projects import ProjectState
from tests.acting import in_role
from tests.api.bodies import pathway_body, project_body
from tests.api.conftest import Organization
from tests.api.scenes import Json, open_offer, post_need
from tests.console.conftest import Enter, Shown
from tests.db.acts import one, rows
from worker.projects import look_after_projects

BOARD = "/console"


@pytest.fixture
async def project(coordination: Organization) -> Json:
    """Two families who move together."""
    answered = await coordination.http.post("/v1/projects", json=project_body(answer_hours=50))
    assert answered.status_code == 201, answered.text
    posted: Json = answered.json()
    return posted


def said(shown: Shown) -> list[str]:
    """In which states of a project the parties on a board are."""
    return [state for state in ProjectState for _ in range(shown.words.count(say(f"console.project.{state}", "en")))]


async def test_a_party_of_a_project_says_where_the_project_stands_and_until_when_its_people_may_answer(
    enter: Enter,
    coordination: Organization,
    municipality: Organization,
    engine: AsyncEngine,
    settings: Settings,
    project: Json,
) -> None:
    door = await enter(coordination.key)
    shown = await door.read(BOARD)
    assert said(shown) == ["open", "open"]
    assert shown.answer.text.count(f'/console/projects/{project["id"]}"') == 2, "all of it is one tap away"
    await open_offer(municipality)
    assert await look_after_projects(in_role(engine, Role.MATCHER), Bell(settings), None)
    shown = await door.read(BOARD)
    assert said(shown) == ["proposed", "proposed"]
    assert shown.words.count("They may answer until") == 2
    assert "Answer due by" not in shown.words, "no house was asked"
    until = (await one(engine, "select answer_by from project")).answer_by.isoformat()
    assert [held["datetime"] for tag, held in shown.elements if tag == "time"] == [until, until]
    hall = await enter(municipality.key)
    assert say("console.waiting.none", "en") in (await hall.read("/console/tonight")).words
    accepted = await coordination.http.post(
        "/v1/slip/plan/accept", json={"code": project["code"], "plan": 1}, headers={"Authorization": ""}
    )
    assert accepted.status_code == 200, accepted.text
    shown = await door.read(BOARD)
    assert said(shown) == ["accepted", "accepted"]
    assert "They may answer until" not in shown.words
    assert shown.words.count("Answer due by") == 2
    party = project["parties"][0]["id"]
    assert said(await door.read(f"/console/needs/{party}")) == ["accepted"]


async def test_a_step_of_a_pathway_says_so_and_the_bed_alone_is_offered_to_a_partner(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    await post_need(coordination)
    door = await enter(coordination.key)
    assert say("console.pathway", "en") not in (await door.read(BOARD)).words
    await rows(engine, "delete from need")
    answered = await coordination.http.post("/v1/pathways", json=pathway_body())
    assert answered.status_code == 201, answered.text
    bed, shower = (step["need"]["id"] for step in answered.json()["steps"])
    shown = await door.read(BOARD)
    assert shown.words.count(say("console.pathway", "en")) == 2
    actions = [form.action for form in shown.forms]
    assert f"/console/needs/{bed}/refer" in actions
    assert f"/console/needs/{shower}/refer" not in actions


def test_each_state_of_a_project_has_its_words_in_every_language() -> None:
    keys = {f"console.project.{state}" for state in ProjectState} | {"console.project.until", "console.pathway"}
    for language in LANGUAGES:
        assert catalogue(language).keys() >= keys, language
    assert len({say(key, language) for key in keys for language in LANGUAGES}) == len(keys) * len(LANGUAGES)


def test_a_town_has_one_word_in_arabic() -> None:
    """`بلد`, a country, and `بلدية`, a town hall, are other words."""
    other = re.compile("بلدة|بلدت|بلدات")
    assert [key for key, said in catalogue("ar").items() if other.search(said)] == []
