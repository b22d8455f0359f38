"""Pathways over HTTP: one party, one code, and each step a need as any other."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.settings import Settings
from matching.states import AllocationState
from tests.api.bodies import pathway_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import Json, assert_every_place_is_counted_once, open_offer
from tests.builders import TONIGHT, tonight
from tests.db.acts import answer, one, rows
from tests.pathways import Valley
from tests.places import BRIANCON, MONTGENEVRE

SHOWERS = {"category": "sanitation", "opens": "09:00", "closes": "23:00", "slot_minutes": 30}


async def post(who: Organization, **changes: object) -> Json:
    answered = await who.http.post("/v1/pathways", json=pathway_body(**changes))
    assert answered.status_code == 201, answered.text
    pathway: Json = answered.json()
    return pathway


async def read(who: Organization, pathway: Json) -> Json:
    answered = await who.http.get(f"/v1/pathways/{pathway['id']}")
    assert answered.status_code == 200, answered.text
    found: Json = answered.json()
    return found


async def flaws(who: Organization, **changes: object) -> set[tuple[str, str]]:
    refused = await who.http.post("/v1/pathways", json=pathway_body(**changes))
    assert refused.status_code == 422, refused.text
    return {(flaw["at"], flaw["code"]) for flaw in refused.json()["errors"]}


@pytest.fixture
async def valley(
    engine: AsyncEngine, settings: Settings, municipality: Organization, coordination: Organization
) -> Valley:
    return Valley(engine, settings, municipality.id, coordination.id)


@pytest.fixture
async def placed(valley: Valley, municipality: Organization, coordination: Organization) -> Json:
    """A bed and showers up in Montgenèvre, for a party that stands in Briançon."""
    await open_offer(municipality, MONTGENEVRE)
    await open_offer(municipality, MONTGENEVRE, **SHOWERS)
    pathway = await post(coordination)
    await valley.look()
    return pathway


async def test_a_pathway_is_posted_read_and_listed(coordination: Organization) -> None:
    answered = await coordination.http.post("/v1/pathways", json=pathway_body())
    assert answered.status_code == 201, answered.text
    pathway = answered.json()
    assert answered.headers["Location"] == f"/v1/pathways/{pathway['id']}"
    assert (pathway["state"], pathway["near_km"], pathway["people"]) == ("open", 10, {"adults": 2, "minors": 2})
    assert [step["need"]["category"] for step in pathway["steps"]] == ["shelter", "sanitation"]
    assert {step["need"]["pathway_id"] for step in pathway["steps"]} == {pathway["id"]}
    assert {step["need"]["stay"] for step in pathway["steps"]} == {"settling"}
    assert [step["need"]["max_km"] for step in pathway["steps"]] == [None, 10]
    assert pathway["code"]
    assert all(step["need"]["code"] is None for step in pathway["steps"])
    shown = await read(coordination, pathway)
    assert shown == pathway | {"code": None}
    listed = (await coordination.http.get("/v1/pathways")).json()
    assert listed == {"items": [shown], "next": None}
    need = (await coordination.http.get(f"/v1/needs/{pathway['steps'][1]['need']['id']}")).json()
    assert need["pathway_id"] == pathway["id"]


async def test_lists_go_on_where_they_stopped(coordination: Organization) -> None:
    made = [(await post(coordination))["id"] for _ in range(3)]
    first = (await coordination.http.get("/v1/pathways", params={"limit": 2})).json()
    second = (await coordination.http.get("/v1/pathways", params={"limit": 2, "cursor": first["next"]})).json()
    assert [each["id"] for each in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None


async def test_its_poster_sees_how_far_its_steps_are_from_the_bed(placed: Json, coordination: Organization) -> None:
    pathway = await read(coordination, placed)
    bed, shower = pathway["steps"]
    assert pathway["state"] == "held"
    assert (bed["km_from_bed"], bed["within_reach"]) == (None, None)
    assert (shower["km_from_bed"], shower["within_reach"]) == (0, True)


async def test_who_gives_a_step_learns_nothing_of_the_bed(
    placed: Json, valley: Valley, municipality: Organization, coordination: Organization
) -> None:
    """Told to both sides is how far a place is from the town, whether the bed lies beside it or elsewhere."""
    pathway = await read(coordination, placed)
    _, shower = (step["need"]["allocations"][0] for step in pathway["steps"])
    seen = (await municipality.http.get(f"/v1/allocations/{shower['id']}")).json()
    assert seen == shower
    bed = await one(
        valley.engine,
        "select a.distance_km as km from allocation a join offer o on o.id = a.offer_id where o.category = 'shelter'",
    )
    assert seen["distance_km"] == bed.km > 0
    explained = await coordination.http.get(f"/v1/needs/{shower['need_id']}/explanation")
    (chosen,) = explained.json()["chosen"]
    assert chosen["decision"]["way"] == "together"
    assert chosen["decision"]["terms"]["travel"] == chosen["terms"]["travel"] == 0


async def test_an_explanation_says_why_not_the_nearer_bed(
    placed: Json, municipality: Organization, coordination: Organization
) -> None:
    nearer = await open_offer(municipality, BRIANCON)
    bed = placed["steps"][0]["need"]["id"]
    for language, word in (
        ("en", "pathway"),
        ("fr", "parcours"),
        ("it", "percorso"),
        ("es", "itinerario"),
        ("ar", "المسار"),
    ):
        explained = await coordination.http.get(f"/v1/needs/{bed}/explanation", headers={"Accept-Language": language})
        (other,) = explained.json()["others"]
        assert other["term"] == "together"
        assert word in other["sentence"]
        assert word in explained.json()["chosen"][0]["decision"]["sentence"]
    assert nearer


async def test_withdrawing_ends_all_of_it(placed: Json, valley: Valley, coordination: Organization) -> None:
    path = f"/v1/pathways/{placed['id']}/withdraw"
    for _ in range(2):
        ended = await coordination.http.post(path)
        assert ended.status_code == 200, ended.text
        assert ended.json()["state"] == "withdrawn"
        assert {step["need"]["state"] for step in ended.json()["steps"]} == {"withdrawn"}
    assert [row.used for row in await rows(valley.engine, "select used from slot where used > 0")] == []
    await rows(valley.engine, "update need set state = 'closed'")
    late = await coordination.http.post(path)
    assert (late.status_code, late.json()["type"]) == (409, "/problems/conflict")
    await assert_every_place_is_counted_once(valley.engine)


async def test_nobody_else_sees_or_ends_it(placed: Json, client: JoinNetwork, municipality: Organization) -> None:
    stranger = await client("coordination")
    for who in (stranger, municipality):
        assert (await who.http.get("/v1/pathways")).json()["items"] == []
        for method, path in (("GET", ""), ("POST", "/withdraw")):
            of_theirs = await who.http.request(method, f"/v1/pathways/{placed['id']}{path}")
            of_nobodys = await who.http.request(method, f"/v1/pathways/{uuid4()}{path}")
            assert of_theirs.status_code == 404
            assert of_theirs.content == of_nobodys.content


def _step(category: str, nights: int = 7, **more: object) -> dict[str, object]:
    starts, ends = tonight(nights)
    return {"category": category, "from": starts.isoformat(), "until": ends.isoformat(), **more}


async def test_what_is_no_pathway_is_refused_with_every_flaw_where_it_is(coordination: Organization) -> None:
    bed, shower = _step("shelter"), _step("sanitation")
    assert await flaws(coordination, steps=[bed, bed]) == {("/steps", "one_bed_needed")}
    assert await flaws(coordination, steps=[shower, shower]) == {("/steps", "one_bed_needed")}
    assert await flaws(coordination, people={"adults": 0}) == {("/people", "nobody")}
    assert await flaws(coordination, town=1) == {("/town", "unknown_town")}
    assert await flaws(coordination, steps=[bed, _step("palace"), _step("language_class")]) == {
        ("/steps/1/category", "unknown_category"),
        ("/steps/2/language", "language_needed"),
    }
    assert ("/steps", "too_short") in await flaws(coordination, steps=[bed])
    assert (await coordination.http.get("/v1/needs")).json()["items"] == []


async def test_a_step_stays_its_partys_and_where_its_bed_is(
    placed: Json, valley: Valley, coordination: Organization
) -> None:
    shower = (await read(coordination, placed))["steps"][1]["need"]
    path = f"/v1/needs/{shower['id']}"
    refused = await coordination.http.patch(path, headers={"If-Match": "*"}, json={"people": {"adults": 1}})
    assert refused.status_code == 422
    assert [(flaw["at"], flaw["code"]) for flaw in refused.json()["errors"]] == [("/people", "party_of_pathway")]
    _, later = tonight(6)
    changed = await coordination.http.patch(path, headers={"If-Match": "*"}, json={"until": later.isoformat()})
    assert changed.status_code == 200, changed.text
    (kept,) = changed.json()["allocations"]
    assert kept["id"] == shower["allocations"][0]["id"]
    cells = await rows(valley.engine, "select distinct o.cell = n.cell as there from need n, offer o where n.step = 2")
    assert [row.there for row in cells] == [True]


async def test_a_step_is_not_referred_without_its_bed(coordination: Organization) -> None:
    pathway = await post(coordination)
    refused = await coordination.http.post(f"/v1/needs/{pathway['steps'][1]['need']['id']}/refer")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert "bed" in refused.json()["detail"]


async def test_a_repeated_post_shows_the_same_code(coordination: Organization) -> None:
    headers = {"Idempotency-Key": "the same evening"}
    first, second = [
        (await coordination.http.post("/v1/pathways", json=pathway_body(), headers=headers)).json() for _ in range(2)
    ]
    assert first == second


async def test_the_same_party_posted_twice_is_told(coordination: Organization) -> None:
    first, second = await post(coordination), await post(coordination)
    assert first["warnings"] == []
    (warning,) = second["warnings"]
    assert warning["need_id"] in {step["need"]["id"] for step in first["steps"]}


async def slip(anyone: httpx.AsyncClient, code: str) -> Json:
    found = await anyone.post("/v1/slip", json={"code": code})
    assert found.status_code == 200, found.text
    shown: Json = found.json()
    return shown


async def test_one_slip_shows_the_whole_pathway(placed: Json, anyone: httpx.AsyncClient) -> None:
    shown = await slip(anyone, placed["code"])
    assert (shown["category"], shown["state"], len(shown["places"])) == ("shelter", "held", 1)
    (other,) = shown["others"]
    assert (other["category"], other["state"], len(other["places"])) == ("sanitation", "held", 1)
    page = await anyone.post("/slip", data={"code": placed["code"], "language": "fr"})
    assert page.status_code == 200
    for place in (shown["places"][0], other["places"][0]):
        assert place["id"] in page.text


async def test_the_people_refuse_one_step_or_end_all(
    placed: Json, valley: Valley, anyone: httpx.AsyncClient, coordination: Organization
) -> None:
    shower = (await slip(anyone, placed["code"]))["others"][0]["places"][0]
    body: dict[str, Any] = {"code": placed["code"], "reason": "too_far", "place": shower["id"]}
    refused = await anyone.post("/v1/slip/refuse", json=body)
    assert refused.status_code == 200, refused.text
    assert (refused.json()["state"], refused.json()["others"][0]["state"]) == ("held", "open")
    ended = await anyone.post("/v1/slip/refuse", json={"code": placed["code"], "reason": "moved_on"})
    assert ended.status_code == 200, ended.text
    assert (await read(coordination, placed))["state"] == "withdrawn"
    await assert_every_place_is_counted_once(valley.engine)


async def test_who_found_a_shower_elsewhere_keeps_the_bed(
    placed: Json, anyone: httpx.AsyncClient, coordination: Organization
) -> None:
    """The page offers these reasons under each place: one tap under a class is not to cost the bed."""
    shower = (await slip(anyone, placed["code"]))["others"][0]["places"][0]
    body = {"code": placed["code"], "reason": "found_elsewhere", "place": shower["id"]}
    assert (await anyone.post("/v1/slip/refuse", json=body)).status_code == 200
    steps = (await read(coordination, placed))["steps"]
    assert [step["need"]["state"] for step in steps] == ["held", "withdrawn"]


async def test_what_the_people_prefer_is_told_with_each_step(
    placed: Json, anyone: httpx.AsyncClient, coordination: Organization
) -> None:
    said = {"code": placed["code"], "wishes": ["quiet"]}
    assert (await anyone.post("/v1/slip/preferences", json=said)).status_code == 200
    listed = (await coordination.http.get("/v1/pathways")).json()["items"][0]
    for shown in (await read(coordination, placed), listed):
        assert [step["need"]["preferences"]["wishes"] for step in shown["steps"]] == [["quiet"], ["quiet"]]
    page = await anyone.post("/slip", data={"code": placed["code"]})
    assert 'name="wishes"' in page.text
    assert 'name="leave_by"' not in page.text, "of one need alone"


async def test_the_people_tell_how_it_was_once_for_each_step(
    placed: Json, valley: Valley, anyone: httpx.AsyncClient, municipality: Organization, coordination: Organization
) -> None:
    async def tell(status: int) -> None:
        told = await anyone.post("/v1/slip/feedback", json={"code": placed["code"], "rating": 4})
        assert told.status_code == status, told.text

    await tell(409)
    for step in (await read(coordination, placed))["steps"]:
        allocation = UUID(step["need"]["allocations"][0]["id"])
        await answer(valley.engine, allocation, municipality.id, AllocationState.CONFIRMED)
    earlier = ", ".join(f"{column} = {column} - interval '2 days'" for column in ("starts", "ends", "last_arrival"))
    await rows(valley.engine, f"update slot set {earlier}")
    await tell(200)
    await tell(200)
    await tell(409)
    counted = await rows(valley.engine, "select category, times from feedback_count where word = 'rated_4'")
    assert sorted((row.category, row.times) for row in counted) == [("sanitation", 1), ("shelter", 1)]


async def test_months_of_nights_are_offered_and_taken(
    valley: Valley, municipality: Organization, coordination: Organization
) -> None:
    """Housing for half a year over HTTP: its slots, the claim, and the answer with all its nights."""
    last = (TONIGHT + timedelta(days=360)).isoformat()
    await open_offer(municipality, last_day=last, nights_max=190, capacity=4)
    pathway = await post(coordination, steps=[_step("shelter", 183), _step("sanitation")])
    await valley.look()
    bed = (await read(coordination, pathway))["steps"][0]["need"]
    assert bed["state"] == "held"
    (allocation,) = bed["allocations"]
    assert len(allocation["slots"]) == 183
