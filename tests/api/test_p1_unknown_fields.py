"""P1: what may not be asked is not taken either. It is refused at every level of every body, and left nowhere."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.bodies import need_body
from tests.api.conftest import Organization
from tests.api.documented import OTHER_HEADERS, READ_HEADERS, Operation, found, levels, operations, put
from tests.api.stored import everything_stored, holds

CANARY = "Zarmina7Q"
"""A word that stands nowhere else."""
NEVER_ASKED = (
    "status",
    "immigration_status",
    "nationality",
    "country_of_origin",
    "ethnicity",
    "religion",
    "name",
    "first_name",
    "family_name",
    "birth_date",
    "age",
    "gender",
    "passport",
    "document_number",
    "phone",
    "email",
    "photo",
    "fingerprint",
    "note",
    "comment",
    "notes",
    "description",
)
VALUES = (CANARY, {"of": [CANARY]}, [CANARY], {CANARY: 1}, 7, None, True, "")


def filled(operation: Operation) -> str:
    return operation.at({name: 1 if name in ("slot_id", "town_id") else uuid4() for name in operation.parameters})


def strangers(operation: Operation) -> Iterator[tuple[str, str, object]]:
    """Where, which field and with which value: each name and each value at each level."""
    assert operation.full is not None
    for level in levels(operation.full):
        known = found(operation.full, level)
        for number, name in enumerate(word for word in NEVER_ASKED if word not in known):
            yield level, name, VALUES[number % len(VALUES)]
        for name in (CANARY, CANARY.lower(), f"x {CANARY}", f"{CANARY}\N{ARABIC LETTER AIN}", f"a/{CANARY}~1"):
            yield level, name, CANARY


async def test_what_is_never_asked_is_refused_at_every_level_and_kept_nowhere(
    app: FastAPI,
    association: Organization,
    engine: AsyncEngine,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried = 0
    before = await everything_stored(engine)
    for operation in (each for each in operations(app) if each.full is not None and each.protected):
        for level, name, value in strangers(operation):
            assert operation.full is not None
            answer = await association.http.request(
                operation.method,
                filled(operation),
                json=put(operation.full, level, name, value),
                headers={"If-Match": "*", "Idempotency-Key": str(uuid4())},
            )
            tried += 1
            told = f"{operation} {level} {name}: {answer.text}"
            assert answer.status_code == 422, told
            errors = [(error["at"], error["code"]) for error in answer.json()["errors"]]
            named = f"{level}/{name}" if name in (*NEVER_ASKED, CANARY.lower()) else level
            assert (named, "unknown_field") in errors, told
            assert name.startswith(CANARY.lower()) or CANARY.lower() not in answer.text.lower(), told
            assert CANARY not in str(answer.headers), told
    assert tried > 300
    assert await everything_stored(engine) == before
    logged = capfd.readouterr()
    assert CANARY.lower() not in (logged.out + logged.err + caplog.text).lower()
    assert "request.answered" in logged.err


async def test_nothing_about_people_gets_in_as_the_value_of_a_known_field(
    app: FastAPI, association: Organization, engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    about_people = ("/v1/needs", "/v1/allocations", "/v1/slip", "/v1/referrals")
    for operation in (each for each in operations(app) if each.full is not None):
        if not operation.path.startswith(about_people) or operation.full is None:
            continue
        for level in levels(operation.full):
            for field, value in found(operation.full, level).items():
                for canary in (CANARY, [CANARY], {CANARY: CANARY}, f"shelter {CANARY}", f"{value}{CANARY}"):
                    answer = await association.http.request(
                        operation.method,
                        filled(operation),
                        json=put(operation.full, level, field, canary),
                        headers={"If-Match": "*"},
                    )
                    told = f"{operation} {level}/{field}: {answer.text}"
                    assert answer.status_code in (404, 422), told
                    assert CANARY not in answer.text + str(answer.headers), told
    assert holds(await everything_stored(engine), CANARY) == []
    logged = capfd.readouterr()
    assert CANARY not in logged.out + logged.err


async def test_what_stands_in_addresses_and_headers_is_neither_told_nor_kept(
    app: FastAPI, coordination: Organization, engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    posted = (await coordination.http.post("/v1/needs", json=need_body())).headers["location"]
    headers = dict.fromkeys((*READ_HEADERS, *OTHER_HEADERS), CANARY)
    headers |= {"Authorization": f"Bearer {coordination.key}", "Host": "relais.test"}
    answers = [await coordination.http.get(posted, params={"nationality": CANARY}, headers=headers)]
    for operation in operations(app):
        path = operation.at(dict.fromkeys(operation.parameters, CANARY))
        query = dict.fromkeys([*operation.query, "name", CANARY], CANARY)
        answers.append(await coordination.http.request(operation.method, path, params=query, headers=headers))
        assert answers[-1].status_code < 500, operation
    for answer in answers:
        assert CANARY.lower() not in (answer.text + str(answer.headers)).lower(), answer.text
    assert holds(await everything_stored(engine), CANARY) == []
    logged = capfd.readouterr()
    assert CANARY not in logged.out + logged.err


async def test_the_document_has_no_word_for_what_is_never_asked(app: FastAPI) -> None:
    """No body about people has a field for it, or a field of free text in which it could be written."""
    for operation in (each for each in operations(app) if each.full and each.path.startswith("/v1/needs")):
        for level in levels(operation.full):
            for field in found(operation.full, level):
                assert field not in NEVER_ASKED, f"{operation} {level}/{field}"
    for name in ("NeedIn", "NeedPatch", "PeopleWire"):
        for field, schema in app.openapi()["components"]["schemas"][name]["properties"].items():
            for free in _free_texts(schema):
                pytest.fail(f"{name}.{field} takes any text: {free}")


def _free_texts(schema: object) -> Iterator[object]:
    if isinstance(schema, list):
        for each in schema:
            yield from _free_texts(each)
    elif isinstance(schema, dict):
        if schema.get("type") == "string" and not {"enum", "const", "format", "pattern"} & schema.keys():
            yield schema
        for each in schema.values():
            yield from _free_texts(each)
