"""Many clients claim the same few places, cancel, and let holds run out; then every slot is counted again.

The load takes the claiming act as an argument, so that a wrong one can be shown to be caught.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import allocations, due, needs, offers, policies, seekers, slots
from db.connection import transaction
from geo.distance import Kilometres
from matching.assign import Candidate
from matching.needs import OfferId
from matching.policy import Policy
from matching.refusals import Refusal
from matching.states import AllocationState

__all__ = ["Audit", "Claim", "Gym", "Region", "Report", "Take", "add_needs", "audit", "build_region", "run"]

Take = Callable[[AsyncConnection, seekers.Seeker, Candidate, int, Policy], Awaitable[UUID | None]]
"""Take places in all slots of a candidate or in none; `db.holds.take` is the one that keeps its word."""

OFFERS, NIGHTS = 1_000, 10
_DEADLOCK = "40P01"


@dataclass(frozen=True, slots=True)
class Gym:
    """An offer, its owner, and its slots night by night."""

    offer_id: UUID
    provider_id: UUID
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A region of `OFFERS` gyms with `NIGHTS` slots each."""

    offers: tuple["Gym", ...]


@dataclass(slots=True)
class Claim:
    """A claim that was acknowledged: committed, and said to be so."""

    allocation_id: UUID
    need_id: UUID
    provider_id: UUID
    poster_id: UUID
    slots: int
    people: int
    ended: bool = False
    """Whether its end was acknowledged too."""


@dataclass(slots=True)
class Report:
    """What the clients saw."""

    asked: int = 0
    full: int = 0
    deadlocks: int = 0
    refused: int = 0
    acts: dict[str, int] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Audit:
    """What the tables say afterwards; all but `places_taken` are to be zero."""

    overbooked: int
    """Slots with more people than places."""
    miscounted: int
    """Slots whose counter differs from the places taken in them, or from the people of live allocations."""
    lost: int
    """Acknowledged claims without all their rows, or acknowledged ends that still take places."""
    deadlocks: int
    """By the server's own count."""
    places_taken: int


async def build_region(engine: AsyncEngine) -> Region:
    """Slots for two to six people each, most of them too few for who asks."""
    async with transaction(engine) as tx:
        for statement in _REGION:
            await tx.execute(text(statement), {"offers": OFFERS, "nights": NIGHTS})
        rows = await tx.execute(_SLOTS)
        return Region(tuple(Gym(row.offer_id, row.provider_id, tuple(row.slots)) for row in rows))


async def add_needs(engine: AsyncEngine, count: int) -> list[UUID]:
    """Open needs of one to five people, due at once."""
    async with transaction(engine) as tx:
        return list((await tx.execute(_NEEDS, {"count": count})).scalars())


async def run(
    engine: AsyncEngine, region: Region, waiting: list[UUID], *, clients: int, take: Take, seed: int = 1
) -> Report:
    """Let `clients` claim a place for each waiting need, with cancels and expiries in between."""
    report = Report()
    queue = list(waiting)
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            client = _Client(engine, region, policy, take, Random(seed * 1000 + number), report)
            group.create_task(client.work(queue))
    report.seconds = perf_counter() - began
    return report


async def audit(engine: AsyncEngine, report: Report) -> Audit:
    """Count everything again, from the rows."""
    async with transaction(engine) as tx:
        counted = (await tx.execute(_COUNT)).one()
        kept = {row.id: row for row in await tx.execute(_KEPT)}
    lost = 0
    for claim in report.claims:
        row = kept.get(claim.allocation_id)
        whole = row is not None and (row.people, row.slots) == (claim.people, claim.slots)
        lost += not whole or (claim.ended and row is not None and row.taken > 0)
    return Audit(counted.overbooked, counted.miscounted, lost, await _deadlocks(engine), counted.places_taken)


class _Client:
    def __init__(
        self, engine: AsyncEngine, region: Region, policy: Policy, take: Take, random: Random, report: Report
    ) -> None:
        self._engine = engine
        self._region = region
        self._policy = policy
        self._take = take
        self._random = random
        self._report = report

    async def work(self, queue: list[UUID]) -> None:
        while queue:
            need_id = queue.pop()
            await self._count_refusals(self._claim(need_id))
            if self._random.random() < 0.5 and self._report.claims:
                # Anybody's claim, so that two clients often act on the same one.
                await self._count_refusals(self._end(self._random.choice(self._report.claims[-500:])))
            if self._random.random() < 0.02:
                await self._count_refusals(self._sweep())
            if self._random.random() < 0.02:
                await self._count_refusals(self._change_plans(self._some_gym()))

    async def _count_refusals(self, act: Awaitable[None]) -> None:
        try:
            await act
        except Refusal:
            self._report.refused += 1
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                raise
            self._report.deadlocks += 1

    async def _claim(self, need_id: UUID) -> None:
        self._report.asked += 1
        gym = self._some_gym()
        nights = self._some_nights(gym)
        async with transaction(self._engine) as tx:
            seeker = await seekers.claim(tx, need_id, self._policy)
            if seeker is None:
                raise AssertionError("a need that nobody else claims is free to claim")
            people = seeker.people_left
            version = (await tx.execute(_VERSION, {"id": gym.offer_id})).scalar_one()
            candidate = Candidate(OfferId(gym.offer_id), nights, people, people, Kilometres(1), 0, version)
            allocation_id = await self._take(tx, seeker, candidate, people, self._policy)
            if allocation_id is None:
                self._report.full += 1
                return
        self._report.claims.append(
            Claim(allocation_id, need_id, gym.provider_id, seeker.organization_id, len(nights), people)
        )

    def _some_gym(self) -> Gym:
        # Most ask for the same few places.
        return self._region.offers[int(len(self._region.offers) * self._random.random() ** 6)]

    def _some_nights(self, gym: Gym) -> tuple[int, ...]:
        nights = self._random.choice((1, 1, 2, 3, 5))
        first = self._random.randrange(len(gym.slots) - nights + 1)
        shuffled = list(gym.slots[first : first + nights])
        self._random.shuffle(shuffled)
        return tuple(shuffled)

    async def _end(self, claim: Claim) -> None:
        way = self._random.choice(("confirm", "decline", "release", "withdraw", "run_out", "run_out"))
        async with transaction(self._engine) as tx:
            if way == "withdraw":
                await needs.withdraw(tx, claim.need_id, claim.poster_id)
            elif way == "run_out":
                await tx.execute(_RUN_OUT, {"id": claim.allocation_id})
            else:
                side = claim.poster_id if way == "release" else claim.provider_id
                await allocations.move(tx, claim.allocation_id, side, _MOVES[way])
        self._report.acts[way] = self._report.acts.get(way, 0) + 1
        claim.ended |= way in ("decline", "release", "withdraw")

    async def _change_plans(self, gym: Gym) -> None:
        way = self._random.choice(("more_or_less", "more_or_less", "pause", "resume", "resume"))
        async with transaction(self._engine) as tx:
            if way == "pause":
                await offers.pause(tx, gym.offer_id, gym.provider_id)
            elif way == "resume":
                await offers.resume(tx, gym.offer_id, gym.provider_id)
            else:
                slot, places = self._random.choice(gym.slots), self._random.randint(0, 6)
                await slots.change_capacity(tx, gym.offer_id, slot, gym.provider_id, None, places)
        self._report.acts[way] = self._report.acts.get(way, 0) + 1

    async def _sweep(self) -> None:
        async with transaction(self._engine) as tx:
            overdue = await due.list_allocations(tx, AllocationState.EXPIRED, 20)
        for allocation_id, need_id in overdue:
            async with transaction(self._engine) as tx:
                if await allocations.end_hold(tx, allocation_id, need_id, AllocationState.EXPIRED):
                    self._report.acts["expire"] = self._report.acts.get("expire", 0) + 1


async def _deadlocks(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        await tx.execute(text("select pg_stat_clear_snapshot()"))
        found = await tx.execute(text("select deadlocks from pg_stat_database where datname = current_database()"))
        return int(found.scalar_one())


_MOVES = {
    "confirm": AllocationState.CONFIRMED,
    "decline": AllocationState.DECLINED,
    "release": AllocationState.RELEASED,
}
_VERSION = text("select version from offer where id = :id")
_RUN_OUT = text("update allocation set held_until = now() - interval '1 second' where id = :id and state = 'held'")
_REGION = (
    """
    insert into town (id, name, country, population, timezone, latitude, longitude, cell, point)
    values (1, 'Claims', 'FR', 1, 'Europe/Paris', 45, 6, 1, st_point(6, 45)::geography)
    """,
    "insert into organization (kind, name) select 'municipality', 'Town hall ' || n from generate_series(1, 20) as n",
    "insert into organization (kind, name) select 'coordination', 'Poster ' || n from generate_series(1, 20) as n",
    """
    with halls as (
        select array_agg(id order by id) as ids from organization where name like 'Town hall %'
    ), placed as (
        insert into site (organization_id, town_id, name, kind, cell, visibility)
        select ids[1 + n % 20], 1, 'Gym', 'municipal_building', 1, 'public'
          from halls, generate_series(1, cast(:offers as int)) as n
        returning id, organization_id
    )
    insert into offer (site_id, organization_id, category, capacity, audience, confirmation, confirm_within_minutes,
                       first_day, last_day, timezone, opens, closes, rrule, town_id, is_public, country, cell,
                       point, tie)
    select id, organization_id, 'shelter', 2 + (row_number() over ()) % 5, '{anyone}', 'each', 60, current_date + 1,
           current_date + cast(:nights as int), 'Europe/Paris', '19:00', '08:00', 'FREQ=DAILY', 1, true, 'FR', 1,
           st_point(6, 45)::geography, row_number() over ()
      from placed
    """,
    """
    insert into slot (offer_id, day, starts, ends, last_arrival, capacity)
    select o.id, day, day + time '19:00', day + 1 + time '08:00', day + 1 + time '08:00', o.capacity
      from offer o, generate_series(1, cast(:nights as int)) as night, lateral (select current_date + night as day) d
     order by random()
    """,
)
_SLOTS = text("""
    select o.id as offer_id, o.organization_id as provider_id, array_agg(s.id order by s.starts) as slots
      from offer o join slot s on s.offer_id = o.id
     group by o.id order by o.id
""")
_NEEDS = text("""
    with posters as (
        select array_agg(id order by id) as ids from organization where name like 'Poster %'
    )
    insert into need (organization_id, category, town_id, cell, point, adults, minors, starts, ends, urgency, tier,
                      stay, audience, requires, countries, divisible, deadline)
    select ids[1 + n % 20], 'shelter', 1, 1, st_point(6, 45)::geography, 1 + n % 3, n / 3 % 3,
           now() + interval '1 day', now() + interval '9 days', 'vital', 0, 'unknown', '{anyone}', '{}', '{FR}',
           false, now() + interval '9 days'
      from posters, generate_series(1, cast(:count as int)) as n
    returning id
""")
_COUNT = text("""
    select count(*) filter (where s.used > s.capacity or k.taken > s.capacity) as overbooked,
           count(*) filter (where s.used <> k.taken or s.used <> k.live) as miscounted,
           sum(k.taken) as places_taken
      from slot s
     cross join lateral (
           select coalesce(sum(k.people) filter (where k.taken), 0) as taken,
                  coalesce(sum(a.people) filter (where a.state in ('held', 'confirmed', 'arrived')), 0) as live
             from allocation_slot k join allocation a on a.id = k.allocation_id
            where k.slot_id = s.id) k
""")
_KEPT = text("""
    select a.id, a.people, count(*) as slots, count(*) filter (where k.taken) as taken
      from allocation a join allocation_slot k on k.allocation_id = a.id and k.people = a.people
     group by a.id
""")
