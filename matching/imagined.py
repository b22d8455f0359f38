"""An offer that is not there: what it would be if somebody opened it now, for planners. It is never stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from geo.borders import country_of_zone
from geo.cells import Cell
from matching.needs import OfferId
from matching.offering import OfferTerms, check
from matching.offers import Offer, Slot
from matching.states import OfferState
from matching.vocabulary import Coverage, SiteKind
from matching.windows import Window

__all__ = ["Ground", "imagined_offer"]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where it would stand, and what its house would have; `timezone` is the town's."""

    town_id: int
    cell: Cell
    country: str
    timezone: str
    kind: SiteKind
    provides: frozenset[str] = frozenset()


def imagined_offer(
    offer_id: UUID,
    owner: UUID,
    terms: OfferTerms,
    coverage: Coverage,
    ground: Ground,
    now: datetime,
    ids: Iterator[int],
) -> Offer:
    """The offer with those of its slots that are not over, empty, verified now, a home visited; `ids` name slots.

    Raises `Invalid` for terms that nobody could open.
    """
    sessions = check(terms, coverage, (ground.country, country_of_zone(ground.timezone)), now)
    return Offer(
        id=OfferId(offer_id),
        organization_id=owner,
        town_id=ground.town_id,
        category=terms.category,
        state=OfferState.OPEN,
        cell=ground.cell,
        country=ground.country,
        site_kind=ground.kind,
        vetted=True,
        audience=terms.audience,
        provides=terms.provides | ground.provides,
        language=terms.language,
        party_max=terms.party_max,
        nights_max=terms.nights_max,
        verified_at=now,
        slots=tuple(
            Slot(next(ids), one.day, Window(one.starts, one.ends), one.last_arrival, terms.capacity, terms.capacity)
            for one in sessions
            if one.ends > now
        ),
    )
