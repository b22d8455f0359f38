"""Keys: who cannot show a live one learns nothing, and a key does what its scopes say and no more."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.settings import ApiSettings
from db import keys, organizations
from db.connection import transaction
from db.keys import ONLY_CONFIRMS, Scope
from matching.refusals import Conflict, NotFound
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.documented import operations
from tests.api.scenes import open_offer, place
from tests.db.acts import hold, rows
from tests.waiting import eventually

HASHING = bytes(range(32))


def _everything_but_the_request_id(answer: httpx.Response) -> tuple[object, ...]:
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, headers, answer.content


async def test_every_way_not_to_have_a_live_key_answers_the_same_bytes(
    anyone: httpx.AsyncClient, client: JoinNetwork, engine: AsyncEngine
) -> None:
    revoked, expired, good = await client(), await client(), await client()
    async with transaction(engine) as tx:
        await keys.revoke(tx, revoked.key.split("_")[1])
        await tx.execute(
            text("update api_key set expires_at = now() - interval '1 second' where prefix = :prefix"),
            {"prefix": expired.key.split("_")[1]},
        )
    shown = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic cmVsYWlzOnJlbGFpcw=="},
        {"Authorization": "Bearer relais_aaaaaaaaaa_" + "a" * 32},
        {"Authorization": f"Bearer {good.key}x"},
        {"Authorization": f"Bearer {good.key[:-1]}{'a' if good.key[-1] != 'a' else 'b'}"},
        {"Authorization": f"Bearer {good.key.upper()}"},
        {"Authorization": f"Bearer {revoked.key}"},
        {"Authorization": f"Bearer {expired.key}"},
    ]
    answers = [_everything_but_the_request_id(await anyone.get("/v1/me", headers=each)) for each in shown]
    assert {status for status, _, _ in answers} == {401}
    assert all(answer == answers[0] for answer in answers)


async def test_an_unknown_caller_is_told_how_to_show_a_key(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.get("/v1/me")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/unauthenticated"


async def test_an_unknown_caller_learns_nothing_about_the_body_it_sent(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.post("/v1/needs", content=b"{not json", headers={"Content-Type": "application/json"})
    assert answer.status_code == 401


async def test_a_key_without_the_scope_is_forbidden(client: JoinNetwork) -> None:
    reader = await client(OrganizationKind.COORDINATION, frozenset({Scope.NEEDS_READ}))
    answer = await reader.http.post("/v1/needs", json=need_body())
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"


async def test_a_revoked_key_is_dead_at_once(coordination: Organization, engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await keys.revoke(tx, coordination.key.split("_")[1])
    assert (await coordination.http.get("/v1/me")).status_code == 401


async def test_two_keys_live_at_once_and_a_third_is_refused(tx: AsyncConnection) -> None:
    organization_id = await organizations.add(tx, OrganizationKind.ASSOCIATION, "Refuge")
    first = await keys.issue(tx, organization_id, HASHING)
    await keys.issue(tx, organization_id, HASHING)
    with pytest.raises(Conflict) as refused:
        await keys.issue(tx, organization_id, HASHING)
    assert refused.value.reason == "two_keys_already"
    await keys.revoke(tx, first.prefix)
    await keys.issue(tx, organization_id, HASHING)
    assert [key.live for key in await keys.of_organization(tx, organization_id)].count(True) == 2


async def test_a_coordination_gets_no_key_that_writes_offers(tx: AsyncConnection) -> None:
    organization_id = await organizations.add(tx, OrganizationKind.COORDINATION, "Tous Migrants")
    with pytest.raises(Conflict):
        await keys.issue(tx, organization_id, HASHING, frozenset({Scope.OFFERS_WRITE}))


async def test_no_table_holds_a_key(tx: AsyncConnection) -> None:
    organization_id = await organizations.add(tx, OrganizationKind.ASSOCIATION, "Refuge")
    issued = await keys.issue(tx, organization_id, HASHING)
    row = (await tx.execute(text("select api_key::text from api_key"))).scalar_one()
    assert issued.text.split("_")[2] not in row
    assert issued.text.encode().hex() not in row


async def test_a_key_stored_under_another_secret_opens_nothing(tx: AsyncConnection) -> None:
    organization_id = await organizations.add(tx, OrganizationKind.ASSOCIATION, "Refuge")
    issued = await keys.issue(tx, organization_id, HASHING)
    assert await keys.holder(tx, issued.text, HASHING) is not None
    assert await keys.holder(tx, issued.text, bytes(32)) is None


async def test_a_key_ends_after_its_time(tx: AsyncConnection) -> None:
    organization_id = await organizations.add(tx, OrganizationKind.ASSOCIATION, "Refuge")
    issued = await keys.issue(tx, organization_id, HASHING, lifetime=timedelta(0))
    assert await keys.holder(tx, issued.text, HASHING) is None


async def test_revoking_an_unknown_key_says_so(tx: AsyncConnection) -> None:
    with pytest.raises(NotFound):
        await keys.revoke(tx, "aaaaaaaaaa")


async def test_old_answers_are_not_given_to_a_key_that_lost_the_right(
    client: JoinNetwork, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    poster = await client()
    once = {"Idempotency-Key": "evening-1"}
    assert (await poster.http.post("/v1/needs", json=need_body(), headers=once)).status_code == 201
    async with transaction(engine) as tx:
        lesser = await keys.issue(tx, poster.id, api_settings.keys().of("api-key"), frozenset({Scope.NEEDS_READ}))
    answer = await poster.http.post(
        "/v1/needs", json=need_body(), headers={**once, "Authorization": f"Bearer {lesser.text}"}
    )
    assert answer.status_code == 403


async def test_a_key_that_may_only_confirm_answers_holds_and_does_nothing_else(
    app: FastAPI, client: JoinNetwork, coordination: Organization, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    town_hall = await client(OrganizationKind.MUNICIPALITY)
    await open_offer(town_hall)
    async with transaction(engine) as tx:
        issued = await keys.issue(tx, town_hall.id, api_settings.keys().of("api-key"), ONLY_CONFIRMS)
    desk = {"Authorization": f"Bearer {issued.text}"}
    placed = [(await place(engine, coordination))["allocations"][0]["id"] for _ in range(2)]
    waiting = await town_hall.http.get("/v1/allocations", params={"state": "held"}, headers=desk)
    assert {each["id"] for each in waiting.json()["items"]} == set(placed)
    said_yes = await town_hall.http.post(f"/v1/allocations/{placed[0]}/confirm", headers=desk)
    said_no = await town_hall.http.post(f"/v1/allocations/{placed[1]}/decline", headers=desk, json={"reason": "full"})
    assert (said_yes.json()["state"], said_no.json()["state"]) == ("confirmed", "declined")
    may = {"/v1/me", "/v1/towns", "/v1/towns/{town_id}", "/v1/policy", "/v1/changes", "/v1/events"}
    for operation in (each for each in operations(app) if each.protected and each.path not in may):
        path = operation.at({name: placed[0] if name == "allocation_id" else 1 for name in operation.parameters})
        path = path.replace("/1", f"/{uuid4()}") if "{town_id}" not in operation.path else path
        if operation.path.endswith(("/confirm", "/decline")) and "allocations" in operation.path:
            continue
        if operation.method == "GET" and "allocations" in operation.path:
            continue
        told = await town_hall.http.request(
            operation.method, path, json=operation.body, headers={**desk, "If-Match": "*"}
        )
        assert told.status_code == 403, f"{operation}: {told.status_code}"


async def test_every_key_of_an_organization_is_ended_at_once_and_nobody_elses(
    client: JoinNetwork, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    stolen, other = await client(), await client()
    async with transaction(engine) as tx:
        second = await keys.issue(tx, stolen.id, api_settings.keys().of("api-key"))
    async with transaction(engine) as tx:
        assert await keys.revoke_all(tx, stolen.id) == 2
    for key in (stolen.key, second.text):
        told = await stolen.http.get("/v1/me", headers={"Authorization": f"Bearer {key}"})
        assert told.status_code == 401
    assert (await other.http.get("/v1/me")).status_code == 200
    async with transaction(engine) as tx:
        assert await keys.revoke_all(tx, stolen.id) == 0
        with pytest.raises(NotFound):
            await keys.revoke_all(tx, uuid4())


async def test_a_request_that_waits_is_told_nothing_more_once_its_key_is_revoked(
    client: JoinNetwork, association: Organization, engine: AsyncEngine
) -> None:
    poster = await client()
    await open_offer(association)
    waiting = asyncio.create_task(poster.http.post("/v1/needs", json=need_body(), headers={"Prefer": "wait=5"}))

    async def posted() -> UUID | None:
        found = await rows(engine, "select id from need")
        return found[0].id if found else None

    need_id = await eventually(posted, "the need is posted")
    async with transaction(engine) as tx:
        await keys.revoke_all(tx, poster.id)
    await hold(engine, need_id)
    answered = await waiting
    assert answered.status_code == 201
    assert (answered.json()["state"], answered.json()["allocations"]) == ("open", [])
