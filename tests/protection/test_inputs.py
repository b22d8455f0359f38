"""No input is left out of what is planted: found in the routes themselves, by what they take and what they read."""

import re
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import parse_qs

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.datastructures import Headers
from starlette.routing import BaseRoute

from api import slip_page
from api.wire import Wire
from tests.api.bodies import need_body, project_body
from tests.api.conftest import Organization
from tests.api.documented import OTHER_HEADERS, READ_HEADERS, operations
from tests.api.tenancy_table import CONSOLE
from tests.protection.inputs import FORM_FIELDS, FORM_PATHS, Known, Supply, forms, planted_in

Input = tuple[str, str, str]
"""Method and path of a route, the kind of an input, its name."""
NOT_DOCUMENTED = CONSOLE | {"/openapi.json", *FORM_PATHS}
"""What the console takes is planted in `tests/console/test_posting.py`: it asks for a session first."""
LENGTHS = frozenset({"content-length", "transfer-encoding"})
"""Only figures and a word are taken there; `planting` sends what is neither, without a client."""
STRANGE = Supply(["-"], ["-"], ["-"])


def routes_of(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of included routers too."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from routes_of(inner.routes) if inner is not None else (route,)


def planted(app: FastAPI) -> set[Input]:
    """What is planted, by what each request says of itself."""
    made: set[Input] = set()
    for operation in operations(app):
        known = Known(dict.fromkeys(operation.parameters, "-"), {})
        for asking in planted_in(operation, known, STRANGE):
            made |= {(str(operation), kind, name.rpartition("/")[2]) for kind, name in asking.places}
    for asking in forms("-", "-", STRANGE):
        made |= {(f"{asking.method} {asking.path}", kind, name) for kind, name in asking.places}
    return made


def taken(app: FastAPI) -> set[Input]:
    """What the routes take, by their signatures and models."""
    made: set[Input] = set()
    for route in routes_of(app.routes):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                made |= {(f"{method} {route.path_format}", *each) for each in parameters(route.dependant)}
                made |= {(f"{method} {route.path_format}", "body", name) for name in fields(route)}
    return made


def parameters(dependant: Dependant) -> Iterator[tuple[str, str]]:
    yield from (("path", each.alias) for each in dependant.path_params)
    yield from (("query", each.alias) for each in dependant.query_params)
    yield from (("header", each.alias.lower()) for each in dependant.header_params)
    yield from (("cookie", each.alias) for each in dependant.cookie_params)
    for inner in dependant.dependencies:
        yield from parameters(inner)


def fields(route: APIRoute) -> set[str]:
    """Names of fields at any depth of what a body may be, each of several alternatives included."""

    def names(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            yield from part.get("properties", {})
            for each in part.values():
                yield from names(each)
        elif isinstance(part, list):
            for each in part:
                yield from names(each)

    kind: Any = route.body_field.field_info.annotation if route.body_field is not None else None
    return set(names(TypeAdapter(kind).json_schema(by_alias=True)))


def undocumented(app: FastAPI) -> set[str]:
    """Paths of routes of which the document says nothing."""
    return {str(getattr(route, "path", route)) for route in routes_of(app.routes)} - set(app.openapi()["paths"])


async def test_every_route_is_documented_or_a_form_that_is_tried(app: FastAPI) -> None:
    assert undocumented(app) == NOT_DOCUMENTED
    tried = {path for operation, _, _ in planted(app) for path in operation.split()[1:]}
    assert set(app.openapi()["paths"]) | set(FORM_PATHS) <= tried


async def test_every_parameter_and_every_field_is_planted(app: FastAPI) -> None:
    assert len(taken(app)) > 200
    assert taken(app) - planted(app) == set()


async def test_in_every_operation_every_header_is_planted(app: FastAPI) -> None:
    made = planted(app)
    for operation in [*map(str, operations(app)), *(f"POST {path}" for path in FORM_PATHS)]:
        for name in (*READ_HEADERS, *OTHER_HEADERS):
            assert (operation, "header", name.lower()) in made, f"{operation} {name}"


async def test_control_an_input_that_nobody_planted_is_told(app: FastAPI) -> None:
    class Inner(Wire):
        birthplace: str

    class Body(Wire):
        one: int | Inner

    added = APIRouter()

    @added.post("/v1/strange")
    async def strange(body: Body, tribe: Annotated[str, Query()], x_name: Annotated[str, Header()]) -> None:
        del body, tribe, x_name

    @added.get("/hidden", include_in_schema=False)
    async def hidden() -> None:
        pass

    planted_before = planted(app)
    app.include_router(added)
    app.openapi_schema = None
    assert taken(app) - planted_before == {
        ("POST /v1/strange", *each)
        for each in (("query", "tribe"), ("header", "x-name"), ("body", "one"), ("body", "birthplace"))
    }
    # What stands in the document is planted from then on; the second of two alternatives is not, and is told.
    assert taken(app) - planted(app) == {("POST /v1/strange", "body", "birthplace")}
    assert undocumented(app) - NOT_DOCUMENTED == {"/hidden"}


class Recorder:
    """Which headers of requests and which fields of forms are asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.headers: set[str] = set()
        self.fields: set[str] = set()
        for name in ("get", "getlist", "__getitem__", "__contains__"):
            monkeypatch.setattr(Headers, name, self._noting(getattr(Headers, name)))

        def noted(*given: Any, **more: Any) -> dict[str, list[str]]:
            return _Noting(parse_qs(*given, **more), self.fields)

        monkeypatch.setattr(slip_page, "parse_qs", noted)

    def _noting(self, read: Any) -> Any:
        def noted(headers: Headers, key: str, *more: Any) -> Any:
            if type(headers) is Headers:  # those of answers are of another kind
                self.headers.add(key.lower())
            return read(headers, key, *more)

        return noted


class _Noting(dict[str, list[str]]):
    def __init__(self, fields: dict[str, list[str]], asked: set[str]) -> None:
        super().__init__(fields)
        self._asked = asked

    def get(self, name: str, default: Any = None) -> Any:
        self._asked.add(name)
        return super().get(name, default)


async def everything_asked(http: httpx.AsyncClient, app: FastAPI, key: str, *codes: str) -> None:
    """Each operation once as it should be, and each form."""
    keyed = {"Authorization": f"Bearer {key}", "If-Match": "*", "Idempotency-Key": "k", "Prefer": "wait=0"}
    # The stream has no end; with a place in it that is none, it has.
    keyed["Last-Event-ID"] = "x"
    for operation in operations(app):
        path = operation.at(dict.fromkeys(operation.parameters, "00000000-0000-4000-8000-000000000000"))
        await http.request(operation.method, path, json=operation.full, headers=keyed)
    usual = {"language": "fr", "rating": "3", "words": "clean", "plan": "1"}
    # Plans are answered before who travels on ends what the code opens.
    for path in sorted(FORM_PATHS, key=lambda path: "/plan/" not in path):
        await http.get(path)
        for code in codes:
            for reason in ("afraid", "moved_on"):
                await http.post(path, data=usual | {"code": code, "reason": reason})


async def test_every_header_and_field_of_a_form_that_is_read_is_planted(
    app: FastAPI,
    association: Organization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need = (await association.http.post("/v1/needs", json=need_body())).json()["code"]
    project = (await association.http.post("/v1/projects", json=project_body())).json()["code"]
    recorder = Recorder(monkeypatch)
    await everything_asked(association.http, app, association.key, need, project)
    planted_headers = {name.lower() for name in (*READ_HEADERS, *OTHER_HEADERS)}
    assert recorder.headers - planted_headers == LENGTHS
    assert {name.lower() for name in READ_HEADERS} <= recorder.headers, "a header that nobody reads stands in the list"
    assert recorder.fields == set(FORM_FIELDS)


async def test_every_field_of_the_pages_forms_is_planted(anyone: httpx.AsyncClient, association: Organization) -> None:
    code = (await association.http.post("/v1/needs", json=need_body())).json()["code"]
    page = (await anyone.post("/slip", data={"code": code})).text + (await anyone.get("/slip")).text
    shown = set(re.findall(r'<(?:input|button|select|textarea)[^>]* name="(\w+)"', page))
    assert shown
    assert shown <= set(FORM_FIELDS)


async def test_control_a_header_that_is_read_in_secret_is_noticed(
    app: FastAPI,
    association: Organization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added = APIRouter()

    @added.get("/v1/strange")
    async def strange(request: Request) -> None:
        request.headers.get("X-Name")

    app.include_router(added)
    app.openapi_schema = None
    recorder = Recorder(monkeypatch)
    await everything_asked(association.http, app, association.key, "-")
    assert "x-name" in recorder.headers
