"""What the worker promises: with the bell or without, killed or not, every need is looked at."""

import signal
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from arq import create_pool
from arq.connections import RedisSettings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.bell import LOOK
from db.connection import transaction
from matching.vocabulary import OrganizationKind, Urgency
from tests.builders import add_need, add_offer, add_organization
from tests.conftest import Servers
from tests.db.acts import one
from tests.places import BRIANCON, OULX
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


async def need_state(engine: AsyncEngine, need_id: UUID) -> str:
    async with transaction(engine) as tx:
        return str((await tx.execute(text("select state from need where id = :id"), {"id": need_id})).scalar_one())


async def is_in(engine: AsyncEngine, need_id: UUID, state: str) -> None:
    async def look() -> bool:
        return await need_state(engine, need_id) == state

    await eventually(look, f"need {state}")


async def act(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with transaction(engine) as tx:
        await tx.execute(text(statement), values)


@pytest.fixture
async def town_hall(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx)


@pytest.fixture
async def coordination(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")


async def test_with_redis_away_a_posted_need_is_held_within_seconds(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker(RELAIS_REDIS_URL=NOBODY_LISTENS)
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall)
        need_id = await add_need(tx, coordination, people=4, minors=2)
    await is_in(engine, need_id, "held")

    async def spoken_of() -> bool:
        return "doorbell.redis_away" in (tmp_path / "worker-0.log").read_text()

    await eventually(spoken_of, "the log says that Redis is away")


async def test_with_no_redis_at_all_it_is_held_and_nobody_speaks_of_redis(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker, tmp_path: Path
) -> None:
    """An empty address is none. Redis that is away, as above, is spoken of."""
    start_worker(RELAIS_REDIS_URL="")
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall)
        need_id = await add_need(tx, coordination, people=4, minors=2)
    await is_in(engine, need_id, "held")
    assert "redis" not in (tmp_path / "worker-0.log").read_text()


async def test_without_any_bell_the_sweep_finds_the_work(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker
) -> None:
    start_worker(RELAIS_LISTEN="false", RELAIS_POLL_SECONDS="0.2")
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall)
        need_id = await add_need(tx, coordination)
    await is_in(engine, need_id, "held")


async def test_the_arq_bell_alone_wakes_the_worker(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker, servers: Servers
) -> None:
    own = urlunsplit(urlsplit(servers.redis_url)._replace(path="/7"))
    start_worker(RELAIS_REDIS_URL=own, RELAIS_LISTEN="false", RELAIS_POLL_SECONDS="60")
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall)
        first = await add_need(tx, coordination)
    pool = await create_pool(RedisSettings.from_dsn(own))

    async def rung() -> bool:
        await pool.enqueue_job(LOOK)
        return await need_state(engine, first) == "held"

    await eventually(rung, "held after a ring")
    await pool.aclose()


async def test_what_a_killed_worker_left_another_takes_up(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker
) -> None:
    killed = start_worker()
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall, capacity=40)
        ids = [await add_need(tx, coordination) for _ in range(40)]
    await is_in(engine, ids[0], "held")
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    start_worker()
    for need_id in ids:
        await is_in(engine, need_id, "held")
    async with transaction(engine) as tx:
        used = (await tx.execute(text("select max(used) from slot"))).scalar_one()
    assert used == 40


async def test_a_hold_that_runs_out_goes_to_the_next_best_at_once(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker
) -> None:
    async with transaction(engine) as tx:
        near = await add_offer(tx, town_hall, place=BRIANCON)
        far = await add_offer(tx, town_hall, place=OULX)
        need_id = await add_need(tx, coordination, countries=frozenset({"FR", "IT"}))
    start_worker()
    await is_in(engine, need_id, "held")
    await act(engine, "update allocation set held_until = now() - interval '1 second' where offer_id = :id", id=near)

    async def moved_on() -> bool:
        async with transaction(engine) as tx:
            rows = await tx.execute(
                text("select offer_id, state from allocation where need_id = :id order by created_at"),
                {"id": need_id},
            )
            return [tuple(row) for row in rows] == [(near, "expired"), (far, "held")]

    await eventually(moved_on, "the hold expired and the next best held")


async def test_new_capacity_wakes_a_need_that_was_put_off(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker
) -> None:
    async with transaction(engine) as tx:
        need_id = await add_need(tx, coordination)
    await act(engine, "update need set look_at = now() + interval '1 day' where id = :id", id=need_id)
    start_worker(RELAIS_POLL_SECONDS="0.2")
    async with transaction(engine) as tx:
        offer_id = await add_offer(tx, town_hall)
        await tx.execute(text("insert into capacity_news (offer_id) values (:id)"), {"id": offer_id})
    await is_in(engine, need_id, "held")


async def test_a_need_that_nobody_can_serve_is_recorded_as_unmet_with_its_reasons(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker
) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall, capacity=1)
        await add_offer(tx, town_hall, place=OULX)
        need_id = await add_need(tx, coordination, people=4)
        await tx.execute(text("update need set deadline = now() where id = :id"), {"id": need_id})
    start_worker()
    await is_in(engine, need_id, "unmet")
    async with transaction(engine) as tx:
        reasons = (
            await tx.execute(text("select unmet_reasons from need where id = :id"), {"id": need_id})
        ).scalar_one()
    assert reasons == {"capacity": 1, "border": 1}
    async with transaction(engine) as tx:
        late = await add_offer(tx, town_hall, capacity=4)
        await tx.execute(text("insert into capacity_news (offer_id) values (:id)"), {"id": late})
    await is_in(engine, need_id, "held")


async def test_a_need_that_breaks_the_matching_is_parked_and_holds_up_nobody(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, start_worker: StartWorker
) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall)
        poison = await add_need(tx, coordination)
        await tx.execute(text("update need set teaches = 'fr', level = 'Z9' where id = :id"), {"id": poison})
        sound = await add_need(tx, coordination, urgency=Urgency.NORMAL)
    start_worker(RELAIS_PARK_AFTER="1", RELAIS_POLL_SECONDS="0.2")
    await is_in(engine, sound, "held")

    async def parked() -> bool:
        async with transaction(engine) as tx:
            return bool(
                (
                    await tx.execute(text("select parked_at is not null from need where id = :id"), {"id": poison})
                ).scalar_one()
            )

    await eventually(parked, "the broken need parked")


REFUSE = """
    create sequence refused;
    create function refuse() returns trigger language plpgsql as $$
    begin
        perform nextval('refused');
        raise exception 'as the server does' using errcode = '{state}';
    end $$;
    create trigger refuse before insert on allocation for each row execute function refuse();
    grant usage on sequence refused to relais_matcher;
"""
LOOKED = """
    select (select last_value from refused) as times, parked_at is not null as parked from need where id = :id
"""


@pytest.mark.parametrize("state", ["53100", "40P01", "22012"])
async def test_a_need_is_not_parked_for_what_is_no_fault_of_its_own(
    engine: AsyncEngine,
    listening: asyncpg.Connection,
    town_hall: UUID,
    coordination: UUID,
    start_worker: StartWorker,
    state: str,
) -> None:
    """A full disk and a deadlock are not; the control, a division by nothing, is."""
    await listening.execute(REFUSE.format(state=state))
    async with transaction(engine) as tx:
        await add_offer(tx, town_hall)
        need_id = await add_need(tx, coordination)
    start_worker(RELAIS_PARK_AFTER="1", RELAIS_POLL_SECONDS="0.2")

    async def tried() -> bool:
        found = await one(engine, LOOKED, id=need_id)
        return bool(found.parked or found.times >= 4)

    await eventually(tried, "looked at again and again")
    own_fault = state == "22012"
    assert (await one(engine, LOOKED, id=need_id)).parked == own_fault
    if not own_fault:
        await listening.execute("drop trigger refuse on allocation")
        await is_in(engine, need_id, "held")
