"""Bad bodies: refused before they cost anything, told precisely, and never repeated."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.bodies import need_body
from tests.api.conftest import Organization

JSON = {"Content-Type": "application/json"}
SECRET = "Zk7Undocumented"  # noqa: S105 - what somebody might write about a person


async def _post(organization: Organization, content: bytes, content_type: str = "application/json") -> httpx.Response:
    return await organization.http.post("/v1/needs", content=content, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "body_needed"),
        (b"  \n ", "body_needed"),
        (b"{", "not_json"),
        (b'{"a": 1} trailing', "not_json"),
        (b"\xff\xfe{}", "not_utf8"),
        (b'{"town": "\xc3\x28"}', "not_utf8"),
        (b'{"town": NaN}', "not_a_number"),
        (b'{"town": -Infinity}', "not_a_number"),
        (b'{"town": 1e999}', "not_a_number"),
        (b'{"town": ' + b"9" * 10_000 + b"}", "number_too_long"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
        (b'{"town": "\\ud800"}', "unreadable_text"),
        (b'{"town": "a\\u0000b"}', "unreadable_text"),
        (b'{"town": 1, "town": 2}', "field_twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_unreadable_body_is_refused_in_one_code(coordination: Organization, content: bytes, code: str) -> None:
    answer = await _post(coordination, content)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "nonsense"])
async def test_only_json_is_read(coordination: Organization, content_type: str) -> None:
    answer = await _post(coordination, json.dumps(need_body()).encode(), content_type)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "not_json"


@pytest.mark.parametrize("content", [b"null", b"[]", b'"text"', b"1", b"true"])
async def test_json_of_another_kind_is_refused(coordination: Organization, content: bytes) -> None:
    answer = await _post(coordination, content)
    assert answer.status_code == 422


async def test_a_body_over_the_limit_is_refused_unread(coordination: Organization) -> None:
    answer = await _post(coordination, b" " * 1_048_577)
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/validation"


async def test_a_body_without_a_length_is_counted_as_it_comes(coordination: Organization) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * 1_048_576:
            sent += 65_536
            yield b" " * 65_536

    answer = await coordination.http.post("/v1/needs", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent < 2 * 1_048_576


async def test_a_field_that_is_not_asked_for_is_refused_and_its_value_never_repeated(
    capfd: pytest.CaptureFixture[str], coordination: Organization
) -> None:
    for body in (
        need_body(nationality=SECRET),
        need_body(people={"adults": 1, "minors": 0, "status": SECRET}),
        need_body(category=SECRET),
        need_body(urgency=SECRET),
        need_body(town=SECRET),
        need_body(requires=[SECRET]),
        need_body(countries=[SECRET]),
        need_body(**{"from": SECRET}),
        need_body(people=SECRET),
    ):
        answer = await coordination.http.post("/v1/needs", json=body)
        assert answer.status_code == 422
        assert SECRET not in answer.text
        assert SECRET not in str(answer.headers)
    logged = capfd.readouterr()
    assert '"status": 422' in logged.err
    assert SECRET not in logged.out + logged.err


async def test_an_unknown_field_is_named_where_its_name_tells_nothing(coordination: Organization) -> None:
    answer = await coordination.http.post("/v1/needs", json=need_body(nationality="x"))
    assert answer.json()["errors"][0] == {
        "at": "/nationality",
        "code": "unknown_field",
        "message": "This is not asked for and is not accepted. Leave it out.",
    }


@pytest.mark.parametrize("name", ["Amina Diallo +33612345678", "a" * 41, "ÅSA", "", "a/b", "1a"])
async def test_a_field_name_that_could_be_about_a_person_is_not_repeated(coordination: Organization, name: str) -> None:
    answer = await coordination.http.post("/v1/needs", json=need_body(people={"adults": 1, name: 1}))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"] == "/people"
    assert not name or name not in answer.text


@pytest.mark.parametrize(
    ("change", "at", "code"),
    [
        ({"people": {"adults": "2", "minors": 0}}, "/people/adults", "not_a_whole_number"),
        ({"people": {"adults": True, "minors": 0}}, "/people/adults", "not_a_whole_number"),
        ({"people": {"adults": 1.5, "minors": 0}}, "/people/adults", "not_a_whole_number"),
        ({"people": {"adults": -1, "minors": 0}}, "/people/adults", "too_small"),
        ({"people": {"adults": 10**25, "minors": 0}}, "/people/adults", "too_large"),
        ({"people": {"adults": 0, "minors": 0}}, "/people", "nobody"),
        ({"town": None}, "/town", "not_a_whole_number"),
        ({"town": 1}, "/town", "unknown_town"),
        ({"from": 1}, "/from", "not_a_time_with_offset"),
        ({"from": "1764600000"}, "/from", "not_a_time_with_offset"),
        ({"from": "2026-12-01T18:00:00"}, "/from", "not_a_time_with_offset"),
        ({"from": "tomorrow"}, "/from", "not_a_time_with_offset"),
        ({"urgency": "extreme"}, "/urgency", "not_one_of"),
        ({"requires": ["a" * 1_000_000]}, "/requires/0", "not_one_of"),
        ({"requires": ["lift"] * 10_000}, "/requires", "too_long"),
        ({"divisible": "yes"}, "/divisible", "not_true_or_false"),
        ({"audience": "women"}, "/audience", "wrong_type"),
    ],
    ids=str,
)
async def test_a_flaw_is_told_by_place_and_code(
    coordination: Organization, change: dict[str, object], at: str, code: str
) -> None:
    answer = await coordination.http.post("/v1/needs", json=need_body(**change))
    assert answer.status_code == 422
    assert (at, code) in [(error["at"], error["code"]) for error in answer.json()["errors"]]


async def test_a_garbled_list_position_is_refused(coordination: Organization) -> None:
    for cursor in ("x", "%ff", "A" * 31, "_" * 32, "A" * 65, "é"):
        answer = await coordination.http.get("/v1/needs", params={"cursor": cursor})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["at"] == "?cursor"


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "all", "9" * 5000])
async def test_a_list_has_a_limit(coordination: Organization, limit: str) -> None:
    answer = await coordination.http.get("/v1/needs", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"] == "?limit"
