"""The plan of a project as the people's representatives see it with their code, and their answer: yes, or no.

As on every slip, an unknown, an expired and a foreign code answer the same 404.
"""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.authorization import Anyone
from api.house import TheHouse
from api.problems import problems
from api.projects import PlanNumber, Unwanted
from api.reading import StrictRoute
from api.slip import SlipIn
from api.slip_desk import with_code
from api.wire import CategoryCode, CountryCode, Instant, Wire
from db import project_answers, project_slips, projects
from db.project_slips import PlanFacts, PlanHouse
from matching.projects import MOST_PARTIES, ProjectState
from matching.refusals import NotFound
from matching.states import AllocationState
from matching.vocabulary import RefuseReason

__all__ = ["router"]

router = APIRouter(prefix="/v1/slip/plan", tags=["slip"], route_class=StrictRoute)
Count = Annotated[int, Field(ge=0)]


class PlanHouseOut(Wire):
    """One house of the plan: in which town, how far from where they live, and who would go there."""

    offer_id: UUID
    town: Annotated[str, Field(max_length=200)]
    country: CountryCode
    distance_km: Count
    parties: Annotated[list[Count], Field(max_length=MOST_PARTIES, description="People of each party.")]
    states: Annotated[list[AllocationState], Field(max_length=len(AllocationState))]
    awaits: Annotated[bool, Field(description="Whether your answer decides about it; to the others you said yes.")]

    @classmethod
    def of(cls, house: PlanHouse) -> "PlanHouseOut":
        """Render one house."""
        return cls(
            offer_id=house.offer_id,
            town=house.town,
            country=house.country,
            distance_km=house.distance_km,
            parties=list(house.parties),
            states=sorted(house.states),
            awaits=house.awaits,
        )


class PlanOut(Wire):
    """Where a project stands, and the plan that waits for an answer or was accepted."""

    state: ProjectState
    category: CategoryCode
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    together_km: Count
    minimum: Count
    people: Count
    housed: Count
    plan: Annotated[Count, Field(description="Its number: name it in the answer, so that no other is answered.")]
    answer_by: Instant | None
    houses: Annotated[list[PlanHouseOut], Field(max_length=2 * MOST_PARTIES)]
    others_stay: Annotated[
        bool, Field(description="Whether places to which you said yes before stay yours when you say no.")
    ]

    @classmethod
    def of(cls, facts: PlanFacts) -> "PlanOut":
        """Render a plan."""
        return cls(
            state=facts.state,
            category=facts.category,
            from_=facts.starts,
            until=facts.ends,
            together_km=facts.together_km,
            minimum=facts.minimum,
            people=facts.people,
            housed=sum(sum(house.parties) for house in facts.houses),
            plan=facts.plan,
            answer_by=facts.answer_by,
            houses=[PlanHouseOut.of(house) for house in facts.houses],
            others_stay=facts.others_stay,
        )


class AcceptPlanIn(SlipIn):
    """Yes, to the plan of this number."""

    plan: PlanNumber


class RefuseHousesIn(SlipIn):
    """No: why, and which houses; without any, all of the plan's."""

    reason: RefuseReason
    houses: Unwanted = Field(default_factory=list)
    plan: PlanNumber | None = None


@router.post("", responses=problems(404, 422, 429))
async def show_plan(body: SlipIn, request: Request, house: TheHouse, _public: Anyone) -> PlanOut:
    """The plan behind this code."""
    return PlanOut.of(await with_code(house, request, body.code, project_slips.read))


@router.post("/accept", responses=problems(404, 409, 422, 429))
async def accept_plan(body: AcceptPlanIn, request: Request, house: TheHouse, _public: Anyone) -> PlanOut:
    """The people say yes: from now on the houses are asked to confirm."""

    async def act(tx: AsyncConnection, slip: bytes) -> PlanFacts:
        await project_answers.accept(tx, (await project_slips.find(tx, slip)).id, body.plan)
        return await project_slips.read(tx, slip)

    return PlanOut.of(await with_code(house, request, body.code, act))


@router.post("/refuse", responses=problems(404, 409, 422, 429))
async def refuse_plan(body: RefuseHousesIn, request: Request, house: TheHouse, _public: Anyone) -> PlanOut:
    """The people say no: its places go to others at once, and another plan is looked for without those houses.

    Who has found something elsewhere or has moved on leaves the project: those who would go to these houses, or all
    whom the plan is for. Those who have places keep them; where nobody has one, it is over for all.
    """

    async def act(tx: AsyncConnection, slip: bytes) -> PlanFacts:
        project_id, organization_id = await project_slips.find(tx, slip)
        if not body.reason.ends_the_need:
            await project_answers.refuse(tx, project_id, body.reason, body.houses, body.plan)
            return await project_slips.read(tx, slip)
        seen = await project_slips.read(tx, slip)
        await projects.leave(tx, project_id, organization_id, body.reason, body.houses, body.plan)
        try:
            return await project_slips.read(tx, slip)
        except NotFound:
            # Behind the code of a project that is over there is no plan any more.
            return replace(seen, state=ProjectState.WITHDRAWN, answer_by=None, houses=())

    left = await with_code(house, request, body.code, act)
    house.bell.work()
    return PlanOut.of(left)
