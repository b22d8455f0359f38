"""The people's answer to the plan of their project, and what becomes of it when there is none or a place is lost.

A plan may be the second: then those who said yes before keep their places whatever is said to it, unless they have
become too few without it. Needs are locked first, by id, then their project. Nothing here commits.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, holds
from db.been_there import BEEN_THERE
from matching.policy import Policy
from matching.projects import ProjectState
from matching.refusals import Conflict, NotFound
from matching.states import LIVE, AllocationState
from matching.vocabulary import MoveReason, RefuseReason

__all__ = ["ENOUGH", "accept", "after_loss", "close_ended", "expire", "list_unanswered", "refuse", "stay_of", "waiting"]

Found = Row[tuple[object, ...]]

ENOUGH = """
    least(p.minimum, (select sum(n.people) from need n where n.project_id = p.id and n.ended_at is null))
"""
"""Of a project `p`, how many people a plan must house: everybody who is left, however many were meant at first."""
_UNANSWERED = text(
    "select id from project where state = 'proposed' and answer_by <= now() order by answer_by limit :limit"
)
_LOCK_NEEDS = text("select id from need where project_id = :id order by id for update")
_LOCK = text(f"""
    select p.id, p.organization_id, p.state, p.plan, p.accepted_plan, p.answer_by <= clock_timestamp() as late,
           {ENOUGH} as enough
      from project p
     where p.id = :id for update of p
""")
_PROJECT_OF = text("select project_id from need where id = :need")
_GO = text("""
    update project set state = cast(:state as text), answer_by = null, version = version + 1,
                       accepted_plan = case when cast(:state as text) = 'open' then null else accepted_plan end
     where id = :id
""")
_ACCEPTED = text("update project set accepted_plan = plan where id = :id")
_REFUSED = text("""
    update project set refused = refused || array(select unnest(cast(:houses as uuid[])) except select unnest(refused))
     where id = :id
""")
_LESSER = text("update project set plan = plan + 1, version = version + 1 where id = :id returning plan")
_STANDING = text(f"""
    select a.id, a.need_id, a.offer_id, a.people, a.state, a.provider_id, a.poster_id,
           a.state = 'held' and a.awaits_people as awaits,
           {BEEN_THERE} as begun
      from allocation a join need n on n.id = a.need_id
     where n.project_id = :id and a.state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')
     order by a.id
""")
_FIRM = text("""
    update allocation a
       set firm_from = now(), awaits_people = false, version = a.version + 1,
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
_CLOSE = text("""
    update project p set state = 'closed', answer_by = null, version = version + 1
     where p.state in ('open', 'proposed', 'accepted')
       and not exists (select from need n where n.project_id = p.id and n.ended_at is null)
""")
_LATER = text("""
    update need set look_at = now() + make_interval(mins => :minutes)
     where project_id = :id and ended_at is null and state in ('open', 'unmet')
""")


async def list_unanswered(tx: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Projects whose people have not answered in time."""
    return (await tx.execute(_UNANSWERED, {"limit": limit})).scalars().all()


async def close_ended(tx: AsyncConnection) -> int:
    """Close projects all of whose needs have ended. How many."""
    return (await tx.execute(_CLOSE)).rowcount


async def accept(tx: AsyncConnection, project_id: UUID, plan: int) -> None:
    """The people say yes: their holds become firm, and those who give them are asked from now on.

    Twice changes nothing. Raises `NotFound`; `Conflict` where no plan waits for them, or another than the one they saw.
    """
    project = await _lock(tx, project_id)
    if project.state == ProjectState.ACCEPTED and plan == project.plan == project.accepted_plan:
        return
    _check_waits(project, plan)
    for held in await _standing(tx, project_id):
        if not held.awaits:
            continue
        state = (await tx.execute(_FIRM, {"id": held.id})).scalar_one()
        sides = [held.provider_id, held.poster_id]
        await events.record(tx, f"allocation.{state}", held.id, sides, need_id=str(held.need_id))
        await holds.settle(tx, held.need_id)
    await tx.execute(_ACCEPTED, {"id": project_id})
    await _go(tx, project, ProjectState.ACCEPTED, "accepted")


async def refuse(
    tx: AsyncConnection, project_id: UUID, reason: RefuseReason, houses: Collection[UUID] = (), plan: int | None = None
) -> None:
    """The people say no, to some houses of a plan or to all: another plan is looked for, without those.

    Raises as `accept`; `Conflict` too for a house that is not in the plan, or is not any more.
    """
    project, proposed = await waiting(tx, project_id, houses, plan)
    await tx.execute(_REFUSED, {"id": project_id, "houses": list(houses or {held.offer_id for held in proposed})})
    await holds.lock_places(tx, (), (), [held.id for held in proposed])
    for held in proposed:
        unwanted = not houses or held.offer_id in houses
        state = AllocationState.DECLINED if unwanted else AllocationState.RELEASED
        await _let_go(tx, held, state, reason if unwanted else MoveReason.NOT_TOGETHER)
    await _go_back(tx, project, "refused")


async def waiting(
    tx: AsyncConnection, project_id: UUID, houses: Collection[UUID], plan: int | None
) -> tuple[Found, list[Found]]:
    """A project, locked with its needs, and the places of the plan that waits for its people. Raises as `refuse`."""
    project = await _lock(tx, project_id)
    _check_waits(project, plan)
    proposed = [held for held in await _standing(tx, project_id) if held.awaits]
    if not {held.offer_id for held in proposed}.issuperset(houses):
        raise Conflict("no_plan_to_answer", str(project.state))
    return project, proposed


async def stay_of(tx: AsyncConnection, project_id: UUID) -> frozenset[UUID]:
    """The needs of a project that have places to which its people said yes; the caller has locked them."""
    return frozenset(each.need_id for each in await _standing(tx, project_id) if not each.awaits and each.state in LIVE)


async def expire(tx: AsyncConnection, project_id: UUID, policy: Policy) -> bool:
    """Nobody answered in time: the places go to others, and a plan is looked for again later. If it was still so."""
    project = await _found(tx, project_id)
    if project is None or project.state != ProjectState.PROPOSED or not project.late:
        return False
    proposed = [held for held in await _standing(tx, project_id) if held.awaits]
    await _let_all_go(tx, proposed, AllocationState.EXPIRED, None)
    await _go_back(tx, project, "expired")
    await tx.execute(_LATER, {"id": project_id, "minutes": policy.ask_again_minutes})
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
    left = await _standing(tx, project_id)
    if not await _stands(tx, project, left):
        await _go(tx, project, ProjectState.OPEN, "fell")
    elif project.state == ProjectState.PROPOSED and not any(each.awaits for each in left):
        await _go(tx, project, ProjectState.ACCEPTED, "fell")
    elif project.state == ProjectState.PROPOSED:
        # It is another plan than the one that somebody may have before their eyes.
        plan = (await tx.execute(_LESSER, {"id": project_id})).scalar_one()
        await events.record(tx, "project.proposed", project_id, [project.organization_id], plan=plan)


async def _go_back(tx: AsyncConnection, project: Found, why: str) -> None:
    """No plan waits for an answer any more: the project is open again, or stands as it was accepted before."""
    left = await _standing(tx, project.id)
    stands = await _stands(tx, project, left)
    await _go(tx, project, ProjectState.ACCEPTED if stands else ProjectState.OPEN, why)
    if left and not stands:
        await events.record(tx, "project.fell", project.id, [project.organization_id])


async def _stands(tx: AsyncConnection, project: Found, left: Sequence[Found]) -> bool:
    """Whether enough people have places, or somebody has moved in; if not, all that they have is given back."""
    if any(each.begun for each in left) or sum(each.people for each in left) >= project.enough:
        return True
    await _let_all_go(tx, left, AllocationState.RELEASED, MoveReason.NOT_TOGETHER)
    return False


async def _standing(tx: AsyncConnection, project_id: UUID) -> Sequence[Found]:
    return (await tx.execute(_STANDING, {"id": project_id})).all()


async def _found(tx: AsyncConnection, project_id: UUID) -> Found | None:
    await tx.execute(_LOCK_NEEDS, {"id": project_id})
    return (await tx.execute(_LOCK, {"id": project_id})).one_or_none()


async def _lock(tx: AsyncConnection, project_id: UUID) -> Found:
    row = await _found(tx, project_id)
    if row is None:
        raise NotFound
    return row


def _check_waits(project: Found, plan: int | None) -> None:
    if project.state != ProjectState.PROPOSED or project.late or plan not in (None, project.plan):
        raise Conflict("no_plan_to_answer", str(project.state))


async def _let_all_go(tx: AsyncConnection, places: Sequence[Found], state: AllocationState, reason: str | None) -> None:
    await holds.lock_places(tx, (), (), [each.id for each in places])
    for each in places:
        await _let_go(tx, each, state, reason)


async def _let_go(tx: AsyncConnection, place: Found, state: AllocationState, reason: str | None) -> None:
    await tx.execute(_LET_GO, {"id": place.id, "state": state, "reason": reason})
    await holds.free_places(tx, place.id, whole=place.state == AllocationState.HELD)
    sides = [place.provider_id, place.poster_id]
    await events.record(tx, f"allocation.{state}", place.id, sides, need_id=str(place.need_id))
    await holds.settle(tx, place.need_id)


async def _go(tx: AsyncConnection, project: Found, state: ProjectState, why: str) -> None:
    await tx.execute(_GO, {"id": project.id, "state": state})
    await events.record(tx, f"project.{why}", project.id, [project.organization_id])
