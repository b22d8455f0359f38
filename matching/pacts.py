"""What two towns may agree on: the terms of a pact, and everything that can be wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from matching.refusals import Flaw
from matching.vocabulary import Acceptance, Transport

__all__ = ["LONGEST_TERM", "MOST_VERSIONS", "PactTerms", "flaws_of"]

LONGEST_TERM: Final = timedelta(days=3660)
"""Ten years: a pact outlives a majority by its term, and is renewed by another version."""
MOST_VERSIONS: Final = 100
"""Versions of one pact."""


@dataclass(frozen=True, slots=True)
class PactTerms:
    """What both towns sign. People per week may differ by direction; 0 is none that way.

    `first_day` and `last_day` are both included. Notice to end it before is given `notice_days` ahead.
    """

    to_partner_per_week: int
    to_proposer_per_week: int
    categories: frozenset[str]
    crosses_border: bool
    transport: Transport
    acceptance: Acceptance
    answer_within_minutes: int
    first_day: date
    last_day: date
    notice_days: int


def flaws_of(terms: PactTerms, today: date, *, abroad: bool) -> Iterator[Flaw]:
    """Everything about the terms that cannot be true or of use; `abroad` says that a border lies between the towns."""
    if terms.to_partner_per_week + terms.to_proposer_per_week < 1:
        yield Flaw("/terms/to_partner_per_week", "nobody_either_way")
    if abroad and not terms.crosses_border:
        yield Flaw("/terms/crosses_border", "border_between_towns")
    if terms.last_day < terms.first_day:
        yield Flaw("/terms/last_day", "before_first_day")
    elif terms.last_day < today:
        yield Flaw("/terms/last_day", "in_the_past")
    elif terms.last_day - terms.first_day > LONGEST_TERM or terms.last_day - today > 2 * LONGEST_TERM:
        yield Flaw("/terms/last_day", "span_too_long", (("days", LONGEST_TERM.days),))
