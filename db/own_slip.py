"""The people's own slip: what they see of their need with its code, and what they may do: refuse, and prefer.

Who knows a code stands in the allocation as its people do; where and when they may read a place is for
`matching.reveal` to say. Nothing here tells who reads, in which language, or from where.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import (
    allocations,
    events,
    needs,
    preferences,
    project_answers,
    projects,
    referred_changes,
    seekers,
    slip_needs,
    stays,
)
from db.addresses import Vault
from db.preferences import Said
from db.slip_places import SlipPlace, places_of
from matching.projects import ProjectState
from matching.refusals import Conflict, Flaw, Invalid, NoLongerHeld, NotFound
from matching.states import LIVE, SEEKING, AllocationState, NeedState
from matching.vocabulary import RefuseReason

__all__ = ["Slip", "prefer", "read", "refuse"]


@dataclass(frozen=True, slots=True)
class Slip:
    """A need as its people see it."""

    category: str
    state: NeedState
    starts: datetime
    ends: datetime
    zone: ZoneInfo
    places: tuple[SlipPlace, ...]
    now: datetime
    """By the database's clock."""
    town_id: int
    town: str
    said: Said
    near_town: str | None
    """The town that they would stay near to, where they said one."""
    may_tell: bool
    """Whether they have been in a place and did not tell yet how it was."""
    project: ProjectState | None = None
    """Where the project stands of which it is a party."""
    awaits: bool = False
    """Whether its place is part of a plan that the people have not answered."""
    others_go: bool = False
    """Whether others of its project have places to which they said yes."""
    others: tuple["Slip", ...] = ()
    """Of a pathway the other steps, and first comes the bed, while there is one; of a project the other parties."""

    @property
    def stands(self) -> str:
        """Where it stands, as its people are told: by the need's state, unless their project says more."""
        if self.awaits:
            return "plan"
        return "left_out" if self.others_go and self.state in SEEKING else self.state.value


_STANDING = text("""
    select id, need_id, state, reason from allocation where need_id = any(cast(:needs as uuid[]))
     order by created_at, id
""")


async def read(tx: AsyncConnection, slip: bytes, vault: Vault) -> Slip:
    """The slip that is filed under this. Raises `NotFound` when there is none, or it has expired.

    Each reading of a place is recorded as an event that no organization hears of.
    """
    first, *others = [await _slip(tx, need, vault) for need in await slip_needs.find(tx, slip)]
    return replace(first, others=tuple(others), may_tell=any(each.may_tell for each in (first, *others)))


async def _slip(tx: AsyncConnection, need: Row[tuple[object, ...]], vault: Vault) -> Slip:
    return Slip(
        category=need.category,
        state=NeedState(need.state),
        starts=need.starts,
        ends=need.ends,
        zone=ZoneInfo(need.timezone),
        places=await places_of(tx, need, vault),
        now=need.now,
        town_id=need.town_id,
        town=need.town,
        said=await preferences.of_need(tx, need.id),
        near_town=need.near_town,
        may_tell=need.had_a_place and not need.feedback_given,
        project=None if need.project is None else ProjectState(need.project),
        awaits=need.awaits,
        others_go=need.accepted_once and need.project in (ProjectState.PROPOSED, ProjectState.ACCEPTED),
    )


async def refuse(tx: AsyncConnection, slip: bytes, place: UUID | None, reason: RefuseReason) -> None:
    """Say no to a place of theirs, or to all: it goes to others at once and is not proposed to this need again.

    Who has found something elsewhere or has moved on ends the need whose place it is; without a place all of them, with
    their pathway or project. Raises `NotFound`; `NoLongerHeld` for a place that is not theirs any more; `Conflict` when
    there is none. Refusing one place twice changes nothing.
    """
    for need_id in sorted(need.id for need in await slip_needs.find(tx, slip)):
        await seekers.lock_need(tx, need_id)
    found = await slip_needs.find(tx, slip)
    standing = {row.id: row for row in await tx.execute(_STANDING, {"needs": [need.id for need in found]})}
    if place is not None and place not in standing:
        raise NotFound
    if reason.ends_the_need:
        await _leave(tx, found, None if place is None else standing[place].need_id, reason)
        return
    if place is not None and standing[place].reason in list(RefuseReason):
        return
    live = [each.id for each in standing.values() if each.state in LIVE and place in (None, each.id)]
    if not live and place is not None:
        raise NoLongerHeld(place, AllocationState(standing[place].state))
    if not live:
        raise Conflict("no_place_to_refuse", found[0].state)
    for allocation_id in live:
        await allocations.turn_down(tx, allocation_id, standing[allocation_id].need_id, reason)


async def _leave(
    tx: AsyncConnection, found: Sequence[Row[tuple[object, ...]]], need_id: UUID | None, reason: RefuseReason
) -> None:
    """End one need of those on the slip, or all of them with their project."""
    if need_id is None and found[0].project_id is not None:
        await projects.leave(tx, found[0].project_id, found[0].organization_id, reason)
        return
    ending = [each for each in found if need_id in (None, each.id)]
    for need in [each for each in ending if each.lives] or ending[:1]:
        await needs.end(tx, await needs.read(tx, need.id, need.organization_id), reason)
    if need_id is not None:
        await project_answers.after_loss(tx, need_id)


async def prefer(
    tx: AsyncConnection, slip: bytes, said_of: Callable[[int, Said], Said], leave_by: datetime | None
) -> None:
    """Say what the people would rather have, in the place of all that they said before; nobody loses a place by it.

    `said_of` is given the id of their own town, near which most would be, and what they said before. Of a pathway or a
    project it holds for every need. Who leaves sooner than was asked for shortens the stay, and gives back the nights
    after: of one need alone. Raises `NotFound`, `Conflict` when all have ended, and `Invalid`.
    """
    for need_id in sorted(need.id for need in await slip_needs.find(tx, slip)):
        await seekers.lock_need(tx, need_id)
    found = await slip_needs.find(tx, slip)
    living = [need for need in found if need.lives and need.ends > need.now]
    if not living:
        raise Conflict("need_has_ended", found[0].state)
    if leave_by is not None and len(found) > 1:
        raise Invalid.one("/leave_by", "not_used_here")
    for need in living:
        before = await preferences.of_need(tx, need.id)
        if await preferences.say(tx, need.id, said_of(need.town_id, before)):
            await events.record(tx, "need.changed", need.id, [need.organization_id])
            await referred_changes.come_home(tx, need.id)
    if leave_by is not None and leave_by < living[0].ends:
        await _leave_by(tx, living[0].id, living[0].organization_id, leave_by)


async def _leave_by(tx: AsyncConnection, need_id: UUID, organization_id: UUID, leave_by: datetime) -> None:
    before = await needs.lock(tx, need_id, organization_id)
    try:
        await stays.change(tx, need_id, organization_id, None, replace(before.terms, ends=leave_by))
    except Invalid as refused:
        # Whatever is wrong is wrong with the one thing that they said.
        raise Invalid(tuple(Flaw("/leave_by", flaw.code, flaw.facts) for flaw in refused.flaws)) from None
