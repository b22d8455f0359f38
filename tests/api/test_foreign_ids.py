"""A hostile caller who knows the id of somebody else's object: odd methods, forms, headers, cursors, keys and locks.

`test_tenancy_matrix` asks as clients ask; this asks as nobody should. Again what is told of a foreign object must be
what is told of one that never was.
"""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import ApiSettings
from db import keys
from db.connection import transaction
from db.keys import Scope
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body
from tests.api.comparing import Told, differences
from tests.api.conftest import JoinNetwork, Organization
from tests.api.documented import operations
from tests.api.scenes import open_offer, place, post_need
from tests.api.tenancy_asking import Asking, Point, asked, is_foreign, points
from tests.api.tenancy_table import OWNED, Kind
from tests.api.tenancy_world import Caller, Thing, World, build_world
from tests.db.acts import one, rows

FORMS: dict[str, Callable[[str], str]] = {
    "in capitals": str.upper,
    "in braces": "{{{}}}".format,
    "as a URN": "urn:uuid:{}".format,
    "as a URN in capitals": lambda written: f"URN:UUID:{written.upper()}",
    "without dashes": lambda written: written.replace("-", ""),
    "with a space before it": " {}".format,
    "with a NUL after it": "{}%00".format,
    "with a slash after it": "{}/".format,
    "with a suffix": "{}.json".format,
    "with parameters of a path": "{};v=1".format,
}
NUMBERS: dict[str, Callable[[str], str]] = {
    "with a sign": "+{}".format,
    "with a nought before it": "0{}".format,
    "as a fraction": "{}.0".format,
    "in full width": lambda written: written.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)}),
    "turned negative": "-{}".format,
}
HEADERS = (
    {"If-None-Match": "*"},
    {"If-None-Match": '"1"'},
    {"If-None-Match": 'W/"1", "2"', "Cache-Control": "only-if-cached"},
    {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
    {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
    {"If-Match": '"1"'},
    {"Range": "bytes=0-0"},
    {"Prefer": "wait=1"},
    {"Accept": "text/html"},
    {"X-HTTP-Method-Override": "GET"},
    {"Expect": "100-continue"},
)
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE", "TRACE", "QUERY", "PROPFIND")
LISTS = (
    *("/v1/sites", "/v1/offers", "/v1/needs", "/v1/allocations", "/v1/pledges", "/v1/shifts", "/v1/webhooks"),
    "/v1/notifications/channels",
)


async def told(asking: Asking, http: httpx.AsyncClient) -> Told:
    return Told.by(await asking.by(http))


def able(world: World) -> Caller:
    """A stranger who may do all that any organization may."""
    return next(caller for caller in world.callers if caller.able)


def _with(asking: Asking, more: dict[str, str]) -> Asking:
    return replace(asking, headers={**asking.headers, **more})


def _written(
    world: World, who: Caller, point: Point, form: Callable[[str], str], things: tuple[Thing, Thing]
) -> tuple[Asking, Asking]:
    one, other = (asked(world, who, point, "right", replace(each, id=form(each.id))) for each in things)
    return one, other


def one_of_each(world: World, who: Caller) -> list[tuple[Point, Thing]]:
    """At each point one object that is not the caller's."""
    return [
        (point, next(thing for thing in world.of(point.kind) if is_foreign(world, who, point, thing)))
        for point in points()
    ]


async def test_odd_forms_methods_and_headers_tell_no_more_than_plain_ones(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient
) -> None:
    world = await build_world(engine, client, anyone)
    who = able(world)
    seen: set[Kind] = set()
    for number, (point, thing) in enumerate(one_of_each(world, who)):
        never = replace(thing, id=str(2**62 + number) if thing.kind is Kind.SLOT else str(uuid4()))
        whole = thing.kind not in seen
        seen.add(thing.kind)
        right, nothing = asked(world, who, point, "right", thing), asked(world, who, point, "right", never)
        odd: list[tuple[str, Asking, Asking]] = []
        if whole:
            forms = NUMBERS if thing.kind is Kind.SLOT else FORMS
            odd += [(name, *_written(world, who, point, form, (thing, never))) for name, form in forms.items()]
        if whole and point.place.startswith("path "):
            odd += [(method, replace(right, method=method), replace(nothing, method=method)) for method in METHODS]
        if whole or right.method == "GET":
            odd += [(str(more), _with(right, more), _with(nothing, more)) for more in HEADERS]
        for name, of_thing, of_nothing in odd:
            one, other = await told(of_thing, who.http), await told(of_nothing, who.http)
            assert not differences(one, other), f"{point}, {thing}, {name}: {one} {other}"
            assert one.status in (200, 400, 401, 404, 405, 412, 422, 428), f"{point}, {thing}, {name}: {one}"
    assert seen == {point.kind for point in points()}


async def test_an_odd_form_of_an_id_opens_what_the_plain_one_opens_or_nothing(
    coordination: Organization, association: Organization
) -> None:
    """Else the comparison above would compare two refusals of the form."""
    need = await post_need(coordination)
    opened = set()
    for name, form in FORMS.items():
        path = f"/v1/needs/{form(need['id'])}"
        own = await coordination.http.get(path)
        assert own.status_code in (200, 404, 422), f"{name}: {own.text}"
        opened |= {name} if own.status_code == 200 else set()
        assert (await association.http.get(path)).status_code in (404, 422), name
    assert opened >= {"in capitals", "in braces", "as a URN", "without dashes"}


@pytest.mark.usefixtures("impatient")
async def test_nobody_waits_for_the_lock_on_what_is_somebody_elses(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient
) -> None:
    """Who waits learns that there is something to wait for, and stands in the way of those whose it is."""
    world = await build_world(engine, client, anyone)
    desk = next(caller for caller in world.callers if caller.name == "the desk")
    stranger = able(world)
    # Not what the stranger and the people with their code have a right to wait for.
    locked = [
        thing
        for thing in world.things
        if not world.roles(stranger, thing) and not thing.state.endswith("of the people who ask")
    ]
    async with transaction(engine) as tx:
        for kind in OWNED:
            ids = [int(each.id) if kind is Kind.SLOT else UUID(each.id) for each in locked if each.kind is kind]
            table, name = ("webhook_delivery", "event_id") if kind is Kind.DELIVERY else (kind, "id")
            await tx.execute(text(f"select from {table} where {name} = any(:ids) for update"), {"ids": ids})
        for point in points():
            for thing in (each for each in locked if each.kind is point.kind):
                answer = await asked(world, stranger, point, "right", thing).by(stranger.http)
                assert answer.status_code != 503, f"{point}, {thing} waited"
        own = next(each for each in world.of(Kind.NEED) if each.state == "open, held")
        waited = await desk.http.post(f"/v1/needs/{own.id}/withdraw")
    assert waited.status_code == 503, "who may act waits, so that the test can see it"


@pytest_asyncio.fixture(loop_scope="function")
async def impatient(settings: Settings, engine: AsyncEngine) -> AsyncIterator[None]:
    """Every connection made from now on gives a lock up at once instead of waiting for it."""
    name = settings.database_address.rpartition("/")[2]
    await rows(engine, f"alter database {name} set lock_timeout = '100ms'")
    yield


async def test_a_cursor_with_somebody_elses_id_is_a_place_in_ones_own_list(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient
) -> None:
    world = await build_world(engine, client, anyone)
    kinds = (Kind.SITE, Kind.OFFER, Kind.NEED, Kind.ALLOCATION, Kind.PLEDGE, Kind.SHIFT, Kind.WEBHOOK, Kind.CHANNEL)
    tables = dict(zip(LISTS, kinds, strict=True))
    for path, kind in tables.items():
        column = "posted_at" if kind is Kind.NEED else "created_at"
        for thing in world.of(kind)[:1]:
            at = (await one(engine, f"select {column} as at from {kind} where id = :id", id=UUID(thing.id))).at
            for who in (each for each in world.callers if not each.shut_out and not world.roles(each, thing)):
                foreign = await who.http.get(path, params={"cursor": cursor(at, UUID(thing.id))})
                never = await who.http.get(path, params={"cursor": cursor(at, uuid4())})
                assert not differences(Told.by(foreign), Told.by(never)), f"{who}, {path}, {thing}"
                assert thing.id not in foreign.text


async def test_the_cursor_that_another_organization_was_given_shows_nothing_of_theirs(
    client: JoinNetwork, coordination: Organization
) -> None:
    theirs = [(await post_need(coordination))["id"] for _ in range(3)]
    given = (await coordination.http.get("/v1/needs", params={"limit": 1})).json()["next"]
    other = await client(OrganizationKind.ASSOCIATION)
    mine = (await post_need(other))["id"]
    shown = await other.http.get("/v1/needs", params={"cursor": given, "limit": 1})
    assert shown.json() == {"items": [], "next": None}
    assert [each["id"] for each in (await other.http.get("/v1/needs")).json()["items"]] == [mine]
    rest = await coordination.http.get("/v1/needs", params={"cursor": given})
    assert [each["id"] for each in rest.json()["items"]] == theirs[-2::-1]


async def test_the_idempotency_key_of_another_organization_says_nothing_about_its_act(
    coordination: Organization, association: Organization
) -> None:
    need = await post_need(coordination)
    path, key = f"/v1/needs/{need['id']}/withdraw", {"Idempotency-Key": "evening-1"}
    assert (await coordination.http.post(path, headers=key)).status_code == 200
    never = Told.by(await association.http.post(f"/v1/needs/{uuid4()}/withdraw", headers={"Idempotency-Key": "other"}))
    assert differences(Told.by(await association.http.post(path, headers=key)), never) == []
    posted = await association.http.post("/v1/needs", json=need_body(), headers=key)
    assert posted.status_code == 201, "what they used is free to others"


async def test_a_stored_answer_is_not_for_a_key_that_may_not_ask(
    coordination: Organization, engine: AsyncEngine, api_settings: ApiSettings
) -> None:
    key = {"Idempotency-Key": "evening-1"}
    first = await coordination.http.post("/v1/needs", json=need_body(), headers=key)
    async with transaction(engine) as tx:
        reads = await keys.issue(tx, coordination.id, api_settings.keys().of("api-key"), frozenset({Scope.NEEDS_READ}))
    again = await coordination.http.post(
        "/v1/needs", json=need_body(), headers={**key, "Authorization": f"Bearer {reads.text}"}
    )
    assert again.status_code == 403
    assert first.json()["code"] not in again.text


@pytest.mark.parametrize("reason", ["too_far", "moved_on"])
async def test_with_ones_own_code_the_place_of_others_is_as_one_that_never_was(
    municipality: Organization, coordination: Organization, anyone: httpx.AsyncClient, engine: AsyncEngine, reason: str
) -> None:
    await open_offer(municipality, capacity=100)
    code = (await post_need(coordination))["code"]
    for state in ("held", "confirmed", "declined", "completed"):
        theirs = (await place(engine, coordination))["allocations"][0]["id"]
        await rows(engine, "update allocation set state = :state where id = :id", state=state, id=theirs)
        before = await one(engine, "select state, reason, version from allocation where id = :id", id=theirs)
        for path, sends in (("/v1/slip/refuse", "json"), ("/slip/refuse", "data")):
            answers = [
                Told.by(
                    await anyone.request(
                        "POST",
                        path,
                        **{sends: {"code": code, "reason": reason, "place": place_id}},  # type: ignore[arg-type]
                    )
                )
                for place_id in (theirs, str(uuid4()))
            ]
            assert differences(*answers) == [], f"{path}, {state}"
            assert answers[0].status == 404
        assert await one(engine, "select state, reason, version from allocation where id = :id", id=theirs) == before


async def test_the_methods_of_a_path_are_told_by_the_path_alone(app: FastAPI, association: Organization) -> None:
    for operation in operations(app):
        for method in ("HEAD", "OPTIONS"):
            path = operation.at(dict.fromkeys(operation.parameters, "7"))
            answer = await association.http.request(method, path)
            assert answer.status_code == 405, f"{method} {path}"
            assert operation.method in answer.headers["allow"]


def cursor(at: datetime, place_id: UUID) -> str:
    """A cursor as lists write it."""
    microseconds = round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8) + place_id.bytes).decode()
