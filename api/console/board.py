"""The board: this evening's needs of an organization, fresh by itself, and the stream that says when to look."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.cards import Card, Guest, card_of, guest_of
from api.console.cookies import token_in
from api.console.pages import HOME, TONIGHT, has_houses, page
from api.console.referrals import asked_cards, passed_on
from api.console.visits import ConsoleRoute, Marks, ReadsBoard, SignedIn, SignedOut, Visit, gone_to, idle
from api.explanations import explained
from api.problems import Forbidden
from api.streams import Listener
from api.wording import say
from db import allocations, boards, feed, sessions
from db.allocations import AllocationFacts
from db.boards import OnBoard
from db.happenings import readable
from matching.refusals import Conflict
from matching.states import LIVE, AllocationState, NeedState
from matching.vocabulary import DeclineReason

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_MOST: Final = 100
_MOST_EXPLAINED: Final = 8
"""To say why nothing was found means to look around once more: not for a whole queue at each look."""
_CHANGED: Final = b"data: changed\n\n"


@router.get(HOME)
async def show_board(request: Request, visit: ReadsBoard) -> Response:
    """All needs of this evening, those to look at first."""
    found = await boards.needs_of(visit.tx, visit.who.organization_id, _MOST)
    placed = await allocations.of_needs(visit.tx, [each.need.id for each in found])
    explained_ones = [each.need.id for each in found if each.need.state is NeedState.OPEN][:_MOST_EXPLAINED]
    passed = await passed_on(visit, [each.need.id for each in found])
    cards = [
        card_of(
            each,
            placed[each.need.id],
            visit.language,
            visit.who.scopes,
            await _why(visit, each, placed[each.need.id], explained_ones),
            passed[each.need.id],
        )
        for each in found
    ]
    # Who has houses finds it beside what these are asked.
    asked = [] if has_houses(visit.who.kind, visit.who.scopes) else await asked_cards(visit)
    return await page(
        request,
        "board",
        asked=asked,
        reasons=list(DeclineReason),
        live=[card for card in cards if not card.over],
        over=[card for card in cards if card.over],
        still="still" in request.query_params,
    )


@router.post("/console/allocations/{allocation_id}/arrive")
async def mark_arrived(allocation_id: UUID, visit: Marks) -> Response:
    """The party is there."""
    await allocations.move(visit.tx, allocation_id, visit.who.organization_id, AllocationState.ARRIVED)
    visit.note(allocation_id)
    visit.ring()
    return gone_to(_back(visit))


@router.post("/console/allocations/{allocation_id}/release")
async def give_back(allocation_id: UUID, request: Request, visit: Marks) -> Response:
    """Give a place back, as either side of it, once it is said for sure: another is looked for at once."""
    own, back = visit.who.organization_id, _back(visit)
    if not visit.form.first("sure"):
        card = await _party(visit, allocation_id)
        return await page(request, "sure", question="console.release.sure", card=card, answer={"back": back}, back=back)
    await allocations.move(visit.tx, allocation_id, own, AllocationState.RELEASED, DeclineReason.OTHER)
    visit.note(allocation_id)
    visit.ring()
    return gone_to(back)


async def _party(visit: Visit, allocation_id: UUID) -> Card | Guest:
    """Whom a place is for, as this side of it knows them."""
    own, scopes = visit.who.organization_id, visit.who.scopes
    placed = await allocations.read(visit.tx, allocation_id, own)
    found = await boards.need_of(visit.tx, placed.need_id, own)
    if found is not None:
        return card_of(found, (), visit.language, scopes)
    guest = next((each for each in await boards.coming(visit.tx, own) if each.allocation.id == allocation_id), None)
    if guest is None:
        raise Conflict("state_does_not_allow", placed.state)
    return guest_of(guest, visit.language, scopes)


def _back(visit: Visit) -> str:
    said = visit.form.first("back")
    return said if said in (HOME, TONIGHT) else HOME


@router.get("/console/changes")
async def stream_changes(request: Request, visit: SignedIn) -> Response:
    """A word each time that something of this organization changed, until the session ends; never what it was."""
    house, token, who = visit.house, token_in(request, visit.house.settings), visit.who
    objects = readable(who.scopes)
    if token is None:
        raise SignedOut
    if not objects:
        raise Forbidden
    held: str = token

    async def lives(tx: AsyncConnection) -> bool:
        return await sessions.found(tx, held, house.session_hashing, idle(house)) is not None

    told = house.streams.told(Listener(who, objects, lambda _event: "", lives), await feed.now(visit.tx))
    return StreamingResponse(_only_that(told), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _only_that(told: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Of each event that it happened; what is no event keeps the line open."""
    async for each in told:
        yield _CHANGED if b"event:" in each else b": still here\n\n"


async def _why(visit: Visit, found: OnBoard, placed: list[AllocationFacts], explained_ones: list[UUID]) -> str:
    """One sentence: of places that it has, theirs says enough."""
    need = found.need
    if any(each.state in LIVE for each in placed):
        return ""
    if need.state is NeedState.UNMET and need.unmet_reasons:
        most = max(need.unmet_reasons, key=lambda rule: (need.unmet_reasons or {})[rule])
        reason = say(f"unmet.{most}", visit.language, count=need.unmet_reasons[most])
        return say("summary.none", visit.language, reason=reason)
    if need.id in explained_ones:
        return (await explained(visit.tx, visit.who, need.id, visit.language)).summary
    return ""
