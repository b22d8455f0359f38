"""Offers and slots over HTTP: what a town hall can say, and what it cannot take away from people."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.bodies import offer_body, site_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import Json, assert_every_place_is_counted_once, open_offer, place, post_need
from tests.builders import TONIGHT
from tests.db.acts import hold, rows
from tests.places import BRIANCON, OULX

ANY = {"If-Match": "*"}


async def read(who: Organization, offer_id: str) -> Json:
    answer = await who.http.get(f"/v1/offers/{offer_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def slots(who: Organization, offer_id: str) -> list[Json]:
    return (await who.http.get(f"/v1/offers/{offer_id}/slots", params={"limit": 200})).json()["items"]  # type: ignore[no-any-return]


async def change(who: Organization, offer_id: str, **changes: object) -> Json:
    answer = await who.http.patch(f"/v1/offers/{offer_id}", json=changes, headers=ANY)
    return {"status": answer.status_code, **answer.json()}


async def news(engine: AsyncEngine) -> int:
    return len(await rows(engine, "delete from capacity_news returning 1"))


async def test_the_offer_of_the_design_is_open_on_its_local_nights(municipality: Organization) -> None:
    offer_id = await open_offer(
        municipality,
        capacity=30,
        audience=["anyone"],
        provides=["family_room"],
        confirmation="each",
        confirm_within_minutes=60,
        timezone="Europe/Paris",
        rrule="FREQ=DAILY",
        party_max=8,
        nights_max=7,
        arrive_by="22:30",
        release_no_shows=False,
        language=None,
    )
    made = await slots(municipality, offer_id)
    assert [slot["day"] for slot in made] == [str(TONIGHT + timedelta(days=n)) for n in range(7)]
    for slot in made:
        assert datetime.fromisoformat(slot["starts"]).astimezone(ZoneInfo("Europe/Paris")).hour == 19
        assert slot["starts"][11:16] == "19:00"
        assert (slot["capacity"], slot["used"]) == (30, 0)
    assert (await read(municipality, offer_id))["arrive_by"] == "22:30"


async def test_without_a_time_zone_it_is_the_towns(municipality: Organization) -> None:
    assert (await read(municipality, await open_offer(municipality, OULX)))["timezone"] == "Europe/Rome"


async def test_a_class_has_a_lesson_a_slot(association: Organization) -> None:
    offer_id = await open_offer(
        association,
        category="language_class",
        language={"teaches": "fr", "level": "A1"},
        rrule="FREQ=WEEKLY;BYDAY=TU,TH",
        last_day=str(TONIGHT + timedelta(days=27)),
        opens="18:00",
        closes="20:00",
    )
    assert len(await slots(association, offer_id)) == 8


@pytest.mark.parametrize(
    ("changes", "at", "code"),
    [
        ({"category": "palace"}, "/category", "unknown_category"),
        ({"capacity": 0}, "/capacity", "too_small"),
        ({"capacity": "30"}, "/capacity", "not_a_whole_number"),
        ({"audience": ["anyone", "women"]}, "/audience", "anyone_among_others"),
        ({"audience": ["refugees"]}, "/audience/0", "not_one_of"),
        ({"provides": ["pool"]}, "/provides/0", "not_one_of"),
        ({"provides": ["interpreter:xx"]}, "/provides/0", "not_one_of"),
        ({"timezone": "Europe/Atlantis"}, "/timezone", "unknown_timezone"),
        ({"opens": "25:00"}, "/opens", None),
        ({"rrule": "FREQ=SECONDLY"}, "/rrule", "unknown_recurrence"),
        ({"first_day": "2020-01-01", "last_day": "2020-01-03"}, "/last_day", "in_the_past"),
        ({"last_day": str(TONIGHT - timedelta(days=1))}, "/last_day", "before_first_day"),
        ({"slot_minutes": 30}, "/slot_minutes", "not_used_here"),
        ({"language": {"teaches": "fr", "level": "A1"}}, "/language", "language_not_used"),
        ({"release_no_shows": True}, "/arrive_by", "arrive_by_needed"),
        ({"category": "language_class"}, "/language", "language_needed"),
        ({"category": "sanitation", "arrive_by": "22:00"}, "/arrive_by", "not_used_here"),
        ({"timezone": "Europe/Rome"}, "/timezone", "timezone_of_another_country"),
        ({"timezone": "America/New_York"}, "/timezone", "timezone_of_another_country"),
        ({"arrive_by": "18:59"}, "/arrive_by", "outside_opening_hours"),
        ({"arrive_by": "08:01"}, "/arrive_by", "outside_opening_hours"),
        ({"nationality": "any"}, "/nationality", "unknown_field"),
    ],
)
async def test_an_offer_that_cannot_be_is_refused_where_it_cannot(
    municipality: Organization, engine: AsyncEngine, changes: dict[str, object], at: str, code: str | None
) -> None:
    site = (await municipality.http.post("/v1/sites", json=site_body())).json()
    answer = await municipality.http.post("/v1/offers", json=offer_body(site["id"], **changes))
    assert answer.status_code == 422, answer.text
    flaws = [(flaw["at"], flaw["code"]) for flaw in answer.json()["errors"]]
    assert at in [place for place, _ in flaws]
    assert code is None or (at, code) in flaws
    assert await rows(engine, "select 1 from offer") == []


async def test_a_change_is_held_against_the_country_and_the_hours_too(municipality: Organization) -> None:
    offer_id = await open_offer(municipality, OULX, arrive_by="22:00")
    for changes, flaw in (
        ({"timezone": "Europe/Paris"}, "timezone_of_another_country"),
        ({"opens": "23:00"}, "outside_opening_hours"),
    ):
        refused = await change(municipality, offer_id, **changes)
        assert [error["code"] for error in refused["errors"]] == [flaw]
    assert (await change(municipality, offer_id, timezone="UTC"))["timezone"] == "UTC"


async def test_an_offer_stands_at_a_site_of_ones_own(municipality: Organization, association: Organization) -> None:
    site = (await municipality.http.post("/v1/sites", json=site_body())).json()
    answers = [await association.http.post("/v1/offers", json=offer_body(each)) for each in (site["id"], str(uuid4()))]
    assert answers[0].json()["errors"][0]["code"] == "unknown_site"
    assert answers[0].content == answers[1].content


async def test_capacity_does_not_shrink_under_people(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    need = await place(engine, coordination)
    refused = await change(municipality, offer_id, capacity=3)
    assert (refused["status"], refused["type"]) == (409, "/problems/capacity-in-use")
    assert refused["allocations"] == [need["allocations"][0]["id"]]
    assert {slot["capacity"] for slot in await slots(municipality, offer_id)} == {10}
    assert (await change(municipality, offer_id, capacity=4))["status"] == 200
    assert {slot["capacity"] for slot in await slots(municipality, offer_id)} == {4}


async def test_a_night_that_was_given_a_capacity_of_its_own_keeps_it(municipality: Organization) -> None:
    offer_id = await open_offer(municipality)
    first, second, *_ = await slots(municipality, offer_id)
    path = f"/v1/offers/{offer_id}/slots/{first['id']}"
    assert (await municipality.http.patch(path, json={"capacity": 0})).status_code == 428
    closed = await municipality.http.patch(path, json={"capacity": 0}, headers={"If-Match": '"1"'})
    assert (closed.json()["capacity"], closed.headers["ETag"]) == (0, '"2"')
    assert (await municipality.http.patch(path, json={"capacity": 1}, headers={"If-Match": '"1"'})).status_code == 412
    await change(municipality, offer_id, capacity=20)
    assert [slot["capacity"] for slot in await slots(municipality, offer_id)][:2] == [0, 20]
    assert second["capacity"] == 10


async def test_a_closed_night_takes_nobody(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    first = (await slots(municipality, offer_id))[0]
    await municipality.http.patch(f"/v1/offers/{offer_id}/slots/{first['id']}", json={"capacity": 0}, headers=ANY)
    assert (await place(engine, coordination))["state"] == "open"


async def test_a_night_does_not_shrink_under_people(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    need = await place(engine, coordination)
    first = (await slots(municipality, offer_id))[0]
    path = f"/v1/offers/{offer_id}/slots/{first['id']}"
    refused = await municipality.http.patch(path, json={"capacity": 3}, headers=ANY)
    assert (refused.status_code, refused.json()["allocations"]) == (409, [need["allocations"][0]["id"]])


async def test_a_new_schedule_keeps_nights_with_people_and_changes_the_others(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    await place(engine, coordination)
    before = await slots(municipality, offer_id)
    longer = await change(municipality, offer_id, last_day=str(TONIGHT + timedelta(days=9)))
    after = await slots(municipality, offer_id)
    assert longer["status"] == 200
    assert after[:7] == before
    assert len(after) == 10
    refused = await change(municipality, offer_id, opens="20:00")
    assert refused["type"] == "/problems/capacity-in-use"
    assert await slots(municipality, offer_id) == after
    assert (await change(municipality, offer_id, last_day=str(TONIGHT)))["status"] == 200
    assert await slots(municipality, offer_id) == after[:1]


async def test_paused_takes_nobody_new_and_keeps_who_is_there(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    there = await place(engine, coordination)
    for _ in range(2):
        assert (await municipality.http.post(f"/v1/offers/{offer_id}/pause")).json()["state"] == "paused"
    assert (await place(engine, coordination, people={"adults": 1}))["state"] == "open"
    confirmed = await municipality.http.post(f"/v1/allocations/{there['allocations'][0]['id']}/confirm")
    assert confirmed.json()["state"] == "confirmed"
    await news(engine)
    assert (await municipality.http.post(f"/v1/offers/{offer_id}/resume")).json()["state"] == "open"
    assert await news(engine) == 1


async def test_closed_is_for_good_and_only_once_nobody_is_there(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    there = (await place(engine, coordination))["allocations"][0]["id"]
    refused = await municipality.http.post(f"/v1/offers/{offer_id}/close")
    assert (refused.status_code, refused.json()["allocations"]) == (409, [there])
    await municipality.http.post(f"/v1/allocations/{there}/decline", json={"reason": "closed"})
    for _ in range(2):
        assert (await municipality.http.post(f"/v1/offers/{offer_id}/close")).json()["state"] == "closed"
    for act in ("resume", "pause", "verify"):
        answer = await municipality.http.post(f"/v1/offers/{offer_id}/{act}")
        assert (answer.status_code, answer.json()["reason"]) == (409, "offer_is_closed")
    assert (await change(municipality, offer_id, capacity=20))["reason"] == "offer_is_closed"


async def test_an_offer_that_nobody_speaks_for_is_not_proposed_until_somebody_does(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    await rows(engine, "update offer set verified_at = now() - interval '30 days' returning 1")
    need = await place(engine, coordination)
    assert need["state"] == "open"
    await municipality.http.post(f"/v1/offers/{offer_id}/verify")
    await rows(engine, "update need set look_at = now() returning 1")
    assert len(await hold(engine, UUID(need["id"]))) == 1


async def test_room_that_opens_leaves_word_for_who_waits(municipality: Organization, engine: AsyncEngine) -> None:
    offer_id = await open_offer(municipality)
    assert await news(engine) == 1
    await change(municipality, offer_id, capacity=20)
    assert await news(engine) == 1
    first = (await slots(municipality, offer_id))[0]
    await municipality.http.patch(f"/v1/offers/{offer_id}/slots/{first['id']}", json={"capacity": 25}, headers=ANY)
    assert await news(engine) == 1
    await municipality.http.patch(f"/v1/offers/{offer_id}/slots/{first['id']}", json={"capacity": 5}, headers=ANY)
    assert await news(engine) == 0


@pytest.mark.parametrize(("kind", "named"), [("association_premises", True), ("private_home", False)])
async def test_a_public_site_is_named_to_a_coordination_but_never_a_home(
    association: Organization, coordination: Organization, kind: str, *, named: bool
) -> None:
    site = (await association.http.post("/v1/sites", json=site_body(kind=kind, visibility="public"))).json()
    opened = await association.http.post("/v1/offers", json=offer_body(site["id"]))
    assert (await read(association, opened.json()["id"]))["site_id"] == site["id"]
    assert (await read(coordination, opened.json()["id"]))["site_id"] == (site["id"] if named else None)


async def test_a_coordination_sees_what_its_towns_have_by_cell_alone(
    municipality: Organization, client: JoinNetwork, coordination: Organization
) -> None:
    offer_id = await open_offer(municipality)
    seen = await read(coordination, offer_id)
    assert (seen["site_id"], seen["town"]) == (None, BRIANCON.id)
    assert [offer["id"] for offer in (await coordination.http.get("/v1/offers")).json()["items"]] == [offer_id]
    elsewhere = await client(towns=(OULX.id,))
    stranger = await client()
    assert (await elsewhere.http.get("/v1/offers")).json()["items"] == []
    assert (await stranger.http.get(f"/v1/offers/{offer_id}")).status_code == 200
    missing = await elsewhere.http.get(f"/v1/offers/{uuid4()}")
    assert (await elsewhere.http.get(f"/v1/offers/{offer_id}")).content == missing.content
    assert (
        await coordination.http.patch(f"/v1/offers/{offer_id}", json={"capacity": 1}, headers=ANY)
    ).status_code == 403


async def test_another_provider_sees_nothing(municipality: Organization, association: Organization) -> None:
    offer_id = await open_offer(municipality)
    slot = (await slots(municipality, offer_id))[0]["id"]
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"capacity": 1}),
        ("GET", "/slots", None),
        ("POST", "/pause", None),
        ("POST", "/close", None),
    ):
        answers = [
            await association.http.request(method, f"/v1/offers/{each}{path}", json=body, headers=ANY)
            for each in (offer_id, uuid4())
        ]
        assert answers[0].status_code == 404
        assert answers[0].content == answers[1].content
    foreign = await association.http.patch(f"/v1/offers/{offer_id}/slots/{slot}", json={"capacity": 1}, headers=ANY)
    assert foreign.status_code == 404


async def test_lists_are_chosen_by_category_state_and_town(municipality: Organization) -> None:
    beds = await open_offer(municipality)
    showers = await open_offer(
        municipality, OULX, category="sanitation", slot_minutes=30, opens="10:00", closes="12:00"
    )
    await municipality.http.post(f"/v1/offers/{showers}/pause")
    for asked, expected in (
        ({"category": "shelter"}, [beds]),
        ({"state": "paused"}, [showers]),
        ({"town": str(OULX.id)}, [showers]),
        ({"town": str(BRIANCON.id), "state": "paused"}, []),
    ):
        listed = await municipality.http.get("/v1/offers", params=asked)
        assert [offer["id"] for offer in listed.json()["items"]] == expected


async def test_changes_of_capacity_and_holds_that_race_give_no_place_twice(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality, capacity=12)
    needs = [await post_need(coordination, people={"adults": 1}) for _ in range(20)]
    answers = await asyncio.gather(
        *(change(municipality, offer_id, capacity=capacity) for capacity in (3, 15, 5, 12, 4, 9)),
        *(hold(engine, UUID(need["id"])) for need in needs),
    )
    assert {answer["status"] for answer in answers if isinstance(answer, dict)} <= {200, 409}
    await assert_every_place_is_counted_once(engine)
