"""Travel times, asked ahead: whoever needs one finds it in the database, or goes by the estimate.

Nobody waits for the routing engine: not a request, not a look at a need, not a round. While it is slow, away or talks
nonsense it is left alone, longer each time, and ways are estimated meanwhile.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from db import policies, travel
from db.connection import looking, transaction
from geo.distance import Kilometres
from worker.routing import MOST_PLACES, Engine, NoAnswer

__all__ = ["Travel"]

_DOORS_AT_ONCE: Final = 20
_MORE_SECONDS: Final = 1.0
"""After a look that found all that it may ask for at once."""
_PAUSE_SECONDS: Final = 30.0
_FIRST_REST: Final = 30.0
_LONGEST_REST: Final = 600.0


class Travel:
    """Asks an engine for the ways that are wanted. `clock` gives seconds from any beginning."""

    def __init__(
        self,
        database: AsyncEngine,
        engine: Engine,
        registry: CollectorRegistry,
        stopping: asyncio.Event,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._engine = engine
        self._stopping = stopping
        self._clock = clock
        self._failures = 0
        self._rests_until = clock()
        self._asked = Counter(
            "relais_routing_questions", "Questions to the routing engine, by what came.", ["end"], registry=registry
        )
        self._ways = Counter(
            "relais_routing_ways",
            "Ways that were asked for, by who says how long they take: the engine, or the estimate in its place.",
            ["by"],
            registry=registry,
        )
        self._rests = Gauge(
            "relais_routing_rests", "1 while the engine is left alone because it did not answer.", registry=registry
        )

    async def look(self) -> float:
        """Ask for what is wanted, unless the engine rests: in how many seconds to look again."""
        if (left := self._rests_until - self._clock()) > 0:
            return min(left, _PAUSE_SECONDS)
        async with looking(self._database) as connection:
            policy = await policies.in_force(connection)
        reach = Kilometres(policy.radius_km)
        async with transaction(self._database) as tx:
            found = await travel.wanted(tx, reach, _DOORS_AT_ONCE, MOST_PLACES)
        for ways in found:
            if self._stopping.is_set() or not await self._ask(ways):
                break
        self._rests.set(self._rests_until > self._clock())
        return _MORE_SECONDS if found else _PAUSE_SECONDS

    async def _ask(self, ways: travel.Wanted) -> bool:
        """Whether the engine answered. No connection to the database is held while it thinks."""
        try:
            minutes = await self._engine.minutes(ways.door, ways.places)
        except NoAnswer as none:
            self._asked.labels(none.trouble.value).inc()
            self._ways.labels("estimate").inc(len(ways.places))
            self._rests_until = self._clock() + min(_FIRST_REST * 2**self._failures, _LONGEST_REST)
            self._failures = min(self._failures + 1, 10)
            return False
        self._failures = 0
        self._asked.labels("answered").inc()
        self._ways.labels("engine").inc(sum(each is not None for each in minutes))
        self._ways.labels("estimate").inc(sum(each is None for each in minutes))
        async with transaction(self._database) as tx:
            await travel.keep(tx, ways, minutes)
        return True
