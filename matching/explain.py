"""Why this place, and why not each other one: decisions told as data.

An explanation compares things as they stand now, by the same rules and the same costs that decide; what a place cost
when it was chosen is told beside it, as it was written down then. Sentences live in the catalogues of `api`; which
offers a reader may be told by name is decided there too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf
from uuid import UUID

from geo.cells import centroid
from geo.distance import Kilometres, great_circle, kilometres_between
from geo.travel import minutes_between
from matching.assign import MIDDLING_MARK, Candidate, Cost, Decision, Way, cost_of, counted_mark
from matching.needs import Need, OfferId
from matching.offers import Offer, Slot
from matching.pathways import MOST_WEIGHED
from matching.policy import Policy
from matching.preferring import preference_km
from matching.rules import Circumstances, Facts, Failure, cover, failures, radius
from matching.states import AllocationState
from matching.vocabulary import Coverage

__all__ = ["MOST_OTHERS", "Chosen", "Explanation", "Lost", "Other", "Placement", "Term", "explain", "unmet_reasons"]

MOST_OTHERS = 20
"""How many other offers are told one by one; the rest are counted."""


class Term(StrEnum):
    """What decides about an offer that keeps every rule."""

    TRAVEL = "travel"
    """It is farther than the place chosen."""
    LOAD = "load"
    """It is fuller than the place chosen."""
    PRICE = "price"
    """Its places are scarcer: others need them more."""
    TOWN = "town"
    """Its town carries more beyond its share."""
    ASSOCIATION = "association"
    """Its association carries more beyond its share."""
    TIME = "time"
    """The way there takes longer."""
    PREFERENCE = "preference"
    """It suits what the people said on their slip less."""
    MARKS = "marks"
    """It is as good, and people who were there gave it lower marks."""
    TIE = "tie"
    """It is as good, and lost by lot."""
    BEYOND = "beyond"
    """It would be better, but as many nearer ones fit as are weighed."""
    KEPT = "kept"
    """It has become better since, but the place chosen is promised already."""
    SMALL_GAIN = "small_gain"
    """It has become better since, but nobody is moved for a small gain."""
    IMPROVES = "improves"
    """It has become better since, and much nearer: a round may still move the party there."""
    TOGETHER = "together"
    """It would be better by itself, but steps of a pathway or parties of a project were chosen to be close together."""
    PLAN = "plan"
    """It fits, but a party of a project has a place by a plan alone, with enough of the others near it."""
    FITS = "fits"
    """It fits, and people of the need still lack a place: the next look takes it."""


_COSTS = (Term.TRAVEL, Term.TIME, Term.PREFERENCE, Term.LOAD, Term.PRICE, Term.TOWN, Term.ASSOCIATION)
"""Terms that are a part of `Cost`; of those that weigh the same, the first is told."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A place that people of the need have: `begins` are the starts of its slots.

    `tentative` while a round may still choose another; `decision` is `None` where it was not written down.
    """

    allocation_id: UUID
    offer_id: OfferId
    state: AllocationState
    people: int
    distance: Kilometres
    policy_version: int
    begins: frozenset[datetime]
    minutes: int | None = None
    """How long the way takes, as it was known when the place was chosen."""
    tentative: bool = False
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A place, what it costs the party now, in kilometres, and the mark that counts for it among equals."""

    placement: Placement
    cost: Cost
    mark: float = MIDDLING_MARK


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


@dataclass(frozen=True, slots=True)
class _Beyond:
    """As far as places were weighed, in unrounded kilometres, and how many that are."""

    km: float
    weighed: int


_SAME_KM = 1e-6
"""As far as the last is as near as the last."""


def explain(
    need: Need,
    placements: Sequence[Placement],
    had: Sequence[Offer],
    around: Sequence[Offer],
    at: Circumstances,
    *,
    in_project: bool = False,
) -> Explanation:
    """Explain a need.

    `had` are the offers of its placements, their slots counted as if its own people were not there; `around` are
    the others, nearest first. A party `in_project` takes no place by itself.
    """
    offers = {offer.id: offer for offer in had}
    chosen = tuple(_chosen(need, placement, offers.get(placement.offer_id), at.policy) for placement in placements)
    left = max(need.people.count - sum(placement.people for placement in placements), 0)
    # Places were taken from best to worst, so who came after lost to the last.
    last = max(chosen, key=lambda each: each.cost.total, default=None) if left == 0 else None
    beyond = None if last is None else _beyond(need, last, had, around, at)
    fits = Term.PLAN if in_project else Term.FITS
    others = [_other(need, offer, last, beyond, at, fits) for offer in around if offer.id not in offers]
    return Explanation(
        chosen=chosen,
        others=tuple(others[:MOST_OTHERS]),
        counts=_counted(other.code for other in others[MOST_OTHERS:]),
        left=left,
    )


def unmet_reasons(
    need: Need, offers: Sequence[Offer], at: Circumstances, *, in_project: bool = False
) -> dict[str, int]:
    """Why a need got no place: how often each rule was the first to fail among the offers within its reach.

    `{"category": 0}` when nobody offers this help at all, `{"distance": n}` when all who do are too far. Of a party
    `in_project` `plan` counts those that fit it, but not enough of the others near it.
    """
    same = [offer for offer in offers if offer.category == need.category]
    if not same:
        return {"category": 0}
    most = radius(need, at.policy)
    near = [offer for offer in same if kilometres_between(need.cell, offer.cell) <= most]
    if not near:
        return {"distance": len(same)}
    first = [next(failures(need, offer, at), None) for offer in near]
    fitting = [Term.PLAN.value for failure in first if failure is None and in_project]
    return _counted([*(failure.rule for failure in first if failure is not None), *fitting])


def _other(
    need: Need, offer: Offer, last: Chosen | None, beyond: _Beyond | None, at: Circumstances, fits: Term
) -> Other:
    km = kilometres_between(need.cell, offer.cell)
    failure = next(failures(need, offer, at), None)
    if failure is not None:
        return Other(offer, km, failure)
    if last is None or beyond is None:
        return Other(offer, km, Lost(fits))
    cost = _cost(need, cover(need, offer, at.now), offer, km, at.policy)
    if cost.total < last.cost.total and _away(need, offer) > beyond.km:
        return Other(offer, km, Lost(Term.BEYOND, (("count", beyond.weighed),)))
    return Other(offer, km, _lost(cost, counted_mark(offer.mark), last, need, at.policy))


def _beyond(need: Need, last: Chosen, had: Sequence[Offer], around: Sequence[Offer], at: Circumstances) -> _Beyond:
    weighed = _weighed(last.placement.decision, at.policy)
    fitting = [offer for offer in around if next(failures(need, offer, at), None) is None]
    away = sorted(_away(need, offer) for offer in (*had, *fitting))
    return _Beyond(away[weighed - 1] + _SAME_KM if len(away) >= weighed else inf, weighed)


def _weighed(decision: Decision | None, policy: Policy) -> int:
    """How many of the nearest offers were weighed for a place."""
    way = Way.AT_ONCE if decision is None else decision.way
    if way is Way.TOGETHER:
        return MOST_WEIGHED
    return policy.candidates if way is Way.AT_ONCE else policy.round_candidates


def _away(need: Need, offer: Offer) -> float:
    return great_circle(centroid(need.cell), centroid(offer.cell))


def _lost(cost: Cost, mark: float, chosen: Chosen, need: Need, policy: Policy) -> Lost:
    """What weighed most against an offer that fits."""
    as_good = cost.total == chosen.cost.total
    if cost.total < chosen.cost.total and _is_together(chosen.placement):
        return Lost(Term.TOGETHER)
    if cost.total < chosen.cost.total or (as_good and mark > chosen.mark):
        return Lost(_why_not_moved(cost, chosen, need, policy))
    if as_good:
        return Lost(Term.TIE if mark == chosen.mark else Term.MARKS)
    more = {term: getattr(cost, term) - getattr(chosen.cost, term) for term in _COSTS}
    most = max(more, key=lambda term: more[term])
    return Lost(most) if most is Term.LOAD else Lost(most, (("km", max(round(more[most]), 1)),))


def _why_not_moved(cost: Cost, chosen: Chosen, need: Need, policy: Policy) -> Term:
    """Why a party stays though this would be better now: rounds move only whose provider was not asked yet."""
    if not chosen.placement.tentative or need.coverage is not Coverage.EVERY or need.divisible:
        return Term.KEPT
    return Term.IMPROVES if _own(chosen.cost) - _own(cost) >= policy.move_gain_km else Term.SMALL_GAIN


def _is_together(placement: Placement) -> bool:
    return placement.decision is not None and placement.decision.way is Way.TOGETHER


def _own(cost: Cost) -> float:
    """What of a cost the party itself bears: for that it may be moved."""
    return cost.travel + cost.time + cost.preference


def _chosen(need: Need, placement: Placement, offer: Offer | None, policy: Policy) -> Chosen:
    slots = () if offer is None else tuple(slot for slot in offer.slots if slot.window.starts in placement.begins)
    if offer is None or not slots:
        return Chosen(placement, Cost(float(placement.distance), 0.0))
    # What is told of a pathway's step is how far it is from the town; what was weighed is the way from the bed.
    km = kilometres_between(need.cell, offer.cell) if _is_together(placement) else placement.distance
    cost = _cost(need, slots, offer, km, policy)
    return Chosen(placement, cost, counted_mark(offer.mark))


def _cost(need: Need, slots: Sequence[Slot], offer: Offer, km: Kilometres, policy: Policy) -> Cost:
    candidate = Candidate(
        offer_id=offer.id,
        slots=tuple(slot.id for slot in slots),
        free=min(slot.free for slot in slots),
        capacity=min(slot.capacity for slot in slots),
        distance=km,
        tie=0,
        version=0,
        price=sum(slot.price for slot in slots),
        town_load=offer.town_load,
        association_load=offer.association_load,
        minutes=minutes_between(need.cell, offer.cell) if offer.minutes is None else offer.minutes,
        preference=preference_km(need, offer.cell, offer.provides, policy),
    )
    return cost_of(candidate, policy)


def _counted(codes: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(codes).items()))
