"""A pact in words, from the side of one of its towns: who takes how many, and everything else that was agreed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from api.moments import date_in_full
from api.wording import knows, say
from db import towns
from db.pact_facts import PactFacts
from db.towns import TownFacts
from matching.pacts import PactTerms
from matching.vocabulary import Acceptance

__all__ = ["PactSide", "Term"]


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that was agreed on."""

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class PactSide:
    """A pact as the organization of one of its towns sees it."""

    own: TownFacts
    other: TownFacts
    proposes: bool
    """Whether it proposed the pact: the numbers of each direction are told by that."""
    language: str

    @classmethod
    def of(cls, pact: PactFacts, organization_id: UUID, places: Mapping[int, TownFacts], language: str) -> Self:
        """The side of one of its two organizations; both towns are among the places."""
        proposes = pact.proposer.organization_id == organization_id
        own, other = (pact.proposer, pact.partner) if proposes else (pact.partner, pact.proposer)
        return cls(places[own.town_id], places[other.town_id], proposes, language)

    @classmethod
    async def read(cls, tx: AsyncConnection, pact: PactFacts, organization_id: UUID, language: str) -> Self:
        """The same, with the towns read."""
        places = await towns.several(tx, (pact.proposer.town_id, pact.partner.town_id))
        return cls.of(pact, organization_id, places, language)

    @property
    def zone(self) -> ZoneInfo:
        """Whose days the pact's are: those of the town that proposed it."""
        return ZoneInfo((self.own if self.proposes else self.other).timezone)

    @property
    def title(self) -> str:
        """Both towns."""
        return f"{self.own.name} – {self.other.name}"

    def each_way(self, terms: PactTerms) -> list[tuple[TownFacts, int, str]]:
        """Who takes, at most how many a week, and that in words: first this town, then the other."""
        mine, theirs = terms.to_proposer_per_week, terms.to_partner_per_week
        if not self.proposes:
            mine, theirs = theirs, mine
        ways = (("we_take", self.own, mine), ("they_take", self.other, theirs))
        return [
            (town, most, self.say(key if most else f"{key}.nobody", town=self.other.name, count=most))
            for key, town, most in ways
        ]

    def terms(self, terms: PactTerms) -> list[Term]:
        """All of them, whole."""
        answer = (
            self.say("answer.standing")
            if terms.acceptance is Acceptance.STANDING
            else self.say("answer.each", minutes=terms.answer_within_minutes)
        )
        said = {
            "people": " · ".join(words for _, _, words in self.each_way(terms)),
            "for": " · ".join(self._category(code) for code in sorted(terms.categories)),
            "border": self.say("border.yes" if terms.crosses_border else "border.no"),
            "way": self.say(f"way.{terms.transport}"),
            "answer": answer,
            "days": self.days(terms.first_day, terms.last_day),
            "notice_days": self.say("notice_days.are", count=terms.notice_days),
        }
        return [Term(self.say(f"term.{name}"), words) for name, words in said.items()]

    def days(self, first: date, last: date) -> str:
        """From day to day, both included."""
        return f"{date_in_full(first, self.language)} – {date_in_full(last, self.language)}"

    def say(self, key: str, **facts: str | int) -> str:
        """A sentence about pacts."""
        return say(f"console.pact.{key}", self.language, **facts)

    def _category(self, code: str) -> str:
        key = f"slip.category.{code}"
        return say(key, self.language) if knows(key) else code
