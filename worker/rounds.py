"""Rounds: all needs for nights that wait or hold a place tentatively, decided together every few seconds.

The land is decided territory by territory, each by one worker at a time. It holds no lock on needs or places while it
thinks: the plan is carried out by guarded claims as everything else, and what changed meanwhile is left to the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from datetime import timedelta
from functools import partial
from time import perf_counter

import numpy as np
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import rounds, seekers
from db.bell import Bell
from db.connection import looking, snapshot, transaction
from db.markets import Market, met, read_market
from db.policies import in_force
from db.rounds import Done, Pace, RoundFacts
from geo.distance import Kilometres
from geo.territories import Territory, territories
from matching.engine.problem import Floats, Plan, Problem
from matching.fairness import association_km, town_km
from matching.leaning import lean_of_pairs, leans
from matching.pairing import Pairs, pairs_of
from matching.policy import Policy
from matching.rounds import Asking, Exchange, Step, exchanges, prices_of, problem_of
from worker.solving import Thinkers

__all__ = ["Rounds", "Solver", "hold_round", "waiting_territories"]

Solver = Callable[[Problem, float], Plan]
"""Solves a problem within so many seconds; blocks meanwhile, so it is called in a thread."""
_REST = 4.0
"""Times as long as the last round took to leave to needs that are placed at once."""
_SMALLEST_SHARE = 0.1
"""Of the time to think, for a territory with few of those who wait."""
_AT_ONCE = 50
"""Steps that are carried out in one transaction: others wait for its locks some hundredths of a second."""
_DEADLOCK = "40P01"
_log = structlog.get_logger()


class Rounds:
    """Holds rounds on a beat, and sooner when capacity appears."""

    def __init__(
        self, engine: AsyncEngine, bell: Bell, thinkers: Thinkers, side_by_side: int, stopping: asyncio.Event
    ) -> None:
        self._engine = engine
        self._bell = bell
        self._thinkers = thinkers
        self._side_by_side = side_by_side
        self._stopping = stopping
        self._appeared = asyncio.Event()

    def hurry(self) -> None:
        """Capacity appeared, or the worker is to stop: do not wait for the beat."""
        self._appeared.set()

    async def on_the_beat(self) -> float:
        """Decide every territory whose time has come, then wait for the beat or for capacity. No pause after it."""
        async with looking(self._engine) as connection:
            policy = await in_force(connection)
        beat = 0.0 if self._appeared.is_set() else policy.round_seconds
        self._appeared.clear()
        try:
            for territory, share in await waiting_territories(self._engine, policy):
                if self._stopping.is_set():
                    break
                held = await hold_round(
                    self._engine,
                    self._bell,
                    self._thinkers.pool,
                    partial(_solve_within_share, self._thinkers.solve, share=share),
                    self._side_by_side,
                    territory,
                    Pace(beat, _REST),
                )
                if held is not None:
                    _log.info("worker.round", milliseconds=round(held.seconds * 1000))
        except BrokenProcessPool as error:
            self._thinkers.forget(error)
            raise
        with suppress(TimeoutError):
            async with asyncio.timeout(policy.round_seconds):
                await self._appeared.wait()
        return 0.0


def _solve_within_share(solver: Solver, problem: Problem, seconds: float, *, share: float) -> Plan:
    return solver(problem, seconds * share)


async def waiting_territories(engine: AsyncEngine, policy: Policy) -> list[tuple[Territory, float]]:
    """Territories where somebody waits in vain, those of most needs first, with their share of the time to think."""
    async with looking(engine) as connection:
        doors = {door.cell: door for door in await seekers.doors(connection)}
    everybody = sum(door.needs for door in doors.values())
    waiting = []
    for territory in territories(doors, Kilometres(policy.radius_km)):
        here = [doors[cell] for cell in territory.doors]
        if any(door.in_vain for door in here):
            share = sum(door.needs for door in here) / everybody
            waiting.append((territory, max(_SMALLEST_SHARE, share)))
    return sorted(waiting, key=lambda each: -each[1])


async def hold_round(
    engine: AsyncEngine,
    bell: Bell,
    processes: Executor,
    solver: Solver,
    side_by_side: int,
    territory: Territory,
    pace: Pace,
) -> RoundFacts | None:
    """Decide a territory: what came of it, or `None` when there was nothing to decide or another worker is at it."""
    began = perf_counter()
    async with transaction(engine) as turn:
        if not (await rounds.take_turn(turn, territory) and await rounds.has_rested(turn, territory, pace)):
            return None
        async with snapshot(engine) as tx:
            policy = await in_force(tx)
            everything = await read_market(tx, policy, territory.doors)
        if everything is None:
            return None
        pairs = await asyncio.get_running_loop().run_in_executor(
            processes, pairs_of, everything.wishes, everything.stalls, policy.round_candidates
        )
        market, pairs = met(everything, pairs)
        if not market.needs:
            return None
        fairness_km = _fairness(market, policy)
        lean_km = None
        if leans(market.wishes, policy):
            lean_km = await asyncio.get_running_loop().run_in_executor(
                processes, lean_of_pairs, market.wishes, market.stalls, pairs, policy, market.routed
            )
        asking, problem = _problem(market, pairs, fairness_km, lean_km, policy)
        round_id = await rounds.next_number(turn)
        plan = await asyncio.to_thread(solver, problem, policy.round_solve_seconds)
        todo = exchanges(asking, problem, plan, policy, fairness_km, lean_km)
        done = await _carry_out(engine, market, todo, policy, round_id, side_by_side)
        async with transaction(engine) as tx:
            await rounds.set_prices(tx, market, prices_of(problem, plan), policy)
        facts = RoundFacts(
            policy_version=policy.version,
            needs=len(market.needs),
            offers=len(market.terms),
            pairs=len(pairs.need),
            placed=sum(len(each.placed) for each in done),
            moved=sum(len(each.moved) for each in done),
            lost=sum(len(each.lost) for each in done),
            objective=plan.objective,
            bound=plan.certificate.bound,
            method=plan.method,
            seconds=perf_counter() - began,
        )
        await rounds.keep(turn, round_id, territory, facts)
    for each in done:
        for need_id in (*each.placed, *each.moved):
            bell.settled(need_id)
    if any(each.lost for each in done):
        bell.work()
    return facts


def _fairness(market: Market, policy: Policy) -> Floats:
    """(offers,) kilometres that the load of towns and associations costs, as at once."""
    return np.array(
        [town_km(each.town_load, policy) + association_km(each.association_load, policy) for each in market.terms],
        np.float64,
    )


def _problem(
    market: Market, pairs: Pairs, fairness_km: Floats, lean_km: Floats | None, policy: Policy
) -> tuple[list[Asking], Problem]:
    held_lean = {} if lean_km is None else _held_lean(market, pairs, lean_km)
    asking = [
        Asking(
            people=wish.people,
            tier=wish.need.urgency.tier,
            waited_hours=each.waited / timedelta(hours=1),
            first_night=wish.first_night,
            last_night=wish.last_night,
            divisible=wish.need.divisible,
            held=held,
            held_km=each.held.distance if each.held else 0,
            held_lean=held_lean.get(number, 0.0),
        )
        for number, (each, wish, held) in enumerate(zip(market.needs, market.wishes, market.held, strict=True))
    ]
    problem = problem_of(
        asking,
        market.stalls.free,
        (pairs.need, pairs.offer, pairs.km),
        fairness_km=fairness_km,
        lean_km=lean_km,
        load_km=policy.load_km,
    )
    return asking, problem


def _held_lean(market: Market, pairs: Pairs, lean_km: Floats) -> dict[int, float]:
    """What time and preferences cost needs where they have a place, by the need's number."""
    home = np.array([-1 if at is None else at for at in market.held], np.int64)
    here = np.flatnonzero(home[pairs.need] == pairs.offer)
    return dict(zip(pairs.need[here].tolist(), lean_km[here].tolist(), strict=True))


async def _carry_out(
    engine: AsyncEngine, market: Market, todo: Sequence[Exchange], policy: Policy, round_id: int, side_by_side: int
) -> list[Done]:
    """Each exchange with a move stands or falls by itself; the others go many in one transaction."""
    places = asyncio.Semaphore(side_by_side)

    async def place(steps: Sequence[Step]) -> Done:
        return await done(lambda tx: rounds.place_all(tx, market, steps, policy, round_id), steps)

    async def move(exchange: Exchange) -> Done:
        return await done(lambda tx: rounds.carry_out(tx, market, exchange, policy, round_id), exchange.steps)

    async def done(act: Callable[[AsyncConnection], Awaitable[Done]], steps: Sequence[Step]) -> Done:
        async with places:
            try:
                async with transaction(engine) as tx:
                    return await act(tx)
            except rounds.Overtaken:
                pass
            except DBAPIError as error:
                # A divisible party takes one offer after the other, in the order of what is best for it.
                if getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                    raise
        return Done(lost=tuple({market.needs[step.need].seeker.need.id for step in steps}))

    acts: list[Awaitable[Done]] = [move(exchange) for exchange in todo if exchange.moves]
    acts += [place(steps) for steps in _together(todo)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(act)) for act in acts]
    return [task.result() for task in tasks]


async def _awaited(act: Awaitable[Done]) -> Done:
    return await act


def _together(todo: Sequence[Exchange]) -> list[list[Step]]:
    """The steps of exchanges without a move, in piles; those that share an offer are in one pile."""
    piles: list[list[Step]] = [[]]
    for exchange in todo:
        if not exchange.moves:
            if len(piles[-1]) >= _AT_ONCE:
                piles.append([])
            piles[-1].extend(exchange.steps)
    return [pile for pile in piles if pile]
