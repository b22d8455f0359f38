"""A need as the matching sees it: what one party asks for, and nothing about who they are."""

from dataclasses import dataclass
from datetime import date
from typing import NewType
from uuid import UUID

from geo.cells import Cell
from matching.vocabulary import Audience, Coverage, Level, Stay, Urgency
from matching.windows import Window

__all__ = ["Language", "Need", "NeedId", "OfferId", "People", "is_alone", "language_of"]

NeedId = NewType("NeedId", UUID)
OfferId = NewType("OfferId", UUID)


@dataclass(frozen=True, slots=True)
class People:
    """Head-counts of one party."""

    adults: int
    minors: int

    @property
    def count(self) -> int:
        """Places the party takes."""
        return self.adults + self.minors


@dataclass(frozen=True, slots=True)
class Language:
    """What a class teaches, or what a party wants to learn; a need without a level takes any."""

    teaches: str
    level: Level | None


def language_of(teaches: str | None, level: str | None) -> Language | None:
    """A language from its codes as they are stored; none where nothing is taught."""
    return Language(teaches, Level(level) if level else None) if teaches else None


@dataclass(frozen=True, slots=True)
class Need:
    """What one party needs, where, when and how urgently.

    `days` are the nights asked for (coverage `every`), else empty. `max_km` is the party's own limit, in
    kilometres. `turned_down` are the offers that this need must not be proposed again, for now or for ever.
    """

    id: NeedId
    category: str
    coverage: Coverage
    cell: Cell
    people: People
    window: Window
    days: tuple[date, ...]
    urgency: Urgency
    stay: Stay
    audience: frozenset[Audience]
    requires: frozenset[str]
    countries: frozenset[str]
    max_km: int | None
    divisible: bool
    language: Language | None
    turned_down: frozenset[OfferId] = frozenset()


def is_alone(need: Need) -> bool:
    """Whether the party is minors without an adult: they are never sent to a private home."""
    return need.people.adults == 0 or Audience.UNACCOMPANIED_MINORS in need.audience
