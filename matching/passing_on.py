"""Weeks of pacts kept in memory: which partners there are for a party, and how many people each week has taken.

The rules and the order are `matching.referring`'s; this is the book that the database keeps in `pact_week`, for those
who look at what may come without writing anything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from uuid import UUID

from geo.distance import kilometres_between
from matching.figures.calendar import monday_of
from matching.needs import Need
from matching.pictures import Origin, Passage
from matching.policy import Policy
from matching.referring import MOST_STEPS, RULES, Partner, failure, in_order

__all__ = ["Book", "Options"]

_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Options:
    """Partners that may be asked for a party, the best first, and the rules that stand in the way of the others."""

    partners: list[Partner]
    refused: Counter[str]

    @property
    def nearest_rule(self) -> str:
        """The rule that comes nearest to being kept by a town that is not asked; `none` where there is no pact."""
        return max(self.refused, key=RULES.index, default="none")


class Book:
    """The weeks of some pacts. `take` and `give_back` are the only ways in which they change."""

    def __init__(self, passages: Iterable[Passage], policy: Policy) -> None:
        self._policy = policy
        self._from: defaultdict[int, list[Passage]] = defaultdict(list)
        self._used: Counter[tuple[UUID, int, date]] = Counter()
        self._carried: Counter[tuple[int, date]] = Counter()
        for each in passages:
            self._from[each.from_town_id].append(each)
            for monday, people in each.used.items():
                self._used[each.pact_id, each.to_town_id, monday] += people
                self._carried[each.to_town_id, monday] += people

    def options(self, need: Need, origin: Origin) -> Options:
        """The partners for a need where it is looked after now; whether anything is free there is for others to look.

        The limits of `origin` count, not those that are left of them in `need`.
        """
        asked = replace(need, max_km=origin.max_km)
        found = [self._partner(each, asked, origin) for each in self._from[origin.searched_town_id]]
        if origin.accepted >= MOST_STEPS:
            return Options([], Counter({"chain": len(found)} if found else {}))
        fitting, refused = [], Counter[str]()
        for partner in found:
            stands_in_the_way = failure(asked, partner, self._policy)
            if stands_in_the_way is None:
                fitting.append(partner)
            else:
                refused[stands_in_the_way.rule] += 1
        return Options(in_order(fitting, need.people.count), refused)

    def take(self, partner: Partner, people: int) -> None:
        """Count people who are asked for at a partner that `options` has just named."""
        self._used[partner.pact_id, partner.town_id, partner.monday] += people
        self._carried[partner.town_id, partner.monday] += people

    def give_back(self, partner: Partner, people: int) -> None:
        """The partner declined, or had no place: they count no more."""
        self.take(partner, -people)

    def _partner(self, passage: Passage, need: Need, origin: Origin) -> Partner:
        monday = monday_of(need.days[0])
        return Partner(
            pact_id=passage.pact_id,
            number=0,
            from_id=_NOBODY,
            from_town_id=passage.from_town_id,
            to_id=_NOBODY,
            town_id=passage.to_town_id,
            town=passage.town,
            cell=passage.cell,
            country=passage.country,
            inhabitants=passage.inhabitants,
            abroad=passage.abroad,
            km=kilometres_between(origin.cell, passage.cell),
            asked=passage.to_town_id in origin.tried or passage.to_town_id == origin.town_id,
            categories=passage.categories,
            crosses_border=passage.crosses_border,
            acceptance=passage.acceptance,
            answer_within_minutes=0,
            monday=monday,
            per_week=passage.per_week,
            used=self._used[passage.pact_id, passage.to_town_id, monday],
            carried=self._carried[passage.to_town_id, monday],
        )
