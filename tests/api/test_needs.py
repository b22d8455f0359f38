"""What is promised to those who post needs."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.bodies import need_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import Json, assert_every_place_is_counted_once, open_offer, place, post_need, read_need
from tests.api.stored import everything_stored, holds
from tests.builders import tonight
from tests.db.acts import hold, one, rows
from tests.places import BRIANCON, MONTGENEVRE
from tests.waiting import eventually
from tests.worker.conftest import StartWorker


async def reaches(poster: Organization, need_id: str, state: str) -> Json:
    """The need once it is in a state."""

    async def look() -> Json | None:
        need = await read_need(poster, need_id)
        return need if need["state"] == state else None

    return await eventually(look, f"need {state}")


async def test_a_posted_need_is_held_then_confirmed_and_nobody_else_is_given_its_place(
    coordination: Organization, municipality: Organization, engine: AsyncEngine, start_worker: StartWorker
) -> None:
    await open_offer(municipality, capacity=4)
    start_worker(RELAIS_POLL_SECONDS="0.2")
    first = await post_need(coordination)
    assert (first["state"], first["allocations"]) == ("open", [])
    held = await reaches(coordination, first["id"], "held")
    (allocation,) = held["allocations"]
    assert (allocation["state"], allocation["people"], len(allocation["slots"])) == ("held", 4, 1)
    assert datetime.fromisoformat(allocation["held_until"]) > datetime.now(UTC) + timedelta(minutes=55)
    answer = await municipality.http.post(f"/v1/allocations/{allocation['id']}/confirm")
    assert (answer.status_code, answer.json()["state"], answer.json()["held_until"]) == (200, "confirmed", None)
    assert (await read_need(coordination, first["id"]))["state"] == "confirmed"

    second = await post_need(coordination, people={"adults": 1})
    await rows(engine, "update need set deadline = now() where id = :id", id=UUID(second["id"]))
    unmet = await reaches(coordination, second["id"], "unmet")
    assert unmet["allocations"] == []
    assert unmet["unmet_reasons"] == {"capacity": 1}
    await assert_every_place_is_counted_once(engine)


async def test_an_unmet_need_is_still_given_a_place_that_appears(
    coordination: Organization, municipality: Organization, engine: AsyncEngine, start_worker: StartWorker
) -> None:
    start_worker(RELAIS_POLL_SECONDS="0.2")
    need = await post_need(coordination)
    await rows(engine, "update need set deadline = now() where id = :id", id=UUID(need["id"]))
    unmet = await reaches(coordination, need["id"], "unmet")
    assert unmet["unmet_reasons"] == {"category": 0}, "nobody offers this help"
    await open_offer(municipality)
    held = await reaches(coordination, need["id"], "held")
    assert held["unmet_reasons"] is None


async def test_with_prefer_wait_the_answer_already_has_the_hold(
    coordination: Organization, municipality: Organization, start_worker: StartWorker
) -> None:
    await open_offer(municipality)
    start_worker()
    headers = {"Prefer": "wait=10", "Idempotency-Key": "tonight"}
    answer = await coordination.http.post("/v1/needs", json=need_body(), headers=headers)
    need = answer.json()
    assert (answer.status_code, need["state"], len(need["allocations"])) == (201, "held", 1)
    assert need["code"]
    read = await coordination.http.get(answer.headers["location"])
    assert read.headers["etag"] == answer.headers["etag"] == f'"{need["version"]}"'
    assert read.json() == need | {"code": None}
    again = await coordination.http.post("/v1/needs", json=need_body(), headers=headers)
    assert again.json() == need


async def test_with_prefer_wait_and_no_place_the_answer_comes_when_the_patience_ends(
    coordination: Organization,
) -> None:
    began = monotonic()
    answer = await coordination.http.post("/v1/needs", json=need_body(), headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["state"]) == (201, "open")
    assert 0.9 < monotonic() - began < 8


async def test_five_hundred_parties_are_posted_at_once_in_their_order(coordination: Organization) -> None:
    sizes = [1 + number % 7 for number in range(500)]
    batch = {"needs": [need_body(people={"adults": size}) for size in sizes]}
    answer = await coordination.http.post("/v1/needs/batch", json=batch)
    assert answer.status_code == 201
    items = answer.json()["items"]
    assert [item["people"]["adults"] for item in items] == sizes
    assert len({item["id"] for item in items}) == len({item["code"] for item in items}) == 500


async def test_five_hundred_and_one_are_too_many(coordination: Organization, engine: AsyncEngine) -> None:
    answer = await coordination.http.post("/v1/needs/batch", json={"needs": [need_body()] * 501})
    assert answer.status_code == 422
    assert [(error["at"], error["code"]) for error in answer.json()["errors"]] == [("/needs", "too_long")]
    assert await rows(engine, "select id from need") == []


async def test_one_flaw_in_a_batch_refuses_all_of_it_and_says_where(
    coordination: Organization, engine: AsyncEngine
) -> None:
    starts, ends = tonight()
    flawed = need_body(**{"from": ends.isoformat(), "until": starts.isoformat()}, people={})
    batch = {"needs": [need_body(), need_body(), need_body(), flawed, need_body(town=1)]}
    answer = await coordination.http.post("/v1/needs/batch", json=batch)
    assert answer.status_code == 422
    assert {(error["at"], error["code"]) for error in answer.json()["errors"]} == {
        ("/needs/3/people", "nobody"),
        ("/needs/3/until", "before_from"),
        ("/needs/4/town", "unknown_town"),
    }
    assert await rows(engine, "select id from need") == []
    assert await rows(engine, "select id from event") == []


def change(poster: Organization, need_id: str, version: object, **changes: object) -> "asyncio.Task[httpx.Response]":
    headers = {"If-Match": f'"{version}"'}
    return asyncio.create_task(poster.http.patch(f"/v1/needs/{need_id}", json=changes, headers=headers))


async def test_a_stay_is_lengthened_and_shortened_in_its_place(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    need = await place(engine, coordination)
    (before,) = need["allocations"]
    until = [tonight(nights)[1].isoformat() for nights in (1, 2, 3)]
    for nights in (3, 1, 2):
        answer = await change(coordination, need["id"], need["version"], until=until[nights - 1])
        assert answer.status_code == 200, answer.text
        need = answer.json()
        (kept,) = need["allocations"]
        assert (kept["id"], kept["state"], len(kept["slots"])) == (before["id"], "held", nights)
        assert answer.headers["etag"] == f'"{need["version"]}"'
        await assert_every_place_is_counted_once(engine)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"people": {"adults": 3, "minors": 2}}, "capacity"),
        ({"until": tonight(9)[1].isoformat()}, "window"),
        ({"requires": ["step_free"]}, "access"),
        ({"requires": ["women_only"]}, "audience"),
        ({"countries": ["IT"]}, "border"),
    ],
)
async def test_a_change_that_the_place_cannot_follow_changes_nothing_and_names_the_rule(
    changes: Json, rule: str, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=4)
    need = await place(engine, coordination)
    before = await everything_stored(engine)
    answer = await change(coordination, need["id"], need["version"], **changes)
    assert answer.status_code == 409, answer.text
    told = answer.json()
    assert (told["type"], told["reason"], told["rule"]) == ("/problems/conflict", "cannot_keep_place", rule)
    assert told["allocations"] == [need["allocations"][0]["id"]]
    assert await everything_stored(engine) == before


async def test_a_change_says_which_version_it_changes(coordination: Organization) -> None:
    need = await post_need(coordination)
    path = f"/v1/needs/{need['id']}"
    missing = await coordination.http.patch(path, json={"urgency": "high"})
    assert (missing.status_code, missing.json()["type"]) == (428, "/problems/version-required")
    first = await change(coordination, need["id"], need["version"], urgency="high")
    assert first.status_code == 200
    late = await change(coordination, need["id"], need["version"], urgency="normal")
    assert (late.status_code, late.json()["type"]) == (412, "/problems/stale-version")
    assert late.headers["etag"] == first.headers["etag"]
    assert (await read_need(coordination, need["id"]))["urgency"] == "high"
    whatever = await coordination.http.patch(path, json={"urgency": "normal"}, headers={"If-Match": "*"})
    assert whatever.json()["urgency"] == "normal"


async def test_of_two_changes_at_once_one_is_told_that_it_came_second(coordination: Organization) -> None:
    need = await post_need(coordination)
    answers = await asyncio.gather(
        *(change(coordination, need["id"], need["version"], max_km=km) for km in range(1, 11))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_what_must_be_there_cannot_be_set_to_null(coordination: Organization) -> None:
    need = await post_need(coordination, max_km=30)
    answer = await change(coordination, need["id"], need["version"], until=None, countries=None, people=None)
    assert answer.status_code == 422
    found = {(error["at"], error["code"]) for error in answer.json()["errors"]}
    assert found == {("/until", "required"), ("/countries", "required"), ("/people", "required")}
    freed = await change(coordination, need["id"], need["version"], max_km=None)
    assert freed.json()["max_km"] is None


async def test_what_a_need_is_and_where_cannot_be_changed(coordination: Organization) -> None:
    need = await post_need(coordination)
    answer = await change(coordination, need["id"], need["version"], town=MONTGENEVRE.id, category="meal")
    found = {(error["at"], error["code"]) for error in answer.json()["errors"]}
    assert found == {("/town", "unknown_field"), ("/category", "unknown_field")}


async def test_a_withdrawn_need_gives_its_place_to_the_next_party(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=4)
    first = await place(engine, coordination)
    second = await place(engine, coordination)
    assert (first["state"], second["state"]) == ("held", "open")
    path = f"/v1/needs/{first['id']}/withdraw"
    gone = (await coordination.http.post(path)).json()
    assert (gone["state"], gone["allocations"][0]["state"]) == ("withdrawn", "released")
    again = await coordination.http.post(path)
    assert (again.status_code, again.json()) == (200, gone)
    await rows(engine, "update need set look_at = now()")
    await hold(engine, UUID(second["id"]))
    assert (await read_need(coordination, second["id"]))["state"] == "held"
    await assert_every_place_is_counted_once(engine)


async def test_a_need_that_has_ended_is_neither_changed_nor_withdrawn(
    coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, confirmation="standing")
    need = await place(engine, coordination)
    allocation = need["allocations"][0]["id"]
    await rows(engine, "update slot set starts = now() where day = (select min(day) from slot)")
    for step in ("arrive", "complete"):
        assert (await municipality.http.post(f"/v1/allocations/{allocation}/{step}")).status_code == 200
    closed = await read_need(coordination, need["id"])
    assert closed["state"] == "closed"
    withdrawal = await coordination.http.post(f"/v1/needs/{need['id']}/withdraw")
    changed = await change(coordination, need["id"], closed["version"], urgency="high")
    for answer in (withdrawal, changed):
        assert answer.status_code == 409
        assert (answer.json()["reason"], answer.json()["state"]) == ("need_has_ended", "closed")


async def test_a_list_is_read_to_its_end_while_needs_are_posted(coordination: Organization) -> None:
    batch = {"needs": [need_body(people={"adults": 1 + number}) for number in range(25)]}
    await coordination.http.post("/v1/needs/batch", json=batch)
    for number in range(5):
        await post_need(coordination, people={"adults": 100 + number})
    seen: list[Json] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await coordination.http.get("/v1/needs", params={"limit": 7, **({"cursor": cursor} if cursor else {})})
        seen += page.json()["items"]
        cursor = page.json()["next"]
        await post_need(coordination, people={"adults": 200})
    assert len(seen) == len({need["id"] for need in seen}) == 30
    assert [need["people"]["adults"] for need in seen[:5]] == [104, 103, 102, 101, 100]
    assert seen == sorted(seen, key=lambda need: str(need["posted_at"]), reverse=True)


async def test_a_list_shows_one_state_and_only_the_callers_own(
    coordination: Organization, association: Organization
) -> None:
    first, second = await post_need(coordination), await post_need(coordination)
    await post_need(association)
    await coordination.http.post(f"/v1/needs/{first['id']}/withdraw")
    for state, expected in (("open", [second["id"]]), ("withdrawn", [first["id"]]), ("held", [])):
        page = (await coordination.http.get("/v1/needs", params={"state": state})).json()
        assert ([item["id"] for item in page["items"]], page["next"]) == (expected, None)
    wrong = await coordination.http.get("/v1/needs", params={"state": "lost", "limit": 201, "cursor": "x"})
    assert wrong.status_code == 422


async def test_the_same_family_posted_twice_is_pointed_out_and_taken(
    coordination: Organization, association: Organization
) -> None:
    elsewhere = await post_need(association)
    assert elsewhere["warnings"] == []
    first = await post_need(coordination)
    assert first["warnings"] == [], "never across organizations"
    second = await post_need(coordination)
    assert second["warnings"] == [{"code": "possible_duplicate", "need_id": first["id"]}]
    assert (await post_need(coordination, people={"adults": 2, "minors": 1}))["warnings"] == []
    batch = await coordination.http.post("/v1/needs/batch", json={"needs": [need_body(people={"adults": 9})] * 2})
    one_of_two, other = batch.json()["items"]
    assert one_of_two["warnings"][0]["need_id"] == other["id"]
    for need in (first, second):
        await coordination.http.post(f"/v1/needs/{need['id']}/withdraw")
    assert (await post_need(coordination))["warnings"] == []


async def test_the_slip_code_is_shown_once_and_kept_nowhere(
    coordination: Organization, engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    posted = await coordination.http.post("/v1/needs", json=need_body(), headers=headers)
    code = posted.json()["code"]
    again = await coordination.http.post("/v1/needs", json=need_body(), headers=headers)
    assert again.content == posted.content
    other = await post_need(coordination)
    assert code
    assert other["code"] not in (None, code)
    need_id = posted.json()["id"]
    changed = await change(coordination, need_id, 1, urgency="high")
    listed = await coordination.http.get("/v1/needs")
    read = await coordination.http.get(f"/v1/needs/{need_id}")
    for answer in (changed, listed, read):
        assert answer.status_code == 200
        assert code not in answer.text
    assert read.json()["code"] is None
    stored = await everything_stored(engine)
    assert stored["idempotency"]
    assert holds(stored, code) == holds(stored, code.replace("-", "")) == []
    assert code not in capfd.readouterr().err


async def test_every_need_has_the_event_that_made_it(coordination: Organization, engine: AsyncEngine) -> None:
    await coordination.http.post("/v1/needs/batch", json={"needs": [need_body()] * 3})
    told = await one(
        engine,
        "select count(*) as n from event e join need n on n.id = e.object_id where e.kind = 'need.posted'",
    )
    assert told.n == 3


async def test_a_need_says_what_it_was_asked_for_and_nothing_more(coordination: Organization) -> None:
    asked = need_body(
        requires=["step_free", "interpreter:prs"],
        audience=["families"],
        countries=["FR", "IT"],
        max_km=30,
        stay="transit",
    )
    need = await post_need(coordination, **asked)
    said = {name: need[name] for name in asked}
    moments = {name: datetime.fromisoformat(str(asked[name])) for name in ("from", "until")}
    assert {name: datetime.fromisoformat(said[name]) for name in moments} == moments
    assert said | {"from": "", "until": "", "requires": set(said["requires"])} == asked | {
        "from": "",
        "until": "",
        "requires": {"step_free", "interpreter:prs"},
    }
    plain = await post_need(coordination)
    assert plain["countries"] == [BRIANCON.country], "no border is crossed that was not agreed to"


OPEN_TRANSACTIONS = """
    select count(*) as n from pg_stat_activity
     where application_name = 'relais-api' and datname = current_database()
       and (state like 'idle in transaction%' or xact_start is not null)
"""


async def test_clients_that_hang_up_leave_no_transaction_open_and_no_half_need(
    client: JoinNetwork, municipality: Organization, engine: AsyncEngine, *, long: bool
) -> None:
    poster = await client()
    await open_offer(municipality, capacity=1000)
    chance = random.Random(20_261_201)  # noqa: S311 - the points at which they hang up, the same each time
    calls = 10_000 if long else 300

    async def hang_up_somewhere() -> int:
        path = chance.choice(("/v1/needs", "/v1/needs/batch"))
        body = need_body() if path == "/v1/needs" else {"needs": [need_body()] * 3}
        call = asyncio.create_task(
            poster.http.post(
                path, json=body, headers={"Idempotency-Key": str(uuid4())} if chance.random() < 0.5 else {}
            )
        )
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.05)
        call.cancel()
        (answer,) = await asyncio.gather(call, return_exceptions=True)
        return answer.status_code if isinstance(answer, httpx.Response) else 0

    at_once = asyncio.Semaphore(20)

    async def one_client() -> int:
        async with at_once:
            return await hang_up_somewhere()

    answered = await asyncio.gather(*(one_client() for _ in range(calls)))
    assert set(answered) <= {0, 201}

    async def none_open() -> bool:
        return bool((await one(engine, OPEN_TRANSACTIONS)).n == 0)

    await eventually(none_open, "no transaction of the API open")
    whole = await one(
        engine,
        """
        select count(*) as needs, count(*) filter (where exists
                   (select from event e where e.object_id = need.id and e.kind = 'need.posted')) as told
          from need
        """,
    )
    assert whole.needs == whole.told
    assert whole.needs >= sum(status == 201 for status in answered)
    assert (await post_need(poster))["state"] == "open"
