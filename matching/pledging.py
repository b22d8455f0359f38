"""What volunteers may be counted on: the terms of a pledge as its association states them."""

from dataclasses import dataclass
from datetime import date, datetime, time

from matching.schedule import Schedule, Session, sessions_ahead, zone_named
from matching.vocabulary import Coverage

__all__ = ["PledgeTerms", "turns_of", "volunteers_for"]


@dataclass(frozen=True, slots=True)
class PledgeTerms:
    """Volunteers with one skill: how many at once, when, how far from their town, how many shifts a week at most.

    `opens` and `closes` are local times of `timezone` between which they may serve; `closes` at or before `opens`
    means the next morning.
    """

    town_id: int
    skill: str
    headcount: int
    radius_km: int
    first_day: date
    last_day: date
    timezone: str
    opens: time
    closes: time
    rrule: str
    shifts_per_week_max: int


def volunteers_for(people: int, each: int, minimum: int) -> int:
    """How many volunteers a site needs while so many people are in it; none for nobody."""
    return 0 if people == 0 else max(1, minimum, -(-people // each))


def turns_of(terms: PledgeTerms, now: datetime) -> tuple[Session, ...]:
    """The times at which they may serve, each with the local day on which it begins. Raises `Invalid`."""
    schedule = Schedule(
        first_day=terms.first_day,
        last_day=terms.last_day,
        zone=zone_named(terms.timezone),
        opens=terms.opens,
        closes=terms.closes,
        rrule=terms.rrule,
    )
    return sessions_ahead(schedule, Coverage.ANY, now)
