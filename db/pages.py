"""Pages of lists: where the last one ended, and whether there is more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

__all__ = ["Page", "Place"]

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
