"""Which partner town people are referred to when they cannot be placed where they are, and why not to another.

A pact says what two towns agreed on, a need what its people agreed to; both must hold. Between partners load is shared
by inhabitants: the town to which the fewest were referred this week for its size is asked first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from uuid import UUID

from geo.cells import Cell
from geo.distance import Kilometres
from matching.fairness import FEWEST_INHABITANTS
from matching.needs import Need
from matching.policy import Policy
from matching.rules import Failure
from matching.vocabulary import Acceptance

__all__ = ["MOST_STEPS", "RULES", "Partner", "failure", "in_order", "there"]

MOST_STEPS: Final = 2
"""Towns that may accept one party: the first, and one to which they go on from there or after they came home."""
RULES: Final = ("none", "chain", "category", "border", "consent", "distance", "tried", "week", "free")
"""Codes of what stands in the way, in the order they are looked at in; `free`: nothing that fits is free there."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A town that a pact in force leads to from where a party is looked after.

    `from_id` and `to_id` sign the pact for this side and the other. `abroad` says that a border lies between the two
    towns, `km` how far the partner is from the party's own town, `asked` that it was tried for this party or is its
    own. `used` people count in the week already under this pact; `carried` were referred to the town by anybody.
    """

    pact_id: UUID
    number: int
    from_id: UUID
    from_town_id: int
    to_id: UUID
    town_id: int
    town: str
    cell: Cell
    country: str
    inhabitants: int
    abroad: bool
    km: Kilometres
    asked: bool
    categories: frozenset[str]
    crosses_border: bool
    acceptance: Acceptance
    answer_within_minutes: int
    monday: date
    per_week: int
    used: int
    carried: int


def failure(need: Need, partner: Partner, policy: Policy) -> Failure | None:
    """The first rule that keeps a party from being referred there; whether anything is free is for others to look.

    `need.max_km` is the party's own limit from its own town, wherever it is looked after now.
    """
    return next(_failures(need, partner, policy), None)


def _failures(need: Need, partner: Partner, policy: Policy) -> Iterator[Failure]:
    most = policy.refer_most_km if need.max_km is None else need.max_km
    if need.category not in partner.categories:
        yield Failure("category")
    if partner.abroad and not partner.crosses_border:
        yield Failure("border", (("country", partner.country),))
    if partner.country not in need.countries:
        yield Failure("consent", (("country", partner.country),))
    if partner.km > most:
        yield Failure("distance", (("km", partner.km), ("most", most)))
    if partner.asked:
        yield Failure("tried")
    if partner.used + need.people.count > partner.per_week:
        yield Failure("week", (("left", max(partner.per_week - partner.used, 0)), ("most", partner.per_week)))


def in_order(partners: Iterable[Partner], people: int) -> list[Partner]:
    """Partners in the order in which they are asked: by people of this week for their inhabitants, then the nearest."""

    def load(partner: Partner) -> float:
        return (partner.carried + people) / max(partner.inhabitants, FEWEST_INHABITANTS)

    return sorted(partners, key=lambda partner: (load(partner), partner.km, partner.pact_id))


def there(need: Need, partner: Partner) -> Need:
    """The need as it is looked for around the partner: who goes no farther than so far is sent no farther in all."""
    left = None if need.max_km is None else max(need.max_km - partner.km, 0)
    return replace(need, cell=partner.cell, max_km=left)
