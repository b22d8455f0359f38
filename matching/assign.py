"""Who gets what, one need at a time: the feasible offers in the order in which they are tried.

All feasible offers serve the same people and break nothing, so what is left of "better" is travel and load.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from geo.distance import Kilometres
from matching.needs import OfferId
from matching.policy import Policy

__all__ = ["Candidate", "Cost", "cost_of", "ranked", "tie_of"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feasible offer for one need: its slots by id, the places free in the fullest of them, and its distance.

    `version` is the offer's when it was found feasible: under other terms it may not be.
    """

    offer_id: OfferId
    slots: tuple[int, ...]
    free: int
    capacity: int
    distance: Kilometres
    tie: int
    version: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a place costs a party, in kilometres: the way there, and how full it makes the house."""

    travel: float
    load: float

    @property
    def total(self) -> float:
        """What candidates are compared by; less is better."""
        return self.travel + self.load


def cost_of(candidate: Candidate, people: int, policy: Policy) -> Cost:
    """Price one candidate for so many people."""
    taken = candidate.capacity - candidate.free + min(people, candidate.free)
    return Cost(float(candidate.distance), policy.load_km * taken / max(candidate.capacity, 1))


def ranked(candidates: Iterable[Candidate], people: int, policy: Policy) -> list[Candidate]:
    """Candidates from best to worst; equal ones by a keyed hash, which nothing about a place can be read from."""
    return sorted(candidates, key=lambda each: (cost_of(each, people, policy).total, each.tie))


def tie_of(offer_id: UUID, key: bytes) -> int:
    """An offer's place among equals: 63 bits of HMAC-SHA256 of its id."""
    return int.from_bytes(hmac.digest(key, offer_id.bytes, "sha256")[:8], "big") >> 1
