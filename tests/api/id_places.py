"""Where in a request an id can be given: found in the OpenAPI document, so that a new place is seen without being told.

A place is named by where it stands: `path need_id`, `query site_id`, `header If-Match`, `body /needs/*/town`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import BaseRoute

__all__ = ["may_be_an_id", "outside_the_document", "places_of"]

Json = dict[str, Any]
_METHODS: Final = ("get", "put", "post", "patch", "delete", "head", "options", "trace")
_TIMES: Final = frozenset({"date-time", "date", "time", "duration"})
_IDS: Final = (
    "00000000-0000-4000-8000-000000000000",
    "00000000000040008000000000000000",
    "AAAAAAAAQACAAAAAAAAAAA",
    "a2b3c4d5e6",
    "1000007",
    '"1000007"',
)
"""An id in the forms that one may have: a UUID, its digits, in base 64, a prefix, a number, a tag."""
_MORE_THAN_ANY_COUNT: Final = 2**31 - 1


def places_of(app: FastAPI) -> dict[str, frozenset[str]]:
    """By operation, such as `GET /v1/needs/{need_id}`, the places that can carry an id."""
    document = app.openapi()
    return {
        f"{method.upper()} {path}": frozenset(_places(item[method], item.get("parameters", []), document))
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    }


def outside_the_document(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Paths of routes that the document does not name."""
    found: set[str] = set()
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            found |= outside_the_document(included.routes)
        elif not getattr(route, "include_in_schema", False):
            found.add(getattr(route, "path", repr(route)))
    return frozenset(found)


def may_be_an_id(schema: Json) -> bool:
    """Whether a value of this schema, which is no object and no array, can be an id."""
    if {"enum", "const"} & schema.keys():
        return False
    kinds = schema.get("type", ["string", "integer"])
    return ("string" in kinds and _words_may_be(schema)) or (
        "integer" in kinds and schema.get("maximum", _MORE_THAN_ANY_COUNT) >= _MORE_THAN_ANY_COUNT
    )


def _words_may_be(schema: Json) -> bool:
    if schema.get("format") in _TIMES:
        return False
    longest, pattern = schema.get("maxLength", 400), schema.get("pattern", "")
    return any(len(form) <= longest and re.search(pattern, form) for form in _IDS)


def _places(operation: Json, shared: list[Json], document: Json) -> Iterator[str]:
    for parameter in [*shared, *operation.get("parameters", [])]:
        where, name = parameter["in"], parameter["name"]
        # What stands in a path is an id whatever its schema says.
        if where == "path" or any(may_be_an_id(leaf) for _, leaf in _leaves(parameter["schema"], document)):
            yield f"{where} {name}"
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from (f"body {at}" for at, leaf in _leaves(content["schema"], document) if may_be_an_id(leaf))


def _leaves(
    schema: Json, document: Json, at: str = "", within: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Json]]:
    """Every schema in this one that is neither object nor array, with where it stands; `*` is each item or any name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in within:
            yield from _leaves(document["components"]["schemas"][name], document, at, within | {name})
        return
    several = [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word, ())]
    inner = schema.get("properties", {})
    items = [*schema.get("prefixItems", ()), *([schema["items"]] if isinstance(schema.get("items"), dict) else [])]
    open_ended = schema.get("additionalProperties", "properties" not in schema and schema.get("type") == "object")
    for each in several:
        yield from _leaves(each, document, at, within)
    for name, each in inner.items():
        yield from _leaves(each, document, f"{at}/{name}", within)
    for each in items:
        yield from _leaves(each, document, f"{at}/*", within)
    if open_ended:
        yield f"{at}/*", {}
    if not several and schema.get("type") not in ("object", "array", "null"):
        yield at or "/", schema
