"""When something is there, as rows of offers and of pledges say it."""

from dataclasses import dataclass
from datetime import date, time
from typing import Final

from importing import cells
from importing.columns import Column
from importing.reading import Reading

__all__ = ["COLUMNS", "When", "when_of"]

COLUMNS: Final = (
    Column("first_day", required=True),
    Column("last_day", required=True),
    Column("opens", required=True),
    Column("closes", required=True),
    Column("days"),
    Column("timezone"),
)


@dataclass(frozen=True, slots=True)
class When:
    """Days and local hours; `rrule` says on which of the days."""

    first_day: date
    last_day: date
    opens: time
    closes: time
    rrule: str
    timezone: str

    def __str__(self) -> str:
        """In one line, for people."""
        days = "" if self.rrule == cells.EVERY_DAY else f" ({self.rrule})"
        return f"{self.first_day} to {self.last_day}, {self.opens:%H:%M} to {self.closes:%H:%M}{days}"


def when_of(row: Reading, zone: str) -> When:
    """What a row says of its days; `zone` is that of its town, where it says none."""
    return When(
        first_day=row.must("first_day", cells.day),
        last_day=row.must("last_day", cells.day),
        opens=row.must("opens", cells.clock),
        closes=row.must("closes", cells.clock),
        rrule=row.may("days", cells.recurrence, cells.EVERY_DAY),
        timezone=row.may("timezone", cells.name, zone),
    )
