"""Practices: what a town or an association does for people on the road, told so that the next town can do it too.

All of it is chosen from lists or counted: there is no text in which somebody could be named. What came of a practice
is not told by who does it: it is what the public figures say of its town and its kind of help since it began.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from matching.refusals import Flaw
from matching.vocabulary import Audience

__all__ = ["Doing", "Funding", "Means", "Obstacle", "PracticeState", "PracticeTerms", "flaws_of"]


class Doing(StrEnum):
    """What is done."""

    MUNICIPAL_BUILDING = "municipal_building"
    """A building of the town is opened: a gym, a school, a former office."""
    NIGHT_SHELTER = "night_shelter"
    DAY_CENTRE = "day_centre"
    HOMES_NETWORK = "homes_network"
    """Private homes that take people in, visited and called by one association."""
    SELF_RUN_HOUSE = "self_run_house"
    """A house that those who live in it run themselves."""
    HOUSING_LEASES = "housing_leases"
    """Flats that a town or an association rents for people who settle."""
    RESETTLEMENT = "resettlement"
    """People of a camp or slum who move to homes together."""
    SHOWERS = "showers"
    LAUNDRY = "laundry"
    MEALS = "meals"
    CLASSES = "classes"
    HEALTH_DESK = "health_desk"
    LEGAL_DESK = "legal_desk"
    DRIVERS = "drivers"
    INTERPRETERS = "interpreters"


class Means(StrEnum):
    """What it rests on."""

    EMPTY_BUILDING = "empty_building"
    VOLUNTEERS = "volunteers"
    PAID_STAFF = "paid_staff"
    OWNERS_AGREEMENT = "owners_agreement"
    STATE_AGREEMENT = "state_agreement"
    COUNCIL_VOTE = "council_vote"
    PACT = "pact"
    """Another town takes part, by a pact."""


class Funding(StrEnum):
    """Who pays for it."""

    TOWN = "town"
    REGION = "region"
    STATE = "state"
    EUROPEAN_UNION = "european_union"
    FOUNDATION = "foundation"
    DONATIONS = "donations"
    NOBODY = "nobody"


class Obstacle(StrEnum):
    """What stood in the way."""

    NO_BUILDING = "no_building"
    NO_VOLUNTEERS = "no_volunteers"
    NO_MONEY = "no_money"
    NO_PERMISSION = "no_permission"
    NEIGHBOURS = "neighbours"
    STATE_REFUSED = "state_refused"
    PROSECUTION = "prosecution"


class PracticeState(StrEnum):
    """Whether the network sees it."""

    TOLD = "told"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class PracticeTerms:
    """A practice as its organization states it.

    `first_month` and `last_month` are the first days of months; no `last_month`: it goes on. `places` are people a day
    (or a night), `volunteers` people, `paid_hours_per_week` hours of all together, `cost_per_year` whole units of
    `currency`. `named` says whether the network is told which organization it is.
    """

    town_id: int
    doing: Doing
    category: str
    audience: frozenset[Audience]
    first_month: date
    last_month: date | None
    places: int | None
    volunteers: int | None
    paid_hours_per_week: int | None
    cost_per_year: int | None
    currency: str | None
    means: frozenset[Means]
    funding: frozenset[Funding]
    obstacles: frozenset[Obstacle]
    named: bool


def flaws_of(terms: PracticeTerms, towns: Collection[int], today: date) -> Iterator[Flaw]:
    """What is wrong with a practice of an organization that works in these towns."""
    if terms.town_id not in towns:
        yield Flaw("/town", "not_its_town")
    if terms.first_month > today:
        yield Flaw("/first_month", "in_the_future")
    if terms.last_month is not None and terms.last_month < terms.first_month:
        yield Flaw("/last_month", "before_first_month")
    if (terms.cost_per_year is None) != (terms.currency is None):
        yield Flaw("/currency" if terms.currency is None else "/cost_per_year", "required")
