"""Who is placed with others: pathways and projects of the organization, where each stands, their slip, and their end.

A plan of a project is answered by its people with their code; here only by an organization that is theirs.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.asking import named
from api.console.forms import Form
from api.console.pages import HOME, page
from api.console.posting import SlipShown, slip_page, slip_to
from api.console.together_cards import Seen, TogetherCard
from api.console.visits import ConsoleRoute, Posts, ReadsBoard, Visit, gone_to
from api.wording import say
from db import organizations, pathways, project_answers, project_slips, projects
from db.keys import Scope
from db.needs import NeedFacts
from db.pathways import PathwayFacts
from db.project_slips import PlanFacts
from db.projects import ProjectFacts
from db.roles import Role, acting_as
from matching.projects import ProjectState
from matching.refusals import Invalid, NotFound
from matching.vocabulary import RefuseReason

__all__ = ["TOGETHER", "router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
TOGETHER: Final = f"{HOME}/together"
_MOST_LIVE: Final = 1000
_MOST_OVER: Final = 50
_YES: Final = "yes"
_NO: Final = [reason for reason in RefuseReason if not reason.ends_the_need]
"""Who says so gets another plan; the search itself ends where it is withdrawn for all."""


@router.get(TOGETHER)
async def list_together(request: Request, visit: ReadsBoard) -> Response:
    """Projects and pathways, the newest first: all that live, and the newest of what is over."""
    live, more_live = await _cards(visit, _MOST_LIVE, over=False)
    over, more_over = await _cards(visit, _MOST_OVER, over=True)
    return await page(
        request,
        "together",
        live=live,
        over=over[:_MOST_OVER],
        more=more_live or more_over or len(over) > _MOST_OVER,
        may_post=Scope.NEEDS_WRITE in visit.who.scopes,
    )


@router.get(f"{HOME}/pathways/{{pathway_id}}")
async def show_pathway(pathway_id: UUID, request: Request, visit: ReadsBoard) -> Response:
    """Its steps, each with its place, and the slip that shows all of them."""
    found = await pathways.read(visit.tx, pathway_id, visit.who.organization_id)
    card = (await Seen.of(visit, found.steps)).pathway(found)
    return await _shown(request, visit, card, "console.pathway.withdraw")


@router.get(f"{HOME}/projects/{{project_id}}")
async def show_project(project_id: UUID, request: Request, visit: ReadsBoard) -> Response:
    """Its parties, the plan that waits or was accepted, and the code with which its people answer."""
    return await _project_shown(request, visit, project_id)


@router.post(f"{HOME}/pathways/{{pathway_id}}/withdraw")
async def withdraw_pathway(pathway_id: UUID, request: Request, visit: Posts) -> Response:
    """End what is left of it, once it is said for sure."""
    own = visit.who.organization_id
    if not visit.form.first("sure"):
        found = await pathways.read(visit.tx, pathway_id, own)
        return await _ask_again(request, (await Seen.of(visit, found.steps)).pathway(found), "console.pathway.sure")
    await pathways.withdraw(visit.tx, pathway_id, own)
    return _done(visit, pathway_id, TOGETHER)


@router.post(f"{HOME}/projects/{{project_id}}/withdraw")
async def withdraw_project(project_id: UUID, request: Request, visit: Posts) -> Response:
    """End it for all its parties, once it is said for sure."""
    own = visit.who.organization_id
    if not visit.form.first("sure"):
        found = await projects.read(visit.tx, project_id, own)
        return await _ask_again(request, (await Seen.of(visit, found.parties)).project(found), "console.project.sure")
    await projects.withdraw(visit.tx, project_id, own)
    return _done(visit, project_id, TOGETHER)


@router.post(f"{HOME}/projects/{{project_id}}/answer")
async def answer_plan(project_id: UUID, request: Request, visit: Posts) -> Response:
    """Say yes to the plan that was shown, or no with a reason, as the people's own organization, once it is sure."""
    own, said, plan = visit.who.organization_id, visit.form.first("said"), visit.form.number("plan")
    await projects.check_self_organized(visit.tx, project_id, own)
    if said != _YES and said not in _NO:
        raise Invalid.one("/reason", "not_understood")
    houses = _houses(visit.form)
    if not visit.form.first("sure"):
        found = await projects.read(visit.tx, project_id, own)
        card = (await Seen.of(visit, found.parties)).project(found)
        answer: dict[str, str | int] = {"said": said, "plan": plan, "houses": ",".join(map(str, houses))}
        if said == _YES:
            return await _ask_again(request, card, "console.project.yes.sure", answer)
        refused = _refused(await _plan(visit, found), RefuseReason(said), houses, visit.language)
        return await _ask_again(request, card, "console.project.no.sure", answer, refused)
    async with acting_as(visit.tx, Role.MATCHER):
        if said == _YES:
            await project_answers.accept(visit.tx, project_id, plan)
        else:
            await project_answers.refuse(visit.tx, project_id, RefuseReason(said), houses, plan)
    return _done(visit, project_id, f"{HOME}/projects/{project_id}")


async def _cards(visit: Visit, most: int, *, over: bool) -> tuple[list[TogetherCard], bool]:
    """At most so many of each, the newest first, and whether there are more."""
    own = visit.who.organization_id
    some = await projects.page(visit.tx, own, None, most, over=over)
    others = await pathways.page(visit.tx, own, None, most, over=over)
    seen = await Seen.of(visit, [*(party for each in some.items for party in each.parties), *_steps(others.items)])
    cards = [*map(seen.project, some.items), *map(seen.pathway, others.items)]
    newest = sorted(cards, key=lambda card: card.posted_at, reverse=True)
    return newest, some.next is not None or others.next is not None


async def _project_shown(request: Request, visit: Visit, project_id: UUID) -> Response:
    own = visit.who.organization_id
    found = await projects.read(visit.tx, project_id, own)
    card = (await Seen.of(visit, found.parties)).project(found)
    # The plan is read with the code, which such a key may hand out.
    plan = await _plan(visit, found) if Scope.NEEDS_WRITE in visit.who.scopes else None
    theirs = (await organizations.read(visit.tx, own)).self_organized
    answers = theirs and plan is not None and found.state is ProjectState.PROPOSED
    return await _shown(request, visit, card, "console.project.withdraw", plan, may_answer=answers)


async def _plan(visit: Visit, project: ProjectFacts) -> PlanFacts | None:
    """As its people read it with their code: towns and head-counts, and no address."""
    try:
        async with acting_as(visit.tx, Role.MATCHER):
            plan = await project_slips.read(visit.tx, visit.house.slips.filed(project.id))
    except NotFound:
        return None
    return plan if plan.houses else None


async def _shown(
    request: Request,
    visit: Visit,
    card: TogetherCard,
    withdraw: str,
    plan: PlanFacts | None = None,
    *,
    may_answer: bool = False,
) -> Response:
    writes = Scope.NEEDS_WRITE in visit.who.scopes and not card.over
    slip: SlipShown | None = slip_to(visit, card.id, card) if writes else None
    return await page(
        request,
        "placed_together",
        card=card,
        plan=plan,
        reasons=named("slip.reason", _NO, visit.language),
        may_answer=may_answer,
        withdraw=withdraw if writes else "",
        slip=slip,
        public=slip_page(request),
        back=TOGETHER,
    )


async def _ask_again(
    request: Request,
    card: TogetherCard,
    question: str,
    answer: Mapping[str, str | int] = MappingProxyType({}),
    said: Sequence[str] = (),
) -> Response:
    return await page(request, "sure", question=question, card=card, answer=answer, said=said, back=card.path)


def _refused(plan: PlanFacts | None, reason: RefuseReason, ticked: Sequence[UUID], language: str) -> list[str]:
    """Why, and which houses: all that wait for an answer where none was ticked."""
    waiting = [each for each in plan.houses if each.awaits] if plan else []
    houses = [each for each in waiting if each.offer_id in ticked or not ticked]
    why = say(f"slip.reason.{reason}", language)
    return [why, *(f"{each.town} · {say('console.km', language, km=each.distance_km)}" for each in houses)]


def _houses(form: Form) -> list[UUID]:
    """Houses of the plan that are refused: as they were ticked, or as they were told when it was asked once more."""
    return form.uuids("house") or Form({"house": form.words("houses").split(",")}).uuids("house")


def _done(visit: Visit, object_id: UUID, there: str) -> Response:
    visit.note(object_id)
    visit.ring()
    return gone_to(there)


def _steps(found: Sequence[PathwayFacts]) -> list[NeedFacts]:
    return [step for each in found for step in each.steps]
