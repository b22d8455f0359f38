"""What the running code does while a migration passes: frozen SQL on the schema of `BASE`, on a large database.

It is not today's code, which may need what a migration only brings. A `post` migration takes away what only old code
used: where one takes away something that stands here, `BASE` moves up to it, and this page with it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from db.connection import listening_address
from db.settings import Settings
from geo.cells import Cell
from tests.places import GAP, point_text

__all__ = ["BASE", "Load", "furnish", "load"]

BASE: Final = "0013"
"""The newest migration that was only ever tried on an empty database."""
_SIDE_BY_SIDE: Final = 4
_PAUSE_SECONDS: Final = 0.02
"""Between two evenings of one of them: the machine has the migration to serve too."""
_OFFERS: Final = 50
_POINT: Final = f"cast('{point_text(Cell(GAP.cell))}' as geography)"
_NEED: Final = f"""
    insert into need (organization_id, category, town_id, cell, point, adults, minors, starts, ends, urgency, tier,
                      stay, audience, requires, countries, divisible, deadline, state)
    select (select id from organization limit 1), 'shelter', {GAP.id}, {GAP.cell}, {_POINT}, 1 + n % 3, 0,
           now() + interval '1 hour', now() + interval '13 hours', 'vital', 0, 'transit', '{{anyone}}', '{{}}',
           '{{FR}}', false, now() + interval '12 hours', $2
      from generate_series(1, $1) n
"""
_ALLOCATION: Final = """
    insert into allocation (need_id, offer_id, provider_id, poster_id, people, state, firm_from, held_until,
                            last_arrival, ends, distance_km, policy_version)
"""
_TERMS: Final = (
    "'held', now(), now() + interval '1 hour', now() + interval '5 hours', now() + interval '13 hours', 0, 1"
)
_PLACES: Final = f"""
    insert into town (id, name, country, population, timezone, latitude, longitude, cell, point)
    values ({GAP.id}, 'Gap', 'FR', 1, 'Europe/Paris', {GAP.latitude}, {GAP.longitude}, {GAP.cell}, {_POINT});
    insert into organization (kind, name) values ('municipality', 'Gap');
    insert into site (organization_id, town_id, name, kind, cell, visibility, provides)
    select o.id, {GAP.id}, 'Gym', 'municipal_building', {GAP.cell}, 'on_confirmation', '{{}}'
      from organization o, generate_series(1, {_OFFERS});
    insert into offer (site_id, organization_id, category, capacity, audience, provides, confirmation,
                       confirm_within_minutes, first_day, last_day, timezone, opens, closes, rrule, verified_at,
                       country, cell, point, tie, town_id, is_public)
    select s.id, s.organization_id, 'shelter', 2000000, '{{anyone}}', '{{}}', 'each', 60, current_date,
           current_date + 7, 'Europe/Paris', '19:00', '08:00', 'FREQ=DAILY', now(), 'FR', s.cell, {_POINT}, 1,
           s.town_id, false
      from site s;
    insert into slot (offer_id, day, starts, ends, last_arrival, capacity)
    select o.id, current_date + n, current_date + n + interval '1 day', current_date + n + interval '37 hours',
           current_date + n + interval '30 hours', 2000000
      from offer o, generate_series(0, 6) n;
"""
_HELD: Final = f"""
    {_ALLOCATION}
    select n.id, (select id from offer limit 1), n.organization_id, n.organization_id, n.people, {_TERMS}
      from need n where n.state = 'held';
    insert into allocation_slot (allocation_id, slot_id, people, taken)
    select a.id, (select s.id from slot s where s.offer_id = a.offer_id order by s.id limit 1), a.people, true
      from allocation a;
    update slot set used = k.people
      from (select slot_id, sum(people) as people from allocation_slot group by slot_id) k where k.slot_id = slot.id;
    insert into event (kind, object_id, organizations, facts)
    select 'need.held', id, array[organization_id], '{{}}' from need;
    analyze need, allocation, allocation_slot, event;
"""
_TAKE: Final = """
    with wanted as (select id from slot where offer_id = $1 order by id limit 1 for update)
    update slot set used = used + $2 from wanted where slot.id = wanted.id and used + $2 <= capacity returning slot.id
"""
_EVENT: Final = """
    insert into event (kind, object_id, organizations, facts)
    select 'need.' || state, id, array[organization_id], '{}' from need where id = $1
"""
_HOLD: Final = f"""
    {_ALLOCATION}
    select n.id, $2, n.organization_id, n.organization_id, n.people, {_TERMS} from need n where n.id = $1 returning id
"""
_ENTER: Final = "insert into allocation_slot (allocation_id, slot_id, people, taken) values ($1, $2, $3, true)"
_STATE: Final = "update {table} set state = '{state}', version = version + 1 where id = $1"
_LATEST: Final = """
    select a.id, a.state, n.people from allocation a join need n on n.id = a.need_id
     where a.offer_id = $1 order by a.created_at desc limit 20
"""


@dataclass(slots=True)
class Load:
    """What was done so far, and what failed."""

    done: int = 0
    failed: list[str] = field(default_factory=list)


async def furnish(settings: Settings, needs: int) -> None:
    """So many needs, half of them held, with their allocations and events."""
    connection = await asyncpg.connect(listening_address(settings))
    await connection.execute(_PLACES)
    for state in ("open", "held"):
        await connection.execute(_NEED, needs // 2, state)
    await connection.execute(_HELD)
    await connection.close()


@asynccontextmanager
async def load(settings: Settings, lock_seconds: float) -> AsyncIterator[Load]:
    """People post needs, get places, confirm and read, side by side, for as long as the block runs.

    Who waits longer than `lock_seconds` for a lock fails.
    """
    going = Load()
    stopped = asyncio.Event()
    tasks = [asyncio.create_task(_somebody(settings, lock_seconds, going, stopped)) for _ in range(_SIDE_BY_SIDE)]
    try:
        yield going
    finally:
        stopped.set()
        await asyncio.gather(*tasks)


async def _somebody(settings: Settings, lock_seconds: float, going: Load, stopped: asyncio.Event) -> None:
    connection = await asyncpg.connect(
        listening_address(settings), server_settings={"lock_timeout": str(round(lock_seconds * 1000))}
    )
    offers = await connection.fetch("select id, organization_id from offer")
    while not stopped.is_set():
        offer = offers[going.done % len(offers)]
        try:
            await _evening(connection, offer["id"])
        except asyncpg.PostgresError as error:
            going.failed.append(f"{type(error).__name__}: {error}")
        going.done += 1
        await asyncio.sleep(_PAUSE_SECONDS)
    await connection.close()


async def _evening(connection: asyncpg.Connection, offer_id: object) -> None:
    async with connection.transaction():
        need_id = await connection.fetchval(f"{_NEED} returning id", 1, "open")
        await connection.execute(_EVENT, need_id)
    async with connection.transaction():
        people = await connection.fetchval("select people from need where id = $1 for update", need_id)
        slot_id = await connection.fetchval(_TAKE, offer_id, people)
        allocation_id = await connection.fetchval(_HOLD, need_id, offer_id)
        await connection.execute(_ENTER, allocation_id, slot_id, people)
        await connection.execute(_STATE.format(table="need", state="held"), need_id)
        await connection.execute(_EVENT, need_id)
    async with connection.transaction():
        await connection.execute("select from need where id = $1 for update", need_id)
        await connection.execute(_STATE.format(table="allocation", state="confirmed"), allocation_id)
        await connection.execute(_STATE.format(table="need", state="confirmed"), need_id)
        await connection.execute(_EVENT, need_id)
    # Columns by name, as all our code does: a prepared `select *` fails once when a column is added.
    await connection.fetch(_LATEST, offer_id)
