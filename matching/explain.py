"""Why this place, and why not each other one: decisions told as data.

An explanation compares things as they stand now, by the same rules and the same costs that decide. Sentences
live in the catalogues of `api`; which offers a reader may be told by name is decided there too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from geo.distance import Kilometres, kilometres_between
from matching.assign import Candidate, Cost, cost_of
from matching.needs import Need, OfferId
from matching.offers import Offer, Slot
from matching.policy import Policy
from matching.rules import Circumstances, Facts, Failure, cover, failures, radius
from matching.states import AllocationState

__all__ = ["MOST_OTHERS", "Chosen", "Explanation", "Lost", "Other", "Placement", "Term", "explain", "unmet_reasons"]

MOST_OTHERS = 20
"""How many other offers are told one by one; the rest are counted."""


class Term(StrEnum):
    """What decides about an offer that keeps every rule."""

    TRAVEL = "travel"
    """It is farther than the place chosen."""
    LOAD = "load"
    """It is fuller than the place chosen."""
    TIE = "tie"
    """It is as good, and lost by lot."""
    KEPT = "kept"
    """It has become better since, but nobody is moved for a small gain."""
    FITS = "fits"
    """It fits, and people of the need still lack a place: the next look takes it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A place that people of the need have: `begins` are the starts of its slots."""

    allocation_id: UUID
    offer_id: OfferId
    state: AllocationState
    people: int
    distance: Kilometres
    policy_version: int
    begins: frozenset[datetime]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A place and what it costs the party, in kilometres."""

    placement: Placement
    cost: Cost


@dataclass(frozen=True, slots=True)
class Lost:
    """The term that an offer lost on, with the facts of its sentence."""

    term: Term
    facts: Facts = ()


@dataclass(frozen=True, slots=True)
class Other:
    """An offer that was not chosen: the first rule that it fails, or the term that it lost on."""

    offer: Offer
    distance: Kilometres
    reason: Failure | Lost

    @property
    def code(self) -> str:
        """The code of the rule or the term."""
        return self.reason.rule if isinstance(self.reason, Failure) else self.reason.term.value


@dataclass(frozen=True, slots=True)
class Explanation:
    """The places chosen, the nearest others, and how often each code decided about the rest.

    `left` is how many people still lack a place.
    """

    chosen: tuple[Chosen, ...]
    others: tuple[Other, ...]
    counts: Mapping[str, int]
    left: int


def explain(
    need: Need, placements: Sequence[Placement], had: Sequence[Offer], around: Sequence[Offer], at: Circumstances
) -> Explanation:
    """Explain a need.

    `had` are the offers of its placements, their slots counted as if its own people were not there; `around` are
    the others, nearest first.
    """
    offers = {offer.id: offer for offer in had}
    chosen = tuple(
        Chosen(placement, _cost_of_placement(placement, offers.get(placement.offer_id), need, at.policy))
        for placement in placements
    )
    left = max(need.people.count - sum(placement.people for placement in placements), 0)
    # Places were taken from best to worst, so who came after lost to the last.
    last = max((each.cost for each in chosen), key=lambda cost: cost.total, default=None) if left == 0 else None
    others = [_other(need, offer, last, at) for offer in around if offer.id not in offers]
    return Explanation(
        chosen=chosen,
        others=tuple(others[:MOST_OTHERS]),
        counts=_counted(other.code for other in others[MOST_OTHERS:]),
        left=left,
    )


def unmet_reasons(need: Need, offers: Sequence[Offer], at: Circumstances) -> dict[str, int]:
    """Why a need got no place: how often each rule was the first to fail among the offers within its reach.

    `{"category": 0}` when nobody offers this help at all, `{"distance": n}` when all who do are too far.
    """
    same = [offer for offer in offers if offer.category == need.category]
    if not same:
        return {"category": 0}
    most = radius(need, at.policy)
    near = [offer for offer in same if kilometres_between(need.cell, offer.cell) <= most]
    if not near:
        return {"distance": len(same)}
    first = (next(failures(need, offer, at), None) for offer in near)
    return _counted(failure.rule for failure in first if failure is not None)


def _other(need: Need, offer: Offer, last: Cost | None, at: Circumstances) -> Other:
    km = kilometres_between(need.cell, offer.cell)
    failure = next(failures(need, offer, at), None)
    if failure is not None:
        return Other(offer, km, failure)
    if last is None:
        return Other(offer, km, Lost(Term.FITS))
    cost = _cost(cover(need, offer, at.now), offer, km, need, at.policy)
    return Other(offer, km, _lost(cost, last))


def _lost(cost: Cost, chosen: Cost) -> Lost:
    farther, fuller = cost.travel - chosen.travel, cost.load - chosen.load
    if cost.total < chosen.total:
        return Lost(Term.KEPT)
    if cost.total == chosen.total:
        return Lost(Term.TIE)
    if farther >= fuller:
        return Lost(Term.TRAVEL, (("km", round(farther)),))
    return Lost(Term.LOAD)


def _cost_of_placement(placement: Placement, offer: Offer | None, need: Need, policy: Policy) -> Cost:
    slots = () if offer is None else tuple(slot for slot in offer.slots if slot.window.starts in placement.begins)
    if offer is None or not slots:
        return Cost(float(placement.distance), 0.0)
    return _cost(slots, offer, placement.distance, need, policy)


def _cost(slots: Sequence[Slot], offer: Offer, km: Kilometres, need: Need, policy: Policy) -> Cost:
    candidate = Candidate(
        offer_id=offer.id,
        slots=tuple(slot.id for slot in slots),
        free=min(slot.free for slot in slots),
        capacity=min(slot.capacity for slot in slots),
        distance=km,
        tie=0,
        version=0,
    )
    return cost_of(candidate, need.people.count, policy)


def _counted(codes: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(codes).items()))
