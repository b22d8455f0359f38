"""Three workers drain a pool of open needs: nothing is given twice, and nobody is left who could be placed."""

import signal
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction
from matching.vocabulary import OrganizationKind, Urgency
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold
from tests.placeable import broken_rules, still_placeable
from tests.places import BAYONNE, BRIANCON, GAP, HENDAYE, MENTON, MONTGENEVRE
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

TOWNS = (BRIANCON, MONTGENEVRE, GAP, MENTON, HENDAYE, BAYONNE)


async def a_region(engine: AsyncEngine, needs: int) -> None:
    """Three parts of the land; fewer places than people, some for some only."""
    random = Random(5)  # noqa: S311 - the same region each time
    async with transaction(engine) as tx:
        owner = await add_organization(tx)
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
        for _ in range(needs // 10):
            await add_offer(
                tx,
                owner,
                place=random.choice(TOWNS),
                capacity=random.randint(4, 28),
                nights=4,
                provides=random.choice(([], ["step_free"], ["step_free", "quiet"])),
                audience=random.choice((["anyone"], ["anyone"], ["women"])),
                nights_max=random.choice((None, None, 1)),
                party_max=random.choice((None, None, 3)),
            )
        for _ in range(needs):
            await add_need(
                tx,
                poster,
                place=random.choice(TOWNS),
                people=random.randint(1, 6),
                nights=random.randint(1, 3),
                urgency=random.choice(list(Urgency)),
                requires=random.choice((frozenset[str](), frozenset[str](), frozenset({"step_free"}))),
            )


async def test_three_workers_of_which_one_is_killed_drain_the_pool(
    engine: AsyncEngine,
    start_worker: StartWorker,
    *,
    long: bool,
) -> None:
    await a_region(engine, 10_000 if long else 600)
    killed, *_ = [start_worker() for _ in range(3)]

    async def count(statement: str) -> int:
        async with transaction(engine) as tx:
            return int((await tx.execute(text(statement))).scalar_one())

    async def some_are_placed() -> bool:
        return await count("select count(*) from allocation") > 20

    await eventually(some_are_placed, "some needs placed")
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)

    async def drained() -> bool:
        unseen = await count("select count(*) from need where state = 'open' and fruitless = 0")
        return not unseen and await count("select count(*) from round") > 0 and not await still_placeable(engine)

    await eventually(drained, "nobody is left who could be placed", 900 if long else 60)
    assert await broken_rules(engine) == {}
    assert await count("select count(*) from need where state in ('held', 'confirmed')") > 100


@pytest.mark.parametrize(
    ("breaks", "what"),
    [
        ("update slot set used = used + 1 where used > 0 and used < capacity", "miscounted"),
        ("update offer set country = 'IT'", "against a rule"),
        ("update allocation_slot set people = 99", "not every night"),
        ("update allocation set people = people + 1", "split or doubled"),
        ("update need set state = 'open'", "state"),
    ],
)
async def test_the_checker_sees_what_is_broken(engine: AsyncEngine, breaks: str, what: str) -> None:
    placed = await a_placed_party(engine)
    assert await broken_rules(engine) == {}
    assert await still_placeable(engine) == set()
    async with transaction(engine) as tx:
        await tx.execute(text(breaks))
    assert what in await broken_rules(engine), placed


async def test_the_checker_sees_who_could_be_placed(engine: AsyncEngine) -> None:
    await a_placed_party(engine)
    async with transaction(engine) as tx:
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
        fits = await add_need(tx, poster, people=8, nights=2)
        await add_need(tx, poster, people=9)
        await add_need(tx, poster, people=1, requires=frozenset({"quiet"}))
    assert await still_placeable(engine) == {fits}


async def a_placed_party(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx))
        need_id = await add_need(tx, await add_organization(tx), people=2, nights=2)
    await hold(engine, need_id)
    return need_id
