"""Who gets what, one need at a time: the feasible offers in the order in which they are tried.

All feasible offers serve the same people and break nothing, so what is left of "better" is travel, load, scarcity and
fairness, all in kilometres. Nothing here makes an offer infeasible: what costs much is tried late, but it is tried.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from geo.distance import Kilometres
from geo.travel import Minutes
from matching.fairness import association_km, town_km
from matching.needs import OfferId
from matching.policy import Policy
from matching.preferring import time_km

__all__ = ["MIDDLING_MARK", "Candidate", "Cost", "Decision", "Way", "cost_of", "counted_mark", "ranked", "tie_of"]

MIDDLING_MARK: Final = 3.0
_NO_MINUTES: Final = Minutes(0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feasible offer for one need: its slots by id, the places free in the fullest of them, and its distance.

    `version` is the offer's when it was found feasible: under other terms it may not be. `price` is what rounds found
    one more place in its slots to be worth to others, in kilometres, as far as it counts for this need. The loads are
    times the network's (`matching.fairness`). `preference` is what it costs by what the people said, in kilometres
    (`matching.preferring`); `mark` the mean of the marks that others gave it, `None` where they are too few to count.
    """

    offer_id: OfferId
    slots: tuple[int, ...]
    free: int
    capacity: int
    distance: Kilometres
    tie: int
    version: int
    price: float = 0.0
    town_load: float = 0.0
    association_load: float = 0.0
    minutes: Minutes = _NO_MINUTES
    preference: float = 0.0
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a place costs a party, in kilometres: the way there, how full the house is, and what others lose.

    `price` is scarcity, `town` and `association` what their hosts carry beyond their share, `time` the minutes of the
    way as far as they are weighed, `preference` how far it is from what the people said.
    """

    travel: float
    load: float
    price: float = 0.0
    town: float = 0.0
    association: float = 0.0
    time: float = 0.0
    preference: float = 0.0

    @property
    def total(self) -> float:
        """What candidates are compared by; less is better."""
        own = self.travel + self.time + self.preference
        return own + self.load + self.price + self.town + self.association


class Way(StrEnum):
    """How a place was chosen."""

    AT_ONCE = "at_once"
    """When it was sought: the least costly of the nearest that fit."""
    ROUND = "round"
    """In a round, for a party that had none."""
    MADE_ROOM = "made_room"
    """In a round, for a party that had another, so that others find a place or a nearer one."""
    NEARER = "nearer"
    """In a round, for a party that had another, because it is spared much of the way."""
    TOGETHER = "together"
    """With other steps of its pathway, so that they are near each other."""
    PREFERRED = "preferred"
    """In a round, for a party that had another, because it suits what its people said, or the way takes less time."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a place was chosen and what it cost at that moment; `round_id` where a round did."""

    way: Way
    cost: Cost
    round_id: int | None = None


def cost_of(candidate: Candidate, policy: Policy) -> Cost:
    """Price one candidate for each of a party's people, so that how many they are changes nothing.

    Load is how full the house is before they come. Counted with them inside, a small home would be full by its only
    party, and families would find the large houses taken by single people.
    """
    taken = candidate.capacity - candidate.free
    return Cost(
        travel=float(candidate.distance),
        load=policy.load_km * taken / max(candidate.capacity, 1),
        price=min(candidate.price * policy.price_percent / 100, float(policy.price_most_km)),
        town=town_km(candidate.town_load, policy),
        association=association_km(candidate.association_load, policy),
        time=time_km(candidate.minutes, policy),
        preference=candidate.preference,
    )


def ranked(candidates: Iterable[Candidate], policy: Policy) -> list[Candidate]:
    """Candidates from best to worst.

    Equal ones by the marks that people gave, then by a keyed hash, which nothing about a place can be read from.
    """
    return sorted(candidates, key=lambda each: (cost_of(each, policy).total, -counted_mark(each.mark), each.tie))


def counted_mark(mark: float | None) -> float:
    """A mean of marks from 1 to 5, to a half; the middle where too few gave one."""
    return MIDDLING_MARK if mark is None else round(mark * 2) / 2


def tie_of(offer_id: UUID, key: bytes) -> int:
    """An offer's place among equals: 63 bits of HMAC-SHA256 of its id."""
    return int.from_bytes(hmac.digest(key, offer_id.bytes, "sha256")[:8], "big") >> 1
