"""What a form says of the terms of a pact: those that one proposes first, or others than were proposed before."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.asking import Named, named
from api.console.checking import checked
from api.console.forms import Form
from api.console.guided import look_at, plain
from api.console.houses import category_words
from api.pacts import PactTermsWire
from db import boards, pacts
from matching.pacts import PactTerms
from matching.vocabulary import Acceptance, Coverage, Transport

__all__ = ["STEPS", "TermsDraft", "look_at_terms", "terms_words"]

STEPS: Mapping[str, tuple[str, ...]] = {
    "what": ("to_partner_per_week", "to_proposer_per_week", "categories", "crosses_border", "transport"),
    "how": ("acceptance", "answer_within_minutes", "first_day", "last_day", "notice_days"),
    "whole": (),
}
"""The steps in which terms are asked for; in the last one they are read once more."""


@dataclass(frozen=True, slots=True)
class TermsDraft:
    """Terms as their form has them; fields are called as requests call them."""

    to_partner_per_week: int | None
    to_proposer_per_week: int | None
    categories: frozenset[str]
    crosses_border: bool
    transport: str
    acceptance: str
    answer_within_minutes: int | None
    first_day: str
    last_day: str
    notice_days: int | None

    @classmethod
    def of(cls, form: Form, categories: Collection[str]) -> Self:
        """Read what was chosen; what is no choice of ours is left out."""
        transport, acceptance = form.first("transport"), form.first("acceptance")
        return cls(
            to_partner_per_week=form.whole("to_partner_per_week"),
            to_proposer_per_week=form.whole("to_proposer_per_week"),
            categories=frozenset(form.every("categories")) & frozenset(categories),
            crosses_border=bool(form.first("crosses_border")),
            transport=transport if transport in set(Transport) else "",
            acceptance=acceptance if acceptance in set(Acceptance) else "",
            answer_within_minutes=form.whole("answer_within_minutes"),
            first_day=form.day("first_day"),
            last_day=form.day("last_day"),
            notice_days=form.whole("notice_days"),
        )

    @classmethod
    def of_terms(cls, terms: PactTerms) -> Self:
        """Terms as they were proposed."""
        return cls(
            to_partner_per_week=terms.to_partner_per_week,
            to_proposer_per_week=terms.to_proposer_per_week,
            categories=terms.categories,
            crosses_border=terms.crosses_border,
            transport=terms.transport,
            acceptance=terms.acceptance,
            answer_within_minutes=terms.answer_within_minutes,
            first_day=terms.first_day.isoformat(),
            last_day=terms.last_day.isoformat(),
            notice_days=terms.notice_days,
        )

    def terms(self) -> PactTerms:
        """Raises `Invalid` with all that is wrong."""
        said = {name: getattr(self, name) for names in STEPS.values() for name in names}
        return checked(PactTermsWire, said | {"categories": sorted(self.categories) or None}).terms()

    def with_usual_rest(self, day: date) -> Self:
        """The same with days while none were asked for, so that all else can be looked at."""
        return replace(
            self,
            first_day=self.first_day or day.isoformat(),
            last_day=self.last_day or self.first_day or day.isoformat(),
        )

    def said(self) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {
            "to_partner_per_week": self.to_partner_per_week,
            "to_proposer_per_week": self.to_proposer_per_week,
            "answer_within_minutes": self.answer_within_minutes,
            "notice_days": self.notice_days,
        }
        words = {
            "crosses_border": "1" if self.crosses_border else "",
            "transport": self.transport,
            "acceptance": self.acceptance,
            "first_day": self.first_day,
            "last_day": self.last_day,
        }
        return {"categories": sorted(self.categories), **plain(numbers, words)}


async def look_at_terms(tx: AsyncConnection, proposer_town: int, partner_town: int, draft: TermsDraft) -> None:
    """Raises `Invalid` with all that is wrong between these towns, whatever was not asked yet."""
    tomorrow = (await boards.clock(tx)).date() + timedelta(days=1)
    await look_at(
        draft.terms,
        draft.with_usual_rest(tomorrow).terms,
        lambda terms: pacts.check_terms(tx, proposer_town, partner_town, terms),
    )


def terms_words(language: str, categories: Mapping[str, Coverage], today: date) -> dict[str, object]:
    """What there is to choose from, in words."""
    return {
        "categories": [Named(code, category_words(code, None, language)) for code in sorted(categories)],
        "transports": named("console.pact.way", Transport, language),
        "acceptances": named("console.pact.acceptance", Acceptance, language),
        "today": today.isoformat(),
    }
