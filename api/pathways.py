"""Pathways: what a party that stays needs, as one plan: a bed for months, a class near it, respite."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import ReadsNeeds, WritesNeeds
from api.house import TheHouse
from api.languages import LanguageWire
from api.lists import After, Limit, Listed, listed
from api.needs import Codes, Countries, MaxKm, NeedOut, NeedWarning, PeopleWire, Words
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.wire import CategoryCode, Instant, TownId, Wire
from db import allocations, pathways, preferences
from db.allocations import AllocationFacts
from db.pathways import PathwayFacts
from db.preferences import NOTHING_SAID, Said
from matching.bounds import NEAR_KM, NEAR_KM_USUAL
from matching.needs import People
from matching.pathways import FEWEST_STEPS, MOST_STEPS, PathwayState, state_of
from matching.posting import NeedTerms
from matching.vocabulary import Audience, Stay, Urgency

__all__ = ["PathwayIn", "router"]

router = APIRouter(prefix="/v1/pathways", tags=["pathways"], route_class=TransactionalRoute)
NearKm = Annotated[
    int,
    Field(
        ge=NEAR_KM.least,
        le=NEAR_KM.most,
        description="How far each other step may lie from the bed, cell to cell, in kilometres.",
    ),
]
FromBed = Annotated[int, Field(ge=0, description="Kilometres from the bed, once both have a place.")]


class StepIn(Wire):
    """One step, as a need: what, when, with what."""

    category: CategoryCode
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    urgency: Urgency = Urgency.NORMAL
    requires: Codes = Field(default_factory=list)
    language: LanguageWire | None = None


class PathwayIn(Wire):
    """What one party needs beyond tonight. One step is by the night, the bed: the others are to lie near it.

    `max_km` is how far the bed may be from the town.
    """

    town: TownId
    people: PeopleWire
    audience: Words = Field(default_factory=lambda: [Audience.ANYONE])
    countries: Countries | None = None
    max_km: MaxKm | None = None
    near_km: NearKm = NEAR_KM_USUAL
    steps: Annotated[list[StepIn], Field(min_length=FEWEST_STEPS, max_length=MOST_STEPS)]

    def terms(self) -> list[NeedTerms]:
        """Its steps as the domain knows them."""
        return [
            NeedTerms(
                category=step.category,
                town_id=self.town,
                people=People(self.people.adults, self.people.minors),
                starts=step.from_,
                ends=step.until,
                urgency=step.urgency,
                stay=Stay.SETTLING,
                audience=frozenset(self.audience),
                requires=frozenset(step.requires),
                countries=frozenset(self.countries or ()),
                max_km=self.max_km,
                divisible=False,
                language=step.language.language() if step.language else None,
            )
            for step in self.steps
        ]


class StepOut(Wire):
    """A step: its need, and how its place lies to the bed's."""

    need: NeedOut
    km_from_bed: FromBed | None
    within_reach: Annotated[bool, Field(description="Whether that is within its reach.")] | None


class PathwayOut(Wire):
    """A pathway as its organization sees it. `code` is the slip's, one for all steps, for the people themselves.

    Steps are gone some days after they have ended, and the pathway with the last of them.
    """

    id: UUID
    state: PathwayState
    town: TownId
    people: PeopleWire
    near_km: NearKm
    steps: Annotated[list[StepOut], Field(max_length=MOST_STEPS)]
    posted_at: Instant
    code: Annotated[str, Field(max_length=20)] | None
    warnings: Annotated[list[NeedWarning], Field(max_length=10)]
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(
        cls,
        facts: PathwayFacts,
        placed: Mapping[UUID, Sequence[AllocationFacts]],
        said: Mapping[UUID, Said] = {},
        *,
        code: str | None = None,
        lookalike: UUID | None = None,
    ) -> "PathwayOut":
        """Render one pathway, with the allocations of its needs and what their people said."""
        terms = facts.steps[0].terms
        return cls(
            id=facts.id,
            state=state_of([step.state for step in facts.steps]),
            town=terms.town_id,
            people=PeopleWire(adults=terms.people.adults, minors=terms.people.minors),
            near_km=facts.near_km,
            steps=[
                StepOut(
                    need=NeedOut.of(step, placed.get(step.id, ()), said.get(step.id, NOTHING_SAID)),
                    km_from_bed=(km := facts.from_bed.get(step.id)),
                    within_reach=None if km is None else km <= _reach(facts.near_km, step.terms.max_km),
                )
                for step in facts.steps
            ],
            posted_at=facts.posted_at,
            code=code,
            warnings=[NeedWarning(code="possible_duplicate", need_id=lookalike)] if lookalike else [],
            version=facts.version,
        )


def _reach(near_km: int, own: int | None) -> int:
    return near_km if own is None else min(near_km, own)


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def post_pathway(body: PathwayIn, who: WritesNeeds, tx: Tx, reply: Reply, house: TheHouse) -> PathwayOut:
    """Post the steps of one party's pathway: they are placed together, so that the others lie near the bed.

    A bed never waits for the other steps; they wait for it, unless they are vital.
    """
    added = await pathways.add(tx, who.organization_id, body.terms(), body.near_km, house.slips.filed)
    pathway = added.pathway
    reply.ring()
    reply.created(f"/v1/pathways/{pathway.id}", pathway.version)
    return PathwayOut.of(pathway, {}, code=reply.code(pathway.id), lookalike=added.lookalike)


@router.get("", responses=problems(401, 403, 422))
async def list_pathways(who: ReadsNeeds, tx: Tx, after: After, limit: Limit = 50) -> Listed[PathwayOut]:
    """The caller's own pathways, newest first."""
    page = await pathways.page(tx, who.organization_id, after, limit)
    ids = [step.id for pathway in page.items for step in pathway.steps]
    placed, said = await allocations.of_needs(tx, ids), await preferences.of_needs(tx, ids)
    return listed(page, lambda pathway: PathwayOut.of(pathway, placed, said))


@router.get("/{pathway_id}", responses=problems(401, 403, 404, 422))
async def read_pathway(pathway_id: UUID, who: ReadsNeeds, tx: Tx, reply: Reply) -> PathwayOut:
    """One pathway with its steps, and the allocations of each."""
    return await _pathway(tx, pathway_id, who.organization_id, reply)


@router.post("/{pathway_id}/withdraw", responses=problems(401, 403, 404, 409, 422))
async def withdraw_pathway(pathway_id: UUID, who: WritesNeeds, tx: Tx, reply: Reply) -> PathwayOut:
    """All that is left of it is over: its places go to others at once."""
    await pathways.withdraw(tx, pathway_id, who.organization_id)
    reply.ring()
    return await _pathway(tx, pathway_id, who.organization_id, reply)


async def _pathway(tx: Tx, pathway_id: UUID, organization_id: UUID, reply: Reply) -> PathwayOut:
    facts = await pathways.read(tx, pathway_id, organization_id)
    reply.version(facts.version)
    ids = [step.id for step in facts.steps]
    return PathwayOut.of(facts, await allocations.of_needs(tx, ids), await preferences.of_needs(tx, ids))
