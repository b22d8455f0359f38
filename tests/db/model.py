"""A small model of needs, offers and allocations, written from the design's words and from nothing else.

It predicts what each act does; the histories compare it with the tables after every step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

__all__ = ["LIVE", "ModelAllocation", "ModelNeed", "ModelOffer", "World"]

LIVE = {"held", "confirmed", "arrived"}
SERVED = LIVE | {"completed", "no_show"}
NEVER_AGAIN = {"declined", "released", "no_show"} | LIVE
STEPS = {
    "held": {"confirmed", "declined", "expired", "released"},
    "confirmed": {"arrived", "declined", "released", "no_show", "completed"},
    "arrived": {"completed", "released"},
}
BY_PROVIDER_ONLY = {"confirmed", "declined"}
NEED_STEPS = {
    "open": {"held", "confirmed", "unmet", "withdrawn", "closed"},
    "unmet": {"held", "confirmed", "withdrawn", "closed"},
    "held": {"open", "unmet", "confirmed", "withdrawn"},
    "confirmed": {"open", "unmet", "held", "withdrawn", "closed"},
}


@dataclass
class ModelOffer:
    """An offer by its nights' capacities."""

    id: UUID
    standing: bool
    capacities: list[int]
    paused: bool = False
    news: bool = False
    """Places appeared here, and the worker has not read of it yet."""


@dataclass
class ModelNeed:
    """A need by its people and its nights, counted from tonight."""

    id: UUID
    people: int
    nights: range
    divisible: bool
    due: bool = True
    withdrawn: bool = False
    unmet: bool = False


@dataclass
class ModelAllocation:
    """People of one need in one offer, and every state that they were in."""

    id: UUID
    need: ModelNeed
    offer: ModelOffer
    people: int
    states: list[str]
    overdue: bool = False

    @property
    def state(self) -> str:
        """The state now."""
        return self.states[-1]


@dataclass
class World:
    """Everything, in the order in which it came."""

    offers: list[ModelOffer] = field(default_factory=list)
    needs: list[ModelNeed] = field(default_factory=list)
    allocations: list[ModelAllocation] = field(default_factory=list)

    def of(self, need: ModelNeed) -> list[ModelAllocation]:
        """The allocations of a need."""
        return [each for each in self.allocations if each.need is need]

    def used(self, offer: ModelOffer, night: int) -> int:
        """People in an offer on a night."""
        return sum(
            each.people
            for each in self.allocations
            if each.offer is offer and each.state in LIVE and night in each.need.nights
        )

    def left(self, need: ModelNeed) -> int:
        """People of a need who lack a place."""
        return need.people - sum(each.people for each in self.of(need) if each.state in SERVED)

    def state(self, need: ModelNeed) -> str:
        """A need's state, by its allocations."""
        if need.withdrawn:
            return "withdrawn"
        if self.left(need):
            return "unmet" if need.unmet else "open"
        states = {each.state for each in self.of(need)}
        if "held" in states:
            return "held"
        return "confirmed" if states & {"confirmed", "arrived"} else "closed"

    def free(self, offer: ModelOffer, need: ModelNeed) -> int:
        """Places for a need in an offer: those of its fullest night, none where it may not go."""
        tried = {each.state for each in self.of(need) if each.offer is offer}
        if offer.paused or tried & (NEVER_AGAIN | {"expired"}):
            return 0
        return max(0, min(offer.capacities[night] - self.used(offer, night) for night in need.nights))

    def served_by_a_look(self, need: ModelNeed) -> int:
        """How many people of a need a look finds places for now."""
        left = self.left(need)
        places = [self.free(offer, need) for offer in self.offers]
        if need.divisible:
            return min(left, sum(places))
        return left if any(free >= left for free in places) else 0

    def due(self) -> Iterator[ModelNeed]:
        """Needs that the next round looks at."""
        return (need for need in self.needs if need.due and self.state(need) in {"open", "unmet"})

    def read_news(self) -> None:
        """Whoever waits is due where places appeared; news of an offer that is paused by now wakes nobody."""
        if any(offer.news and not offer.paused for offer in self.offers):
            for need in self.needs:
                need.due = True
        for offer in self.offers:
            offer.news = False
