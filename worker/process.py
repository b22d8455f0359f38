"""The worker process: loops over what is due, woken by the bell and by the clock.

Loops hold no state: whatever happens to this process, the next look finds the same work in the database.
"""

import asyncio
import gc
import secrets
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.contextvars import bind_contextvars

from db.bell import WORK, Bell, Ear
from db.connection import connect
from db.linking import link_acts
from db.readiness import Readiness
from db.retention import purge
from db.roles import Role
from db.sealing import Sealing
from db.showing import show_bells, show_pool, shown
from worker.doorbell import answer_the_door
from worker.figures import Figures
from worker.matching_round import AT_ONCE, look_for_places
from worker.notices import Notices
from worker.one_by_one import broken_acts
from worker.outbound import Outbound
from worker.projects import look_after_projects
from worker.publication import publish_figures
from worker.referrals import look_after_referrals
from worker.rounds import Rounds
from worker.routing import Engine
from worker.settings import WorkerSettings
from worker.solving import Thinkers
from worker.staffing import Staffing
from worker.travel import Travel
from worker.upkeep import Loads, keep_up
from worker.webhooks import Webhooks

__all__ = ["serve"]

_UPKEEP_SECONDS = 1.0
_STAFFING_SECONDS = 3.0
_REFERRALS_SECONDS = 1.0
_PROJECTS_SECONDS = 2.0
_RETENTION_SECONDS = 60.0
_LINK_SECONDS = 1.0
_LOADS_SECONDS = 20.0
_FIGURES_SECONDS = 600.0
Act = Callable[[], Awaitable[float]]
_log = structlog.get_logger()


async def serve(settings: WorkerSettings, outbound: Outbound | None = None) -> None:
    """Work until SIGTERM or SIGINT, finishing the look in hand. `outbound` is the way out, else to public places."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    engine = connect(settings, "worker", Role.MATCHER)
    if not await _until_ready(engine, stopping):
        await engine.dispose()
        _log.info("worker.stopped")
        return
    bell, ear = Bell(settings), Ear(settings, WORK)
    thinkers = Thinkers(settings.solvers)

    helpers = [asyncio.create_task(bell.run())]
    if settings.listen:
        helpers.append(asyncio.create_task(ear.run()))
    if settings.redis_url:
        helpers.append(asyncio.create_task(answer_the_door(settings.redis_url, ear.wake)))
    rounds = Rounds(engine, bell, thinkers, settings.side_by_side, stopping)
    acts = _acts(settings, engine, bell, ear, thinkers, rounds, stopping)
    webhooks = Webhooks(engine, settings.keys(), outbound or Outbound(), settings.webhooks_side_by_side)
    acts["webhooks"] = webhooks.look
    figures = Figures()
    channels = Notices(engine, Sealing(settings.keys().of("channel-address")), settings.tellers(), figures.registry)
    acts["notices"] = channels.look
    if settings.routing_url:
        router = Engine(settings.routing_url, settings.routing_profile, settings.routing_seconds)
        acts["travel"] = Travel(engine, router, figures.registry, stopping).look
    show_pool(figures.registry, engine)
    show_bells(figures.registry, bell, ear)
    loops = [asyncio.create_task(_repeat(name, act, figures, stopping)) for name, act in acts.items()]
    # What was loaded at the start stays: the collector need not look through it in the middle of a look.
    gc.collect()
    gc.freeze()
    _log.info("worker.ready")
    with shown(figures.registry, settings):
        await stopping.wait()
    ear.wake()
    rounds.hurry()
    await asyncio.wait(loops, timeout=20)
    await webhooks.leave()
    await channels.leave()
    await _end([*loops, *helpers])
    thinkers.end()
    await engine.dispose()
    _log.info("worker.stopped")


async def _until_ready(engine: AsyncEngine, stopping: asyncio.Event) -> bool:
    """Wait until the database can be worked with; whether it is so and nobody told the worker to stop."""
    ready = asyncio.create_task(Readiness("worker", engine).wait())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([ready, stopped], return_when=asyncio.FIRST_COMPLETED)
    await _end([stopped, ready])
    return not stopping.is_set()


def _acts(
    settings: WorkerSettings,
    engine: AsyncEngine,
    bell: Bell,
    ear: Ear,
    thinkers: Thinkers,
    rounds: Rounds,
    stopping: asyncio.Event,
) -> dict[str, Act]:
    """What the worker does again and again, by name; each says in how many seconds it wants to be called next."""

    async def match() -> float:
        looked = AT_ONCE
        while looked == AT_ONCE and not stopping.is_set():
            looked = await look_for_places(
                engine, bell, settings.side_by_side, settings.park_after, rounds.hurry, stopping
            )
        await ear.anything(settings.poll_seconds)
        return 0.0

    staffing = Staffing(engine, bell)
    return {
        "match": match,
        "upkeep": _waking(ear, _UPKEEP_SECONDS, partial(keep_up, engine, bell)),
        "refer": _waking(ear, _REFERRALS_SECONDS, partial(look_after_referrals, engine, bell)),
        "projects": _waking(ear, _PROJECTS_SECONDS, thinkers.asked(partial(look_after_projects, engine, bell))),
        "rounds": rounds.on_the_beat,
        "staff": _waking(ear, _STAFFING_SECONDS, thinkers.asked(staffing.look)),
        "link": _every(_LINK_SECONDS, partial(link_acts, engine)),
        "purge": _every(_RETENTION_SECONDS, partial(purge, engine, settings)),
        "loads": _every(_LOADS_SECONDS, Loads(engine).keep),
        "figures": _every(_FIGURES_SECONDS, partial(publish_figures, engine, settings.keep_needs_hours)),
    }


def _waking(ear: Ear, seconds: float, act: Callable[[], Awaitable[object]]) -> Act:
    """Act again and again; where it changed something, needs are looked at."""

    async def again() -> float:
        if await act():
            ear.wake()
        return seconds

    return again


def _every(seconds: float, act: Callable[[], Awaitable[object]]) -> Act:
    async def again() -> float:
        await act()
        return seconds

    return again


async def _repeat(name: str, act: Act, figures: Figures, stopping: asyncio.Event) -> None:
    """Act again and again, each time after the pause it asks for; after a failure, in a second."""
    while not stopping.is_set():
        # Every line that this look writes carries it.
        bind_contextvars(look=name, look_id=secrets.token_hex(4))
        end = "well"
        try:
            with broken_acts() as broken:
                pause = await act()
            figures.came_to_an_end(name)
            if broken:
                end = "broke"
        except* (SQLAlchemyError, OSError, TimeoutError) as group:
            _log.warning("worker.database_away", exception=type(group.exceptions[0]).__name__)
            end, pause = "database_away", 1.0
        except* Exception as group:  # noqa: BLE001 - the loop outlives whatever one look does
            _log.error("worker.look_broke", exception=type(group.exceptions[0]).__name__)
            end, pause = "broke", 1.0
        figures.looked(name, end)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopping.wait()


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    left = set(tasks)
    # The client of Redis may pass over a cancellation (`db.bell.Bell.run` says how): who goes on is told again.
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)
    await asyncio.gather(*tasks, return_exceptions=True)
