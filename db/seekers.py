"""Seekers: needs as the matching sees them, one or many, and the lock that every act on a need takes first."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import Need as NeedRow
from db.tables.metadata import columns
from geo.cells import Cell
from geo.distance import Kilometres
from matching.needs import NO_PREFERENCES, Near, Need, NeedId, OfferId, People, Preferences, language_of
from matching.policy import Policy
from matching.states import NeedState
from matching.vocabulary import Audience, Coverage, Stay, Urgency
from matching.windows import Window, nights_of

__all__ = [
    "Door",
    "InPathway",
    "InPool",
    "Seeker",
    "Tentative",
    "claim",
    "doors",
    "living",
    "lock_need",
    "of_pathway",
    "pool",
    "posted",
    "read_seeker",
    "waiting_together",
    "without_a_place",
]


@dataclass(frozen=True, slots=True)
class Seeker:
    """A need with what the matching wants to know of it now; locked where it was claimed."""

    need: Need
    organization_id: UUID
    state: NeedState
    people_left: int
    version: int
    now: datetime
    in_project: bool = False
    """Whether it is a party of a project, which takes no place alone."""


@dataclass(frozen=True, slots=True)
class Tentative:
    """A hold that may still be improved: its provider was not asked yet."""

    allocation_id: UUID
    offer_id: OfferId
    distance: Kilometres
    firm_from: datetime


@dataclass(frozen=True, slots=True)
class InPool:
    """A need that a round may place, with the tentative hold that it has."""

    seeker: Seeker
    waited: timedelta
    held: Tentative | None
    in_vain: bool
    """Whether it was looked for a place before and found none."""


@dataclass(frozen=True, slots=True)
class InPathway:
    """A step of a pathway: whether it looks for a place, and is due to; the place that it has, and its cell."""

    seeker: Seeker
    seeks: bool
    due: bool
    held: Tentative | None
    """Its hold, where it may still be changed for another."""
    cell: Cell | None
    """Where its place lies."""

    @property
    def is_bed(self) -> bool:
        """Whether it is the anchor."""
        return self.seeker.need.coverage is Coverage.EVERY


@dataclass(frozen=True, slots=True)
class Door:
    """A cell where needs for nights stand that a round may place, and whether any was looked at in vain."""

    cell: Cell
    needs: int
    in_vain: bool


_LAST_MOMENT = timedelta(minutes=1)
_FACTS = f"""
    {columns(NeedRow, "n")}, c.coverage, t.timezone, clock_timestamp() as now,
           w.need_id is not null as prefers, w.near_km, w.most_km, w.wishes, w.waits_for, away.cell as near_cell,
           n.people - coalesce(
               (select sum(a.people) from allocation a
                 where a.need_id = n.id
                   and a.state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')), 0) as people_left,
           array(select a.offer_id from allocation a
                  where a.need_id = n.id
                    and coalesce(a.reason, '') not in ('better_place', 'no_volunteers', 'not_together')
                    and (a.state in ('declined', 'released', 'no_show', 'held', 'confirmed', 'arrived')
                         or (a.state = 'expired'
                             and a.ended_at > now() - make_interval(mins => :ask_again_minutes)))) as turned_down
"""
# Nights are counted where a place is looked for.
_SETTING = """
    from need n join category c on c.code = n.category join town t on t.id = coalesce(n.searched_town_id, n.town_id)
    left join preference w on w.need_id = n.id left join town away on away.id = w.near_town_id
"""
_ONE = f"select {_FACTS} {_SETTING} where n.id = :id"
# Whether it is due stands in the answer, not in the condition: a planner that takes live needs for few walks an index
# of them all instead of the key. The row is the newest, its allocations are the snapshot's: where the versions differ,
# somebody else has just placed people of this need, and what is left of it is not known here.
_CLAIM = text(f"""
    select *, state in ('open', 'unmet', 'referred') and parked_at is null and ended_at is null and look_at <= now()
              and version = (select version from need where id = :id) as due
      from ({_ONE} for update of n skip locked) claimed
""")
_READ = text(_ONE)
# Who was placed at once and whose provider was not asked yet looks for something better together with those who wait.
_POOL = text(f"""
    select {_FACTS.replace("clock_timestamp()", "now()")},
           held.id as held_id, held.offer_id as held_offer, held.distance_km as held_km,
           held.people as held_people, held.firm_from as held_firm_from
      {_SETTING}
      left join lateral (
          select a.* from allocation a
           where a.need_id = n.id and a.state = 'held' and a.firm_from > now() and not n.divisible
      ) held on n.state = 'held'
     where n.parked_at is null and n.ended_at is null and c.coverage = 'every' and n.ends > now()
       and n.pathway_id is null and n.project_id is null
       and (n.state in ('open', 'unmet', 'referred') or held.id is not null)
       and (cast(:cells as bigint[]) is null or n.cell = any(cast(:cells as bigint[])))
     order by n.tier, n.posted_at
     limit :limit
""")
_LIVING = text(f"""
    select {_FACTS.replace("clock_timestamp()", "now()")} {_SETTING}
     where n.state in ('open', 'unmet', 'referred', 'held', 'confirmed') and n.parked_at is null and n.ended_at is null
       and n.ends > now() and n.starts < :before and c.coverage = 'every'
     order by n.tier, n.posted_at
     limit :limit
""")
_DOORS = text("""
    select n.cell, count(*) as needs, bool_or(n.fruitless > 0 and n.state <> 'held') as in_vain
      from need n join category c on c.code = n.category
     where n.parked_at is null and n.ended_at is null and c.coverage = 'every' and n.ends > now()
       and n.pathway_id is null and n.project_id is null and n.state in ('open', 'unmet', 'referred', 'held')
       and (n.state <> 'held'
            or (not n.divisible and exists (select from allocation a
                                             where a.need_id = n.id and a.state = 'held' and a.firm_from > now())))
     group by n.cell
""")
_OF_PATHWAY = text(f"""
    select {_FACTS}, n.state in ('open', 'unmet', 'referred') and n.parked_at is null as seeks,
           n.look_at <= now() as is_due,
           held.id as held_id, held.offer_id as held_offer, held.distance_km as held_km,
           held.firm_from as held_firm_from, held.state = 'held' and held.firm_from > clock_timestamp() as is_tentative,
           o.cell as place_cell
      {_SETTING}
      left join allocation held on held.need_id = n.id and held.state in ('held', 'confirmed', 'arrived')
      left join offer o on o.id = held.offer_id
     where n.pathway_id = :pathway and n.ended_at is null and n.ends > now()
     order by n.step
""")
_POSTED = text(f"select {_FACTS} {_SETTING} where n.posted_at > :since order by n.posted_at, n.id limit :limit")
# As the network's page counts them (`db.boards`).
_LACKS = """n.organization_id = :organization and n.category = :category
       and n.state in ('open', 'unmet') and n.ended_at is null"""
# In the order in which places are given.
_WITHOUT_A_PLACE = text(f"""
    select {_FACTS} {_SETTING} where {_LACKS} and n.pathway_id is null and n.project_id is null
     order by n.tier, n.posted_at, n.id
     limit :limit
""")
_TOGETHER = text(f"""
    select count(*) from need n where {_LACKS} and (n.pathway_id is not null or n.project_id is not null)
""")
# What becomes of one place of a project may end the others: so all its needs are locked, in the order of their keys.
_LOCK = text("""
    select id from need
     where id in (select id from need where id = :id
                   union
                  select other.id from need n join need other on other.project_id = n.project_id
                   where n.id = :id and other.project_id is not null)
     order by id for update
""")


async def claim(tx: AsyncConnection, need_id: UUID, policy: Policy) -> Seeker | None:
    """Lock a need that is due; `None` when it is not due any more or another worker has it."""
    row = (await tx.execute(_CLAIM, {"id": need_id, "ask_again_minutes": policy.ask_again_minutes})).one_or_none()
    return _seeker(row, row.now) if row is not None and row.due else None


async def lock_need(tx: AsyncConnection, need_id: UUID) -> None:
    """Wait for the need's lock, and those of its project: the first step of every act on it or on its allocations."""
    await tx.execute(_LOCK, {"id": need_id})


async def read_seeker(tx: AsyncConnection, need_id: UUID, policy: Policy) -> Seeker:
    """The need as the matching sees it, without a lock; once its window has passed, as it stood just before."""
    row = (await tx.execute(_READ, {"id": need_id, "ask_again_minutes": policy.ask_again_minutes})).one()
    return _seeker(row, min(row.now, max(row.starts, row.ends - _LAST_MOMENT)))


async def posted(tx: AsyncConnection, since: datetime, limit: int) -> list[Seeker]:
    """Needs posted since then, oldest first, each as it was seen at that moment."""
    values = {"since": since, "limit": limit, "ask_again_minutes": 0}
    return [_seeker(row, row.posted_at) for row in await tx.execute(_POSTED, values)]


async def living(tx: AsyncConnection, policy: Policy, before: datetime, limit: int) -> list[InPool]:
    """All needs for nights that begin before then, with a place or without, the most urgent first."""
    values = {"before": before, "limit": limit, "ask_again_minutes": policy.ask_again_minutes}
    return [
        InPool(_seeker(row, row.now), row.now - row.posted_at, None, in_vain=row.fruitless > 0)
        for row in await tx.execute(_LIVING, values)
    ]


async def without_a_place(
    tx: AsyncConnection, organization_id: UUID, category: str, policy: Policy, limit: int
) -> list[Seeker]:
    """Needs of this organization alone for such help that have no place, the most urgent first, then who waits longest.

    Needs that a partner town has taken are looked after there, and are not among them; nor are those that take a place
    only with others.
    """
    values = {
        "organization": organization_id,
        "category": category,
        "limit": limit,
        "ask_again_minutes": policy.ask_again_minutes,
    }
    return [_seeker(row, row.now) for row in await tx.execute(_WITHOUT_A_PLACE, values)]


async def waiting_together(tx: AsyncConnection, organization_id: UUID, category: str) -> int:
    """How many needs of this organization for such help have no place and take one only with others."""
    values = {"organization": organization_id, "category": category}
    return int((await tx.execute(_TOGETHER, values)).scalar_one())


async def doors(tx: AsyncConnection) -> list[Door]:
    """Where those stand whom rounds may place."""
    return [Door(Cell(row.cell), row.needs, row.in_vain) for row in await tx.execute(_DOORS)]


async def pool(tx: AsyncConnection, policy: Policy, limit: int, cells: Collection[Cell] | None = None) -> list[InPool]:
    """All needs for nights that lack a place or hold one tentatively, the most urgent first, then the longest waiting.

    Those that stand in these cells, or anywhere.

    For a tentative one, its people count as without a place and its offer as one that it may take.
    """
    values = {
        "limit": limit,
        "ask_again_minutes": policy.ask_again_minutes,
        "cells": None if cells is None else list(cells),
    }
    return [_in_pool(row) for row in await tx.execute(_POOL, values)]


async def of_pathway(tx: AsyncConnection, pathway_id: UUID, policy: Policy) -> list[InPathway]:
    """The steps of a pathway that are not over, in their order, as they stand; the caller has locked their needs.

    No party of a pathway is divisible: each step has one place at most.
    """
    values = {"pathway": pathway_id, "ask_again_minutes": policy.ask_again_minutes}
    return [_in_pathway(row) for row in await tx.execute(_OF_PATHWAY, values)]


def _in_pathway(row: Row[tuple[object, ...]]) -> InPathway:
    held = (
        Tentative(row.held_id, OfferId(row.held_offer), Kilometres(row.held_km), row.held_firm_from)
        if row.is_tentative
        else None
    )
    cell = None if row.place_cell is None else Cell(row.place_cell)
    return InPathway(_seeker(row, row.now), row.seeks, row.seeks and row.is_due, held, cell)


def _in_pool(row: Row[tuple[object, ...]]) -> InPool:
    seeker = _seeker(row, row.now)
    waited = row.now - row.posted_at
    if row.held_id is None:
        return InPool(seeker, waited, None, in_vain=row.fruitless > 0)
    free = replace(seeker.need, turned_down=seeker.need.turned_down - {row.held_offer})
    return InPool(
        replace(seeker, need=free, people_left=seeker.people_left + row.held_people),
        waited,
        Tentative(row.held_id, OfferId(row.held_offer), Kilometres(row.held_km), row.held_firm_from),
        in_vain=False,
    )


def _left_to_go(most: int | None, gone: int | None) -> int | None:
    """What is left of a party's own limit, in kilometres, for who was referred so far from home.

    -1 where that alone is farther than they go: then not even the next house is in reach.
    """
    return most if most is None or gone is None else max(most - gone, -1)


def _gone(row: Row[tuple[object, ...]]) -> int | None:
    """How far they went to a partner town; nothing for the rest of a party of which some have places there."""
    rest = 0 < int(row.people_left) < row.adults + row.minors
    return None if rest else row.searched_km


def _preferences(row: Row[tuple[object, ...]], max_km: int | None) -> Preferences:
    """What the people said; the limit of how far they go counts from their own town, as the need's does."""
    if not row.prefers:
        return NO_PREFERENCES
    return Preferences(
        near=None if row.near_cell is None else Near(Cell(row.near_cell), Kilometres(row.near_km)),
        wishes=frozenset(row.wishes),
        waits_for=frozenset(row.waits_for) - frozenset(row.requires),
        posted_max_km=max_km,
        most_km=_left_to_go(row.most_km, _gone(row)),
    )


def _seeker(row: Row[tuple[object, ...]], now: datetime) -> Seeker:
    window = Window(row.starts, row.ends)
    coverage = Coverage(row.coverage)
    ahead = Window(max(row.starts, now), row.ends) if now < row.ends else None
    max_km = _left_to_go(row.max_km, _gone(row))
    said = _preferences(row, max_km)
    most = [limit for limit in (max_km, said.most_km) if limit is not None]
    need = Need(
        id=NeedId(row.id),
        category=row.category,
        coverage=coverage,
        cell=Cell(row.cell),
        people=People(row.adults, row.minors),
        window=window,
        days=nights_of(ahead, ZoneInfo(row.timezone)) if ahead and coverage is Coverage.EVERY else (),
        urgency=Urgency(row.urgency),
        stay=Stay(row.stay),
        audience=frozenset(Audience(word) for word in row.audience),
        requires=frozenset(row.requires) | said.waits_for,
        countries=frozenset(row.countries),
        max_km=min(most, default=None),
        divisible=row.divisible,
        language=language_of(row.teaches, row.level),
        turned_down=frozenset(OfferId(offer) for offer in row.turned_down),
        preferences=said,
    )
    in_project = row.project_id is not None
    return Seeker(need, row.organization_id, NeedState(row.state), int(row.people_left), row.version, now, in_project)
