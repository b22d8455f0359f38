"""Pledges and shifts over HTTP: declared, answered, and never less than what is counted on."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.bell import Bell
from db.roles import Role
from db.settings import Settings
from tests.acting import in_role
from tests.api.bodies import need_body, offer_body, pledge_body, site_body
from tests.api.conftest import Organization
from tests.api.scenes import Json
from tests.builders import TONIGHT
from tests.db.acts import hold, look_at_all_due
from worker.staffing import Staffing

ANY_VERSION = {"If-Match": "*"}
STAFFING = {"skill": "night_watch", "people_per_volunteer": 15, "minimum": 2}


async def posted(who: Organization, **changes: object) -> Json:
    answer = await who.http.post("/v1/pledges", json=pledge_body(**changes))
    assert answer.status_code == 201, answer.text
    pledge: Json = answer.json()
    return pledge


async def opened_gym(municipality: Organization) -> str:
    """A gym of thirty that opens with volunteers: the offer."""
    site = await municipality.http.post("/v1/sites", json=site_body(staffing=STAFFING))
    offer = await municipality.http.post("/v1/offers", json=offer_body(site.json()["id"], capacity=30))
    assert offer.status_code == 201, offer.text
    return str(offer.json()["id"])


@pytest.fixture
async def shift(
    coordination: Organization,
    municipality: Organization,
    association: Organization,
    engine: AsyncEngine,
    settings: Settings,
) -> Json:
    """One that is planned for a family that waits."""
    await opened_gym(municipality)
    await posted(association)
    need = await coordination.http.post("/v1/needs", json=need_body())
    assert await hold(engine, UUID(need.json()["id"])) == ()
    await Staffing(in_role(engine, Role.MATCHER), Bell(settings)).look()
    await look_at_all_due(engine)
    (made,) = (await association.http.get("/v1/shifts", params={"state": "planned"})).json()["items"]
    found: Json = made
    return found


async def test_a_pledge_is_read_as_it_was_posted(association: Organization) -> None:
    pledge = await posted(association)
    assert {name: pledge[name] for name in pledge_body() if name != "timezone"} == {
        name: value for name, value in pledge_body().items() if name != "timezone"
    }
    assert (pledge["timezone"], pledge["state"], pledge["version"]) == ("Europe/Paris", "open", 1)
    read = await association.http.get(f"/v1/pledges/{pledge['id']}")
    assert (read.json(), read.headers["ETag"]) == (pledge, '"1"')
    assert (await association.http.get("/v1/pledges")).json()["items"] == [pledge]


WRONG: Mapping[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "an unknown skill": ({"skill": "juggling"}, [("/skill", "not_one_of")]),
    "nobody": ({"headcount": 0}, [("/headcount", "too_small")]),
    "an unknown town": ({"town": 1}, [("/town", "unknown_town")]),
    "a week without shifts": ({"shifts_per_week_max": 0}, [("/shifts_per_week_max", "too_small")]),
    "days that are over": (
        {"first_day": "2020-01-01", "last_day": "2020-01-02"},
        [("/last_day", "in_the_past")],
    ),
    "days the wrong way round": (
        {"last_day": (TONIGHT - timedelta(days=1)).isoformat()},
        [("/last_day", "before_first_day")],
    ),
    "an unknown recurrence": ({"rrule": "FREQ=SECONDLY"}, [("/rrule", "unknown_recurrence")]),
    "an unknown zone": ({"timezone": "Mars/Olympus"}, [("/timezone", "unknown_timezone")]),
    "a volunteer's name": ({"name": "Marie"}, [("/name", "unknown_field")]),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_pledge_is_refused_with_what_is_wrong(association: Organization, wrong: str) -> None:
    changes, expected = WRONG[wrong]
    answer = await association.http.post("/v1/pledges", json=pledge_body(**changes))
    assert answer.status_code == 422, answer.text
    assert [(flaw["at"], flaw["code"]) for flaw in answer.json()["errors"]] == expected
    assert (await association.http.get("/v1/pledges")).json()["items"] == []


async def test_both_sides_see_a_shift_and_nobody_else(
    coordination: Organization, municipality: Organization, shift: Json
) -> None:
    assert (shift["volunteers"], shift["state"], shift["skill"]) == (2, "planned", "night_watch")
    assert (await municipality.http.get("/v1/shifts")).json()["items"] == [shift]
    assert (await coordination.http.get("/v1/shifts")).json()["items"] == []


async def test_the_association_answers_a_shift_and_twice_is_once(
    municipality: Organization, association: Organization, shift: Json
) -> None:
    path = f"/v1/shifts/{shift['id']}"
    theirs = await municipality.http.post(f"{path}/confirm")
    assert theirs.status_code == 404, "the site's owner does not answer for the volunteers"
    for _ in range(2):
        answer = await association.http.post(f"{path}/confirm")
        assert (answer.status_code, answer.json()["state"], answer.json()["version"]) == (200, "confirmed", 2)
    for _ in range(2):
        answer = await association.http.post(f"{path}/decline", json={"reason": "no_volunteers"})
        assert (answer.status_code, answer.json()["state"], answer.json()["version"]) == (200, "declined", 3)
    late = await association.http.post(f"{path}/confirm")
    assert (late.status_code, late.json()["reason"]) == (409, "shift_is_over")


@pytest.mark.usefixtures("shift")
async def test_a_slot_says_how_many_its_volunteers_serve(municipality: Organization) -> None:
    offer = (await municipality.http.get("/v1/offers")).json()["items"][0]["id"]
    tonight, tomorrow = (await municipality.http.get(f"/v1/offers/{offer}/slots")).json()["items"][:2]
    assert (tonight["capacity"], tonight["staffed"], tonight["used"]) == (30, 30, 4)
    assert (tomorrow["capacity"], tomorrow["staffed"], tomorrow["used"]) == (30, 0, 0)
    smaller = await municipality.http.patch(
        f"/v1/offers/{offer}/slots/{tonight['id']}", json={"capacity": 12}, headers=ANY_VERSION
    )
    assert (smaller.json()["capacity"], smaller.json()["staffed"]) == (12, 12)
    under = await municipality.http.patch(
        f"/v1/offers/{offer}/slots/{tonight['id']}", json={"capacity": 3}, headers=ANY_VERSION
    )
    assert under.status_code == 409, "four people are in it"


async def test_a_pledge_never_shrinks_under_its_shifts(association: Organization, shift: Json) -> None:
    path = f"/v1/pledges/{shift['pledge_id']}"
    for less in ({"headcount": 1}, {"radius_km": 0}):
        answer = await association.http.patch(path, json=less, headers=ANY_VERSION)
        if less == {"radius_km": 0}:
            assert answer.status_code == 200, "the gym stands in their own town"
        else:
            assert (answer.status_code, answer.json()["reason"]) == (409, "pledge_has_shifts")
    closed = await association.http.patch(path, json={"state": "closed", "headcount": 2}, headers=ANY_VERSION)
    assert (closed.status_code, closed.json()["state"], closed.json()["headcount"]) == (200, "closed", 2)
    assert (await association.http.get("/v1/shifts")).json()["items"] == [shift], "what was planned stays"
    old = await association.http.patch(path, json={"headcount": 3}, headers={"If-Match": '"1"'})
    assert old.status_code == 412


async def test_a_closed_offer_lets_its_volunteers_go(
    coordination: Organization, municipality: Organization, association: Organization, shift: Json
) -> None:
    await association.http.post(f"/v1/shifts/{shift['id']}/confirm")
    need = (await coordination.http.get("/v1/needs")).json()["items"][0]["id"]
    assert (await coordination.http.post(f"/v1/needs/{need}/withdraw")).status_code == 200
    offer = (await municipality.http.get("/v1/offers")).json()["items"][0]["id"]
    assert (await municipality.http.post(f"/v1/offers/{offer}/close")).status_code == 200
    assert [each["state"] for each in (await association.http.get("/v1/shifts")).json()["items"]] == ["released"]


async def test_why_a_gym_without_volunteers_was_not_chosen(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await opened_gym(municipality)
    need = (await coordination.http.post("/v1/needs", json=need_body())).json()["id"]
    await hold(engine, UUID(need))
    told = (await coordination.http.get(f"/v1/needs/{need}/explanation")).json()
    (other,) = told["others"]
    assert other["rule"] == "staffing"
    assert "volunteers" in other["sentence"]
