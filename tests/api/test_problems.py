"""Problem documents: every refusal in one form, in the reader's language, and nothing of ours inside."""

import ast
import asyncio
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from babel.messages.pofile import read_po
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create
from api.authorization import AnyKey
from api.problems import STATUS
from api.settings import ApiSettings
from api.transactions import Reply, TransactionalRoute, Tx
from api.wording import DEFAULT, LANGUAGES, SLIP_LANGUAGES, catalogue, language_of
from db.connection import transaction
from tests.api.bodies import need_body
from tests.api.conftest import Organization
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
NONE_OPEN = text("""
    select count(*) = 0 from pg_stat_activity
     where application_name = 'relais-api' and datname = current_database() and xact_start is not null
""")


async def test_an_unknown_path_is_a_problem_document(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.get("/v1/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail"}
    assert answer.json()["type"].rpartition("/")[2] == "not-found"


async def test_a_wrong_method_says_which_are_right(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.delete("/v1/me")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_all_methods_of_a_path_are_named(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.put("/v1/needs")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


async def test_somebody_elses_need_and_none_at_all_answer_the_same_bytes(
    coordination: Organization, association: Organization
) -> None:
    posted = await coordination.http.post("/v1/needs", json=need_body())
    foreign = await association.http.get(posted.headers["location"])
    missing = await association.http.get(f"/v1/needs/{uuid4()}")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "fr"),
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("de, it;q=0.3, es;q=0.7", "es"),
        ("ar;q=0, it", "it"),
        ("ti, *;q=0.1", "en"),
        ("AR-sy", "ar"),
        ("fr;q=nonsense", "en"),
        (";;;,,,q=1", "en"),
    ],
)
def test_the_language_is_the_best_that_is_accepted(accepted: str | None, language: str) -> None:
    assert language_of(accepted) == language


async def test_problems_are_told_in_the_readers_language(anyone: httpx.AsyncClient) -> None:
    titles = set()
    for language in LANGUAGES:
        answer = await anyone.get("/v1/me", headers={"Accept-Language": language})
        assert answer.headers["content-language"] == language
        titles.add(answer.json()["title"])
    assert len(titles) == len(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_there_in_every_language_with_the_same_facts(language: str) -> None:
    english, other = catalogue(DEFAULT), catalogue(language)
    assert other.keys() == english.keys()
    for key, sentence in other.items():
        assert sentence.strip(), key
        assert _facts(sentence) == _facts(english[key]), key


@pytest.mark.parametrize("language", SLIP_LANGUAGES)
def test_no_message_stands_in_two_files(language: str) -> None:
    """One of them would be read nowhere."""
    files = list((ROOT / "api" / "words").glob(f"{language}*.po"))
    found = Counter(message.id for file in files for message in read_po(file.open("rb")) if message.id)
    assert found, "there are messages"
    assert [key for key, times in found.items() if times > 1] == []


def _facts(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_every_refusal_of_the_domain_has_its_sentence() -> None:
    known = catalogue(DEFAULT)
    for slug in STATUS:
        assert f"problem.{slug}.title" in known
        assert f"problem.{slug}.detail" in known
    for name, code in _codes_in_source():
        key = f"problem.conflict.{code}.detail" if name == "Conflict" else f"flaw.{code}"
        assert key in known, f"no sentence for {name}({code!r})"


def _codes_in_source() -> Iterator[tuple[str, str]]:
    """The constant codes that refusals and flaws are made with."""
    for folder in ("matching", "db", "api"):
        for file in (ROOT / folder).rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
                name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
                position = {"Conflict": 0, "Flaw": 1, "one": 1}.get(name)
                if position is None or len(call.args) <= position:
                    continue
                code = call.args[position]
                if isinstance(code, ast.Constant) and re.fullmatch("[a-z_]+", str(code.value)):
                    yield name, str(code.value)


async def test_a_mistake_of_ours_tells_nothing_but_a_number(
    capfd: pytest.CaptureFixture[str], app: FastAPI, coordination: Organization
) -> None:
    async def breaks(_who: AnyKey) -> None:
        raise ValueError("Amina, 06 12 34 56 78")

    app.router.add_api_route("/v1/breaks", breaks, route_class_override=TransactionalRoute)
    answer = await coordination.http.get("/v1/breaks")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    logged = capfd.readouterr().err
    assert "Amina" not in answer.text + logged
    assert "ValueError" in logged
    assert answer.headers["x-request-id"] in logged


ACT = text("insert into event (kind, object_id, organizations) values ('test.acted', :id, array[cast(:id as uuid)])")
ACTS = text("select count(*) from event where kind = 'test.acted'")


async def test_what_fails_after_a_write_leaves_no_trace(
    app: FastAPI, coordination: Organization, engine: AsyncEngine
) -> None:
    rung: list[str] = []

    async def writes_then_breaks(who: AnyKey, tx: Tx, reply: Reply) -> None:
        await tx.execute(ACT, {"id": who.organization_id})
        reply.afterwards(lambda: rung.append("rung"))
        raise RuntimeError

    app.router.add_api_route(
        "/v1/breaks", writes_then_breaks, methods=["POST"], route_class_override=TransactionalRoute
    )
    await coordination.http.post("/v1/breaks", headers={"Idempotency-Key": "once"})
    async with transaction(engine) as tx:
        assert (await tx.execute(ACTS)).scalar_one() == 0
        assert (await tx.execute(text("select count(*) from idempotency"))).scalar_one() == 0
    assert rung == []


async def test_the_bell_rings_after_the_commit(app: FastAPI, coordination: Organization, engine: AsyncEngine) -> None:
    seen: list[str] = []

    async def acts(who: AnyKey, tx: Tx, reply: Reply) -> None:
        await tx.execute(ACT, {"id": who.organization_id})
        reply.afterwards(lambda: seen.append("rung"))
        seen.append("acted")

    app.router.add_api_route("/v1/acts", acts, methods=["POST"], route_class_override=TransactionalRoute)
    assert (await coordination.http.post("/v1/acts")).status_code == 200
    assert seen == ["acted", "rung"]
    async with transaction(engine) as tx:
        assert (await tx.execute(ACTS)).scalar_one() == 1


async def test_a_client_that_hangs_up_leaves_no_transaction_open(
    app: FastAPI, coordination: Organization, engine: AsyncEngine
) -> None:
    async def slow(_who: AnyKey, tx: Tx) -> None:
        await tx.execute(text("select pg_sleep(0.5)"))

    app.router.add_api_route("/v1/slow", slow, route_class_override=TransactionalRoute)
    calls = [asyncio.create_task(coordination.http.get("/v1/slow")) for _ in range(50)]
    await asyncio.sleep(0)
    for number, call in enumerate(calls):
        for _ in range(number % 10):
            await asyncio.sleep(0.002)
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    async def none_open() -> bool:
        async with transaction(engine) as tx:
            return bool((await tx.execute(NONE_OPEN)).scalar_one())

    assert await eventually(none_open, "no transaction of the API open")
    assert (await coordination.http.get("/v1/me")).status_code == 200


async def test_without_a_database_the_answer_says_to_try_again(api_settings: ApiSettings) -> None:
    away = create(api_settings.model_copy(update={"database_url": "postgresql+asyncpg://relais@127.0.0.1:1/none"}))
    async with away.router.lifespan_context(away):
        transport = httpx.ASGITransport(away, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://relais.test") as http:
            headers = {"Authorization": "Bearer relais_aaaaaaaaaa_" + "a" * 32}
            for path in ("/v1/me", "/readyz"):
                answer = await http.get(path, headers=headers)
                assert answer.status_code == 503, path
                assert answer.json()["type"] == "/problems/unavailable"
                assert answer.headers["retry-after"]
            assert (await http.get("/healthz")).status_code == 200


async def test_every_answer_carries_the_headers_that_protect(anyone: httpx.AsyncClient) -> None:
    for path in ("/v1/me", "/healthz", "/openapi.json", "/nowhere"):
        answer = await anyone.get(path, headers={"Origin": "https://elsewhere.example"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers
        assert "strict-transport-security" not in answer.headers


async def test_behind_tls_browsers_are_told_to_keep_to_it(api_settings: ApiSettings) -> None:
    made = create(api_settings.model_copy(update={"behind_tls": True}))
    async with made.router.lifespan_context(made):
        transport = httpx.ASGITransport(made, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://relais.test") as http:
            for path in ("/healthz", "/slip", "/nowhere", "/v1/me"):
                assert (await http.get(path)).headers["strict-transport-security"] == "max-age=63072000"


async def test_no_page_of_another_origin_is_let_in(anyone: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for path in ("/v1/needs", "/v1/slip", "/slip"):
        answer = await anyone.options(path, headers=asked)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_no_string_and_no_list_of_the_document_is_without_a_bound(app: FastAPI) -> None:
    def unbounded(part: object, at: str) -> Iterator[str]:
        if isinstance(part, list):
            for number, each in enumerate(part):
                yield from unbounded(each, f"{at}/{number}")
        elif isinstance(part, dict):
            if part.get("type") == "string" and not {"maxLength", "enum", "const"} & part.keys():
                yield at
            if part.get("type") == "array" and "maxItems" not in part:
                yield at
            for name, each in part.items():
                yield from unbounded(each, f"{at}/{name}")

    assert list(unbounded(app.openapi(), "")) == []
    assert app.openapi()["openapi"].startswith("3.1")


async def test_logs_hold_only_what_is_listed(capfd: pytest.CaptureFixture[str], coordination: Organization) -> None:
    need_id = (await coordination.http.post("/v1/needs", json=need_body())).json()["id"]
    await coordination.http.get(f"/v1/needs/{need_id}", params={"state": "Amina"})
    logged = capfd.readouterr().err
    assert "/v1/needs/{need_id}" in logged
    for secret in (need_id, "Amina", coordination.key, coordination.key.split("_")[2]):
        assert secret not in logged
