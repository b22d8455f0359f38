"""An offer as the matching sees it, with the slots that concern one need."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from geo.cells import Cell
from matching.needs import Language, OfferId
from matching.states import OfferState
from matching.vocabulary import Audience, SiteKind
from matching.windows import Window

__all__ = ["Offer", "Slot"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One dated piece of capacity: places in all, places still free, and until when a party may arrive.

    `unstaffed` places are in the room too, but nobody serves them yet.
    """

    id: int
    day: date
    window: Window
    last_arrival: datetime
    capacity: int
    free: int
    unstaffed: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of help at a site. `provides` is the site's and the offer's together; `slots` in time order."""

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
