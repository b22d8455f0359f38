"""What may be asked: the terms of a need as somebody posts them, and everything that can be wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from matching.needs import Language, People
from matching.policy import Policy
from matching.refusals import Flaw
from matching.vocabulary import Audience, Coverage, Stay, Urgency
from matching.windows import Window, nights_of

__all__ = ["LONGEST_STAY", "LONGEST_WAIT", "NeedTerms", "deadline_of", "flaws_of"]

LONGEST_STAY = timedelta(days=366)
LONGEST_WAIT = timedelta(days=366)
_LATE = timedelta(hours=24)
"""A window may have begun: a need is often written down after the party came."""


@dataclass(frozen=True, slots=True)
class NeedTerms:
    """What one party asks for. `countries` are those in which a place may lie; `max_km` is the party's own limit."""

    category: str
    town_id: int
    people: People
    starts: datetime
    ends: datetime
    urgency: Urgency
    stay: Stay
    audience: frozenset[Audience]
    requires: frozenset[str]
    countries: frozenset[str]
    max_km: int | None
    divisible: bool
    language: Language | None


def flaws_of(terms: NeedTerms, coverage: Coverage, zone: ZoneInfo, now: datetime) -> Iterator[Flaw]:
    """Everything about the terms that cannot be true or cannot be answered; `zone` is the town's."""
    yield from _flaws_of_party(terms)
    if terms.ends <= terms.starts:
        yield Flaw("/until", "before_from")
    else:
        yield from _flaws_of_window(terms, coverage, zone, now)
    if coverage is Coverage.COURSE and terms.language is None:
        yield Flaw("/language", "language_needed")
    if coverage is not Coverage.COURSE and terms.language is not None:
        yield Flaw("/language", "language_not_used")


def deadline_of(terms: NeedTerms, policy: Policy, now: datetime) -> datetime:
    """When a need without a place is recorded as unmet: its urgency's patience after it begins, or its end."""
    return min(max(terms.starts, now) + policy.answer_within(terms.urgency), terms.ends)


def _flaws_of_party(terms: NeedTerms) -> Iterator[Flaw]:
    if terms.people.count < 1:
        yield Flaw("/people", "nobody")
    if Audience.UNACCOMPANIED_MINORS in terms.audience and terms.people.adults:
        yield Flaw("/audience", "adults_among_unaccompanied_minors")


def _flaws_of_window(terms: NeedTerms, coverage: Coverage, zone: ZoneInfo, now: datetime) -> Iterator[Flaw]:
    # Neither calendar nor clock reaches much beyond what may be asked: nights are counted inside of it only.
    if terms.ends <= now:
        yield Flaw("/until", "in_the_past")
        return
    if terms.starts > now + LONGEST_WAIT:
        yield Flaw("/from", "too_far_ahead", (("days", LONGEST_WAIT.days),))
        return
    if terms.starts < now - _LATE:
        yield Flaw("/from", "in_the_past")
    if terms.ends - terms.starts > LONGEST_STAY:
        yield Flaw("/until", "span_too_long", (("days", LONGEST_STAY.days),))
    elif coverage is Coverage.EVERY and not nights_of(Window(terms.starts, terms.ends), zone):
        yield Flaw("/until", "no_night_in_window")
