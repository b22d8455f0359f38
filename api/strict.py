"""What a request says outside of its body: no parameter that nobody asked for, and nothing twice.

A misspelt filter that is passed over answers with everybody's needs instead of one state's; of two keys or two
versions, one would be believed without saying which.
"""

from collections import Counter
from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.flaws import flaws_of
from matching.refusals import Invalid

__all__ = ["refuse_strangers", "sole"]


def refuse_strangers(request: Request) -> None:
    """Raise `Invalid` for parameters after the `?` that the route does not document, or that stand there twice."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    if not given:
        return
    route = request.scope["route"]
    known = frozenset(_documented(route.dependant)) if isinstance(route, APIRoute) else frozenset[str]()
    kinds = {
        name: "field_twice" if name in known else "extra_forbidden"
        for name, times in given.items()
        if name not in known or times > 1
    }
    if kinds:
        raise Invalid(flaws_of({"type": kind, "loc": ("query", name)} for name, kind in kinds.items()))


def sole(request: Request, header: str) -> str | None:
    """The value of a header that may stand once; `None` where it does not. Raises `Invalid` for two."""
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise Invalid.one(header, "field_twice")
    return values[0] if values else None


def _documented(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for inner in dependant.dependencies:
        yield from _documented(inner)
