"""A need and a hold as the pages show them: everything in words, and what may be done."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from api.moments import clock, left, stretch
from api.wording import knows, say
from db.allocations import AllocationFacts
from db.boards import InHouse, OnBoard, Room
from db.keys import Scope
from matching.states import LIVE, AllocationState, NeedState
from matching.vocabulary import Audience, Urgency

__all__ = ["Card", "Guest", "Occupation", "Stay", "card_of", "guest_of", "occupation", "wish_words"]

_OVER: Final = frozenset({NeedState.WITHDRAWN, NeedState.CLOSED})
_EARLY: Final = timedelta(hours=12)
"""An arrival is written down this long before a stay begins at the earliest."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A place that people of a need have, as its poster sees it."""

    id: UUID
    state: AllocationState
    words: str
    until: datetime | None
    until_words: str
    left: str
    may_arrive: bool


@dataclass(frozen=True, slots=True)
class Card:
    """A need."""

    id: UUID
    state: NeedState
    title: str
    people: int
    counts: str
    town: str
    category: str
    times: str
    urgent: str
    wishes: list[str]
    words: str
    why: str
    stays: list[Stay]
    may_withdraw: bool
    over: bool


@dataclass(frozen=True, slots=True)
class Guest:
    """A party that waits for a word of its house, or that comes."""

    id: UUID
    site: str
    category: str
    people: int
    counts: str
    times: str
    wishes: list[str]
    until: datetime | None
    until_words: str
    left: str
    arrived: bool
    may_arrive: bool


@dataclass(frozen=True, slots=True)
class Occupation:
    """How full a house is."""

    site: str
    category: str
    words: str
    times: str
    capacity: int
    used: int


def card_of(
    found: OnBoard, placed: Sequence[AllocationFacts], language: str, scopes: Collection[Scope], why: str = ""
) -> Card:
    """A need with its places; `why` is one sentence about them."""
    need, terms = found.need, found.need.terms
    alive = [each for each in placed if each.state in LIVE]
    over = need.state in _OVER or terms.ends <= found.now
    urgent = terms.urgency is not Urgency.NORMAL
    return Card(
        id=need.id,
        state=need.state,
        title=say("slip.people", language, count=terms.people.count),
        people=terms.people.count,
        counts=counts_in_words(terms.people.adults, terms.people.minors, language),
        town=found.town,
        category=terms.category,
        times=stretch(terms.starts, terms.ends, found.zone, language),
        urgent=say(f"console.urgency.{terms.urgency}", language) if urgent else "",
        wishes=[*party_words(terms.audience, language), *wish_words(terms.requires, language)],
        words=say(f"console.state.{'over' if over and need.state not in _OVER else need.state}", language),
        why=why,
        stays=[_stay(each, found.now, found.zone, language, scopes) for each in alive],
        may_withdraw=Scope.NEEDS_WRITE in scopes and not over,
        over=over,
    )


def guest_of(found: InHouse, language: str, scopes: Collection[Scope]) -> Guest:
    """A party at one of our sites."""
    each = found.allocation
    return Guest(
        id=each.id,
        site=found.site,
        category=each.category,
        people=each.people,
        counts=counts_in_words(each.adults, each.minors, language)
        if each.people == each.adults + each.minors
        else say("slip.people", language, count=each.people),
        times=_times(each, found.zone, language),
        wishes=[*party_words(map(Audience, each.audience), language), *wish_words(each.requires, language)],
        until=each.held_until,
        until_words=_deadline(each, found.zone, language),
        left=_left(each, found.now, language),
        arrived=each.state is AllocationState.ARRIVED,
        may_arrive=_may_arrive(each, found.now, scopes),
    )


def occupation(room: Room, language: str) -> Occupation:
    """How full a house is tonight."""
    return Occupation(
        site=room.site,
        category=room.category,
        words=say("console.room", language, used=room.used, capacity=room.capacity),
        times=stretch(room.starts, room.ends, room.zone, language),
        capacity=room.capacity,
        used=room.used,
    )


def counts_in_words(adults: int, minors: int, language: str) -> str:
    """Of whom a party is made."""
    said = [("console.adults_are", adults), ("console.minors_are", minors)]
    return " · ".join(say(key, language, count=count) for key, count in said if count)


def party_words(audience: Iterable[Audience], language: str) -> list[str]:
    """Who a party is, where it is said."""
    return [say(f"console.party.{each}", language) for each in sorted(audience) if each is not Audience.ANYONE]


def wish_words(codes: Collection[str], language: str) -> list[str]:
    """What a place must have."""
    return [say(key, language) for code in sorted(codes) if knows(key := f"console.wish.{code}")]


def _stay(each: AllocationFacts, now: datetime, zone: ZoneInfo, language: str, scopes: Collection[Scope]) -> Stay:
    return Stay(
        id=each.id,
        state=each.state,
        words=say(f"chosen.{each.state}", language, km=each.distance_km),
        until=each.held_until,
        until_words=_deadline(each, zone, language),
        left=_left(each, now, language),
        may_arrive=_may_arrive(each, now, scopes),
    )


def _deadline(each: AllocationFacts, zone: ZoneInfo, language: str) -> str:
    return say("console.answer_by", language, time=clock(each.held_until, zone, language)) if each.held_until else ""


def _left(each: AllocationFacts, now: datetime, language: str) -> str:
    return left(each.held_until - now, language) if each.held_until else ""


def _may_arrive(each: AllocationFacts, now: datetime, scopes: Collection[Scope]) -> bool:
    begun = bool(each.slots) and now >= each.slots[0].starts - _EARLY
    return each.state is AllocationState.CONFIRMED and begun and Scope.ALLOCATIONS_WRITE in scopes


def _times(each: AllocationFacts, zone: ZoneInfo, language: str) -> str:
    if not each.slots:
        return ""
    return stretch(each.slots[0].starts, each.slots[-1].ends, zone, language)
