"""Projects: many parties who leave a camp or a slum together, placed near each other with their own consent."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import Caller, ReadsNeeds, WritesNeeds
from api.house import TheHouse
from api.lists import After, Limit, Listed, listed
from api.needs import Codes, Countries, MaxKm, NeedOut, PeopleWire, Words
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import CategoryCode, Instant, TownId, Wire
from db import allocations, preferences, project_answers, projects
from db.allocations import AllocationFacts
from db.preferences import NOTHING_SAID, Said
from db.projects import ProjectFacts, ProjectTerms
from db.roles import Role, acting_as
from matching.bounds import ANSWER_HOURS, ANSWER_HOURS_USUAL, MOVERS, TOGETHER_KM
from matching.needs import People
from matching.posting import NeedTerms
from matching.projects import MOST_PARTIES, ProjectState
from matching.states import LIVE
from matching.vocabulary import Audience, RefuseReason, Stay, Urgency

__all__ = ["AcceptIn", "PlanNumber", "ProjectIn", "RefusePlanIn", "Unwanted", "router"]

router = APIRouter(prefix="/v1/projects", tags=["projects"], route_class=TransactionalRoute)
TogetherKm = Annotated[
    int,
    Field(
        ge=TOGETHER_KM.least,
        le=TOGETHER_KM.most,
        description="How far any two of their houses may be from each other, cell to cell, in km.",
    ),
]
AnswerHours = Annotated[
    int,
    Field(ge=ANSWER_HOURS.least, le=ANSWER_HOURS.most, description="How long the people may think about a plan."),
]
PlanNumber = Annotated[
    int, Field(ge=1, le=1_000_000, description="The plan that was looked at; another is not answered.")
]
Unwanted = Annotated[list[UUID], Field(max_length=MOST_PARTIES, description="Offers of the plan; all where none.")]


class ProjectPartyIn(Wire):
    """One party: head-counts, and what it requires."""

    people: PeopleWire
    audience: Words = Field(default_factory=lambda: [Audience.ANYONE])
    requires: Codes = Field(default_factory=list)


class ProjectIn(Wire):
    """Parties who move together, when, how near each other, and how many of them at least.

    `minimum` is a number of people; without it, everybody. A plan is made for at least so many, or none is.
    """

    category: CategoryCode = "shelter"
    town: TownId
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    urgency: Urgency = Urgency.NORMAL
    countries: Countries | None = None
    max_km: MaxKm | None = None
    together_km: TogetherKm
    minimum: Annotated[int, Field(ge=MOVERS.least, le=MOVERS.most)] | None = None
    answer_hours: AnswerHours = ANSWER_HOURS_USUAL
    parties: Annotated[list[ProjectPartyIn], Field(min_length=2, max_length=MOST_PARTIES)]

    def terms(self) -> ProjectTerms:
        """What is promised to all."""
        everybody = sum(party.people.adults + party.people.minors for party in self.parties)
        return ProjectTerms(self.together_km, self.minimum or max(everybody, 1), self.answer_hours)

    def needs(self) -> list[NeedTerms]:
        """Its parties as the domain knows them."""
        return [
            NeedTerms(
                category=self.category,
                town_id=self.town,
                people=People(party.people.adults, party.people.minors),
                starts=self.from_,
                ends=self.until,
                urgency=self.urgency,
                stay=Stay.SETTLING,
                audience=frozenset(party.audience),
                requires=frozenset(party.requires),
                countries=frozenset(self.countries or ()),
                max_km=self.max_km,
                divisible=False,
                language=None,
            )
            for party in self.parties
        ]


class ProjectOut(Wire):
    """A project as its organization sees it. `code` is for the people's representatives, who answer its plans with it.

    `housed` is how many of its people have a place by the plan, on hold or confirmed.
    """

    id: UUID
    state: ProjectState
    town: TownId
    together_km: TogetherKm
    minimum: Annotated[int, Field(ge=1)]
    answer_hours: Annotated[int, Field(ge=1)]
    people: Annotated[int, Field(ge=0)]
    housed: Annotated[int, Field(ge=0)]
    plan: Annotated[int, Field(ge=0, description="How many plans were proposed; the number of the one that waits.")]
    answer_by: Instant | None
    parties: Annotated[list[NeedOut], Field(max_length=MOST_PARTIES)]
    posted_at: Instant
    code: Annotated[str, Field(max_length=20)] | None
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(
        cls,
        facts: ProjectFacts,
        placed: Mapping[UUID, Sequence[AllocationFacts]],
        said: Mapping[UUID, Said] = {},
        *,
        code: str | None = None,
    ) -> "ProjectOut":
        """Render one project, with the allocations of its parties and what they said."""
        return cls(
            id=facts.id,
            state=facts.state,
            town=facts.parties[0].terms.town_id,
            together_km=facts.terms.together_km,
            minimum=facts.terms.minimum,
            answer_hours=facts.terms.answer_hours,
            people=sum(party.terms.people.count for party in facts.parties),
            housed=sum(
                each.people for party in facts.parties for each in placed.get(party.id, ()) if each.state in LIVE
            ),
            plan=facts.plan,
            answer_by=facts.answer_by,
            parties=[
                NeedOut.of(party, placed.get(party.id, ()), said.get(party.id, NOTHING_SAID)) for party in facts.parties
            ],
            posted_at=facts.posted_at,
            code=code,
            version=facts.version,
        )


class AcceptIn(Wire):
    """Yes, to the plan of this number."""

    plan: PlanNumber


class RefusePlanIn(Wire):
    """No: why, and which houses; without any, all of the plan's."""

    reason: RefuseReason
    houses: Unwanted = Field(default_factory=list)
    plan: PlanNumber | None = None


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def post_project(body: ProjectIn, who: WritesNeeds, tx: Tx, reply: Reply, house: TheHouse) -> ProjectOut:
    """Post who wants to move together; a plan for at least the minimum is looked for, and proposed to the people."""
    project = await projects.add(tx, who.organization_id, body.terms(), body.needs(), house.slips.filed)
    reply.ring()
    reply.created(f"/v1/projects/{project.id}", project.version)
    return ProjectOut.of(project, {}, code=reply.code(project.id))


@router.get("", responses=problems(401, 403, 422))
async def list_projects(who: ReadsNeeds, tx: Tx, after: After, limit: Limit = 50) -> Listed[ProjectOut]:
    """The caller's own projects, newest first."""
    page = await projects.page(tx, who.organization_id, after, limit)
    ids = [party.id for project in page.items for party in project.parties]
    placed, said = await allocations.of_needs(tx, ids), await preferences.of_needs(tx, ids)
    return listed(page, lambda project: ProjectOut.of(project, placed, said))


@router.get("/{project_id}", responses=problems(401, 403, 404, 422))
async def read_project(project_id: UUID, who: ReadsNeeds, tx: Tx, reply: Reply) -> ProjectOut:
    """One project with its parties, and the places of each."""
    return await _project(tx, project_id, who, reply)


@router.post("/{project_id}/withdraw", responses=problems(401, 403, 404, 409, 422))
async def withdraw_project(project_id: UUID, who: WritesNeeds, tx: Tx, reply: Reply) -> ProjectOut:
    """It is over: all its places go to others at once."""
    await projects.withdraw(tx, project_id, who.organization_id)
    reply.ring()
    return await _project(tx, project_id, who, reply)


@router.post("/{project_id}/accept", responses=problems(401, 403, 404, 409, 422))
async def accept_plan(project_id: UUID, body: AcceptIn, who: WritesNeeds, tx: Tx, reply: Reply) -> ProjectOut:
    """Say yes to the plan, as the people's own organization: its holds become firm.

    Others do not answer for them: their representatives do, with the code (`/v1/slip/plan/accept`).
    """
    await projects.check_self_organized(tx, project_id, who.organization_id)
    async with acting_as(tx, Role.MATCHER):
        await project_answers.accept(tx, project_id, body.plan)
    return await _project(tx, project_id, who, reply)


@router.post("/{project_id}/refuse", responses=problems(401, 403, 404, 409, 422))
async def refuse_plan(project_id: UUID, body: RefusePlanIn, who: WritesNeeds, tx: Tx, reply: Reply) -> ProjectOut:
    """Say no to the plan, as the people's own organization: another is looked for, without the houses refused.

    Who has found something elsewhere or has moved on leaves the project; those who have places keep them.
    """
    await projects.check_self_organized(tx, project_id, who.organization_id)
    if body.reason.ends_the_need:
        await projects.leave(tx, project_id, who.organization_id, body.reason, body.houses, body.plan)
    else:
        async with acting_as(tx, Role.MATCHER):
            await project_answers.refuse(tx, project_id, body.reason, body.houses, body.plan)
    reply.ring()
    return await _project(tx, project_id, who, reply)


async def _project(tx: Tx, project_id: UUID, who: Caller, reply: Reply) -> ProjectOut:
    facts = await projects.read(tx, project_id, who.organization_id)
    reply.version(facts.version)
    ids = [party.id for party in facts.parties]
    return ProjectOut.of(facts, await allocations.of_needs(tx, ids), await preferences.of_needs(tx, ids))
