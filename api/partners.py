"""Partner towns in the explanation of a need: how those answered that were asked, and why not the others."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from babel import Locale
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.wire import TownId, Wire
from api.wording import say
from db import referral_facts, referring, towns
from db.referral_facts import ReferralFacts
from db.referring import Option
from matching.policy import Policy
from matching.rules import Facts
from matching.states import ReferralState

__all__ = ["MOST_PARTNERS", "PartnerOut", "Partners", "partners_of"]

MOST_PARTNERS = 200
_Sentence = Annotated[str, Field(max_length=400)]
_Code = Annotated[str, Field(max_length=40)]


class PartnerOut(Wire):
    """A partner town: how it answered, or the rule that keeps it from being asked; neither where it will be.

    `pact_id` is null when the pact is not one of the reader's.
    """

    pact_id: UUID | None
    town: TownId
    state: ReferralState | None
    rule: _Code | None
    facts: Annotated[dict[_Code, int | _Code], Field(max_length=4)]
    sentence: _Sentence


@dataclass(frozen=True, slots=True)
class Partners:
    """The partners of a need, and where its people are looked after, in a sentence, while one of them does that."""

    told: list[PartnerOut]
    referred: str | None


async def partners_of(
    tx: AsyncConnection, need_id: UUID, reader: UUID, policy: Policy, language: str, *, seeks: bool
) -> Partners:
    """The towns that were asked, oldest first; then, for a need that `seeks`, those that pacts lead to from there.

    Asked across organizations: as the matcher.
    """
    asked = await referral_facts.of_need(tx, need_id, reader)
    names = await towns.names(tx, [each.to_town_id for each in asked])
    told = [_answered(each, names[each.to_town_id], language) for each in asked]
    if seeks:
        found = await referring.options(tx, need_id, policy)
        told += [_not_asked(each, reader, language) for each in found if not _stands_above(each, asked)]
    now = [each for each in asked if each.state is ReferralState.ACCEPTED]
    where = [say("summary.referred", language, town=names[each.to_town_id], km=each.distance_km) for each in now]
    return Partners(told[:MOST_PARTNERS], where[0] if where and seeks else None)


def _answered(each: ReferralFacts, town: str, language: str) -> PartnerOut:
    return PartnerOut(
        pact_id=each.pact_id,
        town=each.to_town_id,
        state=each.state,
        rule=None,
        facts={"km": each.distance_km},
        sentence=say(f"referral.{each.state}", language, town=town),
    )


def _not_asked(each: Option, reader: UUID, language: str) -> PartnerOut:
    partner, failure = each.partner, each.failure
    own = reader in (partner.from_id, partner.to_id)
    # How many people two towns passed on is theirs to know: a party of hundreds makes any week too full.
    withheld = failure is not None and failure.rule == "week" and not own
    facts = failure.facts if failure and not withheld else ()
    words = _in_words(facts, language) | {"town": partner.town}
    sentence = "week_of_others" if withheld else failure.rule if failure else "fits"
    return PartnerOut(
        pact_id=partner.pact_id if own else None,
        town=partner.town_id,
        state=None,
        rule=failure.rule if failure else None,
        facts=dict(facts),
        sentence=say(f"pact.{sentence}", language, **words),
    )


def _stands_above(each: Option, asked: list[ReferralFacts]) -> bool:
    """Whether its answer says it already."""
    return any(one.pact_id == each.partner.pact_id and one.state is not ReferralState.WITHDRAWN for one in asked)


def _in_words(facts: Facts, language: str) -> dict[str, str | int]:
    words = dict(facts)
    if isinstance(code := words.get("country"), str):
        words["country"] = Locale(language).territories.get(code, code)
    return words
