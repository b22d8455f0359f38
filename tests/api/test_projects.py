"""Projects over HTTP: posted with counts alone, and answered by the people's own representatives."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import SLIP_LANGUAGES, say
from db.bell import Bell
from db.roles import Role
from db.settings import Settings
from tests.acting import in_role
from tests.api.bodies import project_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.hearing import hears
from tests.api.scenes import Json, assert_every_place_is_counted_once, open_offer
from tests.api.test_slip_page import Page
from tests.db.acts import rows
from worker.projects import look_after_projects
from worker.upkeep import keep_up


async def post(who: Organization, **changes: object) -> Json:
    answered = await who.http.post("/v1/projects", json=project_body(**changes))
    assert answered.status_code == 201, answered.text
    project: Json = answered.json()
    return project


async def read(who: Organization, project: Json) -> Json:
    answered = await who.http.get(f"/v1/projects/{project['id']}")
    assert answered.status_code == 200, answered.text
    found: Json = answered.json()
    return found


async def look(engine: AsyncEngine, settings: Settings) -> int:
    """One look of the worker at projects."""
    await rows(engine, "update need set look_at = now()")
    return await look_after_projects(in_role(engine, Role.MATCHER), Bell(settings), None)


@pytest.fixture
async def proposed(
    engine: AsyncEngine, settings: Settings, municipality: Organization, coordination: Organization
) -> Json:
    """A plan for both families in one house."""
    await open_offer(municipality)
    project = await post(coordination)
    assert await look(engine, settings)
    return project


@pytest.fixture
async def accepted(
    engine: AsyncEngine,
    settings: Settings,
    municipality: Organization,
    coordination: Organization,
    anyone: httpx.AsyncClient,
) -> Json:
    """A plan for both families that they have accepted; one of them alone would still be enough."""
    await open_offer(municipality)
    project = await post(coordination, minimum=3)
    assert await look(engine, settings)
    assert (await anyone.post("/v1/slip/plan/accept", json={"code": project["code"], "plan": 1})).status_code == 200
    return project


async def test_a_project_is_posted_read_and_listed(coordination: Organization) -> None:
    project = await post(coordination)
    assert (project["state"], project["people"], project["minimum"], project["housed"]) == ("open", 7, 7, 0)
    assert {party["project_id"] for party in project["parties"]} == {project["id"]}
    assert project["code"]
    shown = await read(coordination, project)
    assert shown == project | {"code": None}
    assert (await coordination.http.get("/v1/projects")).json() == {"items": [shown], "next": None}


async def test_its_representatives_look_at_the_plan_and_accept_it(
    proposed: Json, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    code = {"code": proposed["code"]}
    plan = (await anyone.post("/v1/slip/plan", json=code)).json()
    assert (plan["state"], plan["plan"], plan["people"], plan["housed"], plan["minimum"]) == ("proposed", 1, 7, 7, 7)
    (house,) = plan["houses"]
    assert (house["town"], sorted(house["parties"]), house["states"]) == ("Briançon", [3, 4], ["held"])
    assert house["awaits"]
    assert (await anyone.post("/v1/slip/plan/accept", json=code | {"plan": 2})).status_code == 409
    accepted = await anyone.post("/v1/slip/plan/accept", json=code | {"plan": 1})
    assert accepted.status_code == 200, accepted.text
    assert (accepted.json()["state"], accepted.json()["answer_by"]) == ("accepted", None)
    assert not accepted.json()["houses"][0]["awaits"]
    assert (await anyone.post("/v1/slip/plan/accept", json=code | {"plan": 1})).status_code == 200
    assert (await anyone.post("/v1/slip/plan/accept", json=code | {"plan": 2})).status_code == 409
    assert (await read(coordination, proposed))["state"] == "accepted"
    slip = (await anyone.post("/v1/slip", json=code)).json()
    assert [len(part["places"]) for part in (slip, *slip["others"])] == [1, 1]


async def test_a_house_confirms_only_once_the_people_have_said_yes(
    proposed: Json, municipality: Organization, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    first = (await read(coordination, proposed))["parties"][0]["allocations"][0]["id"]
    early = await municipality.http.post(f"/v1/allocations/{first}/confirm", headers={"Accept-Language": "fr"})
    assert early.status_code == 409
    assert "accepté" in early.json()["detail"]
    await anyone.post("/v1/slip/plan/accept", json={"code": proposed["code"], "plan": 1})
    assert (await municipality.http.post(f"/v1/allocations/{first}/confirm")).status_code == 200


async def test_a_refused_house_is_not_proposed_again(
    proposed: Json, engine: AsyncEngine, settings: Settings, anyone: httpx.AsyncClient, municipality: Organization
) -> None:
    code = {"code": proposed["code"]}
    (house,) = (await anyone.post("/v1/slip/plan", json=code)).json()["houses"]
    refusal: dict[str, Any] = code | {"reason": "too_far", "houses": [house["offer_id"]], "plan": 1}
    refused = await anyone.post("/v1/slip/plan/refuse", json=refusal)
    assert (refused.status_code, refused.json()["state"], refused.json()["houses"]) == (200, "open", [])
    assert not await look(engine, settings)
    another = await open_offer(municipality)
    assert await look(engine, settings)
    plan = (await anyone.post("/v1/slip/plan", json=code)).json()
    assert (plan["plan"], [each["offer_id"] for each in plan["houses"]]) == (2, [another])


async def test_only_an_organization_of_their_own_answers_for_them(
    proposed: Json, engine: AsyncEngine, coordination: Organization
) -> None:
    path = f"/v1/projects/{proposed['id']}"
    for act, body in (("accept", {"plan": 1}), ("refuse", {"reason": "afraid"})):
        refused = await coordination.http.post(f"{path}/{act}", json=body)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    await rows(engine, "update organization set self_organized = true where id = :id", id=coordination.id)
    assert (await coordination.http.post(f"{path}/accept", json={"plan": 1})).json()["state"] == "accepted"
    assert (await coordination.http.post(f"{path}/refuse", json={"reason": "afraid"})).status_code == 409


async def test_a_party_does_not_leave_its_project_alone(proposed: Json, coordination: Organization) -> None:
    path = f"/v1/needs/{proposed['parties'][0]['id']}"
    tries = (
        await coordination.http.post(f"{path}/withdraw"),
        await coordination.http.post(f"{path}/refer"),
        await coordination.http.patch(path, headers={"If-Match": "*"}, json={"max_km": 10}),
    )
    assert [each.status_code for each in tries] == [409, 409, 409]
    assert all("project" in each.json()["detail"] for each in tries)


async def test_withdrawing_gives_all_places_back(
    proposed: Json, engine: AsyncEngine, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    for _ in range(2):
        ended = await coordination.http.post(f"/v1/projects/{proposed['id']}/withdraw")
        assert (ended.status_code, ended.json()["state"]) == (200, "withdrawn")
    assert await rows(engine, "select id from slot where used > 0") == []
    assert (await anyone.post("/v1/slip/plan", json={"code": proposed["code"]})).status_code == 404
    await assert_every_place_is_counted_once(engine)


async def test_the_people_may_end_it_all(
    proposed: Json, engine: AsyncEngine, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    ended = await anyone.post("/v1/slip/refuse", json={"code": proposed["code"], "reason": "moved_on"})
    assert ended.status_code == 200, ended.text
    assert (await read(coordination, proposed))["state"] == "withdrawn"
    await assert_every_place_is_counted_once(engine)


async def test_one_family_that_travels_on_takes_the_others_along_below_the_minimum_alone(
    accepted: Json, engine: AsyncEngine, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    code = {"code": accepted["code"]}
    slip = (await anyone.post("/v1/slip", json=code)).json()
    gone = code | {"reason": "moved_on", "place": slip["places"][0]["id"]}
    assert (await anyone.post("/v1/slip/refuse", json=gone)).status_code == 200
    shown = await read(coordination, accepted)
    assert (shown["state"], sorted(party["state"] for party in shown["parties"])) == ("accepted", ["held", "withdrawn"])
    whole = await anyone.post("/v1/slip/refuse", json=code | {"reason": "moved_on"})
    assert whole.status_code == 200, whole.text
    assert (await read(coordination, accepted))["state"] == "withdrawn"
    await hears(
        coordination, ["project.posted", "project.proposed", "project.accepted", "project.withdrawn"], "project."
    )
    await assert_every_place_is_counted_once(engine)


async def test_a_plan_that_waits_for_the_people_tells_them_so(proposed: Json, anyone: httpx.AsyncClient) -> None:
    code = {"code": proposed["code"]}
    waits = (await anyone.post("/v1/slip", json=code, headers={"Accept-Language": "en"})).json()
    assert "say yes or no" in waits["says"]
    page = Page((await anyone.post("/slip", data=code | {"language": "en"})).text)
    assert page.says("A plan waits for your answer")
    assert page.says("It has places for 7 of 7 people.")
    assert page.says("Briançon (France)")


@pytest.mark.parametrize("language", SLIP_LANGUAGES)
async def test_the_people_say_yes_on_their_page(proposed: Json, anyone: httpx.AsyncClient, language: str) -> None:
    form = {"code": proposed["code"], "language": language, "plan": "1"}
    assert Page((await anyone.post("/slip", data=form)).text).says(say("slip.plan.yes", language))
    assert (await anyone.post("/slip/plan/accept", data=form | {"plan": "2"})).status_code == 409
    said = await anyone.post("/slip/plan/accept", data=form)
    assert said.status_code == 200
    page = Page(said.text)
    assert page.says(say("slip.refuse.done", language))
    assert not page.says(say("slip.plan.title", language))
    assert page.says(say("slip.state.held", language))


async def test_the_people_say_no_to_a_house_on_their_page(
    proposed: Json, anyone: httpx.AsyncClient, coordination: Organization
) -> None:
    form = {"code": proposed["code"], "language": "en", "plan": "1"}
    shown = Page((await anyone.post("/slip", data=form)).text)
    (house,) = [each["value"] for each in shown.all("input") if each.get("name") == "houses"]
    for wrong in ({"plan": "x"}, {"reason": "moved_on"}, {"reason": "nonsense"}):
        seen = await anyone.post("/slip/plan/refuse", data=form | {"reason": "too_far"} | wrong)
        assert seen.status_code == 200
        assert (await read(coordination, proposed))["state"] == "proposed", "what is no answer changes nothing"
    no = form | {"reason": "too_far", "houses": house}
    assert (await anyone.post("/slip/plan/refuse", data=no | {"houses": str(uuid4())})).status_code == 409
    assert (await anyone.post("/slip/plan/refuse", data=no)).status_code == 200
    assert (await read(coordination, proposed))["state"] == "open"
    assert (await anyone.post("/slip/plan/refuse", data=no)).status_code == 409


async def test_an_explanation_says_that_a_party_goes_with_the_others_alone(
    engine: AsyncEngine, settings: Settings, municipality: Organization, coordination: Organization
) -> None:
    """And with room for all of them it does: that it was alone is what kept it from the place."""
    await open_offer(municipality, capacity=4)
    project = await post(coordination)
    assert not await look(engine, settings)
    need = project["parties"][0]["id"]
    for language in ("en", "fr", "it", "es", "ar"):
        path, headers = f"/v1/needs/{need}/explanation", {"Accept-Language": language}
        told = (await coordination.http.get(path, headers=headers)).json()
        assert [other["term"] for other in told["others"]] == ["plan"]
        assert told["summary"] == say("summary.plan", language)
    await rows(engine, "update need set deadline = now() - interval '1 second' where id = :id", id=UUID(need))
    await keep_up(in_role(engine, Role.MATCHER), Bell(settings))
    unmet = (await read(coordination, project))["parties"][0]
    assert (unmet["state"], unmet["unmet_reasons"]) == ("unmet", {"plan": 1})
    await open_offer(municipality, capacity=7)
    assert await look(engine, settings)
    assert (await read(coordination, project))["state"] == "proposed"


async def test_who_lost_a_place_of_an_accepted_plan_is_told_so_and_may_leave_alone(
    accepted: Json, coordination: Organization, municipality: Organization, anyone: httpx.AsyncClient
) -> None:
    code, english = {"code": accepted["code"]}, {"Accept-Language": "en"}
    party = (await read(coordination, accepted))["parties"][0]
    lost = f"/v1/allocations/{party['allocations'][0]['id']}/decline"
    assert (await municipality.http.post(lost, json={"reason": "unsuitable"})).status_code == 200
    told = (await anyone.post("/v1/slip", json=code, headers=english)).json()
    assert "still being looked for" in told["says"]
    assert (await coordination.http.post(f"/v1/needs/{party['id']}/withdraw")).status_code == 200


@pytest.fixture
async def left_out(
    engine: AsyncEngine,
    settings: Settings,
    municipality: Organization,
    coordination: Organization,
    anyone: httpx.AsyncClient,
) -> Json:
    """Four of seven have a place by a plan that they accepted; the family of three is left out."""
    await open_offer(municipality, capacity=4)
    project = await post(coordination, minimum=4)
    assert await look(engine, settings)
    said = await anyone.post("/v1/slip/plan/accept", json={"code": project["code"], "plan": 1})
    assert said.status_code == 200
    return project


async def test_who_is_left_out_and_needs_no_place_any_more_ends_nobody_elses(
    left_out: Json, coordination: Organization, anyone: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    form = {"code": left_out["code"], "language": "en", "reason": "found_elsewhere"}
    assert (await anyone.post("/slip/refuse", data=form)).status_code == 200
    shown = await read(coordination, left_out)
    assert (shown["state"], sorted(party["state"] for party in shown["parties"])) == ("accepted", ["held", "withdrawn"])
    await assert_every_place_is_counted_once(engine)


async def test_a_second_plan_is_asked_about_alone(
    left_out: Json,
    engine: AsyncEngine,
    settings: Settings,
    municipality: Organization,
    coordination: Organization,
    anyone: httpx.AsyncClient,
) -> None:
    code = {"code": left_out["code"]}
    await open_offer(municipality, capacity=3)
    assert await look(engine, settings)
    plan = (await anyone.post("/v1/slip/plan", json=code)).json()
    assert (plan["plan"], plan["others_stay"], [house["awaits"] for house in plan["houses"]]) == (
        2,
        True,
        [True, False],
    )
    page = Page((await anyone.post("/slip", data=code | {"language": "en"})).text)
    assert page.says("It has places for 3 of 3 people.")
    assert page.says(say("slip.plan.others_stay", "en"))
    late: dict[str, Any] = code | {"reason": "found_elsewhere", "plan": 1}
    assert (await anyone.post("/v1/slip/plan/refuse", json=late)).status_code == 409
    assert (await anyone.post("/v1/slip/plan/accept", json=code)).status_code == 422, "a yes to whatever there is"
    gone = await anyone.post("/v1/slip/plan/refuse", json=late | {"plan": 2})
    assert (gone.status_code, gone.json()["state"]) == (200, "accepted")
    shown = await read(coordination, left_out)
    assert sorted(party["state"] for party in shown["parties"]) == ["held", "withdrawn"]
    await assert_every_place_is_counted_once(engine)


async def test_the_page_says_when_a_no_would_end_all(
    left_out: Json,
    engine: AsyncEngine,
    settings: Settings,
    municipality: Organization,
    anyone: httpx.AsyncClient,
) -> None:
    await open_offer(municipality, capacity=3)
    assert await look(engine, settings)
    await rows(engine, "update project set minimum = 5")
    page = Page((await anyone.post("/slip", data={"code": left_out["code"], "language": "en"})).text)
    assert page.says(say("slip.plan.others_end", "en"))


async def test_who_posted_it_does_not_answer_by_giving_the_places_back(
    proposed: Json, municipality: Organization, coordination: Organization
) -> None:
    place = (await read(coordination, proposed))["parties"][0]["allocations"][0]["id"]
    refused = await coordination.http.post(f"/v1/allocations/{place}/release", json={"reason": "other"})
    assert refused.status_code == 409, refused.text
    taken_back = await municipality.http.post(f"/v1/allocations/{place}/decline", json={"reason": "unsuitable"})
    assert taken_back.status_code == 200


async def test_a_house_that_is_not_in_the_plan_cannot_be_refused_and_moving_on_ends_it(
    proposed: Json, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    code = {"code": proposed["code"]}
    other: dict[str, Any] = code | {"reason": "too_far", "houses": [str(uuid4())]}
    assert (await anyone.post("/v1/slip/plan/refuse", json=other)).status_code == 409
    assert (await read(coordination, proposed))["state"] == "proposed"
    await anyone.post("/v1/slip/plan/refuse", json=code | {"reason": "moved_on"})
    assert (await read(coordination, proposed))["state"] == "withdrawn"


async def test_an_organization_of_their_own_may_say_that_they_found_something_elsewhere(
    proposed: Json, engine: AsyncEngine, coordination: Organization
) -> None:
    await rows(engine, "update organization set self_organized = true where id = :id", id=coordination.id)
    ended = await coordination.http.post(f"/v1/projects/{proposed['id']}/refuse", json={"reason": "found_elsewhere"})
    assert (ended.status_code, ended.json()["state"]) == (200, "withdrawn")
    assert {row.reason for row in await rows(engine, "select reason from allocation")} == {"found_elsewhere"}
    await assert_every_place_is_counted_once(engine)


async def test_nobody_else_sees_or_answers_it(proposed: Json, client: JoinNetwork, municipality: Organization) -> None:
    stranger = await client("coordination")
    for who in (stranger, municipality):
        assert (await who.http.get("/v1/projects")).json()["items"] == []
        for method, path, body in (
            ("GET", "", None),
            ("POST", "/withdraw", None),
            ("POST", "/accept", {"plan": 1}),
            ("POST", "/refuse", {"reason": "afraid"}),
        ):
            theirs = await who.http.request(method, f"/v1/projects/{proposed['id']}{path}", json=body)
            nobodys = await who.http.request(method, f"/v1/projects/{uuid4()}{path}", json=body)
            assert theirs.status_code == 404
            assert theirs.content == nobodys.content


async def test_what_cannot_be_is_refused_where_it_is(coordination: Organization) -> None:
    async def flaws(**changes: object) -> set[tuple[str, str]]:
        refused = await coordination.http.post("/v1/projects", json=project_body(**changes))
        assert refused.status_code == 422, refused.text
        return {(flaw["at"], flaw["code"]) for flaw in refused.json()["errors"]}

    assert await flaws(minimum=8) == {("/minimum", "more_than_they_are")}
    assert await flaws(category="sanitation") == {("/category", "by_the_night")}
    assert await flaws(town=1) == {("/town", "unknown_town")}
    nobody = [{"people": {"adults": 2}}, {"people": {"adults": 0}}]
    assert await flaws(parties=nobody) == {("/parties/1/people", "nobody")}


async def test_its_events_say_where_it_stands(
    proposed: Json, engine: AsyncEngine, coordination: Organization, anyone: httpx.AsyncClient
) -> None:
    await anyone.post("/v1/slip/plan/accept", json={"code": proposed["code"], "plan": 1})
    kinds = await rows(engine, "select kind from event where object_id = :id order by id", id=UUID(proposed["id"]))
    assert [row.kind for row in kinds] == ["project.posted", "project.proposed", "project.accepted"]
    assert coordination
