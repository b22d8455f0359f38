"""What fits: every rule that a place must keep before it may be proposed to a need.

Each rule has a stable code and a sentence in every catalogue. The candidate statement of `db` asks the same in
SQL; a test generates worlds and holds the two against each other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from geo.distance import Kilometres, kilometres_between
from matching.needs import Need, is_alone
from matching.offers import Offer, Slot
from matching.policy import Policy
from matching.states import OfferState
from matching.vocabulary import PROTECTIVE, Audience, Coverage, SiteKind
from matching.windows import Window

__all__ = ["RULES", "Circumstances", "Facts", "Failure", "cover", "failures", "radius"]

Facts = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on beside the need and the offer."""

    policy: Policy
    now: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that does not hold, with the facts of its sentence."""

    rule: str
    facts: Facts = ()


Verdict = Facts | None
Rule = Callable[[Need, Offer, Circumstances], Verdict]
ok: Final = None
RULES: dict[str, Rule] = {}
"""By code, in the order in which a failure is reported."""


def rule(code: str) -> Callable[[Rule], Rule]:
    """Register a rule under its code."""

    def register(function: Rule) -> Rule:
        RULES[code] = function
        return function

    return register


def fails(**facts: str | int) -> Facts:
    """The verdict of a rule that does not hold."""
    return tuple(facts.items())


def failures(need: Need, offer: Offer, at: Circumstances) -> Iterator[Failure]:
    """Every rule that fails, in the order of `RULES`; none for a feasible offer."""
    for code, holds in RULES.items():
        verdict = holds(need, offer, at)
        if verdict is not ok:
            yield Failure(code, verdict)


def radius(need: Need, policy: Policy) -> Kilometres:
    """How far this need may be sent."""
    return Kilometres(policy.radius_km if need.max_km is None else min(need.max_km, policy.radius_km))


def cover(need: Need, offer: Offer, now: datetime) -> tuple[Slot, ...]:
    """The slots that the need would take in this offer, in time order; empty when the window is not covered.

    `every`: one slot for each of the need's nights. `any`: the first slot with room for the party, or the first
    at all when none has. `course`: the joining session and all that follow.
    """
    ahead = Window(max(need.window.starts, now), need.window.ends) if now < need.window.ends else None
    if ahead is None:
        return ()
    match need.coverage:
        case Coverage.EVERY:
            return _every_night(need, offer, ahead, now)
        case Coverage.ANY:
            return _one_slot(need, offer, ahead)
        case Coverage.COURSE:
            return _rest_of_course(offer, ahead)


@rule("category")
def is_the_help_asked_for(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """A bed is not a shower."""
    return ok if need.category == offer.category else fails(category=offer.category)


@rule("paused")
def takes_new_parties(_need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """Paused and closed offers take nobody new."""
    return ok if offer.state is OfferState.OPEN else fails()


@rule("stale")
def was_verified_lately(_: Need, offer: Offer, at: Circumstances) -> Verdict:
    """A place that nobody has spoken for in weeks may not exist any more."""
    if not at.policy.finds_stale(offer.verified_at, at.now):
        return ok
    return fails(days=(at.now - offer.verified_at).days)


@rule("vetting")
def home_was_visited(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """A private home only once an organization has visited it, and never for minors alone."""
    if offer.site_kind is not SiteKind.PRIVATE_HOME:
        return ok
    return ok if offer.vetted and not is_alone(need) else fails()


@rule("distance")
def is_near_enough(need: Need, offer: Offer, at: Circumstances) -> Verdict:
    """Within the policy's radius and the party's own limit, cell to cell."""
    km, most = kilometres_between(need.cell, offer.cell), radius(need, at.policy)
    # Who goes less far than the partner town, where they are looked after, has nothing left to go.
    return ok if km <= most else fails(km=km, most=max(most, 0))


@rule("border")
def stays_in_consented_countries(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """A bed over the line may be a police check away: never without consent."""
    return ok if offer.country in need.countries else fails(country=offer.country)


@rule("audience")
def protects_whom_it_is_for(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """A reserved place takes its audience alone; a party gets the protection that it requires."""
    reserved = Audience.ANYONE not in offer.audience
    missing = (need.requires & PROTECTIVE) - offer.provides
    return fails() if missing or (reserved and not need.audience & offer.audience) else ok


@rule("access")
def provides_what_is_required(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """Every required feature is there; interpreters belong to `language`."""
    missing = {code for code in need.requires - PROTECTIVE - offer.provides if ":" not in code}
    return fails(missing=min(missing)) if missing else ok


@rule("language")
def is_in_the_right_language(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """The class teaches what is asked for at the level asked for; required interpreters are there."""
    if any(":" in code for code in need.requires - offer.provides):
        return fails()
    if need.language is None:
        return ok
    taught = offer.language
    if taught is None or taught.teaches != need.language.teaches:
        return fails()
    return ok if need.language.level in (None, taught.level) else fails()


@rule("party_size")
def takes_parties_of_this_size(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """A party is never split unless it agreed; one that may be split is still one party at the door."""
    if offer.party_max is None or need.divisible or need.people.count <= offer.party_max:
        return ok
    return fails(most=offer.party_max)


@rule("stay_length")
def takes_stays_of_this_length(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """Some places take a party for a few nights only."""
    if offer.nights_max is None or len(need.days) <= offer.nights_max:
        return ok
    return fails(most=offer.nights_max)


@rule("refused_before")
def was_not_turned_down(need: Need, offer: Offer, _: Circumstances) -> Verdict:
    """What one side has refused is not proposed again."""
    return ok if offer.id not in need.turned_down else fails()


@rule("window")
def is_open_when_needed(need: Need, offer: Offer, at: Circumstances) -> Verdict:
    """The coverage rule: all nights, one slot, or the rest of the course."""
    return ok if cover(need, offer, at.now) else fails()


@rule("capacity")
def has_room(need: Need, offer: Offer, at: Circumstances) -> Verdict:
    """Room for the whole party in every slot; for one person at least where the party may be spread."""
    free = min((slot.free + slot.unstaffed for slot in cover(need, offer, at.now)), default=0)
    return ok if free >= _least(need) else fails(free=max(free, 0))


@rule("staffing")
def has_volunteers(need: Need, offer: Offer, at: Circumstances) -> Verdict:
    """Where there is room, there are also the volunteers that the site asks for."""
    slots = cover(need, offer, at.now)
    room = min((slot.free + slot.unstaffed for slot in slots), default=0)
    served = min((slot.free for slot in slots), default=0)
    if room < _least(need) or served >= _least(need):
        return ok
    short = [missing for slot in slots if (missing := _volunteers_missing(slot, _least(need)))]
    return fails(free=max(served, 0), volunteers=max(short, default=0), slots=len(short))


def _volunteers_missing(slot: Slot, people: int) -> int:
    """How many more volunteers would open a slot to so many more people."""
    if slot.crew is None or slot.free >= people:
        return 0
    return slot.crew.missing_for(slot.capacity - slot.free + people)


def _least(need: Need) -> int:
    return 1 if need.divisible else need.people.count


def _every_night(need: Need, offer: Offer, ahead: Window, now: datetime) -> tuple[Slot, ...]:
    by_day = {slot.day: slot for slot in offer.slots if slot.window.ends > now}
    if not need.days or not all(day in by_day for day in need.days):
        return ()
    nights = tuple(by_day[day] for day in need.days)
    return nights if nights[0].last_arrival > ahead.starts else ()


def _one_slot(need: Need, offer: Offer, ahead: Window) -> tuple[Slot, ...]:
    least = _least(need)
    usable = [slot for slot in offer.slots if _mostly_ahead(slot, ahead)]
    roomy = [slot for slot in usable if slot.free >= least]
    return tuple((roomy or usable)[:1])


def _mostly_ahead(slot: Slot, ahead: Window) -> bool:
    """Half a shower is a shower still; the last five minutes are not."""
    length: timedelta = slot.window.ends - slot.window.starts
    return slot.window.within(ahead) * 2 >= length and slot.last_arrival > ahead.starts


def _rest_of_course(offer: Offer, ahead: Window) -> tuple[Slot, ...]:
    coming = tuple(slot for slot in offer.slots if slot.window.starts >= ahead.starts)
    return coming if coming and coming[0].window.starts < ahead.ends else ()
