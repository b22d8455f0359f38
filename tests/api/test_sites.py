"""Sites over HTTP: known by their cell, their exact place sealed."""

from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from geo.cells import COARSE_RESOLUTION, Cell, Point, cell_of, cell_text
from tests.api.bodies import offer_body, site_body
from tests.api.conftest import Organization
from tests.api.scenes import place, post_need, read_need
from tests.api.stored import everything_stored, holds
from tests.db.acts import hold, rows
from tests.places import BRIANCON, GAP

EXACT = {"type": "Point", "coordinates": [6.6347219, 44.8994187]}


async def add(who: Organization, **changes: object) -> dict[str, str]:
    answer = await who.http.post("/v1/sites", json=site_body(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_the_site_of_the_design_is_taken_and_shows_its_cell(municipality: Organization) -> None:
    body = site_body(
        location=EXACT,
        visibility="on_confirmation",
        provides=["step_free", "showers"],
        staffing={"skill": "night_watch", "people_per_volunteer": 15, "minimum": 2},
    )
    answer = await municipality.http.post("/v1/sites", json=body)
    assert answer.status_code == 201
    site = answer.json()
    assert site["cell"] == cell_text(cell_of(Point(6.6347219, 44.8994187)))
    assert site["provides"] == ["showers", "step_free"]
    assert "location" not in site
    assert (await municipality.http.get(answer.headers["Location"])).json() == site


async def test_where_exactly_a_site_is_stands_in_no_answer_and_no_table(
    municipality: Organization, engine: AsyncEngine
) -> None:
    site = await add(municipality, location=EXACT)
    sealed = await municipality.http.put(
        f"/v1/sites/{site['id']}/address",
        json={"address": "3 rue du Prorel", "meeting_point": "the red fountain"},
        headers={"If-Match": '"1"'},
    )
    listed = await municipality.http.get("/v1/sites")
    assert sealed.json()["has_address"] is True
    stored = await everything_stored(engine)
    for secret in ("6.6347219", "44.8994187", "Prorel 3", "3 rue du Prorel", "red fountain"):
        assert secret not in sealed.text + listed.text
        assert holds(stored, secret) == []


@pytest.mark.parametrize("guarded", [{"kind": "private_home"}, {"visibility": "rendezvous"}])
async def test_a_place_that_must_not_be_guessed_has_a_coarser_cell(
    municipality: Organization, guarded: dict[str, str]
) -> None:
    site = await add(municipality, location=EXACT, **guarded)
    assert site["cell"] == cell_text(cell_of(Point(6.6347219, 44.8994187), COARSE_RESOLUTION))


async def test_hiding_a_site_makes_its_offers_coarser_too(municipality: Organization, engine: AsyncEngine) -> None:
    site = await add(municipality)
    await municipality.http.post("/v1/offers", json=offer_body(site["id"]))
    changed = await municipality.http.patch(
        f"/v1/sites/{site['id']}", json={"visibility": "rendezvous"}, headers={"If-Match": "*"}
    )
    (offer,) = await rows(engine, "select cell from offer")
    assert cell_text(Cell(offer.cell)) == changed.json()["cell"] != site["cell"]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ([BRIANCON.latitude, BRIANCON.longitude], "location_far_from_town"),
        ([GAP.longitude, GAP.latitude], "location_far_from_town"),
        ([1e308, 0], "too_large"),
        ([181, 0], "too_large"),
        ([6.6], None),
    ],
)
async def test_a_place_that_cannot_be_in_its_town_is_refused(
    municipality: Organization, engine: AsyncEngine, location: list[float], code: str | None
) -> None:
    body = site_body(location={"type": "Point", "coordinates": location})
    answer = await municipality.http.post("/v1/sites", json=body)
    assert answer.status_code == 422
    assert all(flaw["at"].startswith("/location") for flaw in answer.json()["errors"])
    assert code is None or answer.json()["errors"][0]["code"] == code
    assert await rows(engine, "select 1 from site") == []


async def test_an_unknown_town_is_refused(municipality: Organization) -> None:
    answer = await municipality.http.post("/v1/sites", json=site_body(town=1))
    assert [(flaw["at"], flaw["code"]) for flaw in answer.json()["errors"]] == [("/town", "unknown_town")]


async def test_a_coordination_has_no_sites(coordination: Organization) -> None:
    assert (await coordination.http.post("/v1/sites", json=site_body())).status_code == 403


async def test_a_foreign_site_and_a_missing_one_are_the_same_bytes(
    municipality: Organization, association: Organization
) -> None:
    site = await add(municipality)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("PUT", "/address", {"address": "somewhere"}),
        ("POST", "/vet", None),
    ):
        answers = [
            await association.http.request(method, f"/v1/sites/{each}{path}", json=body, headers={"If-Match": "*"})
            for each in (site["id"], uuid4())
        ]
        assert answers[0].status_code == 404
        assert answers[0].content == answers[1].content
    assert (await association.http.get("/v1/sites")).json()["items"] == []


async def test_a_change_says_which_version_it_changes(municipality: Organization) -> None:
    site = await add(municipality)
    path = f"/v1/sites/{site['id']}"
    assert (await municipality.http.patch(path, json={"name": "Gym"})).status_code == 428
    changed = await municipality.http.patch(path, json={"name": "Gym"}, headers={"If-Match": '"1"'})
    assert (changed.json()["name"], changed.headers["ETag"]) == ("Gym", '"2"')
    assert (await municipality.http.patch(path, json={"name": "Hall"}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await municipality.http.get(path)).json()["name"] == "Gym"


async def test_a_site_is_not_moved_from_under_its_people(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    site = await add(municipality)
    await municipality.http.post("/v1/offers", json=offer_body(site["id"]))
    need = await place(engine, coordination)
    moved = await municipality.http.patch(
        f"/v1/sites/{site['id']}",
        json={"location": {"type": "Point", "coordinates": [BRIANCON.longitude + 0.1, BRIANCON.latitude]}},
        headers={"If-Match": "*"},
    )
    assert (moved.status_code, moved.json()["type"]) == (409, "/problems/capacity-in-use")
    assert moved.json()["allocations"] == [need["allocations"][0]["id"]]
    assert (await municipality.http.get(f"/v1/sites/{site['id']}")).json() == site


async def test_a_private_home_is_proposed_once_it_was_visited_and_never_to_minors_alone(
    association: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    site = await add(association, kind="private_home")
    await association.http.post("/v1/offers", json=offer_body(site["id"]))
    family = await place(engine, coordination)
    assert family["state"] == "open"
    vetted = (await association.http.post(f"/v1/sites/{site['id']}/vet")).json()
    assert vetted["vetted_by"] == str(association.id)
    alone = await post_need(coordination, people={"adults": 0, "minors": 1})
    await rows(engine, "update need set look_at = now() returning 1")
    for need in (alone, family):
        await hold(engine, need["id"])
    assert (await read_need(coordination, family["id"]))["state"] == "held"
    assert (await read_need(coordination, alone["id"]))["state"] == "open"


@pytest.mark.parametrize("name", ["", "   ", "a" * 121, "two\nlines", "nul\x00", "\u202egym", 7, None, ["gym"]])
async def test_a_name_is_one_visible_line(municipality: Organization, name: object) -> None:
    answer = await municipality.http.post("/v1/sites", json=site_body(name=name))
    assert answer.status_code == 422
    assert [flaw["at"] for flaw in answer.json()["errors"]] == ["/name"]


async def test_lists_give_every_site_once(municipality: Organization) -> None:
    made = [(await add(municipality, name=f"Gym {n}"))["id"] for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        asked = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await municipality.http.get("/v1/sites", params=asked)).json()
        seen += [site["id"] for site in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made
