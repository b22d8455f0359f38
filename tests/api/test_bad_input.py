"""Bad input: each is told where and what is wrong, nothing breaks, and nothing is changed by it."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.authorization import AnyKey
from api.transactions import TransactionalRoute, Tx
from db.connection import transaction
from db.keys import Scope
from tests.api.bodies import (
    channel_body,
    need_body,
    offer_body,
    pathway_body,
    pledge_body,
    practice_body,
    project_body,
    site_body,
)
from tests.api.conftest import JoinNetwork, Organization
from tests.api.documented import Operation, operations
from tests.api.stored import everything_stored
from tests.builders import TONIGHT, add_need, add_offer, tonight
from tests.db.acts import hold, one
from tests.pacts import add_pact, add_referral
from tests.places import BRIANCON, GAP

JSON = {"Content-Type": "application/json"}
ANY_VERSION = {"If-Match": "*"}
LONG_TEXT = "x" * 900_000
PUBLIC = frozenset({"town_id"})
"""Parameters that name what belongs to nobody."""


@pytest_asyncio.fixture(loop_scope="function")
async def unchanged(engine: AsyncEngine) -> AsyncIterator[list[dict[str, str]]]:
    """Give it what is stored once the scene is set; at the end everything must stand as it stood."""
    before: list[dict[str, str]] = []
    yield before
    assert before, "nobody looked before"
    assert await everything_stored(engine) == before[0]


def flaws(answer: Response) -> list[tuple[str, str]]:
    """Where and what is wrong, of a problem document."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/validation"
    for error in answer.json()["errors"]:
        assert error["message"]
    return [(error["at"], error["code"]) for error in answer.json()["errors"]]


def filled(operation: Operation) -> str:
    return operation.at({name: 1 if name in ("slot_id", "town_id") else uuid4() for name in operation.parameters})


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


BODIES: Mapping[str, tuple[bytes, str, str]] = {
    "empty": (b"", "", "body_needed"),
    "blank": (b" \r\n\t ", "", "body_needed"),
    "a null": (b"null", "", "wrong_type"),
    "a list": (b"[]", "", "wrong_type"),
    "a word": (b'"need"', "", "wrong_type"),
    "a number": (b"1", "", "wrong_type"),
    "no JSON": (b"category=shelter", "", "not_json"),
    "half JSON": (b'{"category": "shel', "", "not_json"),
    "two documents": (b"{}{}", "", "not_json"),
    "a trailing comma": (b'{"town": 1,}', "", "not_json"),
    "single quotes": (b"{'town': 1}", "", "not_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "", "not_json"),
    "invalid UTF-8": (b'{"category": "\xff\xfe"}', "", "not_utf8"),
    "an overlong NUL": (b'{"category": "\xc0\x80"}', "", "not_utf8"),
    "a half character in bytes": (b'{"category": "\xed\xa0\x80"}', "", "not_utf8"),
    "UTF-16": ('{"town": 1}'.encode("utf-16"), "", "not_utf8"),
    "a lone surrogate": (rb'{"category": "\ud800"}', "/category", "unreadable_text"),
    "a lone surrogate in a name": (rb'{"\udfff": 1}', "", "unreadable_text"),
    "NUL": (rb'{"category": "a\u0000b"}', "/category", "unreadable_text"),
    "NUL deep inside": (rb'{"people": {"adults": ["\u0000"]}}', "/people/adults/0", "unreadable_text"),
    "NaN": (b'{"people": {"adults": NaN}}', "", "not_a_number"),
    "Infinity": (b'{"town": Infinity}', "", "not_a_number"),
    "minus Infinity": (b'{"town": -Infinity}', "", "not_a_number"),
    "an infinite float": (b'{"town": 1e999}', "/town", "not_a_number"),
    "a number of 400 digits": (b'{"town": 1' + b"0" * 400 + b"}", "", "number_too_long"),
    "a number of 100,000 digits": (b'{"town": ' + b"9" * 100_000 + b"}", "", "number_too_long"),
    "33 levels": (nested(33), "", "too_deep"),
    "100,000 levels": (nested(100_000), "", "too_deep"),
    "100,000 lists": (b"[" * 100_000 + b"]" * 100_000, "", "too_deep"),
    "a field twice": (b'{"category": "shelter", "category": "meal"}', "", "field_twice"),
    "a field twice inside": (b'{"people": {"adults": 1, "adults": 2}}', "", "field_twice"),
}
TYPES = (
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/json; charset=latin-1",
    "application",
    "json",
    "\u00e9/json",
)


async def test_what_is_no_readable_json_is_told_precisely_by_every_operation(
    app: FastAPI, association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    wrong = []
    for operation in (each for each in operations(app) if each.body is not None and each.protected):
        path = filled(operation)
        for name, (body, at, code) in BODIES.items():
            answer = await association.http.request(operation.method, path, content=body, headers=JSON | ANY_VERSION)
            if not operation.body_needed and name in ("empty", "a null"):
                assert answer.status_code == 404, f"{operation}: {name}: {answer.text}"
            elif flaws(answer) != [(at, code)]:
                wrong.append((str(operation), name, flaws(answer)))
    assert not wrong, "\n".join(map(str, wrong))


async def test_what_is_not_called_json_is_not_read_as_json(
    app: FastAPI, association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    for operation in (each for each in operations(app) if each.body is not None and each.protected):
        for kind in TYPES:
            answer = await association.http.request(
                operation.method,
                filled(operation),
                content=json.dumps(operation.body),
                headers=[(b"If-Match", b"*"), (b"Content-Type", kind.encode())],
            )
            assert flaws(answer) == [("", "not_json")], f"{operation}: {kind}"


async def test_a_type_is_read_while_it_is_short(coordination: Organization) -> None:
    """Reading a long one took ten seconds of the processor, whoever sent it."""

    async def post(kind: str) -> httpx.Response:
        return await coordination.http.post("/v1/needs", json=need_body(), headers={"Content-Type": kind})

    assert (await post(f'application/json; a="{";" * 150}"')).status_code == 201
    assert flaws(await post(f'application/json; a="{";" * 300}"')) == [("", "not_json")]


async def test_more_than_is_read_is_refused_by_every_operation(app: FastAPI, association: Organization) -> None:
    for operation in (each for each in operations(app) if each.body is not None and each.protected):
        answer = await association.http.request(
            operation.method, filled(operation), content=b'"' + b"x" * 1_100_000 + b'"', headers=JSON | ANY_VERSION
        )
        assert answer.status_code == 413, operation
        assert answer.json()["errors"][0]["code"] == "body_too_large"


STARTS, ENDS = (moment.isoformat() for moment in tonight())
NEEDS: Mapping[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "a number as a word": ({"town": str(BRIANCON.id)}, [("/town", "not_a_whole_number")]),
    "a fraction": ({"town": 1.5}, [("/town", "not_a_whole_number")]),
    "a whole fraction": ({"people": {"adults": 1.0}}, [("/people/adults", "not_a_whole_number")]),
    "a truth as a count": ({"people": {"adults": True}}, [("/people/adults", "not_a_whole_number")]),
    "a count as a truth": ({"divisible": 1}, [("/divisible", "not_true_or_false")]),
    "yes": ({"divisible": "yes"}, [("/divisible", "not_true_or_false")]),
    "a huge number": ({"town": 2**63}, [("/town", "too_large")]),
    "a number of thirty digits": ({"people": {"adults": 10**29}}, [("/people/adults", "too_large")]),
    "a negative number": ({"people": {"adults": -1}}, [("/people/adults", "too_small")]),
    "nobody": ({"people": {}}, [("/people", "nobody")]),
    "nobody in numbers": ({"people": {"adults": 0, "minors": 0}}, [("/people", "nobody")]),
    "no people": ({"people": None}, [("/people", "wrong_type")]),
    "town zero": ({"town": 0}, [("/town", "too_small")]),
    "an unknown town": ({"town": 1}, [("/town", "unknown_town")]),
    "an unknown category": ({"category": "miracle"}, [("/category", "unknown_category")]),
    "a category in capitals": ({"category": "SHELTER"}, [("/category", "wrong_form")]),
    "a category with a line": ({"category": "shelter\n"}, [("/category", "wrong_form")]),
    "a million characters": ({"category": LONG_TEXT}, [("/category", "too_long")]),
    "a window reversed": ({"from": ENDS, "until": STARTS}, [("/until", "before_from")]),
    "an empty window": ({"from": STARTS, "until": STARTS}, [("/until", "before_from")]),
    "yesteryear": (
        {"from": "2020-01-01T18:00:00Z", "until": "2020-01-02T09:00:00Z"},
        [("/until", "in_the_past")],
    ),
    "begun long ago": ({"from": "2020-01-01T18:00:00Z"}, [("/from", "in_the_past"), ("/until", "span_too_long")]),
    "the year 1, east": ({"from": "0001-01-01T00:00:00+14:00"}, [("/from", "not_a_time_with_offset")]),
    "the year 1, west": ({"until": "0001-01-01T00:00:00-12:00"}, [("/until", "before_from")]),
    "the year 9999, west": ({"until": "9999-12-31T23:59:59-12:00"}, [("/until", "not_a_time_with_offset")]),
    "the year 9999, east": ({"until": "9999-12-31T23:59:59+14:00"}, [("/until", "span_too_long")]),
    "the year 1, both": (
        {"from": "0001-01-01T18:00:00Z", "until": "0001-01-02T09:00:00Z"},
        [("/until", "in_the_past")],
    ),
    "the year 9999, both": (
        {"from": "9999-12-30T18:00:00Z", "until": "9999-12-31T09:00:00Z"},
        [("/from", "too_far_ahead")],
    ),
    "no offset": ({"from": "2030-01-01T18:00:00"}, [("/from", "not_a_time_with_offset")]),
    "seconds since 1970": ({"from": 1_900_000_000}, [("/from", "not_a_time_with_offset")]),
    "seconds as a word": ({"from": "1900000000"}, [("/from", "not_a_time_with_offset")]),
    "a day alone": ({"from": "2030-01-01"}, [("/from", "not_a_time_with_offset")]),
    "February 30": ({"from": "2030-02-30T18:00:00Z"}, [("/from", "not_a_time_with_offset")]),
    "hour 25": ({"from": "2030-01-01T25:00:00Z"}, [("/from", "not_a_time_with_offset")]),
    "an offset of 99 hours": ({"from": "2030-01-01T18:00:00+99:00"}, [("/from", "not_a_time_with_offset")]),
    "other digits": ({"from": "٢٠٣٠-01-01T18:00:00Z"}, [("/from", "not_a_time_with_offset")]),
    "no night": (
        {"from": f"{TONIGHT}T10:00:00+01:00", "until": f"{TONIGHT}T12:00:00+01:00"},
        [("/until", "no_night_in_window")],
    ),
    "an unknown urgency": ({"urgency": "mortal"}, [("/urgency", "not_one_of")]),
    "an urgency in capitals": ({"urgency": "VITAL"}, [("/urgency", "not_one_of")]),
    "an unknown audience": ({"audience": ["men"]}, [("/audience/0", "not_one_of")]),
    "no audience": ({"audience": []}, [("/audience", "too_short")]),
    "an audience not in a list": ({"audience": "women"}, [("/audience", "wrong_type")]),
    "adults among minors alone": (
        {"audience": ["unaccompanied_minors"]},
        [("/audience", "adults_among_unaccompanied_minors")],
    ),
    "ten thousand requirements": ({"requires": ["step_free"] * 10_000}, [("/requires", "too_long")]),
    "an unknown requirement": ({"requires": ["step_free", "sauna"]}, [("/requires/1", "not_one_of")]),
    "an unknown interpreter": ({"requires": ["interpreter:klingon"]}, [("/requires/0", "not_one_of")]),
    "ten thousand countries": ({"countries": ["FR"] * 10_000}, [("/countries", "too_long")]),
    "a country's name": ({"countries": ["France"]}, [("/countries/0", "too_long")]),
    "a country in small letters": ({"countries": ["fr"]}, [("/countries/0", "wrong_form")]),
    "no kilometre": ({"max_km": 0}, [("/max_km", "too_small")]),
    "too many kilometres": ({"max_km": 1001}, [("/max_km", "too_large")]),
    "a language for a bed": ({"language": {"teaches": "fr", "level": "A1"}}, [("/language", "language_not_used")]),
    "an unknown field": ({"shoe_size": 42}, [("/shoe_size", "unknown_field")]),
    "a field that is answered, not sent": ({"state": "held"}, [("/state", "unknown_field")]),
}


async def test_a_need_that_cannot_be_is_refused_where_it_cannot(
    association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    wrong = []
    for name, (changes, wanted) in NEEDS.items():
        answer = await association.http.post("/v1/needs", json=need_body(**changes))
        if sorted(flaws(answer)) != sorted(wanted):
            wrong.append((name, flaws(answer)))
        answer = await association.http.post("/v1/needs/batch", json={"needs": [need_body(), need_body(**changes)]})
        if sorted(flaws(answer)) != sorted((f"/needs/1{at}", code) for at, code in wanted):
            wrong.append((f"{name}, second of a batch", flaws(answer)))
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_field_that_is_missing_is_named(
    association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    assert flaws(await association.http.post("/v1/needs", json={})) == [
        (f"/{name}", "required") for name in ("category", "town", "people", "from", "until")
    ]


async def test_every_wrong_value_in_a_long_batch_is_answered_in_bounds(
    association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    batch = {"needs": [need_body(town=0)] * 500}
    found = flaws(await association.http.post("/v1/needs/batch", json=batch))
    assert len(found) == 100
    assert found[99] == ("/needs/99/town", "too_small")


WRONG: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**29,
    -(10**29),
    1e308,
    "",
    "x",
    LONG_TEXT[:100_000],
    [],
    [[]],
    {},
    {"a": {}},
    [None] * 10_000,
)


async def test_no_value_of_a_wrong_kind_anywhere_breaks_anything(
    app: FastAPI, association: Organization, *, long: bool
) -> None:
    for operation in (each for each in operations(app) if each.full is not None and each.protected):
        path = filled(operation)
        for number, (at, made) in enumerate(_replaced(operation.full)):
            if not long and number % 6:
                continue
            answer = await association.http.request(operation.method, path, json=made, headers=ANY_VERSION)
            assert answer.status_code in (201, 404, 409, 422), f"{operation} {at}: {answer.status_code} {answer.text}"
            assert len(answer.content) < 60_000, f"{operation} {at}"


def _replaced(body: object, at: str = "") -> Iterator[tuple[str, object]]:
    """The body with each part in turn replaced by each wrong value."""
    for value in WRONG:
        yield at, value
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, part in inner:
        for place, made in _replaced(part, f"{at}/{name}"):
            if isinstance(body, dict):
                yield place, {**body, name: made}
            elif isinstance(body, list):
                yield place, [*body[:name], made, *body[name + 1 :]]


IDS = (
    "x",
    "0",
    "-1",
    "null",
    "%00",
    "%ff",
    "%F0%9F%92%A9",
    "..%2f..",
    "0" * 5000,
    f"{uuid4()}x",
    "'; drop table need;--",
)


async def test_what_is_no_id_is_told_by_every_operation(
    app: FastAPI, association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    for operation in (each for each in operations(app) if each.parameters):
        for word in IDS:
            path = operation.path.format(**dict.fromkeys(operation.parameters, word))
            answer = await association.http.request(operation.method, path, json=operation.body, headers=ANY_VERSION)
            told = f"{operation} {word[:20]}: {answer.text}"
            assert answer.status_code in (404, 422), told
            if answer.status_code == 422:
                named = {f"{{{name}}}" for name in operation.parameters}
                assert {at for at, _ in flaws(answer)} & named, told


async def test_what_no_query_takes_is_told(app: FastAPI, association: Organization) -> None:
    for operation in (each for each in operations(app) if each.query):
        for name in operation.query:
            for word in ("", " ", "0" * 5000, "-1", "1e9", "NaN", "\0", "\ud7ff\u202e", "Amina", "9" * 400):
                answer = await association.http.request(operation.method, filled(operation), params={name: word})
                assert answer.status_code in (200, 404, 422), f"{operation} {name}={word[:9]!r}: {answer.text}"
                if answer.status_code == 422 and name != "q":
                    assert f"?{name}" in {at for at, _ in flaws(answer)}, f"{operation} {name}: {answer.text}"


async def test_a_parameter_that_nobody_asked_for_is_refused_by_every_operation(
    app: FastAPI, association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    for operation in (each for each in operations(app) if each.path.startswith("/v1")):
        for name, at in (("sate", "?sate"), ("Nationality", ""), ("a b", ""), ("", "")):
            answer = await association.http.request(
                operation.method,
                filled(operation),
                params={"q": "b", name: "held"} if "q" in operation.query else {name: "held"},
                json=operation.body,
                headers=ANY_VERSION | {"Idempotency-Key": "once"},
            )
            assert flaws(answer) == [(at, "unknown_field")], f"{operation} {name}"
        for name in operation.query:
            answer = await association.http.request(
                operation.method, filled(operation), params=[(name, "1"), (name, "2")]
            )
            assert (f"?{name}", "field_twice") in flaws(answer), f"{operation} {name}"


async def test_what_is_beside_the_question_is_told_to_those_alone_who_may_ask(
    anyone: AsyncClient, client: JoinNetwork
) -> None:
    assert (await anyone.get("/v1/needs", params={"sate": "held"})).status_code == 401
    provider = await client("association", frozenset({Scope.OFFERS_READ}))
    assert (await provider.http.get("/v1/needs", params={"sate": "held"})).status_code == 403


async def test_of_two_keys_or_versions_none_is_believed(
    client: JoinNetwork, coordination: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    need = await coordination.http.post("/v1/needs", json=need_body())
    other = await client()
    unchanged.append(await everything_stored(engine))
    for keys in ((coordination.key, other.key), (other.key, "x"), (other.key, other.key)):
        headers = [("Authorization", f"Bearer {key}") for key in keys]
        assert flaws(await coordination.http.get("/v1/needs", headers=headers)) == [("Authorization", "field_twice")]
    for name, values in (("Idempotency-Key", "ab"), ("Idempotency-Key", "aa"), ("If-Match", ("*", '"1"'))):
        headers = [(name, value) for value in values]
        method, path, body = (
            ("PATCH", need.headers["location"], {"urgency": "high"})
            if name == "If-Match"
            else ("POST", "/v1/needs", need_body())
        )
        answer = await coordination.http.request(method, path, json=body, headers=headers)
        assert flaws(answer) == [(name, "field_twice")]


async def test_headers_that_make_no_sense_break_nothing(association: Organization) -> None:
    need = await association.http.post("/v1/needs", json=need_body())
    for value in (b"x", b'"1', b"1", b'"one"x', b'""""', b"\xff", b'"' + b"1" * 80 + b"x", b"*,*"):
        answer = await association.http.patch(
            need.headers["location"], json={"urgency": "high"}, headers=[(b"If-Match", value)]
        )
        assert flaws(answer) == [("If-Match", "wrong_form")], value
    for value in (b'W/"1"', b'"one"', b'""', b'"999999999"', b'"12345678901234567890"'):
        answer = await association.http.patch(
            need.headers["location"], json={"urgency": "high"}, headers=[(b"If-Match", value)]
        )
        assert answer.status_code == 412, value
    for value in (b"", b"  "):
        answer = await association.http.patch(
            need.headers["location"], json={"urgency": "high"}, headers=[(b"If-Match", value)]
        )
        assert answer.status_code == 428, value
    for name in (b"Prefer", b"Accept-Language", b"Accept", b"Content-Type", b"X-Forwarded-For"):
        for value in (b"wait=-1", b"wait=99999", b"\xff\xfe", b"," * 190, b"wait=NaN"):
            answer = await association.http.get(need.headers["location"], headers=[(name, value)])
            assert answer.status_code == 200, (name, value)


@dataclass(frozen=True)
class Foreign:
    """Things of somebody else, by the name that paths give them."""

    ids: Mapping[str, object]
    site_id: UUID


_SHIFT = """
    insert into shift (pledge_id, site_id, slot_id, volunteers, day, starts, ends)
    select :pledge, :site, :slot, 1, current_date, now(), now() + interval '1 day'
    returning id
"""


@pytest_asyncio.fixture(loop_scope="function")
async def foreign(coordination: Organization, municipality: Organization, engine: AsyncEngine) -> Foreign:
    """A coordination's need held at a town hall's offer."""
    site = (await municipality.http.post("/v1/sites", json=site_body())).json()["id"]
    offer = (await municipality.http.post("/v1/offers", json=offer_body(site))).json()["id"]
    need = (await coordination.http.post("/v1/needs", json=need_body())).json()["id"]
    await hold(engine, UUID(need))
    (allocation,) = (await coordination.http.get(f"/v1/needs/{need}")).json()["allocations"]
    slot = (await municipality.http.get(f"/v1/offers/{offer}/slots")).json()["items"][0]["id"]
    pledge = (await municipality.http.post("/v1/pledges", json=pledge_body())).json()["id"]
    hook = (await municipality.http.post("/v1/webhooks", json={"url": "https://hooks.example.org/relais"})).json()["id"]
    assert (await municipality.http.post(f"/v1/webhooks/{hook}/test")).status_code == 202
    (delivery,) = (await municipality.http.get(f"/v1/webhooks/{hook}/deliveries")).json()["items"]
    channel = (await municipality.http.post("/v1/notifications/channels", json=channel_body())).json()["id"]
    pathway = (await coordination.http.post("/v1/pathways", json=pathway_body())).json()["id"]
    project = (await coordination.http.post("/v1/projects", json=project_body())).json()["id"]
    practice = (await municipality.http.post("/v1/practices", json=practice_body())).json()["id"]
    assert (await municipality.http.post(f"/v1/practices/{practice}/withdraw")).status_code == 200
    shift = await one(engine, _SHIFT, pledge=pledge, site=site, slot=slot)
    sides = ((coordination.id, BRIANCON), (municipality.id, GAP))
    async with transaction(engine) as tx:
        pact = await add_pact(tx, *sides)
        referral = await add_referral(tx, UUID(need), pact, *sides)
    ids = {
        "pact_id": str(pact),
        "referral_id": str(referral),
        "webhook_id": hook,
        "channel_id": channel,
        "delivery_id": delivery["id"],
        "pledge_id": pledge,
        "practice_id": practice,
        "pathway_id": pathway,
        "project_id": project,
        "shift_id": str(shift.id),
        "need_id": need,
        "allocation_id": allocation["id"],
        "offer_id": offer,
        "service_id": offer,
        "organization_id": str(municipality.id),
        "site_id": site,
        "slot_id": slot,
    }
    return Foreign(ids, UUID(site))


async def test_somebody_elses_things_answer_the_same_bytes_as_none_to_every_operation(
    app: FastAPI, client: JoinNetwork, foreign: Foreign, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    strangers = [await client(kind, None, ()) for kind in ("coordination", "association", "municipality")]
    unchanged.append(await everything_stored(engine))
    tried = 0
    for operation in operations(app):
        if not operation.parameters or set(operation.parameters) <= PUBLIC:
            continue
        unknown = set(operation.parameters) - foreign.ids.keys()
        assert not unknown, f"{operation}: let `foreign` have somebody else's {unknown}"
        for stranger in strangers:
            answers = [
                await stranger.http.request(
                    operation.method, operation.at(ids), json=operation.body, headers=ANY_VERSION
                )
                for ids in (foreign.ids, {**dict.fromkeys(operation.parameters, uuid4()), "slot_id": 2**40})
            ]
            theirs, missing = answers
            assert theirs.status_code == missing.status_code, f"{operation}: {theirs.text} {missing.text}"
            assert theirs.status_code in (403, 404), f"{operation}: {theirs.text}"
            assert theirs.content == missing.content, operation
            assert _told(theirs) == _told(missing), operation
            tried += 1
    assert tried > 40


def _told(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


async def test_somebody_elses_site_in_a_body_is_as_unknown_as_none(
    association: Organization, foreign: Foreign, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    answers = [
        await association.http.post("/v1/offers", json=offer_body(str(site))) for site in (foreign.site_id, uuid4())
    ]
    assert flaws(answers[0]) == [("/site_id", "unknown_site")]
    assert answers[0].content == answers[1].content


async def test_a_slot_of_another_offer_is_none_of_this_one(
    municipality: Organization, association: Organization, foreign: Foreign
) -> None:
    site = (await association.http.post("/v1/sites", json=site_body())).json()["id"]
    own = (await association.http.post("/v1/offers", json=offer_body(site))).json()["id"]
    theirs = await association.http.patch(
        f"/v1/offers/{own}/slots/{foreign.ids['slot_id']}", json={"capacity": 0}, headers=ANY_VERSION
    )
    assert theirs.status_code == 404, theirs.text
    kept = await municipality.http.get(f"/v1/offers/{foreign.ids['offer_id']}/slots")
    assert kept.json()["items"][0]["capacity"] == 10


async def test_somebody_elses_lists_are_not_filtered_into_view(association: Organization, foreign: Foreign) -> None:
    for path in (
        "/v1/needs",
        "/v1/allocations",
        "/v1/offers",
        "/v1/sites",
        "/v1/pledges",
        "/v1/shifts",
        "/v1/webhooks",
        "/v1/notifications/channels",
    ):
        assert (await association.http.get(path)).json() == {"items": [], "next": None}, path
    for query in ({"site_id": str(foreign.site_id)}, {"town": BRIANCON.id}):
        assert (await association.http.get("/v1/offers", params=query)).json()["items"] == []


async def test_a_cursor_of_somebody_else_shows_nothing_of_theirs(
    coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    async with transaction(engine) as tx:
        for _ in range(3):
            await add_need(tx, coordination.id)
        await add_offer(tx, coordination.id)
    cursor = (await coordination.http.get("/v1/needs", params={"limit": 1})).json()["next"]
    assert (await association.http.get("/v1/needs", params={"cursor": cursor})).json()["items"] == []


SITES: Mapping[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "latitude first": (
        {"location": {"type": "Point", "coordinates": [44.9, 600]}},
        [("/location/coordinates/1", "too_large")],
    ),
    "a place with a height": (
        {"location": {"type": "Point", "coordinates": [6.6, 44.9, 1300]}},
        [("/location/coordinates", "too_long")],
    ),
    "a line": ({"location": {"type": "LineString", "coordinates": [6.6, 44.9]}}, [("/location/type", "not_one_of")]),
    "far from its town": (
        {"location": {"type": "Point", "coordinates": [0, 0]}},
        [("/location", "location_far_from_town")],
    ),
    "over the border": (
        {"location": {"type": "Point", "coordinates": [6.7497, 44.9389]}},
        [("/location", "location_in_another_country")],
    ),
    "no name": ({"name": ""}, [("/name", "too_short")]),
    "a long name": ({"name": "x" * 121}, [("/name", "too_long")]),
    "a name of two lines": ({"name": "a\nb"}, [("/name", "unseen_characters")]),
    "a name that turns around": ({"name": "a\u202eb"}, [("/name", "unseen_characters")]),
    "an unknown town": ({"town": 1}, [("/town", "unknown_town")]),
    "an unknown skill": (
        {"staffing": {"skill": "juggling", "people_per_volunteer": 1}},
        [("/staffing/skill", "not_one_of")],
    ),
    "nobody for a volunteer": (
        {"staffing": {"skill": "cooking", "people_per_volunteer": 0}},
        [("/staffing/people_per_volunteer", "too_small")],
    ),
}


async def test_a_site_that_cannot_be_is_refused_where_it_cannot(
    association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    unchanged.append(await everything_stored(engine))
    wrong = []
    for name, (changes, wanted) in SITES.items():
        answer = await association.http.post("/v1/sites", json=site_body(**changes))
        if flaws(answer) != wanted:
            wrong.append((name, flaws(answer)))
    assert not wrong, "\n".join(map(str, wrong))


LAST = (TONIGHT + timedelta(days=6)).isoformat()
OFFERS: Mapping[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "days reversed": ({"first_day": LAST, "last_day": TONIGHT.isoformat()}, [("/last_day", "before_first_day")]),
    "the year 1": ({"first_day": "0001-01-01", "last_day": "0001-01-02"}, [("/last_day", "in_the_past")]),
    "the year 9999": ({"last_day": "9999-12-31"}, [("/last_day", "span_too_long")]),
    "the year 9999, both": ({"first_day": "9999-12-30", "last_day": "9999-12-31"}, [("/first_day", "too_far_ahead")]),
    "day zero": ({"first_day": "2030-00-00"}, [("/first_day", "not_a_day")]),
    "a moment for a day": ({"first_day": STARTS}, [("/first_day", "not_a_day")]),
    "a number for a day": ({"first_day": 20000}, [("/first_day", "not_a_day")]),
    "24:00": ({"opens": "24:00"}, [("/opens", "not_a_local_time")]),
    "seconds on the wall": ({"opens": "19:00:00"}, [("/opens", "not_a_local_time")]),
    "no capacity": ({"capacity": 0}, [("/capacity", "too_small")]),
    "too much": ({"capacity": 10_001}, [("/capacity", "too_large")]),
    "an unknown zone": ({"timezone": "Europe/Atlantis"}, [("/timezone", "unknown_timezone")]),
    "a path as a zone": ({"timezone": "../../etc/passwd"}, [("/timezone", "wrong_form")]),
    "an unknown rule": ({"rrule": "FREQ=NEVER"}, [("/rrule", "unknown_recurrence")]),
    "each second": ({"rrule": "FREQ=SECONDLY"}, [("/rrule", "unknown_recurrence")]),
    "no site": ({"site_id": "gym"}, [("/site_id", "not_an_id")]),
    "an unknown category": ({"category": "miracle"}, [("/category", "unknown_category")]),
    "anyone and others": ({"audience": ["anyone", "women"]}, [("/audience", "anyone_among_others")]),
}


async def test_an_offer_that_cannot_be_is_refused_where_it_cannot(
    association: Organization, engine: AsyncEngine, unchanged: list[dict[str, str]]
) -> None:
    site = (await association.http.post("/v1/sites", json=site_body())).json()["id"]
    unchanged.append(await everything_stored(engine))
    wrong = []
    for name, (changes, wanted) in OFFERS.items():
        answer = await association.http.post("/v1/offers", json=offer_body(**{"site_id": site, **changes}))
        if flaws(answer) != wanted:
            wrong.append((name, flaws(answer)))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("statement", ["select 1 where false", "select cast(:number as integer)", "select 1 / 0"])
async def test_a_mistake_in_a_statement_is_ours_and_not_an_absent_database(
    statement: str, app: FastAPI, association: Organization
) -> None:
    async def errs(_who: AnyKey, tx: Tx) -> int:
        values = {"number": 2**40} if ":number" in statement else {}
        number: int = (await tx.execute(text(statement), values)).scalar_one()
        return number

    app.router.add_api_route("/v1/errs", errs, route_class_override=TransactionalRoute)
    answer = await association.http.get("/v1/errs")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
