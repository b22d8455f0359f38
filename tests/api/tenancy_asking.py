"""Asking for an object in every way, and for one that never was in the same way: where two answers differ, one tells.

Each way is a request that is right but for whose object it names, or wrong in one more respect, so that the order in
which things are checked cannot tell either.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import httpx

from tests.api.comparing import Told, differences
from tests.api.documented import put
from tests.api.tenancy_table import OWNED, ROWS, Kind, Row
from tests.api.tenancy_world import Caller, Thing, World

__all__ = ["Asking", "Difference", "Point", "asked", "compare", "denied", "is_foreign", "points", "ways"]

Json = dict[str, Any]
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Point:
    """One place in one operation that takes the id of an object."""

    operation: str
    place: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.operation}, {self.place}"

    @property
    def row(self) -> Row:
        """The operation's row."""
        return ROWS[self.operation]


@dataclass(frozen=True)
class Asking:
    """A request, whole."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None

    async def by(self, http: httpx.AsyncClient) -> httpx.Response:
        """The answer."""
        if self.raw is not None:
            headers = {**_JSON, **self.headers}
            return await http.request(self.method, self.path, params=self.query, headers=headers, content=self.raw)
        return await http.request(self.method, self.path, params=self.query, headers=self.headers, json=self.body)


@dataclass(frozen=True)
class Difference:
    """Somebody was told something by an answer that differs from the one for nothing."""

    caller: str
    point: Point
    thing: Thing
    way: str
    what: tuple[str, ...]
    told: Told
    nothing: Told

    def __str__(self) -> str:
        return (
            f"{self.caller}: {self.point}, {self.thing}, {self.way}: {', '.join(self.what)} differ:"
            f" {self.told.status} {self.told.body[:200]!r} instead of {self.nothing.status} {self.nothing.body[:200]!r}"
        )


def points() -> list[Point]:
    """All places of all operations that take the id of something that belongs to somebody."""
    return [
        Point(operation, place, kind)
        for operation, row in ROWS.items()
        for place, kind in row.places.items()
        if kind in OWNED
    ]


def ways(point: Point) -> list[str]:
    """The names of the ways to ask; the first is the right one."""
    plain = [
        "right",
        "its version",
        "another version",
        "no version",
        "no tag",
        "once",
        "one more parameter",
        "in Arabic",
    ]
    if point.row.right is None:
        return plain
    wrong = [f"wrong body {number}" for number in range(len(point.row.wrong))]
    return [*plain, *wrong, "an unknown field", "no JSON", "no body"]


def asked(world: World, caller: Caller, point: Point, way: str, thing: Thing) -> Asking:
    """The request in which a caller names this object at this place in this way."""
    method, path = point.operation.split(" ")
    named = {place: _beside(world, caller, kind, thing) for place, kind in point.row.places.items() if kind in OWNED}
    named[point.place] = thing.id
    in_path = {place.removeprefix("path "): value for place, value in named.items() if place.startswith("path ")}
    query = {place.removeprefix("query "): value for place, value in named.items() if place.startswith("query ")}
    body = _body(world, point, way, named)
    asking = Asking(method, path.format(**in_path), query, _headers(point, way, thing), body)
    match way:
        case "one more parameter":
            return replace(asking, query={**query, "nationality": "any"})
        case "no JSON":
            return replace(asking, raw=b'{"reason": ')
        case "no body":
            return replace(asking, body=None)
    return asking


async def compare(
    world: World, caller: Caller, point: Point, thing: Thing, way: str, known: dict[object, Told]
) -> Difference | None:
    """Ask for an object, and for nothing in the same way; `known` keeps what was told of nothing before."""
    told = Told.by(await asked(world, caller, point, way, thing).by(caller.http))
    # What is beside the object, and its version, are said of nothing as well: they are part of what is asked.
    of_nothing = _nothing_like(thing, world, caller, point, way)
    key = (caller.name, point, way, of_nothing.headers.get("If-Match"), thing.beside)
    if key not in known:
        known[key] = Told.by(await of_nothing.by(caller.http))
    found = differences(told, known[key])
    return Difference(caller.name, point, thing, way, tuple(found), told, known[key]) if found else None


def denied(point: Point, told: Told) -> bool:
    """Whether an answer is the one to somebody who may do such a thing, but not to this object."""
    said = json.loads(told.body)
    match point.row.denied:
        case 404:
            return (told.status, said["type"]) == (404, "/problems/not-found")
        case 422:
            flaws = [(flaw["at"], flaw["code"]) for flaw in said.get("errors", ())]
            return told.status == 422 and flaws == [("/site_id", "unknown_site")]
    if "hsds" in point.operation:
        return told.status == 200 and (said["total_items"], said["contents"]) == (0, [])
    return (told.status, said) == (200, {"items": [], "next": None})


def _nothing_like(thing: Thing, world: World, caller: Caller, point: Point, way: str) -> Asking:
    return asked(world, caller, point, way, replace(thing, id=_never(point.kind)))


def _beside(world: World, caller: Caller, kind: Kind, thing: Thing) -> str:
    """What stands beside an object in a path: a slot of that offer, or for a slot an offer of the caller's own."""
    if kind is Kind.SLOT and thing.kind is Kind.OFFER:
        return thing.beside
    if kind is Kind.OFFER and caller.organization in thing.roles:
        return thing.beside
    own = world.own(caller, kind)
    return own.id if own else _never(kind)


def _never(kind: Kind) -> str:
    return str(2**61 + uuid4().int % 2**60) if kind is Kind.SLOT else str(uuid4())


def _body(world: World, point: Point, way: str, named: Mapping[str, str]) -> Any:
    right = point.row.right
    if right is None:
        return None
    wrong = {f"wrong body {number}": body for number, body in enumerate(point.row.wrong)}
    body: Any = wrong.get(way, right)
    for place, value in named.items():
        if place.startswith("body "):
            at, _, name = place.removeprefix("body ").replace("/*", "/0").rpartition("/")
            body = put(body, at, name, value)
    code = {"code": world.code} if "code" in body else {}
    more = {"nationality": "any"} if way == "an unknown field" else {}
    return body | code | more


def _headers(point: Point, way: str, thing: Thing) -> dict[str, str]:
    method = point.operation.partition(" ")[0]
    versions: dict[str, dict[str, str]] = {
        "its version": {"If-Match": f'"{thing.version}"'},
        "another version": {"If-Match": '"99999"'},
        "no version": {},
        "no tag": {"If-Match": "99999"},
    }
    usual = {"If-Match": "*"} if method in ("PATCH", "PUT") else {}
    more = {"once": {"Idempotency-Key": "the same evening"}, "in Arabic": {"Accept-Language": "ar"}}
    return versions.get(way, usual | more.get(way, {}))


def is_foreign(world: World, caller: Caller, point: Point, thing: Thing) -> bool:
    """Whether an object is not open to the caller there."""
    return not world.roles(caller, thing) & point.row.open_to
