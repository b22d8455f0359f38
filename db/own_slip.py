"""The people's own slip: what they see of their need with its code, and what they may do: refuse, and tell how it was.

Who knows a code stands in the allocation as its people do; where and when they may read a place is for
`matching.reveal` to say. Nothing here tells who reads, in which language, or from where.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import (
    allocations,
    events,
    locations,
    needs,
    preferences,
    project_answers,
    projects,
    referred_changes,
    seekers,
    stays,
)
from db.addresses import Vault
from db.allocations import SlotTimes
from db.connection import transaction
from db.preferences import Said
from db.roles import Role, act_for, acting_as
from db.slips import SlipKeys
from matching.bringing import Thing, what_to_bring
from matching.projects import ProjectState
from matching.refusals import Conflict, Flaw, Invalid, NoLongerHeld, NotFound
from matching.reveal import Occasion, Revealed, reading_time, revealed
from matching.states import LIVE, SEEKING, AllocationState, NeedState
from matching.vocabulary import RATINGS, FeedbackWord, RefuseReason, SiteKind, Visibility

__all__ = [
    "OPEN_AFTER_END",
    "Slip",
    "SlipPlace",
    "There",
    "Whereabouts",
    "count_misfiled",
    "file_missing",
    "give_feedback",
    "prefer",
    "read",
    "refuse",
]

OPEN_AFTER_END: Final = timedelta(hours=72)
"""How long a code still opens its slip once the need has ended, for its people to read that and to tell how it was."""


@dataclass(frozen=True, slots=True)
class There:
    """The place itself, for those who may read it now: its address, or where to meet instead."""

    name: str | None
    what: Revealed
    text: str | None
    """How to get there; `None` where its owner has not written it."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of a confirmed place before it may be read: its town, and what to bring."""

    town: str
    country: str
    bring: tuple[Thing, ...]
    readable_from: datetime | None
    """When the place itself can be read; `None` when that is so since it was confirmed."""
    there: There | None
    minutes: int | None
    """How long the way there by road takes, about; `None` where it was not written down."""


@dataclass(frozen=True, slots=True)
class SlipPlace:
    """A place of the party: held or theirs. `whereabouts` stays empty until it is confirmed."""

    id: UUID
    state: AllocationState
    people: int
    slots: tuple[SlotTimes, ...]
    arrive_by: datetime
    zone: ZoneInfo
    whereabouts: Whereabouts | None


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


# Whether it has expired stands in the answer: an old code costs the same look as one that never was.
_FIND = text("""
    select n.id, n.organization_id, n.category, n.town_id, n.state, n.starts, n.ends, n.minors, n.feedback_given,
           n.ended_at is null as lives, n.project_id,
           (select p.state from project p where p.id = n.project_id) as project,
           exists (select from project p where p.id = n.project_id and p.accepted_plan is not null) as accepted_once,
           exists (select from allocation a where a.need_id = n.id and a.state = 'held' and a.awaits_people) as awaits,
           (select near.name from preference w join town near on near.id = w.near_town_id
             where w.need_id = n.id) as near_town,
           t.timezone, t.name as town, clock_timestamp() as now,
           n.ended_at + cast(:open_for as interval) <= clock_timestamp() as over,
           exists (select from allocation a
                    where a.need_id = n.id
                      and (a.state in ('arrived', 'completed', 'no_show')
                           or (a.state = 'confirmed'
                               and (select min(s.starts) from allocation_slot k join slot s on s.id = k.slot_id
                                     where k.allocation_id = a.id) <= clock_timestamp()))) as had_a_place
      from need n join town t on t.id = n.town_id join category c on c.code = n.category
     where n.id in (select id from need where slip = :slip
                     union all
                    select s.id from pathway p join need s on s.pathway_id = p.id where p.slip = :slip
                     union all
                    select s.id from project p join need s on s.project_id = p.id where p.slip = :slip)
     order by c.coverage <> 'every', n.step
""")
_PLACES = text("""
    select a.id, a.state, a.people, a.last_arrival, a.travel_minutes, o.timezone, h.id as site_id, h.name, h.kind,
           h.visibility,
           h.provides || o.provides as provides, t.name as town, t.country,
           array(select s.starts from allocation_slot k join slot s on s.id = k.slot_id
                  where k.allocation_id = a.id order by s.starts) as starts,
           array(select s.ends from allocation_slot k join slot s on s.id = k.slot_id
                  where k.allocation_id = a.id order by s.starts) as closes
      from allocation a
      join offer o on o.id = a.offer_id
      join site h on h.id = o.site_id
      join town t on t.id = h.town_id
     where a.need_id = :need and a.state in ('held', 'confirmed', 'arrived')
     order by a.created_at, a.id
""")
_STANDING = text("""
    select id, need_id, state, reason from allocation where need_id = any(cast(:needs as uuid[]))
     order by created_at, id
""")
_TELL_ONCE = text("""
    update need set feedback_given = true where id = :need and not feedback_given returning id
""")
_COUNT = text("""
    insert into feedback_count as counted (day, town_id, category, word, times)
    select (now() at time zone 'utc')::date, :town, :category, word, 1
      from unnest(cast(:words as text[])) as word order by word
    on conflict (day, town_id, category, word) do update set times = counted.times + 1
""")
# Where they have been, by site: what was said there is not kept, and who said it neither.
_MARK = text("""
    insert into site_mark as marked (site_id, parties, points)
    select distinct o.site_id, 1, cast(:rating as int)
      from allocation a join offer o on o.id = a.offer_id
     where a.need_id = :need
       and (a.state in ('arrived', 'completed', 'no_show')
            or (a.state = 'confirmed'
                and (select min(s.starts) from allocation_slot k join slot s on s.id = k.slot_id
                      where k.allocation_id = a.id) <= clock_timestamp()))
     order by o.site_id
    on conflict (site_id) do update
       set parties = marked.parties + 1, points = marked.points + excluded.points
""")
# The needs of a pathway are found by its one code.
_UNFILED = text("""
    select id from need where slip is null and ended_at is null and pathway_id is null and project_id is null
     union all
    select id from pathway where slip is null
     union all
    select id from project where slip is null
""")
_FILED = text("select id, slip from need where slip is not null order by posted_at desc limit :most")
_FILE = tuple(
    text(f"""
        update {table} set slip = filed.slip
          from unnest(cast(:ids as uuid[]), cast(:slips as bytea[])) as filed (id, slip)
         where {table}.id = filed.id and {table}.slip is null
    """)
    for table in ("need", "pathway", "project")
)


async def read(tx: AsyncConnection, slip: bytes, vault: Vault) -> Slip:
    """The slip that is filed under this. Raises `NotFound` when there is none, or it has expired.

    Each reading of a place is recorded as an event that no organization hears of.
    """
    first, *others = [await _slip(tx, need, vault) for need in await _find(tx, slip)]
    return replace(first, others=tuple(others), may_tell=any(each.may_tell for each in (first, *others)))


async def _slip(tx: AsyncConnection, need: Row[tuple[object, ...]], vault: Vault) -> Slip:
    rows = (await tx.execute(_PLACES, {"need": need.id})).all()
    return Slip(
        category=need.category,
        state=NeedState(need.state),
        starts=need.starts,
        ends=need.ends,
        zone=ZoneInfo(need.timezone),
        places=tuple([await _place(tx, need, row, vault) for row in rows]),
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
    for need_id in sorted(need.id for need in await _find(tx, slip)):
        await seekers.lock_need(tx, need_id)
    found = await _find(tx, slip)
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
    for need_id in sorted(need.id for need in await _find(tx, slip)):
        await seekers.lock_need(tx, need_id)
    found = await _find(tx, slip)
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


async def give_feedback(tx: AsyncConnection, slip: bytes, rating: int, words: Sequence[FeedbackWord]) -> None:
    """Count a mark from 1 to 5 and what was said, once for a need whose people have been in a place.

    Of a pathway, for the first step of which they have not told yet. Raises `NotFound`, and `Conflict` before they were
    there or when they have told already.
    """
    found = await _find(tx, slip)
    been = [need for need in found if need.had_a_place]
    need = next((each for each in been if not each.feedback_given), (been or found)[0])
    if not need.had_a_place:
        raise Conflict("nothing_to_tell_yet", need.state)
    if (await tx.execute(_TELL_ONCE, {"need": need.id})).one_or_none() is None:
        raise Conflict("told_before", need.state)
    said = sorted({RATINGS[rating - 1], *words})
    await tx.execute(_COUNT, {"town": need.town_id, "category": need.category, "words": said})
    await tx.execute(_MARK, {"need": need.id, "rating": rating})


async def file_missing(engine: AsyncEngine, keys: SlipKeys) -> None:
    """File the needs that were posted before there were slips, so that the codes given then open something."""
    async with transaction(engine) as tx, acting_as(tx, Role.MATCHER):
        ids = (await tx.execute(_UNFILED)).scalars().all()
        if ids:
            values = {"ids": ids, "slips": [keys.filed(each) for each in ids]}
            for statement in _FILE:
                await tx.execute(statement, values)


async def count_misfiled(tx: AsyncConnection, keys: SlipKeys, most: int) -> int:
    """How many of the newest needs are filed under another secret than this one; `most` are looked at."""
    rows = await tx.execute(_FILED, {"most": most})
    return sum(row.slip != keys.filed(row.id) for row in rows)


async def _find(tx: AsyncConnection, slip: bytes) -> list[Row[tuple[object, ...]]]:
    rows = (await tx.execute(_FIND, {"slip": slip, "open_for": OPEN_AFTER_END})).all()
    found = [row for row in rows if not row.over]
    if not found:
        raise NotFound
    # The people are who their need was posted for: what they may read of a place, its poster may.
    await act_for(tx, found[0].organization_id)
    return found


async def _place(
    tx: AsyncConnection, need: Row[tuple[object, ...]], row: Row[tuple[object, ...]], vault: Vault
) -> SlipPlace:
    there = row._mapping
    slots = tuple(SlotTimes(starts, ends) for starts, ends in zip(there["starts"], there["closes"], strict=True))
    state = AllocationState(there["state"])
    return SlipPlace(
        id=there["id"],
        state=state,
        people=there["people"],
        slots=slots,
        arrive_by=there["last_arrival"],
        zone=ZoneInfo(there["timezone"]),
        whereabouts=None if state is AllocationState.HELD else await _whereabouts(tx, need, row, slots, vault),
    )


async def _whereabouts(
    tx: AsyncConnection,
    need: Row[tuple[object, ...]],
    row: Row[tuple[object, ...]],
    slots: tuple[SlotTimes, ...],
    vault: Vault,
) -> Whereabouts:
    there, asked = row._mapping, need._mapping
    occasion = Occasion(
        kind=SiteKind(there["kind"]),
        visibility=Visibility(there["visibility"]),
        state=AllocationState(there["state"]),
        begins=slots[0].starts,
        ends=slots[-1].ends,
    )
    when = reading_time(occasion)
    what = revealed(occasion, asked["now"])
    return Whereabouts(
        town=there["town"],
        country=there["country"],
        bring=what_to_bring(asked["category"], frozenset(there["provides"]), minors=asked["minors"] > 0),
        readable_from=when.opens if when else None,
        there=await _there(tx, row, what, vault) if what else None,
        minutes=there["travel_minutes"],
    )


async def _there(tx: AsyncConnection, row: Row[tuple[object, ...]], what: Revealed, vault: Vault) -> There | None:
    """The place by name, and how to get there if its owner has written it. Of a rendezvous the meeting point alone."""
    there = row._mapping
    told = await locations.read_address(tx, there["site_id"], vault)
    meeting = what is Revealed.MEETING_POINT
    shown = None if told is None else told.meeting_point if meeting else told.address
    if meeting and not shown:
        return None
    await events.record(tx, "slip.place_shown", there["id"], [])
    return There(None if meeting else there["name"], what, shown)
