"""Refusals become problem documents (RFC 9457) here and nowhere else, in the reader's language.

`type` ends in a stable slug; the sentences are for people and may change. Nothing that was sent is ever repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, Field

from api.wire import Instant
from api.wording import knows, language_of, say
from matching.refusals import (
    CannotBeReadNow,
    CannotKeepPlace,
    CannotRefer,
    CapacityInUse,
    Conflict,
    Flaw,
    Invalid,
    NoLongerHeld,
    OnlyTheProvider,
    Refusal,
    StaleVersion,
)

__all__ = [
    "MEDIA_TYPE",
    "STATUS",
    "Busy",
    "Forbidden",
    "IdempotencyInProgress",
    "IdempotencyMismatch",
    "MethodNotAllowed",
    "Problem",
    "RateLimited",
    "TooLarge",
    "TooSlow",
    "Unauthenticated",
    "Unavailable",
    "VersionRequired",
    "answer",
    "problems",
    "told",
]

MEDIA_TYPE: Final = "application/problem+json"
STATUS: Final[dict[str, int]] = {
    "validation": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "conflict": 409,
    "no-longer-held": 409,
    "capacity-in-use": 409,
    "idempotency-mismatch": 422,
    "idempotency-in-progress": 409,
    "stale-version": 412,
    "version-required": 428,
    "feed-broken": 410,
    "rate-limited": 429,
    "unavailable": 503,
}
"""The status of each slug, where the refusal does not say another."""
_MEANINGS: Final = {
    401: "No live key: missing, unknown, expired or revoked.",
    403: "The key may not do this.",
    404: "It does not exist, or it is another organization's.",
    408: "The body did not come in time.",
    409: "How things stand does not allow this.",
    410: "Events behind this place are not kept any more: read the lists anew.",
    412: "It was changed since it was read.",
    413: "The body is too large.",
    422: "Something that was sent cannot be used; every flaw is listed.",
    428: "`If-Match` is missing.",
    429: "Too many requests.",
    500: "Something broke; the request was not done.",
    503: "The database does not answer at this moment, or too much is asked at once.",
}
_MOST_FLAWS = 100
_MOST_ALLOCATIONS = 1000


class FlawOut(BaseModel):
    """One thing wrong with what was sent.

    `at` is a JSON pointer into the body, `?name` for a query parameter, `{name}` for a part of the path, or the
    name of a header. `code` is stable, `message` is for people.
    """

    at: Annotated[str, Field(max_length=400)]
    code: Annotated[str, Field(max_length=60)]
    message: Annotated[str, Field(max_length=400)]


class Problem(BaseModel):
    """Why nothing was done, and what to do next."""

    type: Annotated[str, Field(max_length=60, examples=["/problems/not-found"])]
    title: Annotated[str, Field(max_length=200)]
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(max_length=1000)]
    errors: Annotated[list[FlawOut], Field(max_length=_MOST_FLAWS)] | None = None
    reason: Annotated[str, Field(max_length=60, description="Stable code of a conflict.")] | None = None
    state: Annotated[str, Field(max_length=40, description="The state that the object is in.")] | None = None
    opens_at: Annotated[Instant, Field(description="When this will be possible.")] | None = None
    rule: Annotated[str, Field(max_length=40, description="The first rule that fails.")] | None = None
    allocations: Annotated[list[UUID], Field(max_length=_MOST_ALLOCATIONS, description="To be moved first.")] | None = (
        None
    )


class Unauthenticated(Refusal):
    """No key, or one that is unknown, expired or revoked: which of these is not told."""

    slug: ClassVar[str] = "unauthenticated"

    def __init__(self, challenge: str = "Bearer") -> None:
        self.challenge = challenge
        """How to show one (RFC 9110, § 11.6.1)."""


class Forbidden(Refusal):
    """The key may not do this."""

    slug: ClassVar[str] = "forbidden"


class MethodNotAllowed(Refusal):
    """There is something here, but not with this method."""

    slug: ClassVar[str] = "method-not-allowed"

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed


class IdempotencyMismatch(Refusal):
    """The idempotency key was used for another request."""

    slug: ClassVar[str] = "idempotency-mismatch"


class IdempotencyInProgress(Refusal):
    """The same request is being worked on."""

    slug: ClassVar[str] = "idempotency-in-progress"


class VersionRequired(Refusal):
    """A change must say which version it changes."""

    slug: ClassVar[str] = "version-required"


class TooLarge(Refusal):
    """The body is larger than is read."""

    slug: ClassVar[str] = "validation"

    def __init__(self, most: int) -> None:
        self.most = most


class TooSlow(Refusal):
    """The body did not come within the time for it."""

    slug: ClassVar[str] = "validation"


class RateLimited(Refusal):
    """Too many requests; there is room again in `seconds`."""

    slug: ClassVar[str] = "rate-limited"

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


class Busy(Refusal):
    """More is asked at once than this process takes on."""

    slug: ClassVar[str] = "unavailable"


class Unavailable(Refusal):
    """The database does not answer, or something broke (`broken`); what to do is the same."""

    slug: ClassVar[str] = "unavailable"

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that are problem documents, for its documentation."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


def answer(request: Request, refusal: Refusal) -> Response:
    """The problem document of a refusal."""
    language = language_of(request.headers.get("accept-language"))
    problem, more = told(refusal, language)
    headers = {**more, "Content-Language": language, "Vary": "Accept-Language"}
    return Response(problem.model_dump_json(exclude_none=True), problem.status, headers, MEDIA_TYPE)


def told(refusal: Refusal, language: str) -> tuple[Problem, Mapping[str, str]]:
    """A refusal in words, and the headers that go with it."""
    telling = _telling(refusal)
    status = telling.status or STATUS[refusal.slug]
    problem = Problem.model_validate(
        {
            "type": f"/problems/{refusal.slug}",
            "title": say(f"problem.{refusal.slug}.title", language),
            "status": status,
            "detail": say(f"problem.{telling.key or refusal.slug}.detail", language, **telling.facts),
            "errors": [_flaw(flaw, language) for flaw in telling.flaws[:_MOST_FLAWS]] or None,
            **telling.more,
        }
    )
    return problem, telling.headers


@dataclass(frozen=True)
class _Telling:
    """What a refusal's document has beside its slug; `key` and `status` where they are not the slug's own."""

    key: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int] = field(default_factory=dict)
    flaws: tuple[Flaw, ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)


@singledispatch
def _telling(_refusal: Refusal) -> _Telling:
    return _Telling()


@_telling.register
def _(refusal: Invalid) -> _Telling:
    return _Telling(flaws=refusal.flaws)


@_telling.register
def _(refusal: TooLarge) -> _Telling:
    flaws = (Flaw("", "body_too_large"),)
    return _Telling("too-large", 413, facts={"kibibytes": refusal.most // 1024}, flaws=flaws)


@_telling.register
def _(_refusal: TooSlow) -> _Telling:
    # The rest of the body may still come: this connection is not for another request.
    return _Telling("too-slow", 408, {"Connection": "close"}, flaws=(Flaw("", "body_too_slow"),))


@_telling.register
def _(refusal: RateLimited) -> _Telling:
    return _Telling(headers={"Retry-After": str(refusal.seconds)})


@_telling.register
def _(refusal: Unauthenticated) -> _Telling:
    return _Telling(headers={"WWW-Authenticate": refusal.challenge})


@_telling.register
def _(refusal: MethodNotAllowed) -> _Telling:
    return _Telling(headers={"Allow": refusal.allowed})


@_telling.register
def _(_refusal: OnlyTheProvider) -> _Telling:
    return _Telling("only-the-provider")


@_telling.register
def _(refusal: Conflict) -> _Telling:
    return _Telling(_conflict(refusal.reason), more={"reason": refusal.reason, "state": refusal.state})


@_telling.register
def _(refusal: CannotBeReadNow) -> _Telling:
    more = {"reason": refusal.reason, "state": refusal.state, "opens_at": refusal.opens_at}
    return _Telling(_conflict(refusal.reason), more=more)


@_telling.register
def _(refusal: CannotKeepPlace) -> _Telling:
    reason = "cannot_keep_place"
    more = {"reason": reason, "rule": refusal.rule, "allocations": [refusal.allocation_id]}
    return _Telling(_conflict(reason), more=more)


@_telling.register
def _(refusal: CannotRefer) -> _Telling:
    reason = "cannot_be_referred"
    return _Telling(_conflict(reason), more={"reason": reason, "rule": refusal.rule})


@_telling.register
def _(refusal: NoLongerHeld) -> _Telling:
    return _Telling(more={"state": refusal.state, "allocations": [refusal.allocation_id]})


@_telling.register
def _(refusal: CapacityInUse) -> _Telling:
    named = refusal.allocations[:_MOST_ALLOCATIONS]
    return _Telling(facts={"count": len(refusal.allocations)}, more={"allocations": list(named)})


@_telling.register
def _(refusal: StaleVersion) -> _Telling:
    return _Telling(headers={"ETag": f'"{refusal.version}"'})


@_telling.register
def _(_refusal: IdempotencyInProgress) -> _Telling:
    return _Telling(headers={"Retry-After": "1"})


@_telling.register
def _(refusal: Unavailable) -> _Telling:
    return _Telling("broken", 500) if refusal.broken else _Telling(headers={"Retry-After": "5"})


@_telling.register
def _(_refusal: Busy) -> _Telling:
    return _Telling(headers={"Retry-After": "2"})


def _conflict(reason: str) -> str:
    return f"conflict.{reason}" if knows(f"problem.conflict.{reason}.detail") else "conflict"


def _flaw(flaw: Flaw, language: str) -> FlawOut:
    key = f"flaw.{flaw.code}" if knows(f"flaw.{flaw.code}") else "flaw.not_understood"
    return FlawOut(at=flaw.at[:400], code=flaw.code, message=say(key, language, **dict(flaw.facts)))
