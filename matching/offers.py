"""An offer as the matching sees it, with the slots that concern one need."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from geo.cells import Cell
from geo.travel import Minutes
from matching.needs import Language, OfferId
from matching.pledging import volunteers_for
from matching.states import OfferState
from matching.vocabulary import Audience, SiteKind
from matching.windows import Window

__all__ = ["Crew", "Offer", "Slot"]


@dataclass(frozen=True, slots=True)
class Crew:
    """Volunteers of one slot: how many people each of them serves, the fewest that open it, and those it has."""

    each: int
    minimum: int
    volunteers: int

    def missing_for(self, people: int) -> int:
        """How many more volunteers it would take to serve so many people."""
        return max(volunteers_for(people, self.each, self.minimum) - self.volunteers, 0)


@dataclass(frozen=True, slots=True)
class Slot:
    """One dated piece of capacity: places in all, places still free, and until when a party may arrive.

    `unstaffed` places are in the room too, but nobody serves them yet; `crew` where the site asks for volunteers.
    `price` is what one more place is worth to others, in kilometres, as far as it counts for the need it is read for.
    """

    id: int
    day: date
    window: Window
    last_arrival: datetime
    capacity: int
    free: int
    unstaffed: int = 0
    crew: Crew | None = None
    price: float = 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of help at a site. `provides` is the site's and the offer's together; `slots` in time order.

    The loads are those of its town and its association, in times the network's. `minutes` is how long the way there
    takes as a routing engine said, for the need that it is read for; `mark` the mean of the marks that people gave its
    site, `None` where they are too few to count.
    """

    id: OfferId
    organization_id: UUID
    town_id: int
    category: str
    state: OfferState
    cell: Cell
    country: str
    site_kind: SiteKind
    vetted: bool
    audience: frozenset[Audience]
    provides: frozenset[str]
    language: Language | None
    party_max: int | None
    nights_max: int | None
    verified_at: datetime
    slots: tuple[Slot, ...] = ()
    town_load: float = 0.0
    association_load: float = 0.0
    minutes: Minutes | None = None
    mark: float | None = None
