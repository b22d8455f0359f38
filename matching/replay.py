"""A past week again, under another policy: who would have gone where if each had been placed as it was posted.

It knows what was asked and what was offered, not what people did: nobody declines, nobody leaves early, and rounds, the
prices that they leave, and volunteers are left out. Loads of towns and associations are those that the replay makes. So
it compares policies with each other, by the same rules and costs that decide, and says nothing of what would have
happened in truth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from geo.distance import kilometres_between
from geo.travel import minutes_between
from matching.assign import Candidate, ranked
from matching.fairness import House, Loads, loads_of
from matching.needs import Need, OfferId
from matching.offers import Offer
from matching.policy import Policy
from matching.rules import Circumstances, cover, failures

__all__ = ["Asked", "Network", "Outcome", "replay"]

_MORNING = timedelta(hours=9)


@dataclass(frozen=True, slots=True)
class Asked:
    """A need and when it was posted."""

    need: Need
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where everybody would have gone: by need, the offer of its first people (`None`: nobody had a place)."""

    went: tuple[OfferId | None, ...]
    people: int
    without: int
    km: float
    """Mean of those who had a place."""
    busiest: float
    """Share of all places taken that were taken at the busiest organization, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Network:
    """Who the offers' hosts are: inhabitants by town, and which organizations are associations."""

    inhabitants: Mapping[int, int]
    associations: frozenset[UUID]


NOBODY = Network({}, frozenset())
"""Of which nothing is known: every town counts the fewest inhabitants, and there are no associations."""


class _Nights:
    """Places and people by night, town and organization: what loads are counted from."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._of: dict[date, dict[tuple[int, UUID], list[int]]] = {}
        for offer in offers:
            for slot in offer.slots:
                used, capacity = slot.capacity - slot.free, slot.capacity
                self._add(offer, slot.day, used, capacity)

    def take(self, offer: Offer, slots: Sequence[int], people: int) -> None:
        """Count people in these slots of an offer."""
        for slot in offer.slots:
            if slot.id in slots:
                self._add(offer, slot.day, people, 0)

    def houses_at(self, at: datetime) -> list[House]:
        """As the worker counts them, but for a night that ends everywhere at nine in universal time."""
        tonight = self._of.get((at - _MORNING).date(), {})
        return [House(town, owner, used, capacity) for (town, owner), (used, capacity) in tonight.items()]

    def _add(self, offer: Offer, day: date, used: int, capacity: int) -> None:
        counted = self._of.setdefault(day, {}).setdefault((offer.town_id, offer.organization_id), [0, 0])
        counted[0] += used
        counted[1] += capacity


def replay(asked: Sequence[Asked], offers: Sequence[Offer], policy: Policy, network: Network = NOBODY) -> Outcome:
    """Place each need in turn, at once and for good; `offers` are as they were when nobody was in them."""
    houses = {offer.id: offer for offer in offers}
    nights = _Nights(offers)
    went: list[OfferId | None] = []
    placed = without = 0
    travelled = 0.0
    taken: dict[object, int] = {}
    for each in asked:
        left, first = each.need.people.count, None
        loads = loads_of(nights.houses_at(each.at), network.inhabitants, network.associations, policy)
        for candidate, people in _places(each, houses, loads, policy):
            offer = houses[candidate.offer_id]
            houses[offer.id] = _fuller(offer, candidate.slots, people)
            nights.take(offer, candidate.slots, people)
            taken[offer.organization_id] = taken.get(offer.organization_id, 0) + people * len(candidate.slots)
            placed, travelled, left = placed + people, travelled + people * candidate.distance, left - people
            first = first or offer.id
        without += left
        went.append(first)
    busiest = max(taken.values(), default=0) / max(sum(taken.values()), 1)
    return Outcome(tuple(went), placed, without, travelled / max(placed, 1), busiest)


def _places(each: Asked, houses: dict[OfferId, Offer], loads: Loads, policy: Policy) -> Iterator[tuple[Candidate, int]]:
    need, left = each.need, each.need.people.count
    at = Circumstances(policy, each.at)
    fitting = [offer for offer in houses.values() if next(failures(need, offer, at), None) is None]
    near = sorted(
        (_candidate(need, offer, loads, at) for offer in fitting), key=lambda found: (found.distance, found.tie)
    )
    for candidate in ranked(near[: policy.candidates], policy):
        people = min(left, candidate.free)
        yield candidate, people
        left -= people
        if left == 0:
            return


def _candidate(need: Need, offer: Offer, loads: Loads, at: Circumstances) -> Candidate:
    slots = cover(need, offer, at.now)
    return Candidate(
        offer_id=offer.id,
        slots=tuple(slot.id for slot in slots),
        free=min(slot.free for slot in slots),
        capacity=min(slot.capacity for slot in slots),
        distance=kilometres_between(need.cell, offer.cell),
        tie=offer.id.int >> 65,
        version=0,
        town_load=loads.town.get(offer.town_id, 0.0),
        association_load=loads.association.get(offer.organization_id, 0.0),
        minutes=minutes_between(need.cell, offer.cell),
    )


def _fuller(offer: Offer, taken: Sequence[int], people: int) -> Offer:
    slots = tuple(replace(slot, free=slot.free - people) if slot.id in taken else slot for slot in offer.slots)
    return replace(offer, slots=slots)
