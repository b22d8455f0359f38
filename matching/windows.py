"""Time as needs and slots know it: windows, nights, and the part of a slot that still lies ahead."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["MORNING", "Window", "day_of", "nights_of"]

MORNING = time(6, 0)
"""Local time at which a night is over: who needs a bed at any moment between midnight and this needs that night."""


@dataclass(frozen=True, slots=True)
class Window:
    """From one instant to a later one, the end excluded; both carry an offset."""

    starts: datetime
    ends: datetime

    def __post_init__(self) -> None:
        if self.starts.tzinfo is None or self.ends.tzinfo is None:
            raise ValueError("a window's instants carry an offset")
        if self.ends <= self.starts:
            raise ValueError("a window ends after it starts")

    def overlaps(self, other: "Window") -> bool:
        """Whether some moment lies in both."""
        return self.starts < other.ends and other.starts < self.ends

    def within(self, other: "Window") -> timedelta:
        """How much of this window lies in the other."""
        return max(min(self.ends, other.ends) - max(self.starts, other.starts), timedelta(0))


@lru_cache(maxsize=4096)
def nights_of(window: Window, zone: ZoneInfo) -> tuple[date, ...]:
    """The nights that a window asks for, each by the local date of its evening.

    A night is asked for when the window holds any moment between local midnight and `MORNING`: 18:00 to 09:00
    three days later is three nights, an arrival at 02:00 asks for the night that began the evening before, and
    a stay that ends at 22:00 does not ask for the night that follows. Empty for a window of daytime only.
    """
    first = window.starts.astimezone(zone).date() - timedelta(days=1)
    last = window.ends.astimezone(zone).date()
    evenings = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return tuple(evening for evening in evenings if window.overlaps(_small_hours_after(evening, zone)))


def day_of(opens: datetime, *, by_night: bool) -> date:
    """The local date that a slot belongs to; a night that opens after midnight belongs to the evening before."""
    if by_night and opens.time() < MORNING:
        return opens.date() - timedelta(days=1)
    return opens.date()


def _small_hours_after(evening: date, zone: ZoneInfo) -> Window:
    midnight = datetime.combine(evening + timedelta(days=1), time(0), zone)
    morning = datetime.combine(evening + timedelta(days=1), MORNING, zone)
    return Window(midnight.astimezone(UTC), morning.astimezone(UTC))
