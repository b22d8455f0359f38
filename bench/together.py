"""Ten thousand needs decided together, beside the same needs one by one.

Both begin with the same network and end with committed holds; in between everything is put back.
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from time import perf_counter
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.databases import plain_connection
from bench.world import World, add_needs, needs_around
from db import candidates, holds, seekers
from db.bell import Bell
from db.connection import connect, snapshot, transaction
from db.markets import read_market
from db.policies import in_force
from db.rounds import Pace
from db.seekers import InPool
from db.settings import Settings
from matching import pairing
from matching.engine.solve import warm
from matching.pairing import pairs_of
from matching.policy import Policy
from matching.vocabulary import Coverage
from worker.rounds import hold_round, waiting_territories
from worker.solving import solve_within

__all__ = ["Together", "decide_together"]

_SAMPLE = 10
"""One by one, every tenth need is asked for and the time taken ten times: minutes tell no more."""
_WAITING = text("select id from need where state = 'open' order by tier, posted_at, id")
_PLACED = text("""
    select n.tier, sum(a.people) as people from allocation a join need n on n.id = a.need_id
     where a.state = 'held' or a.state = 'confirmed' group by n.tier order by n.tier
""")
_ONE_IN_VAIN = """
    update need set fruitless = 1 where id = (select id from need where state = 'open' order by id limit 1)
"""
"""There is a round where somebody looked in vain; the territories of the world hang together."""
_PUT_BACK = (
    "delete from allocation_slot",
    "delete from allocation where state in ('held', 'confirmed', 'released')",
    "update slot set used = 0, price = 0 where used > 0 or price > 0",
    "delete from capacity_news",
    "update need set state = 'open', fruitless = 0 where state in ('held', 'confirmed')",
)


@dataclass(frozen=True, slots=True)
class Together:
    """Seconds and people (by tier) of both ways."""

    searched_one_by_one: float
    searched_together: float
    placed_one_by_one: float
    round_whole: float
    people_one_by_one: Mapping[int, int]
    people_together: Mapping[int, int]
    gap: float


async def decide_together(settings: Settings, world: World, count: int) -> Together:
    """Search and place `count` needs both ways."""
    engine = connect(settings, "bench")
    plain = await plain_connection(settings)
    await add_needs(plain, list(needs_around(world, count, 4)))
    await plain.execute("vacuum analyze")
    async with transaction(engine) as tx:
        policy = replace(await in_force(tx), round_needs=count, round_solve_seconds=3.0)
        await tx.execute(
            text("update policy set terms = terms || '{\"round_solve_seconds\": 3.0}' where version = :version"),
            {"version": policy.version},
        )
    async with snapshot(engine) as tx:
        waiting = await seekers.pool(tx, policy, count)
    alone = await _search_one_by_one(engine, waiting[::_SAMPLE], policy) * _SAMPLE
    await plain.execute(_ONE_IN_VAIN)
    pairing.warm()
    async with snapshot(engine) as tx:
        began = perf_counter()
        market = await read_market(tx, policy)
        if market is None:
            raise AssertionError("one looked in vain, so there is a market")
        pairs_of(market.wishes, market.stalls, policy.round_candidates)
        together = perf_counter() - began
    began = perf_counter()
    await _place_one_by_one(engine, policy)
    greedy = perf_counter() - began
    people_one_by_one = await _people(engine)
    for statement in _PUT_BACK:
        await plain.execute(statement)
    await plain.execute("vacuum analyze")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        processes.submit(_get_ready).result()
        await plain.execute(_ONE_IN_VAIN)
        before = perf_counter()
        held = [
            await hold_round(engine, Bell(settings), processes, solve_within, 4, territory, Pace(0, 0))
            for territory, _ in await waiting_territories(engine, policy)
        ]
        whole = perf_counter() - before
    facts = [each for each in held if each is not None]
    people_together = await _people(engine)
    await plain.close()
    await engine.dispose()
    return Together(
        searched_one_by_one=alone,
        searched_together=together,
        placed_one_by_one=greedy,
        round_whole=whole,
        people_one_by_one=people_one_by_one,
        people_together=people_together,
        gap=1 - sum(each.objective for each in facts) / sum(each.bound for each in facts),
    )


def _get_ready() -> None:
    """Compile what the measured round uses."""
    pairing.warm()
    warm()


async def _search_one_by_one(engine: AsyncEngine, waiting: list[InPool], policy: Policy) -> float:
    asked = replace(policy, candidates=policy.round_candidates)
    began = perf_counter()
    async with snapshot(engine) as tx:
        for each in waiting:
            values = candidates.parameters(each.seeker.need, asked, each.seeker.now, each.seeker.people_left)
            (await tx.execute(candidates.STATEMENTS[Coverage.EVERY], values)).all()
    return perf_counter() - began


async def _place_one_by_one(engine: AsyncEngine, policy: Policy) -> None:
    async with transaction(engine) as tx:
        ids: list[UUID] = list((await tx.execute(_WAITING)).scalars().all())
    for need_id in ids:
        async with transaction(engine) as tx:
            seeker = await seekers.claim(tx, need_id, policy)
            if seeker is not None:
                await holds.hold_best_places(tx, seeker, policy)


async def _people(engine: AsyncEngine) -> dict[int, int]:
    async with transaction(engine) as tx:
        return {row.tier: row.people for row in await tx.execute(_PLACED)}
