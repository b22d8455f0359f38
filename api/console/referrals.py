"""People whom one town passes to another: what this one is asked and its answer, and asking a partner for a need.

The organization that signed a pact finds what it is asked beside whatever else waits for its word: among its houses, or
on its board where it has none; and with its pacts.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.cards import card_of, counts_in_words, party_words, wish_words
from api.console.pages import HOME, PACTS, TONIGHT, page
from api.console.visits import ConsoleRoute, Posts, SignsPacts, Visit, gone_to
from api.moments import clock, left, stretch
from api.wording import say
from db import boards, needs, referral_facts, referrals, referring, towns
from db.keys import Scope
from db.referral_facts import Asked, ReferralFacts
from matching.refusals import Conflict, Invalid, NotFound
from matching.states import ReferralState
from matching.vocabulary import DeclineReason

__all__ = ["AskedCard", "asked_cards", "passed_on", "router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_ANSWERS: Final = frozenset({"yes", *DeclineReason})


@dataclass(frozen=True, slots=True)
class AskedCard:
    """A party that another town asks this one to take."""

    id: UUID
    title: str
    category: str
    counts: str
    town: str
    way: str
    times: str
    wishes: list[str]
    until: datetime | None
    until_words: str
    left: str
    may_answer: bool


async def asked_cards(visit: Visit) -> list[AskedCard]:
    """What other towns ask of this organization and waits for its answer, for a key that may read it."""
    if Scope.PACTS_READ not in visit.who.scopes:
        return []
    found = await referral_facts.awaiting(visit.tx, visit.who.organization_id)
    return [_card(each, visit) for each in found]


async def passed_on(visit: Visit, need_ids: list[UUID]) -> dict[UUID, list[tuple[ReferralFacts, str]]]:
    """The referrals of these needs, oldest first, each with the name of the town that was asked."""
    found = await referral_facts.of_needs(visit.tx, need_ids, visit.who.organization_id)
    names = await towns.names(visit.tx, [each.to_town_id for several in found.values() for each in several])
    return {need: [(each, names[each.to_town_id]) for each in several] for need, several in found.items()}


@router.post("/console/referrals/{referral_id}/answer")
async def answer_town(referral_id: UUID, request: Request, visit: SignsPacts) -> Response:
    """Take the people of another town, or not with a reason, once it is said for sure."""
    own, said = visit.who.organization_id, visit.form.first("answer")
    if said not in _ANSWERS:
        raise Invalid.one("/reason", "not_understood")
    back = visit.form.first("back")
    back = back if back in (TONIGHT, PACTS) else HOME
    if not visit.form.first("sure"):
        return await _ask_again(request, visit, referral_id, said, back)
    if said == "yes":
        await referrals.accept(visit.tx, referral_id, own)
    else:
        await referrals.decline(visit.tx, referral_id, own, DeclineReason(said))
    visit.note(referral_id)
    visit.ring()
    return gone_to(back)


@router.post("/console/needs/{need_id}/refer")
async def refer_need(need_id: UUID, request: Request, visit: Posts) -> Response:
    """Ask a partner town for the people of a need now, once it is said for sure.

    Only where no more towns were asked (`asked`) than the page told: one that took them meanwhile is not to lose them.
    """
    if not visit.form.first("sure"):
        found = await boards.need_of(visit.tx, need_id, visit.who.organization_id)
        if found is None:
            raise NotFound
        card = card_of(found, (), visit.language, visit.who.scopes)
        answer = {"asked": visit.form.number("asked")}
        return await page(request, "sure", question="console.refer.sure", card=card, answer=answer, back=HOME)

    async def act() -> str:
        own = visit.who.organization_id
        need = await needs.lock(visit.tx, need_id, own)
        if len(await referral_facts.of_need(visit.tx, need_id, own)) != visit.form.number("asked"):
            raise Conflict("asked_meanwhile", need.state)
        await referring.ask(visit.tx, need_id, own, None)
        visit.note(need_id)
        visit.ring()
        return HOME

    return gone_to(await visit.once(act))


async def _ask_again(request: Request, visit: Visit, referral_id: UUID, said: str, back: str) -> Response:
    found = await referral_facts.asked(visit.tx, referral_id, visit.who.organization_id)
    if not found.waits:
        state = found.referral.state
        raise Conflict("referral_is_answered", ReferralState.EXPIRED if state is ReferralState.OFFERED else state)
    question = "console.confirm.sure" if said == "yes" else "console.decline.sure"
    answer = {"answer": said, "back": back}
    return await page(request, "sure", question=question, card=_card(found, visit), answer=answer, back=back)


def _card(found: Asked, visit: Visit) -> AskedCard:
    each, language = found.referral, visit.language
    return AskedCard(
        id=each.id,
        title=say("slip.people", language, count=each.adults + each.minors),
        category=each.category,
        counts=counts_in_words(each.adults, each.minors, language),
        town=found.from_town,
        way=say("console.asked.way", language, town=found.to_town, km=each.distance_km),
        times=stretch(each.starts, each.ends, found.zone, language),
        wishes=[*party_words(each.audience, language), *wish_words(each.requires, language)],
        until=each.answer_by,
        until_words=say("console.answer_by", language, time=clock(each.answer_by, found.zone, language))
        if each.answer_by
        else "",
        left=left(each.answer_by - found.now, language) if each.answer_by else "",
        may_answer=Scope.PACTS_WRITE in visit.who.scopes,
    )
