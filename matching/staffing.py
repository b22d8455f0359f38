"""Staffing: which sites to open with which volunteers, so that those who wait get a place; what is asked and answered.

`staffing_greedy` finds a plan in milliseconds, `staffing_programme` a better one where it has seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from matching.pledging import volunteers_for
from matching.windows import Window

__all__ = [
    "Call",
    "Choice",
    "Crew",
    "Duty",
    "Party",
    "Region",
    "StaffingPlan",
    "Watch",
    "monday_of",
    "volunteers_for",
]


@dataclass(frozen=True, slots=True)
class Watch:
    """A slot whose site asks for volunteers: who is in it, what its room has, and the volunteers who surely come."""

    slot: int
    site: UUID
    window: Window
    used: int
    places: int
    volunteers: int
    each: int
    """People that one volunteer can serve."""
    minimum: int

    @property
    def lacks_volunteers(self) -> bool:
        """Whether those who surely come are too few for who is in it."""
        return self.volunteers < volunteers_for(self.used, self.each, self.minimum)


@dataclass(frozen=True, slots=True)
class Duty:
    """A live shift of a crew."""

    window: Window
    day: date
    volunteers: int


@dataclass(frozen=True, slots=True)
class Crew:
    """A pledge's volunteers: how many at once, how many shifts a week at most, and the shifts they have."""

    pledge: UUID
    organization: UUID
    headcount: int
    weekly: int
    duties: tuple[Duty, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Slots of one offer that a party could take if they were staffed: one for each of its nights, or one in all."""

    slots: tuple[int, ...]
    km: int


@dataclass(frozen=True, slots=True)
class Party:
    """Who waits: people, tier (0 is vital) and where they could go."""

    people: int
    tier: int
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """All that one plan is made of.

    `able`: by slot, the crews (by position) that are near enough, skilled and willing all through it, each with the
    day on which that shift would count.
    """

    parties: tuple[Party, ...]
    watches: Mapping[int, Watch]
    crews: tuple[Crew, ...]
    able: Mapping[int, Sequence[tuple[int, date]]]


@dataclass(frozen=True, slots=True)
class Call:
    """A shift to plan: volunteers of a crew (by position) for a slot."""

    crew: int
    slot: int
    day: date
    volunteers: int


@dataclass(frozen=True, slots=True)
class StaffingPlan:
    """Shifts to plan, the people who keep their place by them, and those whom they give one, by tier.

    `seats` says where: parties and their choices, by position. `opened` slots had no volunteers before.
    """

    calls: tuple[Call, ...]
    kept: int
    people: tuple[int, int, int]
    km: int
    opened: int = 0
    seats: tuple[tuple[int, int], ...] = ()

    @property
    def served(self) -> tuple[int, ...]:
        """What comes before everything else: who keeps a place, then the most urgent, then the others."""
        return (self.kept, *self.people)

    @property
    def merit(self) -> tuple[int, ...]:
        """What is better: more people; then fewer slots opened, fewer shifts; nearer."""
        return (*self.served, -self.opened, -len(self.calls), -self.km)


def monday_of(day: date) -> date:
    """The Monday of a day's week, which is what weekly limits count."""
    return day - timedelta(days=day.weekday())
