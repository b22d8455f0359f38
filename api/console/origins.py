"""Whether a form came from a page of ours: what browsers say of where a request comes from, and cannot be made to.

`SameSite=Strict` keeps other sites from sending the cookie; this refuses what comes from them all the same, such as
from a neighbour under the same domain, and a token in each form (`api.console.visits`) refuses what neither shows.
"""

from typing import ClassVar
from urllib.parse import urlsplit

from fastapi import Request

from api.strict import sole
from matching.refusals import Refusal

__all__ = ["Forged", "refuse_strange_origin"]


class Forged(Refusal):
    """A form that no page of ours has made, or one of a session that is over."""

    slug: ClassVar[str] = "forbidden"


def refuse_strange_origin(request: Request) -> None:
    """Raise `Forged` unless the browser says that a page of this very address sent it."""
    origin, site = sole(request, "Origin"), sole(request, "Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        raise Forged
    if origin is None and site is None:
        raise Forged
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Forged
