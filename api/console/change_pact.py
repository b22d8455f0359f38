"""Proposing other terms for a pact, or the same for longer: from the newest that were proposed, read whole before.

What is in force stays so until both have signed the new terms. Where the other town proposed some meanwhile, that is
told and nothing done.
"""

from functools import partial
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.checking import Flawed, flawed
from api.console.guided import Guide
from api.console.pact_form import STEPS, TermsDraft, look_at_terms, terms_words
from api.console.pact_words import PactSide
from api.console.pages import PACTS, page
from api.console.visits import ConsoleRoute, SignsPacts, Visit
from api.problems import STATUS
from api.wording import say
from db import boards, pact_facts, pacts
from db.pact_facts import PactFacts
from matching import bounds
from matching.refusals import Conflict, Invalid, StaleVersion
from matching.states import PactState

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_GUIDE: Final = Guide(STEPS)


@router.get("/console/pacts/{pact_id}/terms")
async def ask_for_terms(pact_id: UUID, request: Request, visit: SignsPacts) -> Response:
    """The first step, as the newest terms are."""
    pact = await _pact(visit, pact_id)
    return await _afresh(request, visit, pact)


@router.post("/console/pacts/{pact_id}/terms")
async def propose_terms(pact_id: UUID, request: Request, visit: SignsPacts) -> Response:
    """One step; after the last one the terms are proposed, and signed by who proposes them."""
    pact, seen = await _pact(visit, pact_id), visit.form.number("number")
    draft = TermsDraft.of(visit.form, await boards.categories(visit.tx))

    async def look() -> None:
        if seen != pact.versions[-1].number:
            raise StaleVersion(pact.versions[-1].number)
        await look_at_terms(visit.tx, pact.proposer.town_id, pact.partner.town_id, draft)

    async def act() -> str:
        await pacts.renew(visit.tx, pact_id, visit.who.organization_id, draft.terms(), seen)
        visit.note(pact_id)
        visit.ring()
        return PACTS

    try:
        ask = partial(_asked, request, visit, pact, draft, seen)
        return await _GUIDE.walk(visit.form, ask, look, lambda: visit.once(act))
    except StaleVersion as refusal:
        meanwhile: Flawed = {"": [say("console.pact.meanwhile", visit.language)]}
        return await _afresh(request, visit, await _pact(visit, pact_id), STATUS[refusal.slug], meanwhile)


async def _pact(visit: Visit, pact_id: UUID) -> PactFacts:
    """A pact of the organization that goes on. Raises `NotFound` and `Conflict`."""
    pact = await pact_facts.read(visit.tx, pact_id, visit.who.organization_id)
    if pact.state is PactState.ENDED:
        raise Conflict("pact_has_ended", pact.state)
    return pact


async def _afresh(
    request: Request, visit: Visit, pact: PactFacts, status: int = 200, wrong: Flawed | None = None
) -> Response:
    newest = pact.versions[-1]
    draft = TermsDraft.of_terms(newest.terms)
    return await _shown(request, visit, pact, draft, newest.number, _GUIDE.first, status, wrong or {})


async def _asked(
    request: Request,
    visit: Visit,
    pact: PactFacts,
    draft: TermsDraft,
    seen: int,
    step: str,
    invalid: Invalid | None = None,
) -> Response:
    wrong = flawed(invalid.flaws, visit.language) if invalid else {}
    return await _shown(request, visit, pact, draft, seen, step, 422 if invalid else 200, wrong)


async def _shown(
    request: Request,
    visit: Visit,
    pact: PactFacts,
    draft: TermsDraft,
    seen: int,
    step: str,
    status: int,
    wrong: Flawed,
) -> Response:
    side = await PactSide.read(visit.tx, pact, visit.who.organization_id, visit.language)
    today = (await boards.clock(visit.tx)).astimezone(side.zone).date()
    return await page(
        request,
        "change_pact",
        status=status,
        side=side,
        asked=draft,
        flawed=wrong,
        whole=side.terms(draft.terms()) if step == "whole" else [],
        bounds=bounds,
        **terms_words(visit.language, await boards.categories(visit.tx), today),
        **_GUIDE.facts(step, {**draft.said(), "number": [str(seen)]}),
    )
