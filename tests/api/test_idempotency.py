"""A request that is sent twice acts once: on a bad line, pressing the button again is safe."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.idempotency import stored_name
from api.settings import ApiSettings
from db import idempotency
from db.connection import transaction
from db.idempotency import Ticket
from tests.api.bodies import need_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.stored import everything_stored, holds

ONCE = {"Idempotency-Key": "evening-1"}


async def _needs(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        count: int = (await tx.execute(text("select count(*) from need"))).scalar_one()
    return count


async def test_the_same_request_again_gets_the_same_answer_and_acts_once(
    coordination: Organization, engine: AsyncEngine
) -> None:
    first = await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    again = await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["etag"] == first.headers["etag"]
    assert await _needs(engine) == 1


async def test_the_slip_code_comes_back_though_nothing_stored_it(
    coordination: Organization, engine: AsyncEngine
) -> None:
    first = await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    code = first.json()["code"]
    async with transaction(engine) as tx:
        stored = (await tx.execute(text("select headers::text, body from idempotency"))).one()
    assert code not in stored.headers
    assert code.encode() not in stored.body
    again = await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    assert again.json()["code"] == code


async def test_codes_of_a_batch_come_back_too(coordination: Organization) -> None:
    batch = {"needs": [need_body(), need_body(people={"adults": 1, "minors": 0})]}
    first = await coordination.http.post("/v1/needs/batch", json=batch, headers=ONCE)
    again = await coordination.http.post("/v1/needs/batch", json=batch, headers=ONCE)
    assert first.status_code == 201
    assert again.json() == first.json()
    assert len({item["code"] for item in again.json()["items"]}) == 2


async def test_another_body_under_the_same_key_is_refused(coordination: Organization, engine: AsyncEngine) -> None:
    await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    other = await coordination.http.post("/v1/needs", json=need_body(urgency="normal"), headers=ONCE)
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-mismatch"
    assert await _needs(engine) == 1


async def test_another_organization_may_use_the_same_key(client: JoinNetwork, engine: AsyncEngine) -> None:
    for organization in (await client(), await client()):
        answer = await organization.http.post("/v1/needs", json=need_body(), headers=ONCE)
        assert answer.status_code == 201
    assert await _needs(engine) == 2


async def test_while_the_first_is_being_worked_on_the_second_is_told_to_wait(
    coordination: Organization, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    async with transaction(engine) as tx:
        name = stored_name(ONCE["Idempotency-Key"], api_settings.keys().of("request"))
        await idempotency.claim(tx, Ticket(coordination.id, name, b""))
        answer = await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/idempotency-in-progress"
    assert answer.headers["retry-after"] == "1"


async def test_a_hundred_at_once_act_once(coordination: Organization, engine: AsyncEngine) -> None:
    answers = await asyncio.gather(
        *(coordination.http.post("/v1/needs", json=need_body(), headers=ONCE) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await _needs(engine) == 1


async def test_a_refused_request_is_not_remembered(coordination: Organization) -> None:
    refused = await coordination.http.post("/v1/needs", json=need_body(category="no_such_help"), headers=ONCE)
    assert refused.status_code == 422
    corrected = await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    assert corrected.status_code == 201


async def test_a_key_that_is_no_visible_text_is_refused(coordination: Organization) -> None:
    for key in ("", " ", "x" * 256, "with space", "\x7f"):
        answer = await coordination.http.post("/v1/needs", json=need_body(), headers={"Idempotency-Key": key})
        assert answer.status_code == 422, key
        assert answer.json()["errors"][0]["at"] == "Idempotency-Key"


async def test_a_key_that_says_who_it_is_for_is_stored_nowhere(coordination: Organization, engine: AsyncEngine) -> None:
    telling = {"Idempotency-Key": "Zarmina7Q-tuesday"}
    for _ in range(2):
        assert (await coordination.http.post("/v1/needs", json=need_body(), headers=telling)).status_code == 201
    assert await _needs(engine) == 1
    stored = await everything_stored(engine)
    assert stored["idempotency"]
    assert holds(stored, "Zarmina7Q") == []


async def test_what_is_stored_does_not_tell_what_was_sent(coordination: Organization, engine: AsyncEngine) -> None:
    await coordination.http.post("/v1/needs", json=need_body(), headers=ONCE)
    async with transaction(engine) as tx:
        stored = (await tx.execute(text("select fingerprint from idempotency"))).scalar_one()
    assert len(stored) == 32
