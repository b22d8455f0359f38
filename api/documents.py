"""The OpenAPI document: what FastAPI writes, completed with what holds for every call.

Every call may answer `validation`, be it for a parameter that it does not take; every one that asks the database may
find it away; every POST of an organization honours `Idempotency-Key`. No string and no array is without a bound.
"""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.idempotency import HEADER, LONGEST
from api.problems import Problem, problems

__all__ = ["Service"]

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_LENGTHS: Final = {"uuid": 36, "date-time": 40, "date": 10, "time": 20}
_IDEMPOTENCY: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Names this act: sent again with the same key and body, it is done once and answered the same.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
}

_ENTITY_TAG: Final = {"type": "string", "maxLength": 100, "pattern": '^([*]|(W/)?"[!#-~]{0,90}")$'}

Json = dict[str, Any]


class Service(FastAPI):
    """FastAPI with a complete document."""

    def openapi(self) -> Json:
        """The document, made once."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            self.openapi_schema = _completed(document)
        return self.openapi_schema


def _completed(document: Json) -> Json:
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _complete(operations[method], method, path)
    for schema in _strings(document):
        schema.setdefault("maxLength", _LENGTHS.get(schema.get("format", ""), 400))
    return document


def _complete(operation: Json, method: str, path: str) -> None:
    responses: Json = operation["responses"]
    responses.pop("422", None)
    general = {500}
    if path.startswith("/v1"):
        general |= {422, 503}
    if operation.get("security"):
        general |= {401, 429}
    if method == "post" and operation.get("security"):
        operation.setdefault("parameters", []).append(_IDEMPOTENCY)
        general |= {409}
    if "requestBody" in operation:
        general |= {408, 413}
    if _needs_version(operation):
        general |= {412, 428}
    responses.update(
        {
            str(status): response
            for status, response in problems(*sorted(general)).items()
            if str(status) not in responses
        }
    )


def _needs_version(operation: Json) -> bool:
    """Whether it changes a version; then the header must be there, though its absence has an answer of its own."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "header" and parameter["name"].lower() == "if-match":
            parameter.update(name="If-Match", required=True, schema=_ENTITY_TAG)
            return True
    return False


def _strings(part: object) -> Iterator[Json]:
    """Every schema of a string that could be any string."""
    if isinstance(part, list):
        for each in part:
            yield from _strings(each)
    elif isinstance(part, dict):
        if part.get("type") == "string" and not {"enum", "const"} & part.keys():
            yield part
        for name, each in part.items():
            if name not in ("default", "examples", "example", "enum"):
                yield from _strings(each)
