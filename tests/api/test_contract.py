"""The OpenAPI document and the service say the same: tried out by schemathesis over real HTTP, as everybody.

`--long` tries hundreds of requests for each operation and follows what one answer says about the next; the
ordinary run is short and always the same.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from jsonschema_rs import meta
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys, organizations
from db.connection import transaction
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body, offer_body, site_body
from tests.api.conftest import NO_LIMITS
from tests.api.documented import operations
from tests.conftest import ROOT
from tests.places import BRIANCON
from tests.waiting import eventually

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SECONDS = {False: 300, True: 1800}
PHASES = {OrganizationKind.ASSOCIATION.value: "examples,coverage,fuzzing"}
EXAMPLES = {OrganizationKind.ASSOCIATION.value: "10"}
"""In the ordinary run the bounds of every field are walked once, as the organization that may do most; the others, of
whom less is let in, ask less."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A service of its own process."""

    url: str
    keys: Mapping[str, str]


@pytest_asyncio.fixture(loop_scope="function")
async def served(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Served]:
    """The service behind a real port, with one organization of each kind and things of theirs to find."""
    given: dict[str, str] = {}
    async with transaction(engine) as tx:
        for kind in OrganizationKind:
            organization_id = await organizations.add(tx, kind, f"A {kind}", (BRIANCON.id,))
            issued = await keys.issue(tx, organization_id, settings.keys().of("api-key"), None)
            given[kind] = issued.text
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")} | {
        "RELAIS_DATABASE_URL": settings.database_url,
        "RELAIS_SECRET_FILE": str(settings.secret_file),
        "RELAIS_ADDRESS_KEY_FILE": str(settings.address_key_file),
        "RELAIS_POOL_SIZE": "4",
        **{f"RELAIS_{name.upper()}": str(limit) for name, limit in NO_LIMITS.items()},
    }
    log = tmp_path / "api.log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "uvicorn", "--factory", "api.app:create", "--port", str(port), "--log-level", "warning"),
            cwd=ROOT,
            env=environment,
            stdout=written,
            stderr=written,
        )
    try:
        url = f"http://127.0.0.1:{port}"

        async def ready() -> bool:
            try:
                async with httpx.AsyncClient() as http:
                    return (await http.get(f"{url}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready, "the service is ready")
        await _furnish(url, given)
        yield Served(url, given)
    finally:
        process.kill()
        await process.wait()
        print(log.read_text())


async def _furnish(url: str, given: Mapping[str, str]) -> None:
    """A need of each organization, and an offer of those that have any."""
    async with httpx.AsyncClient(base_url=url) as http:
        for kind, key in given.items():
            http.headers["Authorization"] = f"Bearer {key}"
            assert (await http.post("/v1/needs", json=need_body())).status_code == 201
            if kind is not OrganizationKind.COORDINATION:
                site = await http.post("/v1/sites", json=site_body())
                assert (await http.post("/v1/offers", json=offer_body(site.json()["id"]))).status_code == 201


@pytest.mark.parametrize("who", [*OrganizationKind, "nobody"])
async def test_the_service_keeps_its_document(who: str, served: Served, tmp_path: Path, *, long: bool) -> None:
    report = tmp_path / "report.json"
    arguments = [
        *("--config-file", str(CONFIGURATION)),
        *("run", f"{served.url}/openapi.json", "--report-json-path", str(report), "--no-color"),
        *("--checks", "all", "--warnings", "off"),
        *("--phases", "examples,coverage,fuzzing,stateful" if long else PHASES.get(who, "examples,fuzzing")),
        *("--max-examples", "300" if long else EXAMPLES.get(who, "4")),
        # An answer without an end; test_event_streams listens to it.
        *("--exclude-path", "/v1/events"),
    ]
    if who in served.keys:
        arguments += ["--header", f"Authorization: Bearer {served.keys[who]}"]
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("st"),
        *arguments,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS[long]):
        output, _ = await process.communicate()
    told = output.decode(errors="replace")
    assert process.returncode == 0, told[-20_000:]
    assert report.exists(), told


def test_every_operation_says_what_can_go_wrong(app: FastAPI) -> None:
    for operation in operations(app):
        wanted = {500}
        if operation.path.startswith("/v1"):
            wanted |= {422, 503}
        if operation.protected:
            wanted |= {401}
        if operation.protected and operation.method == "POST":
            wanted |= {409}
        if any(name.endswith("_id") for name in operation.parameters):
            wanted |= {404}
        if operation.body is not None:
            wanted |= {413}
        if operation.method in ("PATCH", "PUT"):
            wanted |= {412, 428}
        assert wanted <= operation.responses, f"{operation} does not document {sorted(wanted - operation.responses)}"
        assert operation.responses - {200, 201, 202, 204} <= {
            401,
            403,
            404,
            405,
            408,
            409,
            410,
            412,
            413,
            422,
            428,
            429,
            500,
            503,
        }


def test_every_problem_is_a_problem_document(app: FastAPI) -> None:
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}, (method, path, status)


def test_the_document_is_openapi_3_1_and_every_schema_in_it_is_one(app: FastAPI) -> None:
    document = app.openapi()
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    for schema in _schemas(document):
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        if "$ref" in schema:
            place: Any = document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                place = place[step]


def test_every_string_list_and_table_of_the_document_has_a_bound(app: FastAPI) -> None:
    for schema in _schemas(app.openapi()):
        kind = schema.get("type")
        if kind == "string":
            assert {"maxLength", "enum", "const"} & schema.keys(), schema
        if kind == "array":
            assert "maxItems" in schema, schema
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            assert "maxProperties" in schema, schema
        if kind == "object" and "properties" in schema and schema.get("title", "").endswith(("In", "Patch")):
            assert schema["additionalProperties"] is False, schema


def _schemas(part: object) -> Iterator[Json]:
    """Every JSON schema in the document, in components, parameters and bodies."""
    if isinstance(part, list):
        for each in part:
            yield from _schemas(each)
    elif isinstance(part, dict):
        if isinstance(part.get("type"), (str, list)) or "$ref" in part or "anyOf" in part:
            yield part
        for name, each in part.items():
            if name not in ("example", "examples", "default", "enum", "const", "securitySchemes"):
                yield from _schemas(each)
