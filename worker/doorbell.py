"""The arq side of the doorbell: a job that says "look now", and a keeper that survives Redis.

arq's worker ends when Redis dies and never retries; nothing depends on it. It is started again until told to stop.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from db.bell import LOOK
from db.reaching_redis import open_redis

__all__ = ["answer_the_door"]

_PAUSE = 2.0
_PATIENCE = 2.0
"""Seconds within which Redis must say something."""
_log = structlog.get_logger()


async def answer_the_door(redis_url: str, wake: Callable[[], None]) -> None:
    """Call `wake` at each ring until cancelled, with Redis away, back, or flushed in between."""

    async def look(_context: dict[Any, Any], *_: Any, **__: Any) -> None:  # arq's own signature
        wake()

    while True:
        worker = Worker(
            functions=[func(cast("WorkerCoroutine", look), name=LOOK, keep_result=0, max_tries=1)],
            # arq's own pool waits for ever for a Redis that says nothing any more.
            redis_pool=open_redis(redis_url, _PATIENCE, ArqRedis),
            handle_signals=False,
            poll_delay=0.1,
            health_check_interval=3600,
        )
        try:
            await worker.async_run()
        except (OSError, TimeoutError, RedisError) as error:
            _log.warning("doorbell.redis_away", exception=type(error).__name__)
        finally:
            await _put_away(worker)
        await asyncio.sleep(_PAUSE)


async def _put_away(worker: Worker) -> None:
    try:
        await worker.close()
    except (OSError, TimeoutError, RedisError, AttributeError) as error:
        _log.debug("doorbell.not_closed", exception=type(error).__name__)
