"""Pledges: volunteers that an association declares, and how much may be asked of them."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.authorization import ReadsOffers, WritesOffers
from api.lists import After, Limit, Listed, listed
from api.offers import Recurrence
from api.problems import problems
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import Instant, LocalTime, Skill, TimezoneName, TownId, Wire, emptied
from db import pledges
from db.pledges import Limits, PledgeFacts
from matching.bounds import HEADCOUNT, RADIUS_KM, SHIFTS_PER_WEEK
from matching.pledging import PledgeTerms
from matching.states import PledgeState

__all__ = ["router"]

router = APIRouter(prefix="/v1/pledges", tags=["pledges"], route_class=TransactionalRoute)
Headcount = Annotated[
    int,
    Field(ge=HEADCOUNT.least, le=HEADCOUNT.most, description="Volunteers who can serve at the same time."),
]
Radius = Annotated[int, Field(ge=RADIUS_KM.least, le=RADIUS_KM.most, description="How far from their town they go.")]
Weekly = Annotated[
    int,
    Field(
        ge=SHIFTS_PER_WEEK.least,
        le=SHIFTS_PER_WEEK.most,
        description="Shifts in one calendar week, Monday to Sunday; never passed.",
    ),
]


class PledgeIn(Wire):
    """Volunteers with one skill, and when they may be called; `until` at or before `from` is the next morning."""

    skill: Skill
    headcount: Headcount
    town: TownId
    radius_km: Radius
    first_day: date
    last_day: date
    rrule: Recurrence = "FREQ=DAILY"
    from_: Annotated[LocalTime, Field(alias="from")]
    until: LocalTime
    timezone: TimezoneName | None = None
    shifts_per_week_max: Weekly

    def terms(self) -> PledgeTerms:
        """The pledge as the domain knows it."""
        return PledgeTerms(
            town_id=self.town,
            skill=self.skill,
            headcount=self.headcount,
            radius_km=self.radius_km,
            first_day=self.first_day,
            last_day=self.last_day,
            timezone=self.timezone or "",
            opens=self.from_,
            closes=self.until,
            rrule=self.rrule,
            shifts_per_week_max=self.shifts_per_week_max,
        )


class PledgePatch(Wire):
    """What may change of a pledge; what is left out stays as it is. `closed` plans no new shifts with it."""

    headcount: Headcount | None = None
    radius_km: Radius | None = None
    shifts_per_week_max: Weekly | None = None
    state: PledgeState | None = None

    def limits(self) -> Limits:
        """The changes. Raises `Invalid` where one is null."""
        emptied(self, may_be_null=())
        return Limits(self.headcount, self.radius_km, self.shifts_per_week_max, self.state)


class PledgeOut(Wire):
    """A pledge as its association sees it."""

    id: UUID
    skill: Skill
    headcount: Headcount
    town: TownId
    radius_km: Radius
    first_day: date
    last_day: date
    rrule: Recurrence
    from_: Annotated[LocalTime, Field(alias="from")]
    until: LocalTime
    timezone: TimezoneName
    shifts_per_week_max: Weekly
    state: PledgeState
    created_at: Instant
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, facts: PledgeFacts) -> "PledgeOut":
        """Render one pledge."""
        terms = facts.terms
        return cls(
            id=facts.id,
            skill=terms.skill,
            headcount=terms.headcount,
            town=terms.town_id,
            radius_km=terms.radius_km,
            first_day=terms.first_day,
            last_day=terms.last_day,
            rrule=terms.rrule,
            from_=terms.opens,
            until=terms.closes,
            timezone=terms.timezone,
            shifts_per_week_max=terms.shifts_per_week_max,
            state=facts.state,
            created_at=facts.created_at,
            version=facts.version,
        )


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def post_pledge(body: PledgeIn, who: WritesOffers, tx: Tx, reply: Reply) -> PledgeOut:
    """Declare volunteers. Shifts are planned with them where they open a place for people who wait."""
    pledge_id = await pledges.add(tx, who.organization_id, body.terms())
    reply.created(f"/v1/pledges/{pledge_id}")
    return await _pledge(tx, who.organization_id, pledge_id, reply)


@router.get("", responses=problems(401, 403, 422))
async def list_pledges(who: ReadsOffers, tx: Tx, after: After, limit: Limit = 50) -> Listed[PledgeOut]:
    """The caller's own pledges, oldest first."""
    return listed(await pledges.page(tx, who.organization_id, after, limit), PledgeOut.of)


@router.get("/{pledge_id}", responses=problems(401, 403, 404, 422))
async def read_pledge(pledge_id: UUID, who: ReadsOffers, tx: Tx, reply: Reply) -> PledgeOut:
    """One of the caller's own pledges."""
    return await _pledge(tx, who.organization_id, pledge_id, reply)


@router.patch("/{pledge_id}", responses=problems(401, 403, 404, 409, 412, 422, 428))
async def change_pledge(
    pledge_id: UUID, body: PledgePatch, who: WritesOffers, tx: Tx, reply: Reply, version: IfMatch
) -> PledgeOut:
    """Change how much may be asked; never less than what planned shifts need, which are declined first."""
    await pledges.change(tx, pledge_id, who.organization_id, version, body.limits())
    return await _pledge(tx, who.organization_id, pledge_id, reply)


async def _pledge(tx: Tx, organization_id: UUID, pledge_id: UUID, reply: Reply) -> PledgeOut:
    facts = await pledges.read(tx, pledge_id, organization_id)
    reply.version(facts.version)
    return PledgeOut.of(facts)
