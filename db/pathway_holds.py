"""Holds of a pathway: its steps are looked at together, and places for them taken in one transaction or none.

The pathway is locked first, then its needs by id, then as everywhere offers and slots by id. Nothing here commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, due, events, holds, seekers
from db.seekers import InPathway, Tentative
from geo.cells import Cell, centroid
from geo.distance import Kilometres
from matching.assign import Candidate, Decision, Way, cost_of
from matching.needs import OfferId
from matching.pathways import MOST_WEIGHED, Found, Plan, Spot, Step, best_plan, cost_from, seen_from
from matching.policy import Policy
from matching.rules import radius
from matching.states import NeedState
from matching.vocabulary import MoveCause, Urgency

__all__ = ["hold_together"]


class _Overtaken(Exception):  # noqa: N818 - a turn of events, not a mistake
    """A place of the plan was taken meanwhile: nothing of it is done."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A pathway whose needs are locked: how far from the bed the others may lie, the bed, and the others."""

    id: UUID
    near: Kilometres
    bed: InPathway | None
    others: tuple[InPathway, ...]

    @property
    def steps(self) -> tuple[InPathway, ...]:
        """All of them."""
        return self.others if self.bed is None else (self.bed, *self.others)

    @property
    def seeking(self) -> tuple[InPathway, ...]:
        """The steps beside the bed that lack a place."""
        return tuple(step for step in self.others if step.seeks)

    @property
    def impatient(self) -> tuple[InPathway, ...]:
        """Those of them that do not wait for the bed: a vital step never does, nor any once the bed is unmet.

        As long as a bed is looked for, a seat is no use to the others: nobody knows yet where they will sleep.
        """
        waits = self.bed is not None and self.bed.seeks and self.bed.seeker.state is not NeedState.UNMET
        return tuple(step for step in self.seeking if not waits or step.seeker.need.urgency is Urgency.VITAL)

    def reach(self, step: InPathway) -> Kilometres:
        """How far a step may lie from the bed: as the pathway says, or nearer, as its own need does."""
        own = step.seeker.need.max_km
        return self.near if own is None else min(self.near, Kilometres(own))


@dataclass(frozen=True, slots=True)
class _Choice:
    """A plan for these steps; `bed` where its bed is to be taken, in place of `leaves` where there is one already."""

    plan: Plan
    steps: tuple[InPathway, ...] = ()
    bed: InPathway | None = None
    leaves: Tentative | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every step has a place by it."""
        return all(spot is not None for spot in self.plan.steps)


_SEARCHES: Final = 3
_HERE: Final = Kilometres(0)
_NOWHERE: Final = OfferId(UUID(int=0))
_LOCK = text("select near_km from pathway where id = :id for update skip locked")
_LOCK_NEEDS = text("select id from need where pathway_id = :id and ended_at is null order by id for update")
_CELLS = text("select id, cell from offer where id = any(cast(:ids as uuid[]))")
_LOOK_AROUND = text("""
    update need n set cell = :cell, point = cast(:point as geography)
      from category c
     where c.code = n.category and c.coverage <> 'every' and n.pathway_id = :pathway and n.ended_at is null
       and n.cell <> :cell
""")


async def hold_together(tx: AsyncConnection, pathway_id: UUID, policy: Policy) -> tuple[UUID, ...] | None:
    """Look for places for all steps of a pathway that lack one: the needs for which some were taken.

    `None` when none is due any more or another worker has it. The bed never waits for the others: without a plan for
    all, it is taken with those that are within reach, or alone. While its provider was not asked yet it may be
    exchanged for a bed around which more of them find a place. Who is left is looked at again later.
    """
    standing = await _claim(tx, pathway_id, policy)
    if standing is None:
        return None
    placed: tuple[UUID, ...] = ()
    anchor = _anchor(standing)
    for _ in range(_SEARCHES):
        choice = await _choose(tx, standing, policy)
        if choice is None:
            break
        try:
            async with tx.begin_nested():
                placed = await _carry_out(tx, standing, choice, policy)
        except _Overtaken:
            continue
        anchor = choice.plan.bed.cell
        break
    if anchor is not None:
        values = {"cell": anchor, "point": centroid(anchor).ewkt, "pathway": pathway_id}
        await tx.execute(_LOOK_AROUND, values)
    for step in standing.steps:
        if step.seeks and step.seeker.need.id not in placed:
            await due.postpone(tx, step.seeker.need.id)
    return placed


async def _claim(tx: AsyncConnection, pathway_id: UUID, policy: Policy) -> _Standing | None:
    near = (await tx.execute(_LOCK, {"id": pathway_id})).scalar_one_or_none()
    if near is None:
        return None
    # What is read then has a snapshot of its own: whoever had a need before may have placed or freed its people.
    await tx.execute(_LOCK_NEEDS, {"id": pathway_id})
    steps = await seekers.of_pathway(tx, pathway_id, policy)
    bed = next((step for step in steps if step.is_bed), None)
    standing = _Standing(pathway_id, Kilometres(near), bed, tuple(step for step in steps if step is not bed))
    return standing if any(step.due for step in steps) else None


def _anchor(standing: _Standing) -> Cell | None:
    """Around where the others are looked for: the bed, or where a bed is looked for; as before once there is none."""
    if standing.bed is None:
        return None
    return standing.bed.cell or standing.bed.seeker.need.cell


async def _choose(tx: AsyncConnection, standing: _Standing, policy: Policy) -> _Choice | None:
    """The best plan that there is now; `None` where nothing can be taken."""
    bed = standing.bed
    if bed is not None and bed.seeks:
        plan = await _with_a_bed(tx, standing, bed, None, policy)
        return _Choice(plan, standing.seeking, bed) if plan else await _around(tx, standing, standing.impatient, policy)
    if bed is not None and bed.held is not None and bed.cell is not None and standing.seeking:
        present = _at(bed.cell, bed.held.distance)
        plan = await _with_a_bed(tx, standing, bed, present, policy)
        if plan is not None and plan.bed is not present:
            return _Choice(plan, standing.seeking, bed, bed.held)
    return await _around(tx, standing, standing.seeking, policy)


async def _with_a_bed(
    tx: AsyncConnection, standing: _Standing, bed: InPathway, present: Spot | None, policy: Policy
) -> Plan | None:
    """The best plan over all beds that there are, and the one that the party has."""
    wide = replace(policy, candidates=MOST_WEIGHED)
    beds = await _spots(tx, await candidates.find(tx, bed.seeker.need, wide, bed.seeker.now))
    if present is not None:
        most = present.candidate.distance + policy.move_most_km
        beds = [present, *(each for each in beds if each.candidate.distance <= most)]
    if not beds:
        return None
    steps = []
    for step in standing.seeking:
        reach = standing.reach(step)
        asked = replace(step.seeker.need, cell=bed.seeker.need.cell, max_km=None)
        around = replace(wide, radius_km=radius(bed.seeker.need, policy) + reach)
        found = await candidates.find(tx, asked, around, step.seeker.now)
        steps.append(_step(step, reach, await _spots(tx, found)))
    return best_plan(beds, steps, _found(standing), policy, present)


async def _around(
    tx: AsyncConnection, standing: _Standing, seeking: tuple[InPathway, ...], policy: Policy
) -> _Choice | None:
    """The best plan around where the bed is, or was, or is looked for."""
    if not seeking:
        return None
    cell = _anchor(standing) or seeking[0].seeker.need.cell
    steps = []
    for step in seeking:
        reach = standing.reach(step)
        found = await candidates.find(tx, replace(step.seeker.need, cell=cell, max_km=reach), policy, step.seeker.now)
        steps.append(_step(step, reach, await _spots(tx, found)))
    plan = best_plan([_at(cell)], steps, (), policy)
    return _Choice(plan, seeking) if plan and any(plan.steps) else None


def _step(step: InPathway, reach: Kilometres, spots: Sequence[Spot]) -> Step:
    need = step.seeker.need
    return Step(need.urgency, need.people.count, reach, tuple(spots))


def _found(standing: _Standing) -> list[Found]:
    return [
        Found(step.seeker.need.urgency, standing.reach(step), step.cell)
        for step in standing.others
        if step.cell is not None
    ]


def _at(cell: Cell, distance: Kilometres = _HERE) -> Spot:
    """A place to look around, of which nothing is to be taken."""
    return Spot(Candidate(_NOWHERE, (), 0, 1, distance, tie=0, version=0), cell)


async def _spots(tx: AsyncConnection, found: Sequence[Candidate]) -> list[Spot]:
    ids = [candidate.offer_id for candidate in found]
    cells = {row.id: Cell(row.cell) for row in await tx.execute(_CELLS, {"ids": ids})} if ids else {}
    return [Spot(candidate, cells[candidate.offer_id]) for candidate in found]


async def _carry_out(tx: AsyncConnection, standing: _Standing, choice: _Choice, policy: Policy) -> tuple[UUID, ...]:
    """Take all places of a plan: the needs that have one now. Raises `_Overtaken`; then all is to be rolled back."""
    plan = choice.plan
    chosen = [(step, spot) for step, spot in zip(choice.steps, plan.steps, strict=True) if spot is not None]
    spots = [spot for _, spot in chosen] + ([plan.bed] if choice.bed else [])
    await holds.lock_places(
        tx,
        (spot.candidate.offer_id for spot in spots),
        (slot for spot in spots for slot in spot.candidate.slots),
        [choice.leaves.allocation_id] if choice.leaves else (),
    )
    placed = []
    if choice.bed is not None:
        await _take_bed(tx, choice, choice.bed, policy)
        placed.append(choice.bed.seeker.need.id)
    home = standing.bed.seeker.need.cell if standing.bed else None
    for step, spot in chosen:
        # Both sides of an allocation are told how far it is: from the town, for where its people sleep is nobody's to
        # work out who gives a class. What was weighed stands in its terms, which their poster alone is told.
        told = seen_from(home or step.seeker.need.cell, spot)
        decision = Decision(Way.TOGETHER, cost_from(plan.bed.cell, spot, policy))
        await _take(tx, step, told, timedelta(0), decision, policy)
        placed.append(step.seeker.need.id)
    return tuple(placed)


async def _take_bed(tx: AsyncConnection, choice: _Choice, bed: InPathway, policy: Policy) -> None:
    """Take the bed, firmly where the plan is whole: nothing would be gained by waiting then."""
    candidate = choice.plan.bed.candidate
    tentative = timedelta(0) if choice.is_whole else holds.tentative_for(bed.seeker, policy)
    if choice.leaves is not None:
        left = await holds.leave_tentative(tx, choice.leaves.allocation_id, bed.seeker.need.id)
        if left is None:
            raise _Overtaken
        tentative = min(tentative, left)
    alone = not any(choice.plan.steps)
    decision = Decision(Way.AT_ONCE if alone else Way.TOGETHER, cost_of(candidate, policy))
    made = await _take(tx, bed, candidate, tentative, decision, policy)
    if choice.leaves is not None:
        facts = {"need_id": str(bed.seeker.need.id), "left": str(choice.leaves.allocation_id)}
        poster = [bed.seeker.organization_id]
        await events.record(tx, "allocation.moved", made, poster, because=MoveCause.TOGETHER, **facts)


async def _take(
    tx: AsyncConnection,
    step: InPathway,
    candidate: Candidate,
    tentative: timedelta,
    decision: Decision,
    policy: Policy,
) -> UUID:
    people = step.seeker.need.people.count
    made = await holds.take(tx, step.seeker, candidate, people, policy, tentative, decision)
    if made is None:
        raise _Overtaken
    return made
