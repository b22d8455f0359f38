"""Refusals of the domain: what cannot be done, with the facts that say why.

The edge turns each into its problem document; nothing in here knows HTTP or a language. `slug` is the last
segment of the problem's `type` and never changes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

__all__ = [
    "CannotBeReadNow",
    "CannotKeepPlace",
    "CannotRefer",
    "CapacityInUse",
    "Conflict",
    "FeedBroken",
    "Flaw",
    "Invalid",
    "NoLongerHeld",
    "NotFound",
    "OnlyTheProvider",
    "Refusal",
    "StaleVersion",
]


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error of the program
    """Something that the rules do not allow; nothing was changed."""

    slug: ClassVar[str]


@dataclass(eq=False)
class NotFound(Refusal):
    """No such object for this organization: it is missing, or somebody else's. Both answer the same bytes."""

    slug: ClassVar[str] = "not-found"


@dataclass(eq=False)
class OnlyTheProvider(Refusal):
    """The act is the provider's alone; the other side of the allocation cannot do it."""

    slug: ClassVar[str] = "forbidden"


@dataclass(eq=False)
class Conflict(Refusal):
    """The object's state does not allow this act. `reason` is a stable code with a sentence in the catalogues."""

    slug: ClassVar[str] = "conflict"
    reason: str
    state: str


@dataclass(eq=False)
class FeedBroken(Refusal):
    """Events behind this place in the feed may be missing: they are not kept any more, or the database was restored."""

    slug: ClassVar[str] = "feed-broken"


@dataclass(eq=False)
class NoLongerHeld(Refusal):
    """The hold ended before this answer came; the place may be somebody else's by now."""

    slug: ClassVar[str] = "no-longer-held"
    allocation_id: UUID
    state: str


@dataclass(eq=False)
class CapacityInUse(Refusal):
    """The capacity cannot go under what is taken; these allocations must be moved first."""

    slug: ClassVar[str] = "capacity-in-use"
    allocations: tuple[UUID, ...]


@dataclass(eq=False)
class CannotBeReadNow(Refusal):
    """The way to a place cannot be read now: `reason` is a stable code, `opens_at` says when it can, if it can."""

    slug: ClassVar[str] = "conflict"
    reason: str
    state: str
    opens_at: datetime | None = None


@dataclass(eq=False)
class CannotKeepPlace(Refusal):
    """The changed need no longer fits the place that its people have; `rule` is the first that fails."""

    slug: ClassVar[str] = "conflict"
    allocation_id: UUID
    rule: str


@dataclass(eq=False)
class CannotRefer(Refusal):
    """No partner town can be asked for a need now; `rule` is the first that stands in the way."""

    slug: ClassVar[str] = "conflict"
    rule: str


@dataclass(eq=False)
class StaleVersion(Refusal):
    """The object was changed since the caller read it."""

    slug: ClassVar[str] = "stale-version"
    version: int


@dataclass(frozen=True)
class Flaw:
    """One thing wrong with what was sent: where (JSON pointer), a stable code, and facts for its sentence."""

    at: str
    code: str
    facts: tuple[tuple[str, str | int], ...] = ()


@dataclass(eq=False)
class Invalid(Refusal):
    """What was sent cannot be true or cannot be used; every flaw is named, no value is repeated."""

    slug: ClassVar[str] = "validation"
    flaws: tuple[Flaw, ...]

    @classmethod
    def one(cls, at: str, code: str, **facts: str | int) -> "Invalid":
        """A single flaw."""
        return cls((Flaw(at, code, tuple(facts.items())),))
