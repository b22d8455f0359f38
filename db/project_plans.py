"""Plans of projects: what they are made from, and holds for all of one or for none.

A plan's holds are nobody's to confirm until the people have said yes (`project_answers`). Beside an accepted plan
another is made for who is left out of it, near those who go. Needs are locked first, by id, then their project, then
as everywhere offers and slots by id. Nothing here commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, due, events, holds, seekers
from db.project_answers import ENOUGH
from db.seekers import Seeker
from geo.cells import Cell
from geo.distance import Kilometres
from matching.assign import Candidate, Decision, Way, cost_of
from matching.needs import OfferId
from matching.policy import Policy
from matching.projects import House, Household, ProjectPlan, ProjectState, near_all

__all__ = ["Overtaken", "Wanted", "list_due", "postpone", "propose", "read"]


class Overtaken(Exception):  # noqa: N818 - a turn of events, not a mistake
    """A place of the plan was taken meanwhile: nothing of it is done, and the transaction is to be rolled back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan is made from: parties and houses for `plan_project`, and what is taken where.

    `version` is the project's as it was read; of one that was accepted, `seekers` are those left out, and `houses` lie
    near all in which others have places. `candidates` has by party and house what would be taken there.
    """

    project_id: UUID
    version: int
    together: Kilometres
    minimum: int
    answer_within: timedelta
    seekers: tuple[Seeker, ...]
    parties: tuple[Household, ...]
    houses: tuple[House, ...]
    candidates: dict[tuple[int, int], Candidate]


_MOST_HOUSES: Final = 60
_DUE = text("""
    select p.id from project p
     where p.state in ('open', 'accepted')
       and exists (select from need n where n.project_id = p.id and n.ended_at is null and n.parked_at is null
                      and n.state in ('open', 'unmet') and n.ends > now() and n.look_at <= now())
       -- Who let a plan pass unanswered is asked again later, though its own places have become free.
       and not exists (select from need n join allocation a on a.need_id = n.id
                        where n.project_id = p.id and a.state = 'expired' and a.awaits_people
                          and a.ended_at > now() - make_interval(mins => :ask_again_minutes))
     order by p.posted_at limit :limit
""")
_PLANNED = text(f"""
    select p.state, p.version, p.together_km, p.answer_hours, p.refused, {ENOUGH} as enough
      from project p
     where p.id = :id and p.state in ('open', 'accepted')
""")
_SEEKING = text("""
    select id from need
     where project_id = :id and ended_at is null and parked_at is null and state in ('open', 'unmet') and ends > now()
     order by step
""")
_TAKEN = text("""
    select distinct o.cell
      from need n
      join allocation a on a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived')
      join offer o on o.id = a.offer_id
     where n.project_id = :id
""")
_CELLS = text("select id, cell from offer where id = any(cast(:ids as uuid[]))")
_LOCK_NEEDS = text("select id, version from need where project_id = :id order by id for update")
_LOCK = text("select version from project where id = :id for update")
_PROPOSE = text("""
    update project set state = 'proposed', plan = plan + 1, version = version + 1,
                       -- No hold lasts longer than one may still come.
                       answer_by = least(now() + cast(:within as interval),
                                         (select min(a.held_until) from need n join allocation a on a.need_id = n.id
                                           where n.project_id = :id and a.state = 'held' and a.awaits_people))
     where id = :id
    returning organization_id, plan
""")


async def list_due(tx: AsyncConnection, policy: Policy, limit: int) -> Sequence[UUID]:
    """Projects that a plan is to be looked for, for all of their parties or for who is left out."""
    values = {"limit": limit, "ask_again_minutes": policy.ask_again_minutes}
    return (await tx.execute(_DUE, values)).scalars().all()


async def read(tx: AsyncConnection, project_id: UUID, policy: Policy) -> Wanted | None:
    """What a plan is made from, read without a lock; `None` where none is looked for any more."""
    row = (await tx.execute(_PLANNED, {"id": project_id})).one_or_none()
    if row is None:
        return None
    ids = (await tx.execute(_SEEKING, {"id": project_id})).scalars().all()
    asking = [await seekers.read_seeker(tx, need_id, policy) for need_id in ids]
    wide = replace(policy, candidates=_MOST_HOUSES)
    found = [await candidates.find(tx, each.need, wide, each.now) for each in asking]
    cells = await _cells_of(tx, {candidate.offer_id for each in found for candidate in each})
    taken = [Cell(cell) for cell in (await tx.execute(_TAKEN, {"id": project_id})).scalars()]
    together = Kilometres(row.together_km)
    offers = sorted(
        offer for offer, cell in cells.items() if offer not in row.refused and near_all(cell, taken, together)
    )
    number = {offer: at for at, offer in enumerate(offers)}
    near = [[candidate for candidate in each if candidate.offer_id in number] for each in found]
    # What is free is the same for whoever asks: all ask for the same nights.
    room = {candidate.offer_id: candidate.free for each in near for candidate in each}
    return Wanted(
        project_id=project_id,
        version=row.version,
        together=together,
        # Those who have places are enough already, or have moved in.
        minimum=1 if row.state == ProjectState.ACCEPTED else row.enough,
        answer_within=timedelta(hours=row.answer_hours),
        seekers=tuple(asking),
        parties=tuple(
            Household(who.need.people.count, {number[each.offer_id]: each.distance for each in theirs})
            for who, theirs in zip(asking, near, strict=True)
        ),
        houses=tuple(House(cells[offer], room[offer]) for offer in offers),
        candidates={(party, number[each.offer_id]): each for party, theirs in enumerate(near) for each in theirs},
    )


async def propose(tx: AsyncConnection, wanted: Wanted, plan: ProjectPlan, policy: Policy) -> None:
    """Hold every place of a plan, until the people have answered or their time is over.

    Raises `Overtaken` when a need or the project has changed, or a place is gone since it was read.
    """
    now = {row.id: row.version for row in await tx.execute(_LOCK_NEEDS, {"id": wanted.project_id})}
    version = (await tx.execute(_LOCK, {"id": wanted.project_id})).scalar_one_or_none()
    if version != wanted.version or any(now.get(each.need.id) != each.version for each in wanted.seekers):
        raise Overtaken
    takes = [
        (wanted.seekers[party], wanted.candidates[party, house])
        for party, house in enumerate(plan.houses)
        if house is not None
    ]
    slots = (slot for _, candidate in takes for slot in candidate.slots)
    await holds.lock_places(tx, (candidate.offer_id for _, candidate in takes), slots)
    for seeker, candidate in takes:
        decision = Decision(Way.TOGETHER, cost_of(candidate, policy))
        people = seeker.need.people.count
        made = await holds.take(tx, seeker, candidate, people, policy, wanted.answer_within, decision, awaits=True)
        if made is None:
            raise Overtaken
    values = {"id": wanted.project_id, "within": wanted.answer_within}
    row = (await tx.execute(_PROPOSE, values)).one()
    await events.record(tx, "project.proposed", wanted.project_id, [row.organization_id], plan=row.plan)


async def postpone(tx: AsyncConnection, wanted: Wanted) -> None:
    """There is no plan now: look again later, and whenever places appear around them."""
    await tx.execute(_LOCK_NEEDS, {"id": wanted.project_id})
    for each in wanted.seekers:
        await due.postpone(tx, each.need.id)


async def _cells_of(tx: AsyncConnection, offers: set[OfferId]) -> dict[OfferId, Cell]:
    rows = await tx.execute(_CELLS, {"ids": sorted(offers)})
    return {OfferId(row.id): Cell(row.cell) for row in rows}
