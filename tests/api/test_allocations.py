"""What is promised to the two sides of an allocation, and to everybody else: nothing."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import allocations
from db.connection import transaction
from matching.states import ALLOCATION_TRANSITIONS, AllocationState, NeedState
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import Json, assert_every_place_is_counted_once, open_offer, place, post_need, read_need
from tests.api.stored import everything_stored
from tests.db.acts import hold, one, rows
from tests.places import BRIANCON, GAP, MONTGENEVRE
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

ACTS = {
    "confirm": AllocationState.CONFIRMED,
    "decline": AllocationState.DECLINED,
    "arrive": AllocationState.ARRIVED,
    "release": AllocationState.RELEASED,
    "no-show": AllocationState.NO_SHOW,
    "complete": AllocationState.COMPLETED,
}
WAYS: dict[AllocationState, tuple[str, ...]] = {
    AllocationState.HELD: (),
    AllocationState.CONFIRMED: ("confirm",),
    AllocationState.ARRIVED: ("confirm", "arrive"),
    AllocationState.COMPLETED: ("confirm", "arrive", "complete"),
    AllocationState.DECLINED: ("decline",),
    AllocationState.RELEASED: ("confirm", "release"),
    AllocationState.NO_SHOW: ("confirm", "no-show"),
    AllocationState.EXPIRED: ("expire",),
}
NEED_AFTER = {
    AllocationState.CONFIRMED: NeedState.CONFIRMED,
    AllocationState.ARRIVED: NeedState.CONFIRMED,
    AllocationState.COMPLETED: NeedState.CLOSED,
    AllocationState.NO_SHOW: NeedState.CLOSED,
    AllocationState.DECLINED: NeedState.OPEN,
    AllocationState.RELEASED: NeedState.OPEN,
    AllocationState.EXPIRED: NeedState.OPEN,
}


async def act(organization: Organization, allocation_id: str, step: str) -> tuple[int, Json]:
    """Take a step: the status and the answer."""
    body = {"reason": "full"} if step == "decline" else None
    answer = await organization.http.post(f"/v1/allocations/{allocation_id}/{step}", json=body)
    return answer.status_code, answer.json()


async def placed(engine: AsyncEngine, poster: Organization, **changes: object) -> tuple[str, str]:
    """A need that is placed: its id and its allocation's."""
    need = await place(engine, poster, **changes)
    (allocation,) = need["allocations"]
    await begin(engine, allocation["id"])
    return need["id"], allocation["id"]


async def begin(engine: AsyncEngine, allocation_id: str, ago: timedelta = timedelta(hours=1)) -> None:
    """The first night of an allocation began so long ago, or begins in so long where it is negative."""
    await rows(
        engine,
        "update slot set starts = now() - cast(:ago as interval) where id ="
        " (select min(slot_id) from allocation_slot where allocation_id = :id)",
        id=UUID(allocation_id),
        ago=ago,
    )


async def brought_to(
    state: AllocationState, engine: AsyncEngine, poster: Organization, provider: Organization
) -> tuple[str, str]:
    """A need with an allocation in this state."""
    need_id, allocation_id = await placed(engine, poster)
    for step in WAYS[state]:
        if step == "expire":
            await rows(engine, "update allocation set held_until = now() where id = :id", id=UUID(allocation_id))
            async with transaction(engine) as tx:
                assert await allocations.end_hold(tx, UUID(allocation_id), UUID(need_id), AllocationState.EXPIRED)
        else:
            assert (await act(provider, allocation_id, step))[0] == 200
    return need_id, allocation_id


@pytest.mark.parametrize("state", list(AllocationState))
async def test_each_step_that_may_follow_is_taken_and_each_other_one_refused(
    state: AllocationState, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=1000)
    for step, to in ACTS.items():
        need_id, allocation_id = await brought_to(state, engine, coordination, municipality)
        before = (await municipality.http.get(f"/v1/allocations/{allocation_id}")).json()
        assert before["state"] == state
        status, told = await act(municipality, allocation_id, step)
        after = (await municipality.http.get(f"/v1/allocations/{allocation_id}")).json()
        if to is state:
            assert (status, told, after) == (200, before, before), step
        elif to in ALLOCATION_TRANSITIONS[state]:
            assert (status, after["state"], after["version"]) == (200, to, before["version"] + 1), step
            assert told == after, step
            assert (await read_need(coordination, need_id))["state"] == NEED_AFTER[to], step
        else:
            late = step in ("confirm", "decline") and not ALLOCATION_TRANSITIONS[state]
            assert (status, told["state"]) == (409, state), step
            assert told["type"] == ("/problems/no-longer-held" if late else "/problems/conflict"), step
            assert after == before, step
    await assert_every_place_is_counted_once(engine)


async def test_a_declined_place_goes_to_the_next_best_at_once(
    coordination: Organization,
    municipality: Organization,
    association: Organization,
    engine: AsyncEngine,
    start_worker: StartWorker,
) -> None:
    near, far = await open_offer(municipality), await open_offer(association, MONTGENEVRE)
    start_worker()
    need = await post_need(coordination)

    async def held_at(offer_id: str) -> Json:
        async def look() -> Json | None:
            now = await read_need(coordination, need["id"])
            return next((a for a in now["allocations"] if (a["offer_id"], a["state"]) == (offer_id, "held")), None)

        return await eventually(look, "held there")

    first = await held_at(near)
    status, declined = await act(municipality, first["id"], "decline")
    assert (status, declined["state"], declined["reason"]) == (200, "declined", "full")
    second = await held_at(far)
    assert second["distance_km"] > first["distance_km"]
    assert (await act(association, second["id"], "confirm"))[0] == 200
    now = await read_need(coordination, need["id"])
    assert (now["state"], [a["state"] for a in now["allocations"]]) == ("confirmed", ["declined", "confirmed"])
    await assert_every_place_is_counted_once(engine)


async def test_an_answer_after_the_deadline_comes_too_late(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    _, allocation_id = await placed(engine, coordination)
    await rows(engine, "update allocation set held_until = now() where id = :id", id=UUID(allocation_id))
    before = await everything_stored(engine)
    for step in ("confirm", "decline"):
        status, told = await act(municipality, allocation_id, step)
        assert (status, told["type"]) == (409, "/problems/no-longer-held")
        assert (told["state"], told["allocations"]) == ("expired", [allocation_id])
    assert await everything_stored(engine) == before


async def test_only_the_provider_answers_a_hold(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    _, allocation_id = await placed(engine, coordination)
    for step in ("confirm", "decline"):
        status, told = await act(coordination, allocation_id, step)
        assert (status, told.get("reason")) == (403, None) or (status, told["reason"]) == (
            409,
            "only_the_provider_answers",
        )
    assert (await coordination.http.get(f"/v1/allocations/{allocation_id}")).json()["state"] == "held"


async def test_those_who_stand_by_the_people_may_say_that_they_came_and_went(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    _, allocation_id = await placed(engine, coordination)
    await act(municipality, allocation_id, "confirm")
    for step in ("arrive", "complete"):
        assert (await act(coordination, allocation_id, step))[0] == 200


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("ways", "step", "begins_in", "status"),
    [
        (("confirm",), "arrive", 13 * HOUR, 409),
        (("confirm",), "arrive", 11 * HOUR, 200),
        (("confirm",), "no-show", HOUR, 409),
        (("confirm",), "no-show", -HOUR, 200),
        (("confirm",), "complete", HOUR, 409),
        (("confirm", "arrive"), "complete", HOUR, 409),
        (("confirm", "arrive"), "complete", -HOUR, 200),
    ],
)
async def test_nobody_has_come_or_stayed_away_before_the_time(
    coordination: Organization,
    municipality: Organization,
    engine: AsyncEngine,
    ways: tuple[str, ...],
    step: str,
    begins_in: timedelta,
    status: int,
) -> None:
    await open_offer(municipality)
    _, allocation_id = await placed(engine, coordination)
    await begin(engine, allocation_id, -begins_in)
    for way in ways:
        assert (await act(municipality, allocation_id, way))[0] == 200
    before = await everything_stored(engine)
    answered, told = await act(municipality, allocation_id, step)
    assert answered == status
    if status == 409:
        assert (told["type"], told["reason"]) == ("/problems/conflict", "not_yet")
        assert await everything_stored(engine) == before


async def test_a_party_that_may_come_until_late_has_not_stayed_away_before(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, arrive_by="23:00")
    _, allocation_id = await placed(engine, coordination)
    await act(municipality, allocation_id, "confirm")
    status, told = await act(municipality, allocation_id, "no-show")
    assert (status, told["reason"]) == (409, "not_yet"), "it is tomorrow's last hour that counts, not the opening"
    await rows(engine, "update allocation set last_arrival = now() where id = :id", id=UUID(allocation_id))
    assert (await act(municipality, allocation_id, "no-show"))[0] == 200


async def test_a_place_given_back_is_not_proposed_to_the_same_party_again(
    coordination: Organization, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    other = await open_offer(association, MONTGENEVRE)
    need_id, allocation_id = await placed(engine, coordination)
    answer = await coordination.http.post(f"/v1/allocations/{allocation_id}/release", json={"reason": "afraid"})
    assert (answer.status_code, answer.json()["reason"]) == (200, "afraid")
    await hold(engine, UUID(need_id))
    now = await read_need(coordination, need_id)
    assert (now["state"], now["allocations"][-1]["offer_id"]) == ("held", other)


async def test_third_parties_do_not_learn_that_an_allocation_exists(
    client: JoinNetwork, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    _, allocation_id = await placed(engine, coordination)
    before = await everything_stored(engine)
    stranger = await client(OrganizationKind.ASSOCIATION)
    after_joining = await everything_stored(engine)
    for step in ("", *(f"/{step}" for step in ACTS)):
        method, body = ("POST", {"reason": "full"} if step == "/decline" else None) if step else ("GET", None)
        theirs = await stranger.http.request(method, f"/v1/allocations/{allocation_id}{step}", json=body)
        missing = await stranger.http.request(method, f"/v1/allocations/{uuid4()}{step}", json=body)
        assert theirs.status_code == missing.status_code == 404, step
        assert theirs.content == missing.content, step
    assert (await stranger.http.get("/v1/allocations")).json() == {"items": [], "next": None}
    assert await everything_stored(engine) == after_joining
    assert before["allocation"] == after_joining["allocation"]


async def test_the_provider_sees_head_counts_and_requirements_and_nothing_else(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, provides=["step_free"])
    need_id, allocation_id = await placed(engine, coordination, requires=["step_free"], audience=["families"])
    seen = (await municipality.http.get(f"/v1/allocations/{allocation_id}")).json()
    assert seen["party"] == {"adults": 2, "minors": 2, "audience": ["families"], "requires": ["step_free"]}
    assert set(seen) == {
        *("id", "need_id", "offer_id", "category", "state", "people", "party", "tentative", "held_until"),
        *("distance_km", "travel_minutes", "slots", "policy_version", "reason", "created_at", "version"),
    }
    for path in (f"/v1/needs/{need_id}", f"/v1/needs/{need_id}/explanation"):
        assert (await municipality.http.get(path)).status_code == 404
    assert str(coordination.id) not in str(seen)


async def test_the_list_shows_who_waits_longest_first_page_by_page(
    coordination: Organization, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=1000)
    ids = [(await placed(engine, coordination, people={"adults": 1}))[1] for _ in range(7)]
    await act(municipality, ids[2], "confirm")
    for side in (municipality, coordination):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            params = {"limit": "3", "state": "held"} | ({"cursor": cursor} if cursor else {})
            page = (await side.http.get("/v1/allocations", params=params)).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
        assert seen == [*ids[:2], *ids[3:]]
        (confirmed,) = (await side.http.get("/v1/allocations", params={"state": "confirmed"})).json()["items"]
        assert confirmed["id"] == ids[2]
    assert (await association.http.get("/v1/allocations")).json()["items"] == []


async def test_every_answer_carries_its_version(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    _, allocation_id = await placed(engine, coordination)
    tags = []
    for step in ("confirm", "confirm", "arrive"):
        answer = await municipality.http.post(f"/v1/allocations/{allocation_id}/{step}")
        read = await municipality.http.get(f"/v1/allocations/{allocation_id}")
        assert answer.headers["etag"] == read.headers["etag"] == f'"{read.json()["version"]}"'
        tags.append(answer.headers["etag"])
    assert tags[0] == tags[1] != tags[2]
    told = await one(
        engine,
        "select count(*) as n from event where kind = 'allocation.confirmed' and object_id = :id",
        id=UUID(allocation_id),
    )
    assert told.n == 1, "confirmed twice is confirmed once"


async def test_twenty_parties_for_one_bed_and_one_gets_it(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=1)
    needs = [await post_need(coordination, people={"adults": 1}) for _ in range(20)]
    await asyncio.gather(*(hold(engine, UUID(need["id"])) for need in needs))
    (allocation,) = (await municipality.http.get("/v1/allocations")).json()["items"]
    answers = await asyncio.gather(*(act(municipality, allocation["id"], "confirm") for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    states = [(await read_need(coordination, need["id"]))["state"] for need in needs]
    assert sorted(states) == ["confirmed", *["open"] * 19]
    await assert_every_place_is_counted_once(engine)


async def test_answers_that_cross_each_other_leave_one_truth(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=1000)
    for _ in range(10):
        need_id, allocation_id = await placed(engine, coordination)
        statuses = await asyncio.gather(
            act(municipality, allocation_id, "confirm"),
            act(municipality, allocation_id, "decline"),
            act(coordination, allocation_id, "release"),
            coordination.http.post(f"/v1/needs/{need_id}/withdraw"),
        )
        assert {each.status_code if not isinstance(each, tuple) else each[0] for each in statuses} <= {200, 409}
        need = await read_need(coordination, need_id)
        assert need["state"] == "withdrawn"
        assert need["allocations"][0]["state"] in ("declined", "released")
    await assert_every_place_is_counted_once(engine)
    assert (await one(engine, "select sum(used) as used from slot")).used == 0


async def test_a_party_that_agreed_to_it_is_placed_in_parts_and_held_only_when_whole(
    coordination: Organization, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=5)
    await open_offer(association, MONTGENEVRE, capacity=5)
    whole = await place(engine, coordination, people={"adults": 8})
    assert (whole["state"], whole["allocations"]) == ("open", [])
    need = await place(engine, coordination, people={"adults": 8}, divisible=True)
    assert need["state"] == "held"
    assert sorted(each["people"] for each in need["allocations"]) == [3, 5]
    for each in need["allocations"]:
        provider = municipality if each["distance_km"] == 0 else association
        assert (await act(provider, each["id"], "confirm"))[0] == 200
    assert (await read_need(coordination, need["id"]))["state"] == "confirmed"


async def test_a_standing_agreement_confirms_at_once(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, confirmation="standing")
    need = await place(engine, coordination)
    assert (need["state"], need["allocations"][0]["state"], need["allocations"][0]["held_until"]) == (
        "confirmed",
        "confirmed",
        None,
    )


async def test_a_hold_that_is_not_vital_is_tentative_before_its_provider_is_asked(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    calm = (await place(engine, coordination, urgency="normal"))["allocations"][0]
    vital = (await place(engine, coordination, urgency="vital"))["allocations"][0]
    assert (calm["tentative"], vital["tentative"]) == (True, False)
    assert datetime.fromisoformat(calm["held_until"]) > datetime.fromisoformat(vital["held_until"])


async def test_steps_are_taken_once_under_an_idempotency_key(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, BRIANCON)
    await open_offer(municipality, GAP)
    need_id, allocation_id = await placed(engine, coordination)
    path, headers = f"/v1/allocations/{allocation_id}/decline", {"Idempotency-Key": "no-room"}
    first = await municipality.http.post(path, json={"reason": "full"}, headers=headers)
    again = await municipality.http.post(path, json={"reason": "full"}, headers=headers)
    assert first.status_code == 200
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert len((await read_need(coordination, need_id))["allocations"]) == 1
