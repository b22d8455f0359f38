"""Every input of the service with something planted in it, one request each: all else in it is as it should be.

Made from the OpenAPI document and the list of headers; each request says which inputs it tries, for the test that none
is left out.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, cycle
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from tests.api.documented import OTHER_HEADERS, READ_HEADERS, Operation, found, levels, put

__all__ = ["FORM_FIELDS", "FORM_PATHS", "Asking", "Known", "Supply", "forms", "planted_in", "strays"]

Json = dict[str, Any]
Made = TypeVar("Made")
FORM_PATHS = ("/slip", "/slip/refuse", "/slip/preferences", "/slip/feedback", "/slip/plan/accept", "/slip/plan/refuse")
FORM_FIELDS = (
    *("code", "language", "reason", "place", "rating", "words"),
    *("near_km", "most_km", "wishes", "wait_for", "leave_by", "plan", "houses"),
)
_USUAL_FORM = {"language": "fr", "reason": "afraid", "rating": "3", "words": "clean", "near_km": "5", "wishes": "quiet"}
_FORM_TYPE = "application/x-www-form-urlencoded"
_OWN_WORDS = frozenset(
    {
        ("/v1/sites", "name"),
        ("/v1/sites/{site_id}", "name"),
        ("/v1/webhooks", "url"),
        ("/v1/notifications/channels", "address"),
    }
)
"""What an organization calls its buildings, and where it wants to be told, is shown to it: nothing is planted there in
the right form."""
_SEALED = frozenset({("/v1/sites/{site_id}/address", "address"), ("/v1/sites/{site_id}/address", "meeting_point")})
_STRAYS = 20


class Supply:
    """Planted strings, one after the other, again and again; `width` kinds of them, of three, for each input."""

    def __init__(
        self, strings: Collection[str], slugs: Iterable[str], addresses: Iterable[str], width: int = 3
    ) -> None:
        visible = [text for text in strings if text.isascii() and " " not in text]
        self._strings, self._visible = cycle(strings), cycle(visible)
        self._slugs, self._addresses = cycle(slugs), cycle(addresses)
        self._width = width
        self._turn = 0

    def any(self) -> str:
        """Something about a person."""
        return next(self._strings)

    def slug(self) -> str:
        """The same in small letters alone, as codes are written."""
        return next(self._slugs)

    def visible(self) -> str:
        """The same in visible ASCII without spaces, as keys are written."""
        return next(self._visible)

    def address(self) -> str:
        """Where a place is."""
        return next(self._addresses)

    def some(self, *kinds: Callable[[], Made]) -> list[Made]:
        """As many of these kinds as are planted in one input, others each time."""
        self._turn += 1
        return [kinds[(self._turn + step) % len(kinds)]() for step in range(min(self._width, len(kinds)))]

    def several(self) -> list[str]:
        """Strings that are free to stand anywhere."""
        return self.some(self.any, self.slug, self.visible)


@dataclass(frozen=True)
class Asking:
    """One request; `places` are the inputs in which something is planted, by kind and name."""

    places: frozenset[tuple[str, str]]
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    named: frozenset[str] = frozenset()
    """What is planted as the name of a field and looks like one: whoever sent it is told which field is meant."""

    @property
    def url(self) -> str:
        """Path and query, as they stand in the first line of a request."""
        return self.path + ("?" + urlencode(self.query) if self.query else "")

    def with_header(self, name: str, value: str) -> "Asking":
        """The same with one header put or exchanged."""
        others = tuple(each for each in self.headers if each[0].lower() != name.lower())
        return replace(self, headers=(*others, (name, value)))

    def at(self, kind: str, *names: str, **changes: Any) -> "Asking":
        """The same with something planted in these inputs."""
        return replace(self, places=frozenset((kind, name) for name in names), **changes)


@dataclass(frozen=True)
class Known:
    """What there is: ids by the names of parameters and fields, and bodies that are accepted, by operation."""

    ids: Mapping[str, object]
    bodies: Mapping[str, Json]

    def body(self, operation: Operation) -> Json:
        """A body that is accepted where one is known, else the whole one."""
        return self.bodies.get(str(operation), self.whole(operation))

    def whole(self, operation: Operation) -> Json:
        """The body with every field, about things that there are."""
        body = operation.full or {}
        for level in levels(body):
            for name in self.ids.keys() & found(body, level).keys():
                body = put(body, level, name, self.ids[name])
        return body


def planted_in(operation: Operation, known: Known, supply: Supply) -> Iterator[Asking]:
    """All that can be planted in one operation."""
    path = operation.at({name: known.ids[name] for name in operation.parameters})
    headers = [("If-Match", "*")] if "If-Match" in operation.headers else []
    content = b""
    if operation.full is not None:
        headers.append(("Content-Type", "application/json"))
        content = _json(known.body(operation))
    base = Asking(frozenset(), operation.method, path, headers=tuple(headers), content=content)
    return chain(
        _in_headers(base, operation.headers, supply),
        _in_query(base, operation, supply),
        _in_path(base, operation, known, supply),
        _in_body(base, operation, known, supply),
        _as_body(base, operation, supply),
    )


def strays(supply: Supply) -> Iterator[Asking]:
    """What belongs to no operation: paths, methods and parameters that nobody made."""
    stray = Asking(frozenset(), "GET", "/")
    for _ in range(_STRAYS):
        text = supply.any()
        part = quote(text, safe="")
        yield stray.at("path", "?", path=f"/v1/{part}")
        yield stray.at("path", "?", method="POST", path=f"/{part}", content=text.encode())
        yield stray.at("path", "?", method="DELETE", path=f"/v1/needs/{part}/{part}")
        yield stray.at("query", "?", path="/healthz", query=((text, text),))
        yield stray.at("method", "?", method=supply.slug().upper().replace("_", ""), path="/v1/needs")


def forms(code: str, place: str, supply: Supply) -> Iterator[Asking]:
    """The forms of the slip's page, with a code that opens it."""
    usual = {"code": code, "place": place, **_USUAL_FORM}
    base = Asking(frozenset(), "POST", "/slip", headers=(("Content-Type", _FORM_TYPE),))
    yield base.at("query", "?", method="GET", query=((supply.any(), supply.any()),))
    for path in FORM_PATHS:
        filled = replace(base, path=path, content=urlencode(usual).encode())
        yield from _in_headers(filled, (), supply)
        for name in FORM_FIELDS:
            for value in (supply.any(), supply.slug(), supply.visible()):
                yield filled.at("form", name, content=urlencode({**usual, name: value}).encode())
        strange = {**usual, "name": supply.any(), supply.any(): "1"}
        yield filled.at("form", "?", content=urlencode(strange).encode())
        yield filled.at("form", "?", content=supply.any().encode("utf-16"))


def _in_headers(base: Asking, documented: Iterable[str], supply: Supply) -> Iterator[Asking]:
    """One after the other those that are read; all others at once, which keeps nothing from being done."""
    crowd = base
    for name in OTHER_HEADERS:
        crowd = crowd.with_header(name, supply.any())
    yield crowd.at("header", *(name.lower() for name in OTHER_HEADERS))
    known = {name.lower() for name in READ_HEADERS}
    for name in (*READ_HEADERS, *(each for each in documented if each.lower() not in known)):
        for value in supply.some(*_header_values(name, supply)):
            yield base.with_header(name, value).at("header", name.lower())


def _header_values(name: str, supply: Supply) -> tuple[Callable[[], str], ...]:
    any_, visible, slug = supply.any, supply.visible, supply.slug
    if name == "Authorization":
        return (lambda: f"Bearer {any_()}", lambda: f"Bearer relais_{slug()}_{visible()}", lambda: f"Basic {any_()}")
    if name == "Accept-Language":
        return (any_, lambda: f"{visible()}, fr;q=0.5, {slug()};q=0.1", visible)
    return (any_, visible, lambda: f'"{visible()}"')


def _in_query(base: Asking, operation: Operation, supply: Supply) -> Iterator[Asking]:
    for name in operation.query:
        for value in supply.several():
            yield base.at("query", name, query=((name, value),))
    text, name = supply.any(), supply.slug()
    yield base.at("query", "?", query=(("nationality", supply.any()), (text, text)))
    yield base.at("query", "?", query=((name, supply.any()),), named=frozenset({name}))


def _in_path(base: Asking, operation: Operation, known: Known, supply: Supply) -> Iterator[Asking]:
    for name in operation.parameters:
        for value in supply.several():
            filled = {**{each: known.ids[each] for each in operation.parameters}, name: quote(value, safe="")}
            yield base.at("path", name, path=operation.at(filled))


def _in_body(base: Asking, operation: Operation, known: Known, supply: Supply) -> Iterator[Asking]:
    if operation.full is None:
        return
    accepted, whole = known.body(operation), known.whole(operation)
    reached = set(levels(accepted))
    for level in levels(whole):
        body = accepted if level in reached else whole
        slug = supply.slug()
        for name in supply.some(lambda: "nationality", supply.any, supply.any):
            yield base.at("body", f"{level}/?", content=_json(put(body, level, name, supply.any())))
        stranger = put(body, level, slug, supply.any())
        yield base.at("body", f"{level}/?", content=_json(stranger), named=frozenset({slug}))
        for name, usual in found(whole, level).items():
            for value in _values(operation.path, name, usual, supply):
                yield base.at("body", f"{level}/{name}", content=_json(put(body, level, name, value)))


def _values(path: str, name: str, usual: object, supply: Supply) -> Iterator[object]:
    """What is planted in a field: as its value, beside it, and in other types."""
    if (path, name) in _SEALED:
        yield from (supply.address() for _ in range(6))
    elif (path, name) in _OWN_WORDS:
        yield from (supply.any() * 20, f"{supply.any()}\n", f"\u200f{supply.any()}")
    else:
        yield from supply.several()
        if isinstance(usual, str):
            yield from supply.some(
                lambda: f"{usual}{supply.any()}", lambda: f"{usual};X-NAME={supply.slug().upper()}", supply.slug
            )
        if isinstance(usual, list):
            yield from ([*usual, supply.any()], [supply.slug()])
    yield from supply.some(
        lambda: [supply.any()], lambda: {supply.any(): supply.any()}, lambda: {"name": {"of": [supply.slug()]}}
    )


def _as_body(base: Asking, operation: Operation, supply: Supply) -> Iterator[Asking]:
    """Bodies that are no JSON, or not what is asked for, or where none is asked for at all."""
    broken = base.with_header("Content-Type", "application/json")
    for kind, content in (*_broken(supply), *_other_kinds(supply)) if operation.full is not None else _bare(supply):
        yield broken.with_header("Content-Type", kind).at("body", "?", content=content)


def _bare(supply: Supply) -> Iterator[tuple[str, bytes]]:
    yield "application/json", _json({"nationality": supply.any(), supply.any(): supply.any()})
    yield "text/plain", supply.any().encode()


def _broken(supply: Supply) -> Iterator[tuple[str, bytes]]:
    told = supply.any
    for content in (
        _json({"nationality": told()})[:-1],
        b'{"nationality": "' + told().encode() + b'\xff\xfe"}',
        b'{"' + told().encode() + b'": 1, "' + told().encode() + b'": 2}',
        b"[" * 60 + _json(told()) + b"]" * 60,
        _json(f"\0{told()}"),
        _json(told()),
        _json([told(), {told(): told()}]),
        told().encode("utf-16"),
        told().encode(),
    ):
        yield "application/json", content


def _other_kinds(supply: Supply) -> Iterator[tuple[str, bytes]]:
    told = supply.any
    part = f'--b\r\nContent-Disposition: form-data; name="note"; filename="{told()}"\r\n\r\n{told()}\r\n--b--\r\n'
    yield "text/plain", told().encode()
    yield _FORM_TYPE, urlencode({"nationality": told()}).encode()
    yield "multipart/form-data; boundary=b", part.encode()
    yield "application/xml", f"<note>{told()}</note>".encode()
    yield "application/json; charset=utf-16", json.dumps(told()).encode("utf-16")
    yield f"application/json; note={supply.visible()}", _json({"nationality": told()})


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
