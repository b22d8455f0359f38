"""A picture of the nights ahead: the parties, the rooms, the volunteers and their shifts of one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from geo.cells import Cell
from matching.needs import Need, OfferId
from matching.offers import Offer
from matching.policy import Policy
from matching.schedule import Session
from matching.vocabulary import Acceptance
from matching.windows import Window

__all__ = ["Guest", "House", "Origin", "Passage", "Picture", "Room", "Serving", "Stay", "Volunteers"]


@dataclass(frozen=True, slots=True)
class Stay:
    """A place that people have: its slots still to come, since when, and whether they are there by now."""

    offer_id: OfferId
    slots: tuple[int, ...]
    people: int
    km: int
    since: datetime
    arrived: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a party asked, and where it is looked after now.

    `max_km` is its own limit from its own town, however far it was passed on; `tried` are towns that are not asked
    (again) for it, `accepted` how many took it before.
    """

    town_id: int
    cell: Cell
    max_km: int | None
    searched_town_id: int
    tried: frozenset[int] = frozenset()
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Guest:
    """A party of the nights ahead: how many of it lack a place, and the places that others of it have.

    Without an `origin` it is passed on to nobody. Nobody knows of it before `comes`, where that is given.
    """

    need: Need
    waited_hours: float
    left: int
    stays: tuple[Stay, ...] = ()
    origin: Origin | None = None
    comes: datetime | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """One night of a house: what the room has, who is in it, and who may be in it without volunteers."""

    slot: int
    window: Window
    places: int
    used: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class House:
    """An offer, the rooms of its site by slot, and the volunteers it asks for (`None`: none)."""

    offer: Offer
    site_id: UUID
    skill: str | None
    each: int
    minimum: int
    rooms: Mapping[int, Room]


@dataclass(frozen=True, slots=True)
class Volunteers:
    """A pledge; `declined` are the slots it will not serve."""

    pledge_id: UUID
    organization_id: UUID
    skill: str
    headcount: int
    weekly: int
    cell: Cell
    radius_km: int
    turns: tuple[Session, ...]
    declined: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Serving:
    """A shift of a pledge; one without a slot here counts against its limits alone."""

    pledge_id: UUID
    slot: int | None
    window: Window
    day: date
    volunteers: int
    live: bool = True


@dataclass(frozen=True, slots=True)
class Passage:
    """One direction of a pact in force: people who may be passed on from one town to the other, so many a week.

    `abroad` says that a border lies between the towns; `used` are the people who count already, by the week's Monday.
    """

    pact_id: UUID
    from_town_id: int
    to_town_id: int
    town: str
    cell: Cell
    country: str
    inhabitants: int
    abroad: bool
    categories: frozenset[str]
    crosses_border: bool
    acceptance: Acceptance
    per_week: int
    used: Mapping[date, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """All there is at one moment for the nights ahead."""

    now: datetime
    policy: Policy
    guests: tuple[Guest, ...]
    houses: tuple[House, ...]
    volunteers: tuple[Volunteers, ...]
    shifts: tuple[Serving, ...]
    passages: tuple[Passage, ...] = ()
    in_projects: tuple[Guest, ...] = ()
    """Parties of projects, who are placed as a whole or not at all: here nobody places them, and they keep what they
    have."""
