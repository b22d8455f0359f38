"""Requests made from the OpenAPI document, so that an operation added tomorrow is tried by the tests of today."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from fastapi import FastAPI

__all__ = ["OTHER_HEADERS", "READ_HEADERS", "Operation", "described", "found", "levels", "operations", "put"]

Json = dict[str, Any]
_METHODS = ("get", "put", "post", "patch", "delete")
_FORMS = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date-time": "2030-01-01T00:00:00Z",
    "date": "2030-01-01",
    "uri": "https://example.org/",
}
READ_HEADERS = (
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Prefer",
    "X-Forwarded-For",
)
"""What the service reads, documented or not; a test fails when it reads another."""
OTHER_HEADERS = (
    "Accept",
    "Cookie",
    "Forwarded",
    "From",
    "Host",
    "If-None-Match",
    "Last-Event-ID",
    "Origin",
    "Range",
    "Referer",
    "User-Agent",
    "X-Request-Id",
    "X-Strange",
)
"""What clients send as well."""
_PATTERNED = ("19:00", "FR", "Europe/Paris", "shelter", "Gym", "871f95433ffffff")


@dataclass(frozen=True)
class Operation:
    """One operation of the document; `body` is the smallest that fits it, `full` one with every field."""

    method: str
    path: str
    parameters: tuple[str, ...]
    query: tuple[str, ...]
    protected: bool
    body_needed: bool
    body: Json | None
    full: Json | None
    responses: frozenset[int]
    headers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, ids: Mapping[str, object]) -> str:
        """The path with its parameters filled."""
        return self.path.format(**ids)


def operations(app: FastAPI) -> list[Operation]:
    """All of them, in the document's order."""
    return described(app.openapi())


def described(document: Json) -> list[Operation]:
    """The operations of a document, as a running service answers it."""
    made = []
    for path, item in document["paths"].items():
        for method in (name for name in _METHODS if name in item):
            said = item[method]
            wanted = said.get("requestBody")
            schema = wanted["content"]["application/json"]["schema"] if wanted else None
            made.append(
                Operation(
                    method=method.upper(),
                    path=path,
                    parameters=tuple(re.findall(r"{(\w+)}", path)),
                    query=tuple(p["name"] for p in said.get("parameters", ()) if p["in"] == "query"),
                    protected=bool(said.get("security")),
                    body_needed=bool(wanted and wanted.get("required")),
                    body=cast("Json | None", _sample(schema, document, whole=False)) if schema else None,
                    full=cast("Json | None", _sample(schema, document, whole=True)) if schema else None,
                    responses=frozenset(map(int, said["responses"])),
                    headers=tuple(p["name"] for p in said.get("parameters", ()) if p["in"] == "header"),
                )
            )
    return made


def levels(body: object, at: str = "") -> Iterator[str]:
    """JSON pointers of all objects in a body, its own first."""
    if isinstance(body, dict):
        yield at
        for name, inner in body.items():
            yield from levels(inner, f"{at}/{name}")
    elif isinstance(body, list):
        for number, inner in enumerate(body):
            yield from levels(inner, f"{at}/{number}")


def found(body: object, pointer: str) -> Json:
    """The object at a JSON pointer."""
    place: Any = body
    for step in filter(None, pointer.split("/")):
        place = place[int(step)] if isinstance(place, list) else place[step]
    return cast("Json", place)


def put(body: Json, pointer: str, name: str, value: object) -> Json:
    """A copy of the body in which the object at the pointer has this field."""
    made = deepcopy(body)
    found(made, pointer)[name] = value
    return made


def _sample(schema: Json, document: Json, *, whole: bool) -> object:
    """A value that fits: an object with all its fields, or with those that must be there."""
    said = _said(schema, document)
    if "const" in said or "enum" in said:
        return said.get("const", said.get("enum", [None])[0])
    made: object = False
    match said.get("type"):
        case "object":
            wanted = said.get("properties", {}) if whole else said.get("required", ())
            made = {name: _sample(said["properties"][name], document, whole=whole) for name in wanted}
        case "array":
            size = 1 if whole else said.get("minItems", 0)
            inner = said.get("prefixItems") or [said["items"]] * size
            made = [_sample(each, document, whole=whole) for each in inner]
        case "integer" | "number":
            # The document writes bounds as 1.0, which is no whole number.
            made = int(max(said.get("minimum", 1), 1))
        case "string":
            made = _text(said)
    return made


def _said(schema: Json, document: Json) -> Json:
    """The schema behind references, and the first of several that is not null."""
    while True:
        several = schema.get("anyOf", schema.get("oneOf"))
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif several:
            schema = next(each for each in several if each.get("type") != "null")
        else:
            return schema


def _text(schema: Json) -> str:
    if schema.get("examples"):
        return str(schema["examples"][0])
    if schema.get("format") in _FORMS:
        return _FORMS[schema["format"]]
    pattern = schema.get("pattern", "")
    return next(word for word in (*_PATTERNED, "a" * schema.get("minLength", 0)) if re.search(pattern, word))
