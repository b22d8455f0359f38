"""Rounds: all needs for nights that wait or hold a place tentatively, decided together every few seconds.

One worker decides at a time. It holds no lock on needs or places while it thinks: the plan is carried out by the same
guarded claims as everything else, and what changed meanwhile is left to the next round.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from functools import partial
from time import perf_counter

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import rounds
from db.bell import Bell
from db.connection import looking, snapshot, transaction
from db.markets import Market, read_market
from db.policies import in_force
from matching.engine.problem import Plan, Problem
from matching.fairness import association_km, town_km
from matching.policy import Policy
from matching.rounds import Asking, Exchange, Giving, exchanges, prices_of, problem_of
from worker.solving import Thinkers

__all__ = ["Solver", "hold_round", "on_the_beat"]

Solver = Callable[[Problem, float], Plan]
"""Solves a problem within so many seconds; runs in the executor that is given with it."""
_REST = 4.0
"""Times as long as the last round took to leave to needs that are placed at once."""
_log = structlog.get_logger()


async def on_the_beat(engine: AsyncEngine, bell: Bell, thinkers: Thinkers, side_by_side: int) -> float:
    """Hold a round; seconds until the next: by the policy in force, or longer where a round takes long."""
    try:
        held = await hold_round(engine, bell, thinkers.thread, thinkers.solve, side_by_side)
    except BrokenProcessPool as error:
        thinkers.forget(error)
        raise
    if held is not None:
        _log.info("worker.round", milliseconds=round(held.seconds * 1000))
    async with looking(engine) as connection:
        beat = float((await in_force(connection)).round_seconds)
    return beat if held is None else max(beat, _REST * held.seconds)


async def hold_round(
    engine: AsyncEngine, bell: Bell, thinking: Executor, solver: Solver, side_by_side: int
) -> rounds.RoundFacts | None:
    """Hold one round: what came of it, or `None` when there was nothing to decide or another worker is at it."""
    began = perf_counter()
    async with transaction(engine) as turn:
        if not await rounds.take_turn(turn):
            return None
        async with snapshot(engine) as tx:
            policy = await in_force(tx)
            market = await read_market(tx, policy)
        if not market.needs:
            return None
        asking, giving, problem = _problem(market, policy)
        round_id = await rounds.next_number(turn)
        loop = asyncio.get_running_loop()
        plan = await loop.run_in_executor(thinking, partial(solver, problem, policy.round_solve_seconds))
        done = await _carry_out(
            engine, market, exchanges(asking, giving, problem, plan, policy), policy, round_id, side_by_side
        )
        async with transaction(engine) as tx:
            await rounds.set_prices(tx, market, prices_of(asking, problem, plan), policy)
        facts = rounds.RoundFacts(
            policy_version=policy.version,
            needs=len(market.needs),
            offers=len(market.stalls),
            pairs=len(market.need),
            placed=sum(len(each.placed) for each in done),
            moved=sum(len(each.moved) for each in done),
            lost=sum(len(each.lost) for each in done),
            objective=plan.objective,
            bound=plan.certificate.bound,
            method=plan.method,
            seconds=perf_counter() - began,
        )
        await rounds.keep(turn, round_id, facts)
    for each in done:
        for need_id in (*each.placed, *each.moved):
            bell.settled(need_id)
    if any(each.lost for each in done):
        bell.work()
    return facts


def _problem(market: Market, policy: Policy) -> tuple[list[Asking], list[Giving], Problem]:
    index = {stall.offer_id: number for number, stall in enumerate(market.stalls)}
    asking = [
        Asking(
            people=each.seeker.people_left,
            tier=each.seeker.need.urgency.tier,
            waited_hours=each.waited / timedelta(hours=1),
            days=each.seeker.need.days,
            divisible=each.seeker.need.divisible,
            held=index[each.held.offer_id] if each.held else None,
            held_km=each.held.distance if each.held else 0,
        )
        for each in market.needs
    ]
    giving = [
        Giving(
            free={day: night.free for day, night in stall.nights.items()},
            fairness_km=town_km(stall.town_load, policy) + association_km(stall.association_load, policy),
        )
        for stall in market.stalls
    ]
    pairs = (market.need, market.stall, market.km)
    return asking, giving, problem_of(asking, giving, pairs, load_km=policy.load_km)


async def _carry_out(
    engine: AsyncEngine, market: Market, todo: list[Exchange], policy: Policy, round_id: int, side_by_side: int
) -> list[rounds.Done]:
    places = asyncio.Semaphore(side_by_side)

    async def one(exchange: Exchange) -> rounds.Done:
        async with places:
            try:
                async with transaction(engine) as tx:
                    return await rounds.carry_out(tx, market, exchange, policy, round_id)
            except rounds.Overtaken:
                ids = {market.needs[step.need].seeker.need.id for step in exchange.steps}
                return rounds.Done(lost=tuple(ids))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(exchange)) for exchange in todo]
    return [task.result() for task in tasks]
