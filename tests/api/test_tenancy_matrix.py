"""Every role, every operation, every object of somebody else's: answered with the bytes of what never was.

The operations and the places in them that can carry an id come from the OpenAPI document. What an id there is of, and
to whom such an object is open, says `tenancy_table`; an operation or place without its line there fails here by name.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import product
from pkgutil import iter_modules
from typing import Any, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

import db
from api.wire import CountryCode
from db.connection import transaction
from db.tenancy import RULES
from tests.api.comparing import Told, differences
from tests.api.conftest import JoinNetwork
from tests.api.id_places import outside_the_document, places_of
from tests.api.stored import everything_stored
from tests.api.tenancy_asking import Difference, Point, asked, compare, denied, is_foreign, points, ways
from tests.api.tenancy_table import EVERYWHERE, OUTSIDE_THE_DOCUMENT, PARTY, ROWS, SEEN, Kind, Role, Row
from tests.api.tenancy_world import ADDRESS, MEETING_POINT, SITE_NAME, Caller, Thing, World, build_world
from tests.places import BRIANCON

REFUSED = frozenset({401, 403, 404, 412, 422, 428})
SPEAKS_OF_PLACES = (ADDRESS, MEETING_POINT, SITE_NAME, str(BRIANCON.longitude), str(BRIANCON.latitude))
ANY = "cast(:organization as uuid) is not null"
WHOSE = re.compile(r"(\b\w+\.)?organization_id = :organization\b|:organization in \([^)]*\)")
BROKEN = {
    "a need is read without asking whose": ("db.needs", "_READ", "n.organization_id = :organization"),
    "an allocation is read without its sides": (
        "db.allocations",
        "_READ",
        ":organization in (a.provider_id, a.poster_id)",
    ),
    "the version of a site is looked at first": ("db.sites", "_LOCK", "organization_id = :organization"),
    "a slot's people are looked at first": ("db.slots", "_LOCK_OFFER", "organization_id = :organization"),
    "a filter finds what its list does not show": ("db.offers", "_PAGE_IN_TOWNS", "o.organization_id = :organization"),
    "a channel is read without asking whose": ("db.channels", "_READ", "c.organization_id = :organization"),
    "a webhook is read without asking whose": ("db.webhooks", "_READ", "w.organization_id = :organization"),
    "a pact is signed by anybody": ("db.pacts", "_LOCK", ":organization in (proposer_id, partner_id)"),
    "a referral is answered by anybody": ("db.referrals", "_ASKED", ":organization in (to_id)"),
    "a pledge is changed without asking whose": ("db.pledges", "_LOCK", "organization_id = :organization"),
}
"""Conditions that are taken out of a statement, and the statement."""


def gaps(app: FastAPI) -> list[str]:
    """What the document has and the table has not, and the other way round, by name."""
    document = {name: places - EVERYWHERE.keys() for name, places in places_of(app).items()}
    table = {name: row.places.keys() for name, row in ROWS.items()}
    found = [f"{name} has no row" for name in document.keys() - table.keys()]
    found += [f"{name} is no operation any more" for name in table.keys() - document.keys()]
    for name in document.keys() & table.keys():
        found += [
            f"{name} takes an id in {place}, which its row does not name" for place in document[name] - table[name]
        ]
        found += [f"{name} takes no id in {place} any more" for place in table[name] - document[name]]
    return sorted(found)


async def test_every_operation_and_every_place_for_an_id_has_its_line_in_the_table(app: FastAPI) -> None:
    assert gaps(app) == []
    assert outside_the_document(app.router.routes) == OUTSIDE_THE_DOCUMENT


async def test_an_operation_and_a_place_without_a_line_are_named(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    class Item(BaseModel):
        partner: Literal["all"] | UUID
        kind: Literal["host", "guest"]

    class Pact(BaseModel):
        items: list[Item]
        notes: dict[str, str]

    async def join(pact_id: str, body: Pact, region: int, country: CountryCode) -> None: ...

    app.router.add_api_route("/v1/pacts/{pact_id}/join", join, methods=["POST"])
    app.router.add_api_route("/v1/hidden/{need_id}", join, methods=["POST"], include_in_schema=False)
    app.openapi_schema = None
    new = "POST /v1/pacts/{pact_id}/join"
    assert gaps(app) == [f"{new} has no row"]
    monkeypatch.setitem(ROWS, new, Row())
    monkeypatch.setitem(ROWS, "GET /v1/gone", Row())
    assert gaps(app) == [
        "GET /v1/gone is no operation any more",
        *(
            f"{new} takes an id in {place}, which its row does not name"
            for place in ("body /items/*/partner", "body /notes/*", "path pact_id", "query region")
        ),
    ]
    assert outside_the_document(app.router.routes) == OUTSIDE_THE_DOCUMENT | {"/v1/hidden/{need_id}"}


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({}, []),
        ({"status": 403}, ["status"]),
        ({"body": b'{"title": "None"}'}, ["body"]),
        ({"headers": ((b"etag", b'"1"'), (b"vary", b"Accept-Language"))}, ["header etag"]),
        ({"headers": ((b"vary", b"Accept-Languagf"),)}, ["header vary"]),
        ({"headers": ((b"vary", b"Accept-Language"), (b"vary", b"Accept-Language"))}, ["header vary"]),
        ({"headers": ()}, ["header vary"]),
    ],
)
def test_a_single_byte_and_a_single_header_are_noticed(change: dict[str, Any], noticed: list[str]) -> None:
    nothing = Told(404, ((b"vary", b"Accept-Language"),), b'{"title": "none"}')
    assert differences(replace(nothing, **change), nothing) == noticed


def test_the_order_of_headers_is_noticed_and_an_answers_own_number_is_not() -> None:
    one = httpx.Response(404, headers=[("A", "1"), ("B", "2"), ("X-Request-Id", "7"), ("Date", "now")])
    other = httpx.Response(404, headers=[("X-Request-Id", "8"), ("B", "2"), ("A", "1")])
    assert differences(Told.by(one), Told.by(one)) == []
    assert differences(Told.by(one), Told.by(other)) == ["headers"]


def some(world: World, which: Iterable[Point]) -> Iterator[tuple[Caller, Point, Thing, str]]:
    """At each point every way, and every object in the right one, by who may do such things; and every other caller."""
    able = [caller for caller in world.callers if caller.able]
    others = [caller for caller in world.callers if not caller.able and not caller.shut_out]
    shut_out = [caller for caller in world.callers if caller.shut_out]
    for start, point in enumerate(which):
        names, things = ways(point), world.of(point.kind)
        asked_by = [
            (able[turn % 2], things[turn % len(things)], names[turn % len(names)]) for turn in range(len(names))
        ]
        asked_by += [(able[turn % 2], thing, "right") for turn, thing in enumerate(things)]
        for turn, caller in enumerate([*others, shut_out[start % len(shut_out)]], start):
            turned = [*things[turn % len(things) :], *things[: turn % len(things)]]
            theirs = [thing for thing in turned if is_foreign(world, caller, point, thing)]
            asked_by += [(caller, thing, names[turn % len(names)]) for thing in theirs[:1]]
        for caller, thing, way in asked_by:
            if is_foreign(world, caller, point, thing):
                yield caller, point, thing, way


def everything(world: World) -> Iterator[tuple[Caller, Point, Thing, str]]:
    """Every caller at every point with every object in every way."""
    for caller, point in product(world.callers, points()):
        for thing, way in product(world.of(point.kind), ways(point)):
            if is_foreign(world, caller, point, thing):
                yield caller, point, thing, way


async def differing(world: World, which: Iterable[tuple[Caller, Point, Thing, str]]) -> AsyncIterator[Difference]:
    """What is told of these otherwise than of nothing."""
    known: dict[object, Told] = {}
    for each in which:
        different = await compare(world, *each, known)
        if different is not None:
            yield different


async def test_what_is_somebody_elses_is_told_of_as_what_never_was(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient, *, long: bool
) -> None:
    """In the normal form each object, caller and way at each place at least once; with `--long` all with all."""
    world = await build_world(engine, client, anyone)
    before = await everything_stored(engine)
    found = [each async for each in differing(world, everything(world) if long else some(world, points()))]
    assert not found, "\n".join(map(str, found))
    member = next(caller for caller in world.callers if caller.able)
    for point in points():
        thing = next(each for each in world.of(point.kind) if is_foreign(world, member, point, each))
        told = Told.by(await asked(world, member, point, "right", thing).by(member.http))
        assert denied(point, told), f"{point}, {thing}: {told}"
    after = await everything_stored(engine)
    # Not even the audit or the stored answers: what is refused is no act, and its transaction is undone whole.
    assert [table for table in after if after[table] != before[table]] == []


async def test_the_same_requests_open_what_is_ones_own_or_shared(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient
) -> None:
    """Else the matrix would be green because its requests are no good."""
    world = await build_world(engine, client, anyone)
    for point in points():
        mine = [
            (caller, thing)
            for caller, thing in product(world.callers, world.of(point.kind))
            if not caller.shut_out and not is_foreign(world, caller, point, thing)
        ]
        tried = [await asked(world, caller, point, "right", thing).by(caller.http) for caller, thing in mine[:4]]
        assert any(answer.status_code not in REFUSED for answer in tried), f"{point}: {[a.text for a in tried]}"


async def drop_row_security(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        for table in RULES:
            await tx.execute(text(f"alter table {table} disable row level security"))


def forget_whose(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take the question whose a row is out of every statement of `db`: the names of those that asked it."""
    found: list[str] = []
    for each in iter_modules(db.__path__):
        module = import_module(f"db.{each.name}")
        for name, statement in vars(module).copy().items():
            if not isinstance(statement, TextClause):
                continue
            whole, times = WHOSE.subn(ANY, statement.text)
            if times:
                monkeypatch.setattr(module, name, text(whole))
                found.append(f"{each.name}.{name}")
    return found


def plainly(world: World) -> Iterator[tuple[Caller, Point, Thing, str]]:
    """At each point every object, in the right way, by who may do such things."""
    able = [caller for caller in world.callers if caller.able]
    for point in points():
        for turn, thing in enumerate(world.of(point.kind)):
            caller = able[turn % 2]
            if is_foreign(world, caller, point, thing):
                yield caller, point, thing, "right"


@pytest.mark.parametrize("left", ["what requests ask", "what the database shows"])
async def test_either_layer_is_enough_alone(
    engine: AsyncEngine,
    client: JoinNetwork,
    anyone: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    left: str,
) -> None:
    world = await build_world(engine, client, anyone)
    if left == "what requests ask":
        await drop_row_security(engine)
    else:
        forgotten = forget_whose(monkeypatch)
        assert {"needs._READ", "allocations._OWNED", "offers._READ", "sites._LOCK", "shifts._OWN"} <= {*forgotten}
    before = await everything_stored(engine)
    found = [each async for each in differing(world, plainly(world))]
    assert not found, "\n".join(map(str, found))
    after = await everything_stored(engine)
    assert [table for table in after if after[table] != before[table]] == []


async def test_with_neither_layer_everything_is_found_open(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await build_world(engine, client, anyone)
    await drop_row_security(engine)
    forget_whose(monkeypatch)
    opened = {each.point.kind async for each in differing(world, plainly(world))}
    assert opened >= {Kind.NEED, Kind.ALLOCATION, Kind.OFFER, Kind.SITE, Kind.PLEDGE, Kind.SHIFT, Kind.WEBHOOK}
    assert opened >= {Kind.PACT, Kind.REFERRAL, Kind.CHANNEL}


async def test_a_condition_that_is_missing_in_one_statement_is_found(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await build_world(engine, client, anyone)
    await drop_row_security(engine)
    for what, (module, name, condition) in BROKEN.items():
        whole = str(getattr(import_module(module), name))
        assert condition in whole, what
        with monkeypatch.context() as broken:
            broken.setattr(f"{module}.{name}", text(whole.replace(condition, ANY)))
            about = [point for point in points() if module.removeprefix("db.") in point.operation]
            assert await anext(differing(world, some(world, about)), None), what
    before = await everything_stored(engine)
    monkeypatch.setattr("db.shifts._OWN", text(f"select slot_id from shift where id = :id and {ANY}"))
    point = next(each for each in points() if each.operation == "POST /v1/shifts/{shift_id}/confirm")
    host = next(caller for caller in world.callers if caller.name == "the hall")
    await asked(world, host, point, "right", world.of(Kind.SHIFT)[0]).by(host.http)
    after = await everything_stored(engine)
    assert {table for table in after if after[table] != before[table]} >= {"shift", "event"}


async def test_of_what_is_shared_each_side_sees_its_fields_and_nothing_else(
    engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient
) -> None:
    world = await build_world(engine, client, anyone)
    who = {caller.name: caller for caller in world.callers}
    public = {thing.id for thing in world.of(Kind.SITE) if thing.state == "municipal_building, public"}
    sites, organizations = {thing.id for thing in world.of(Kind.SITE)}, {world.hall.id, world.refuge.id, world.desk.id}
    for name, role, kind, path, hidden in (
        ("a coordination of the same town", Role.TOWN, Kind.OFFER, "/v1/offers", sites - public),
        ("the hall", Role.PROVIDER, Kind.ALLOCATION, "/v1/allocations", {world.code, "urgency", "countries"}),
        ("the desk", Role.POSTER, Kind.ALLOCATION, "/v1/allocations", sites),
        ("the refuge", Role.PLEDGER, Kind.SHIFT, "/v1/shifts", set()),
        ("the hall", Role.HOST, Kind.SHIFT, "/v1/shifts", {"headcount", "radius_km"}),
    ):
        caller = who[name]
        shown = await caller.http.get(path, params={"limit": 200})
        objects = {each["id"]: each for each in shown.json()["items"]}
        expected = {thing.id for thing in world.of(kind) if role in world.roles(caller, thing)}
        assert objects.keys() == expected, f"{name}, {path}"
        texts = [shown.text, *[await _alone(caller, f"{path}/{each}") for each in expected if kind is not Kind.SHIFT]]
        for each in objects.values():
            assert each.keys() == SEEN[role, kind], f"{name}, {path}"
            assert kind is not Kind.ALLOCATION or each["party"].keys() == PARTY
        for word in (*SPEAKS_OF_PLACES, *hidden, *map(str, organizations)):
            assert not any(word in each for each in texts), f"{name} reads {word} in {path}"
    coordination = who["a coordination of the same town"]
    for offer in world.of(Kind.OFFER):
        if Role.TOWN in world.roles(coordination, offer):
            slots = (await coordination.http.get(f"/v1/offers/{offer.id}/slots")).json()["items"]
            assert slots
            assert all(slot.keys() == SEEN[Role.TOWN, Kind.SLOT] for slot in slots)


async def _alone(caller: Caller, path: str) -> str:
    """One object, read by itself."""
    answer = await caller.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text
