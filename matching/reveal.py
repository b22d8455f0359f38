"""When a place may be read: the one rule of the reveal, for the two sides of an allocation and for its people.

That somebody stands in the allocation, as its provider, as the poster of the need or with the need's slip code, is for
the queries to establish; whoever does reads the same, at the same time, and nobody else reads anything. This says what
that is. It knows no clock: the moment is given, and it is to be the database's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from matching.states import AllocationState
from matching.vocabulary import SiteKind, Visibility

__all__ = ["AHEAD", "Occasion", "ReadingTime", "Revealed", "is_met_nowhere", "is_public", "reading_time", "revealed"]

AHEAD: Final = timedelta(hours=12)
"""How long before its first slot begins a place that is not public can be read."""
_OPENS: Final = frozenset({AllocationState.CONFIRMED, AllocationState.ARRIVED})


class Revealed(StrEnum):
    """What may be read."""

    ADDRESS = "address"
    MEETING_POINT = "meeting_point"
    """Where somebody fetches the party; the address itself stays unread."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What the reveal hangs on: the site, where the allocation stands, and when its first and last slot are."""

    kind: SiteKind
    visibility: Visibility
    state: AllocationState
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class ReadingTime:
    """When a place can be read: from `opens` until before `closes`. Without `opens`, since it was confirmed."""

    opens: datetime | None
    closes: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is that time."""
        return now < self.closes and (self.opens is None or self.opens <= now)


def is_public(kind: SiteKind, visibility: Visibility) -> bool:
    """Whether anybody may know which place it is. A home is never public, whatever its owner chose."""
    return visibility is Visibility.PUBLIC and kind is not SiteKind.PRIVATE_HOME


def is_met_nowhere(visibility: Visibility, meeting_point: str | None) -> bool:
    """Whether whoever has a place would be told no way at all: of a rendezvous the meeting point alone is revealed."""
    return visibility is Visibility.RENDEZVOUS and not meeting_point


def reading_time(occasion: Occasion) -> ReadingTime | None:
    """When the place can be read as things stand; `None` where the allocation does not allow it at all."""
    if occasion.state not in _OPENS:
        return None
    public = is_public(occasion.kind, occasion.visibility)
    return ReadingTime(None if public else occasion.begins - AHEAD, occasion.ends)


def revealed(occasion: Occasion, now: datetime) -> Revealed | None:
    """What may be read at this moment; `None` for nothing. A rendezvous without a meeting point reveals nothing."""
    reading = reading_time(occasion)
    if reading is None or not reading.holds(now):
        return None
    return Revealed.MEETING_POINT if occasion.visibility is Visibility.RENDEZVOUS else Revealed.ADDRESS
