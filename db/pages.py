"""Pages of lists: where the last one ended, and whether there is more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

__all__ = ["Page", "Place", "reading"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list ordered by time, then id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items, and the place after which the next page begins (`None` on the last)."""

    items: tuple[Item, ...]
    next: Place | None

    @classmethod
    def of(cls, found: Sequence[Item], limit: int, place: Callable[[Item], Place]) -> "Page[Item]":
        """Cut `limit` items from at most `limit + 1` found: one too many says that there is more."""
        items = tuple(found[:limit])
        return cls(items, place(items[-1]) if len(found) > limit else None)


def reading(after: Place | None, limit: int) -> dict[str, datetime | UUID | int | None]:
    """The values of a page's statement: `after_at`, `after_id`, and a `limit` of one more than asked."""
    return {
        "after_at": after.at if after else None,
        "after_id": after.id if after else None,
        "limit": limit + 1,
    }
