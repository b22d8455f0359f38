"""How often something may be asked: buckets that fill with each request and run empty with time.

Each bucket is one moment (the "theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371): the moment
at which it is empty again. Redis keeps them for all processes. While it is away, and where there is none, each process
keeps its own, so many at most: it is never without a limit, and no request waits for Redis or fails for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.problems import RateLimited
from db.reaching_redis import open_redis

__all__ = ["Bucket", "LocalBuckets", "Pace", "Rate", "SharedBuckets"]

_PATIENCE: Final = 0.2
"""Seconds that a look into Redis may take."""
_REST: Final = 2.0
"""Seconds for which a Redis that did not answer is left alone."""
_MOST_BUCKETS: Final = 20_000
_MICRO: Final = 1_000_000
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds: as many at once, and then one each time that a share of the seconds has passed."""

    count: int
    seconds: float

    @property
    def each(self) -> float:
        """Seconds that one takes to run out."""
        return self.seconds / self.count


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted: a name that tells nothing, and how fast it may fill."""

    name: str
    rate: Rate


class Buckets(Protocol):
    """Where buckets are kept."""

    async def take(self, wanted: Sequence[Bucket]) -> float:
        """One from each, or from none: 0, or the seconds until there is room in all."""

    async def give_back(self, taken: Sequence[Bucket]) -> None:
        """As if these had not been taken."""


class LocalBuckets:
    """Buckets of this process, `most` of them; who comes when there are no more shares one with all like it."""

    def __init__(self, most: int = _MOST_BUCKETS) -> None:
        self._most = most
        self._empty_at: dict[str, float] = {}

    async def take(self, wanted: Sequence[Bucket]) -> float:
        """One from each, or from none."""
        now = monotonic()
        filled = {self._name(each, now): each.rate for each in wanted}
        moments = {name: max(self._empty_at.get(name, now), now) + rate.each for name, rate in filled.items()}
        wait = max(moments[name] - now - rate.seconds for name, rate in filled.items())
        if wait > _A_MOMENT:
            return wait
        self._empty_at |= moments
        return 0.0

    async def give_back(self, taken: Sequence[Bucket]) -> None:
        """As if these had not been taken."""
        for each in taken:
            if each.name in self._empty_at:
                self._empty_at[each.name] -= each.rate.each

    def _name(self, bucket: Bucket, now: float) -> str:
        if bucket.name not in self._empty_at and len(self._empty_at) >= self._most:
            self._empty_at = {name: moment for name, moment in self._empty_at.items() if moment > now}
            if len(self._empty_at) >= self._most:
                return f"{bucket.rate.count} in {bucket.rate.seconds} s"
        return bucket.name


_A_MOMENT: Final = 1e-6
# Numbers of this size lose their last digits where Lua turns them into text by itself.
_TAKE: Final = """
    local time = redis.call('time')
    local now = time[1] * 1000000 + time[2]
    local wait, moments = 0, {}
    for n, name in ipairs(KEYS) do
        local each, whole = tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n])
        moments[n] = math.max(tonumber(redis.call('get', name) or '0'), now) + each
        wait = math.max(wait, moments[n] - now - whole)
    end
    if wait > 0 then return wait end
    for n, name in ipairs(KEYS) do
        redis.call('set', name, string.format('%.0f', moments[n]), 'px', math.ceil((moments[n] - now) / 1000) + 1)
    end
    return 0
"""
_GIVE_BACK: Final = """
    for n, name in ipairs(KEYS) do
        local moment = redis.call('get', name)
        if moment then redis.call('set', name, string.format('%.0f', tonumber(moment) - ARGV[n]), 'keepttl') end
    end
"""


class SharedBuckets:
    """Buckets of all processes, in Redis; each is gone once it is empty. Raises what the client of Redis raises."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = open_redis(url, _PATIENCE, Redis)
        self._take = self._redis.register_script(_TAKE)
        self._give_back = self._redis.register_script(_GIVE_BACK)

    async def take(self, wanted: Sequence[Bucket]) -> float:
        """One from each, or from none."""
        limits = [round(each * _MICRO) for bucket in wanted for each in (bucket.rate.each, bucket.rate.seconds)]
        return float(await self._take([_key(each) for each in wanted], limits)) / _MICRO

    async def give_back(self, taken: Sequence[Bucket]) -> None:
        """As if these had not been taken."""
        await self._give_back([_key(each) for each in taken], [round(each.rate.each * _MICRO) for each in taken])

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()


class Pace:
    """Keeps requests to their rates."""

    def __init__(self, redis_url: str | None) -> None:
        self._own = LocalBuckets()
        self._shared = SharedBuckets(redis_url) if redis_url else None
        self._rests_until = 0.0

    async def take(self, wanted: Sequence[Bucket]) -> None:
        """Take one from each bucket. Raises `RateLimited` when one is full; then none was taken."""
        wait = await self._taken(wanted)
        if wait > 0:
            raise RateLimited(math.ceil(wait))

    async def give_back(self, taken: Sequence[Bucket]) -> None:
        """As if these had not been taken."""
        if self._shared is not None and monotonic() >= self._rests_until:
            try:
                await self._shared.give_back(taken)
            except (RedisError, OSError, TimeoutError) as error:
                self._rest(error)
        await self._own.give_back(taken)

    async def close(self) -> None:
        """Let go of what is kept open."""
        if self._shared is not None:
            await self._shared.close()

    async def _taken(self, wanted: Sequence[Bucket]) -> float:
        if self._shared is not None and monotonic() >= self._rests_until:
            try:
                return await self._shared.take(wanted)
            except (RedisError, OSError, TimeoutError) as error:
                self._rest(error)
        return await self._own.take(wanted)

    def _rest(self, error: Exception) -> None:
        _log.warning("pace.redis_away", exception=type(error).__name__)
        self._rests_until = monotonic() + _REST


def _key(bucket: Bucket) -> str:
    return f"relais:pace:{bucket.name}"
