"""Tonight at the houses of an organization: what waits for its word, who comes, and what is free.

An answer is given by one tap, and can be taken back for ten seconds: the page's script sends it only then. Until it is
sent nothing has happened, and the hold waits as before. Without a script a page asks once more instead.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.cards import Guest, guest_of, occupation
from api.console.pages import TONIGHT, page
from api.console.referrals import AskedCard, asked_cards
from api.console.visits import Answers, ConsoleRoute, ReadsAwaiting, Visit, gone_to
from db import allocations, boards
from db.keys import Scope
from matching.refusals import Invalid, NoLongerHeld
from matching.states import AllocationState
from matching.vocabulary import DeclineReason

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_MAY_ANSWER: Final = frozenset({Scope.ALLOCATIONS_WRITE, Scope.ALLOCATIONS_CONFIRM})
_ANSWERS: Final = frozenset({"yes", *DeclineReason})


@router.get(TONIGHT)
async def show_tonight(request: Request, visit: ReadsAwaiting) -> Response:
    """What runs out first stands at the top."""
    language, scopes, own = visit.language, visit.who.scopes, visit.who.organization_id
    waiting: list[Guest | AskedCard] = [
        *(guest_of(each, language, scopes) for each in await boards.awaiting(visit.tx, own)),
        *await asked_cards(visit),
    ]
    return await page(
        request,
        "tonight",
        waiting=sorted(waiting, key=_deadline),
        coming=[guest_of(each, language, scopes) for each in await boards.coming(visit.tx, own)],
        rooms=[occupation(each, language) for each in await boards.rooms(visit.tx, own)],
        reasons=list(DeclineReason),
        may_answer=bool(_MAY_ANSWER & scopes),
        still="still" in request.query_params,
    )


@router.post("/console/allocations/{allocation_id}/answer")
async def answer_hold(allocation_id: UUID, request: Request, visit: Answers) -> Response:
    """Say yes, or no with a reason, once it is said for sure."""
    said = visit.form.first("answer")
    if said not in _ANSWERS:
        raise Invalid.one("/reason", "not_understood")
    if not visit.form.first("sure"):
        return await _ask_again(request, visit, allocation_id, said)
    to = AllocationState.CONFIRMED if said == "yes" else AllocationState.DECLINED
    await allocations.move(visit.tx, allocation_id, visit.who.organization_id, to, None if said == "yes" else said)
    visit.note(allocation_id)
    visit.ring()
    return gone_to(TONIGHT)


def _deadline(each: Guest | AskedCard) -> datetime:
    return each.until or datetime.max.replace(tzinfo=UTC)


async def _ask_again(request: Request, visit: Visit, allocation_id: UUID, said: str) -> Response:
    waiting = await boards.awaiting(visit.tx, visit.who.organization_id)
    found = next((each for each in waiting if each.allocation.id == allocation_id), None)
    if found is None:
        known = await allocations.read(visit.tx, allocation_id, visit.who.organization_id)
        raise NoLongerHeld(allocation_id, known.state)
    question = "console.confirm.sure" if said == "yes" else "console.decline.sure"
    guest = guest_of(found, visit.language, visit.who.scopes)
    return await page(request, "sure", question=question, card=guest, answer={"answer": said}, back=TONIGHT)
