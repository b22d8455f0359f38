"""The plan of a project, for who has its code: towns and head-counts, and no address before a place is confirmed."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.been_there import BEEN_THERE
from db.project_answers import ENOUGH
from db.slip_needs import OPEN_AFTER_END
from matching.projects import ProjectState
from matching.refusals import NotFound
from matching.states import AllocationState

__all__ = ["PlanFacts", "PlanHouse", "Whose", "find", "read"]


class Whose(NamedTuple):
    """A project, and who posted it."""

    id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class PlanHouse:
    """One house of a plan: its town, how far it is, and the people of each party that goes there.

    It `awaits` their answer; to the others they have said yes before. One house may be both, for some of its parties.
    """

    offer_id: UUID
    town: str
    country: str
    distance_km: int
    parties: tuple[int, ...]
    states: frozenset[AllocationState]
    awaits: bool


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A project and its plan as its people see it."""

    state: ProjectState
    category: str
    starts: datetime
    ends: datetime
    together_km: int
    minimum: int
    people: int
    plan: int
    answer_by: datetime | None
    houses: tuple[PlanHouse, ...]
    others_stay: bool
    """Whether those who have places keep them when the people say no: they are enough, or somebody has moved in."""


_FIND = text("""
    select p.id, p.organization_id from project p
     where p.slip = :slip and p.state <> 'withdrawn'
       and exists (select from need n where n.project_id = p.id
                      and coalesce(n.ended_at + cast(:open_for as interval) > clock_timestamp(), true))
""")
_PROJECT = text(f"""
    select p.state, p.together_km, p.minimum, {ENOUGH} as enough, p.plan, p.answer_by, min(n.category) as category,
           min(n.starts) as starts, max(n.ends) as ends, sum(n.people) as people
      from project p join need n on n.project_id = p.id and n.state <> 'withdrawn'
     where p.id = :id
     group by p.id
""")
_HOUSES = text(f"""
    select a.offer_id, t.name as town, t.country, a.distance_km, a.people, a.state,
           a.awaits_people as awaits,
           {BEEN_THERE} as begun
      from need n
      join allocation a on a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived')
      join offer o on o.id = a.offer_id
      join town t on t.id = o.town_id
     where n.project_id = :id
     order by a.awaits_people desc, a.distance_km, a.offer_id, n.step
""")


async def find(tx: AsyncConnection, slip: bytes) -> Whose:
    """The project that is filed under this. Raises `NotFound`, also once its code has expired."""
    row = (await tx.execute(_FIND, {"slip": slip, "open_for": OPEN_AFTER_END})).one_or_none()
    if row is None:
        raise NotFound
    return Whose(row.id, row.organization_id)


async def read(tx: AsyncConnection, slip: bytes) -> PlanFacts:
    """The plan that is filed under this. Raises `NotFound`."""
    project_id = (await find(tx, slip)).id
    row = (await tx.execute(_PROJECT, {"id": project_id})).one_or_none()
    if row is None:
        raise NotFound
    by_house = defaultdict(list)
    found = (await tx.execute(_HOUSES, {"id": project_id})).all()
    for each in found:
        by_house[each.offer_id, each.awaits].append(each)
    firm = sum(each.people for each in found if not each.awaits)
    return PlanFacts(
        state=ProjectState(row.state),
        category=row.category,
        starts=row.starts,
        ends=row.ends,
        together_km=row.together_km,
        minimum=row.minimum,
        people=int(row.people),
        plan=row.plan,
        answer_by=row.answer_by,
        houses=tuple(
            PlanHouse(
                offer_id=offer,
                town=places[0].town,
                country=places[0].country,
                distance_km=places[0].distance_km,
                parties=tuple(place.people for place in places),
                states=frozenset(AllocationState(place.state) for place in places),
                awaits=awaits,
            )
            for (offer, awaits), places in by_house.items()
        ),
        others_stay=firm >= row.enough or any(each.begun for each in found),
    )
