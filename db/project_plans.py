"""Plans of projects: what they are made from, holds for all of one or for none, and the people's answer.

A plan's holds are nobody's to confirm until the people have said yes, and end when they have not in time. Needs are
locked first, by id, then their project, then as everywhere offers and slots by id. Nothing here commits.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, due, events, holds, seekers
from db.seekers import Seeker
from geo.cells import Cell
from geo.distance import Kilometres
from matching.assign import Candidate, Decision, Way, cost_of
from matching.policy import Policy
from matching.projects import House, Household, ProjectPlan, ProjectState
from matching.refusals import Conflict, NotFound
from matching.states import AllocationState
from matching.vocabulary import MoveReason, RefuseReason

__all__ = [
    "Overtaken",
    "Wanted",
    "accept",
    "after_loss",
    "awaits_the_people",
    "close_ended",
    "expire",
    "list_due",
    "list_unanswered",
    "postpone",
    "propose",
    "read",
    "refuse",
]


class Overtaken(Exception):  # noqa: N818 - a turn of events, not a mistake
    """A place of the plan was taken meanwhile: nothing of it is done, and the transaction is to be rolled back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan is made from: parties and houses for `plan_project`, and what is taken where.

    `candidates` has by party and house what would be taken there.
    """

    project_id: UUID
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
     where p.state = 'open'
       and exists (select from need n where n.project_id = p.id and n.ended_at is null and n.parked_at is null
                      and n.state in ('open', 'unmet') and n.ends > now() and n.look_at <= now())
     order by p.posted_at limit :limit
""")
_UNANSWERED = text(
    "select id from project where state = 'proposed' and answer_by <= now() order by answer_by limit :limit"
)
_OPEN = text("select together_km, minimum, answer_hours from project where id = :id and state = 'open'")
_SEEKING = text("""
    select id from need
     where project_id = :id and ended_at is null and parked_at is null and state in ('open', 'unmet') and ends > now()
     order by step
""")
_CELLS = text("select id, cell from offer where id = any(cast(:ids as uuid[]))")
_LOCK_NEEDS = text("select id, version from need where project_id = :id order by id for update")
_LOCK = text("""
    select id, organization_id, state, minimum, plan, answer_by <= clock_timestamp() as late from project
     where id = :id for update
""")
_PROJECT_OF = text("select project_id from need where id = :need")
_GO = text("""
    update project set state = :state, plan = plan + :plans,
                       -- No hold lasts longer than one may still come.
                       answer_by = case when cast(:within as interval) is not null then
                           least(now() + cast(:within as interval),
                                 (select min(a.held_until) from need n join allocation a on a.need_id = n.id
                                   where n.project_id = :id and a.state = 'held')) end,
                       version = version + 1
     where id = :id
    returning organization_id, plan
""")
_STANDING = text("""
    select a.id, a.need_id, a.offer_id, a.people, a.state, a.provider_id, a.poster_id
      from allocation a join need n on n.id = a.need_id
     where n.project_id = :id and a.state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')
     order by a.id
""")
_FIRM = text("""
    update allocation a
       set firm_from = now(), version = a.version + 1,
           held_until = least(now() + make_interval(mins => o.confirm_within_minutes), a.last_arrival),
           state = case o.confirmation when 'standing' then 'confirmed' else 'held' end
      from offer o
     where a.id = :id and o.id = a.offer_id and a.state = 'held'
    returning a.state
""")
_LET_GO = text("""
    update allocation set state = :state, reason = :reason, ended_at = clock_timestamp(), version = version + 1
     where id = :id
""")
_AWAITS = text("""
    select exists (select from need n join project p on p.id = n.project_id
                    where n.id = :need and p.state = 'proposed')
""")
_CLOSE = text("""
    update project p set state = 'closed', answer_by = null, version = version + 1
     where p.state in ('open', 'proposed', 'accepted')
       and not exists (select from need n where n.project_id = p.id and n.ended_at is null)
""")
_LATER = text("""
    update need set look_at = now() + make_interval(mins => :minutes) where project_id = :id and ended_at is null
""")


async def list_due(tx: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Projects that a plan is to be looked for."""
    return (await tx.execute(_DUE, {"limit": limit})).scalars().all()


async def list_unanswered(tx: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Projects whose people have not answered in time."""
    return (await tx.execute(_UNANSWERED, {"limit": limit})).scalars().all()


async def close_ended(tx: AsyncConnection) -> int:
    """Close projects all of whose needs have ended. How many."""
    return (await tx.execute(_CLOSE)).rowcount


async def read(tx: AsyncConnection, project_id: UUID, policy: Policy) -> Wanted | None:
    """What a plan is made from, read without a lock; `None` where none is looked for any more."""
    row = (await tx.execute(_OPEN, {"id": project_id})).one_or_none()
    if row is None:
        return None
    ids = (await tx.execute(_SEEKING, {"id": project_id})).scalars().all()
    asking = [await seekers.read_seeker(tx, need_id, policy) for need_id in ids]
    wide = replace(policy, candidates=_MOST_HOUSES)
    found = [await candidates.find(tx, each.need, wide, each.now) for each in asking]
    offers = sorted({candidate.offer_id for each in found for candidate in each})
    cells = {each.id: Cell(each.cell) for each in await tx.execute(_CELLS, {"ids": offers})}
    number = {offer: at for at, offer in enumerate(offers)}
    # What is free is the same for whoever asks: all ask for the same nights.
    room = {candidate.offer_id: candidate.free for each in found for candidate in each}
    return Wanted(
        project_id=project_id,
        together=Kilometres(row.together_km),
        minimum=row.minimum,
        answer_within=timedelta(hours=row.answer_hours),
        seekers=tuple(asking),
        parties=tuple(
            Household(who.need.people.count, {number[each.offer_id]: each.distance for each in theirs})
            for who, theirs in zip(asking, found, strict=True)
        ),
        houses=tuple(House(cells[offer], room[offer]) for offer in offers),
        candidates={(party, number[each.offer_id]): each for party, theirs in enumerate(found) for each in theirs},
    )


async def propose(tx: AsyncConnection, wanted: Wanted, plan: ProjectPlan, policy: Policy) -> None:
    """Hold every place of a plan, until the people have answered or their time is over.

    Raises `Overtaken` when a need has changed or a place is gone since it was read.
    """
    now = {row.id: row.version for row in await tx.execute(_LOCK_NEEDS, {"id": wanted.project_id})}
    project = (await tx.execute(_LOCK, {"id": wanted.project_id})).one_or_none()
    if project is None or project.state != ProjectState.OPEN:
        raise Overtaken
    if any(now.get(each.need.id) != each.version for each in wanted.seekers):
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
    values = {"id": wanted.project_id, "state": ProjectState.PROPOSED, "plans": 1, "within": wanted.answer_within}
    row = (await tx.execute(_GO, values)).one()
    await events.record(tx, "project.proposed", wanted.project_id, [row.organization_id], plan=row.plan)


async def postpone(tx: AsyncConnection, wanted: Wanted) -> None:
    """There is no plan now: look again later, and whenever places appear around them."""
    for each in wanted.seekers:
        await due.postpone(tx, each.need.id)


async def accept(tx: AsyncConnection, project_id: UUID, plan: int | None = None) -> None:
    """The people say yes: their holds become firm, and those who give them are asked from now on.

    Twice changes nothing. Raises `NotFound`; `Conflict` where no plan waits for them, or another than the one they saw.
    """
    project = await _lock(tx, project_id)
    if project.state == ProjectState.ACCEPTED:
        return
    _check_waits(project, plan)
    for held in [row for row in await tx.execute(_STANDING, {"id": project_id}) if row.state == AllocationState.HELD]:
        state = (await tx.execute(_FIRM, {"id": held.id})).scalar_one()
        sides = [held.provider_id, held.poster_id]
        await events.record(tx, f"allocation.{state}", held.id, sides, need_id=str(held.need_id))
        await holds.settle(tx, held.need_id)
    await _go(tx, project_id, ProjectState.ACCEPTED)
    await events.record(tx, "project.accepted", project_id, [project.organization_id])


async def refuse(
    tx: AsyncConnection, project_id: UUID, reason: RefuseReason, houses: Collection[UUID] = (), plan: int | None = None
) -> None:
    """The people say no, to some houses of a plan or to all: another plan is looked for, without those.

    Raises as `accept`; `NotFound` too for a house that is not in the plan.
    """
    project = await _lock(tx, project_id)
    _check_waits(project, plan)
    standing = (await tx.execute(_STANDING, {"id": project_id})).all()
    if not {held.offer_id for held in standing}.issuperset(houses):
        raise NotFound
    for held in standing:
        unwanted = not houses or held.offer_id in houses
        state = AllocationState.DECLINED if unwanted else AllocationState.RELEASED
        await _let_go(tx, held, state, reason if unwanted else MoveReason.NOT_TOGETHER)
    await _go(tx, project_id, ProjectState.OPEN)
    await events.record(tx, "project.refused", project_id, [project.organization_id])


async def expire(tx: AsyncConnection, project_id: UUID, policy: Policy) -> bool:
    """Nobody answered in time: the places go to others, and a plan is looked for again later. If it was still so."""
    await tx.execute(_LOCK_NEEDS, {"id": project_id})
    project = (await tx.execute(_LOCK, {"id": project_id})).one_or_none()
    if project is None or project.state != ProjectState.PROPOSED or not project.late:
        return False
    for held in (await tx.execute(_STANDING, {"id": project_id})).all():
        await _let_go(tx, held, AllocationState.EXPIRED, None)
    await _go(tx, project_id, ProjectState.OPEN)
    await tx.execute(_LATER, {"id": project_id, "minutes": policy.ask_again_minutes})
    await events.record(tx, "project.expired", project_id, [project.organization_id])
    return True


async def after_loss(tx: AsyncConnection, need_id: UUID) -> None:
    """A place of a project's has ended, with all its needs locked: below the minimum all that is left falls with it.

    Who has moved in stays: then nobody loses a place any more.
    """
    project_id = (await tx.execute(_PROJECT_OF, {"need": need_id})).scalar_one_or_none()
    if project_id is None:
        return
    project = (await tx.execute(_LOCK, {"id": project_id})).one()
    if project.state not in (ProjectState.PROPOSED, ProjectState.ACCEPTED):
        return
    left = (await tx.execute(_STANDING, {"id": project_id})).all()
    moved_in = any(each.state not in (AllocationState.HELD, AllocationState.CONFIRMED) for each in left)
    if moved_in or sum(each.people for each in left) >= project.minimum:
        return
    for each in left:
        await _let_go(tx, each, AllocationState.RELEASED, MoveReason.NOT_TOGETHER)
    await _go(tx, project_id, ProjectState.OPEN)
    await events.record(tx, "project.fell", project_id, [project.organization_id])


async def awaits_the_people(tx: AsyncConnection, need_id: UUID) -> bool:
    """Whether a need's place is part of a plan that its people have not answered."""
    return bool((await tx.execute(_AWAITS, {"need": need_id})).scalar_one())


async def _lock(tx: AsyncConnection, project_id: UUID) -> Row[tuple[object, ...]]:
    await tx.execute(_LOCK_NEEDS, {"id": project_id})
    row = (await tx.execute(_LOCK, {"id": project_id})).one_or_none()
    if row is None:
        raise NotFound
    return row


def _check_waits(project: Row[tuple[object, ...]], plan: int | None) -> None:
    if project.state != ProjectState.PROPOSED or project.late or plan not in (None, project.plan):
        raise Conflict("no_plan_to_answer", str(project.state))


async def _let_go(
    tx: AsyncConnection, place: Row[tuple[object, ...]], state: AllocationState, reason: str | None
) -> None:
    whole = place.state == AllocationState.HELD
    await tx.execute(_LET_GO, {"id": place.id, "state": state, "reason": reason})
    await holds.free_places(tx, place.id, whole=whole)
    sides = [place.provider_id, place.poster_id]
    await events.record(tx, f"allocation.{state}", place.id, sides, need_id=str(place.need_id))
    await holds.settle(tx, place.need_id)


async def _go(tx: AsyncConnection, project_id: UUID, state: ProjectState) -> None:
    await tx.execute(_GO, {"id": project_id, "state": state, "plans": 0, "within": None})
