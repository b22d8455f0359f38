"""A need as the matching sees it: what one party asks for, and nothing about who they are."""

from dataclasses import dataclass, replace
from datetime import date
from typing import NewType
from uuid import UUID

from geo.cells import Cell
from geo.distance import Kilometres
from matching.vocabulary import Audience, Coverage, Level, Stay, Urgency
from matching.windows import Window

__all__ = [
    "NO_PREFERENCES",
    "Language",
    "Near",
    "Need",
    "NeedId",
    "OfferId",
    "People",
    "Preferences",
    "as_posted",
    "is_alone",
    "language_of",
]

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
class Near:
    """A place that the people would stay near to: within so many kilometres of a cell nothing is lost."""

    cell: Cell
    within: Kilometres


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the people of a need said on their slip. `near` and `wishes` cost; they keep nobody out of anywhere.

    `waits_for` and `most_km` do: the need asks for them as if it had been posted so, and says here what it asks for
    only because its people do.
    """

    near: Near | None = None
    wishes: frozenset[str] = frozenset()
    waits_for: frozenset[str] = frozenset()
    """Codes that are required because of this alone."""
    posted_max_km: int | None = None
    """The limit without the people's own."""
    most_km: int | None = None


NO_PREFERENCES = Preferences()


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
    preferences: Preferences = NO_PREFERENCES


def is_alone(need: Need) -> bool:
    """Whether the party is minors without an adult: they are never sent to a private home."""
    return need.people.adults == 0 or Audience.UNACCOMPANIED_MINORS in need.audience


def as_posted(need: Need) -> Need:
    """The need without what its people added on their slip: a place that they have is kept by this alone."""
    said = need.preferences
    limit = need.max_km if said.most_km is None else said.posted_max_km
    return replace(need, requires=need.requires - said.waits_for, max_km=limit, preferences=NO_PREFERENCES)
