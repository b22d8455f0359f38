"""A need and a hold as the pages show them: everything in words, and what may be done."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from api.moments import clock, language_name, left, moment, stretch
from api.wording import knows, say
from db.allocations import AllocationFacts
from db.boards import InHouse, OnBoard, Room
from db.keys import Scope
from db.referral_facts import ReferralFacts
from matching.reveal import AHEAD
from matching.states import LIVE, AllocationState, NeedState, ReferralState
from matching.vocabulary import Audience, Coverage, Urgency

__all__ = [
    "Card",
    "Guest",
    "Occupation",
    "Passed",
    "Stay",
    "Together",
    "card_of",
    "counts_in_words",
    "guest_of",
    "occupation",
    "party_words",
    "wish_words",
]

_OVER: Final = frozenset({NeedState.WITHDRAWN, NeedState.CLOSED})
_WITHOUT: Final = frozenset({NeedState.OPEN, NeedState.UNMET})
_WITH_PARTNER: Final = frozenset({ReferralState.OFFERED, ReferralState.ACCEPTED, ReferralState.PLACED})
_INTERPRETER: Final = "interpreter:"
_TAKEN: Final = frozenset({AllocationState.CONFIRMED, AllocationState.ARRIVED})


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
    may_read_way: bool
    may_release: bool


@dataclass(frozen=True, slots=True)
class Together:
    """That a need is placed with others, how that stands, and until when its people may answer a plan."""

    words: str
    until: datetime | None
    until_words: str
    left: str
    path: str
    """Of the page on which all of it stands."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A partner town that was asked to take the people of a need, and how it stands with it, as its poster sees it."""

    words: str
    until: datetime | None
    until_words: str
    left: str


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
    together: Together | None
    why: str
    stays: list[Stay]
    passed: list[Passed]
    may_change: bool
    may_withdraw: bool
    may_refer: bool
    asked: int
    """How many towns were asked for them until now."""
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
    may_release: bool


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
    found: OnBoard,
    placed: Sequence[AllocationFacts],
    language: str,
    scopes: Collection[Scope],
    why: str = "",
    passed: Sequence[tuple[ReferralFacts, str]] = (),
) -> Card:
    """A need with its places; `why` is one sentence about them, `passed` its referrals, each with the town's name."""
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
        together=None if over else _together(found, language),
        why=why,
        stays=[_stay(each, found, language, scopes) for each in alive],
        passed=[_passed(each, town, found, language) for each, town in _to_tell(passed)] if not over else [],
        may_change=Scope.NEEDS_WRITE in scopes and not over and need.project_id is None,
        may_withdraw=Scope.NEEDS_WRITE in scopes and not over,
        may_refer=Scope.NEEDS_WRITE in scopes and not over and not alive and _may_be_referred(found, passed),
        asked=len(passed),
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
        may_release=each.state in _TAKEN and Scope.ALLOCATIONS_WRITE in scopes,
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
    return [words for code in sorted(codes) if (words := _wish(code, language))]


def _wish(code: str, language: str) -> str:
    if code.startswith(_INTERPRETER):
        return say(
            "console.wish.interpreter", language, spoken=language_name(code.removeprefix(_INTERPRETER), language)
        )
    return say(key, language) if knows(key := f"console.wish.{code}") else ""


def _may_be_referred(found: OnBoard, passed: Sequence[tuple[ReferralFacts, str]]) -> bool:
    """Whether to offer it.

    A party of a plan goes with the others, a partner that was asked is waited for, and the way from a town is that
    town's to see to.
    """
    need = found.need
    follows = need.pathway_id is not None and found.coverage is not Coverage.EVERY
    asked = any(each.state is ReferralState.OFFERED for each, _ in passed)
    way = need.terms.category == "transport"
    return need.state in _WITHOUT and need.project_id is None and not (follows or asked or way)


def _to_tell(passed: Sequence[tuple[ReferralFacts, str]]) -> Sequence[tuple[ReferralFacts, str]]:
    """The towns that have to do with these people now; where none has, the last that was asked."""
    return [each for each in passed if each[0].state in _WITH_PARTNER] or passed[-1:]


def _passed(each: ReferralFacts, town: str, found: OnBoard, language: str) -> Passed:
    until = each.answer_by or each.return_by
    key = "console.answer_by" if each.answer_by else "console.passed.until"
    return Passed(
        words=say(f"referral.{each.state}", language, town=town),
        until=until,
        until_words=say(key, language, time=clock(until, found.zone, language)) if until else "",
        left=left(until - found.now, language) if until else "",
    )


def _stay(each: AllocationFacts, found: OnBoard, language: str, scopes: Collection[Scope]) -> Stay:
    # Of a plan that its people have not answered no house was asked: theirs is the time that is told.
    asked = found.project is None or not each.tentative
    return Stay(
        id=each.id,
        state=each.state,
        words=say(f"chosen.{each.state}", language, km=each.distance_km),
        until=each.held_until if asked else None,
        until_words=_deadline(each, found.zone, language) if asked else "",
        left=_left(each, found.now, language) if asked else "",
        may_arrive=_may_arrive(each, found.now, scopes),
        may_release=Scope.ALLOCATIONS_WRITE in scopes,
        may_read_way=each.state in _TAKEN and _is_near(each, found.now) and Scope.ALLOCATIONS_WRITE in scopes,
    )


def _together(found: OnBoard, language: str) -> Together | None:
    if found.project is None:
        pathway = found.need.pathway_id
        return (
            Together(say("console.pathway", language), None, "", "", f"/console/pathways/{pathway}")
            if pathway
            else None
        )
    until = found.project.answer_by
    return Together(
        words=say(f"console.project.{found.project.state}", language),
        until=until,
        until_words=say("console.project.until", language, time=moment(until, found.zone, language)) if until else "",
        left=left(until - found.now, language) if until else "",
        path=f"/console/projects/{found.need.project_id}",
    )


def _deadline(each: AllocationFacts, zone: ZoneInfo, language: str) -> str:
    return say("console.answer_by", language, time=clock(each.held_until, zone, language)) if each.held_until else ""


def _left(each: AllocationFacts, now: datetime, language: str) -> str:
    return left(each.held_until - now, language) if each.held_until else ""


def _may_arrive(each: AllocationFacts, now: datetime, scopes: Collection[Scope]) -> bool:
    return each.state is AllocationState.CONFIRMED and _is_near(each, now) and Scope.ALLOCATIONS_WRITE in scopes


def _is_near(each: AllocationFacts, now: datetime) -> bool:
    return bool(each.slots) and now >= each.slots[0].starts - AHEAD


def _times(each: AllocationFacts, zone: ZoneInfo, language: str) -> str:
    if not each.slots:
        return ""
    return stretch(each.slots[0].starts, each.slots[-1].ends, zone, language)
