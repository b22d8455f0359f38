"""A whole house for one run: its own database and corner of Redis, a real API and a real worker, and all they say.

Redis is listened to (`MONITOR`), so that every key and value that was ever sent to it is seen, not only what is left.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import connect
from db.settings import Settings
from relais.embedded.ports import free_port
from tests.conftest import ROOT, Servers, environment_of, run_on_server, settings_for
from tests.waiting import eventually

__all__ = ["House", "a_house", "said"]


@dataclass
class House:
    """One run's service: where it answers, its database, the files its processes write to, and what Redis was told."""

    url: str
    settings: Settings
    engine: AsyncEngine
    logs: dict[str, Path]
    told_redis: list[str]
    figures: str
    """Where the API shows its figures."""


@asynccontextmanager
async def a_house(
    servers: Servers, secret_files: tuple[Path, Path], template: str, folder: Path, corner: int
) -> AsyncIterator[House]:
    """A house in a fresh database; `corner` is its number in Redis. All of it is gone at the end."""
    name = f"relais_house_{uuid4().hex[:12]}"
    await run_on_server(servers, f"create database {name} template {template} strategy file_copy")
    redis_url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{corner}"))
    settings = settings_for(servers, secret_files, name).model_copy(update={"redis_url": redis_url})
    port, watched = free_port(), free_port()
    logs = {process: folder / f"{process}.log" for process in ("api", "worker")}
    told: list[str] = []
    engine = connect(settings, "test")
    listening = await _listen(redis_url, corner, told)
    started = [
        await _start(settings, logs["api"], watched, "api", "--port", str(port)),
        await _start(settings, logs["worker"], free_port(), "worker"),
    ]
    try:
        for name_of, log in logs.items():
            await said(log, f"{name_of}.ready")
        await _answers(port)
        yield House(f"http://127.0.0.1:{port}", settings, engine, logs, told, f"http://127.0.0.1:{watched}")
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await engine.dispose()
        await run_on_server(servers, f"drop database {name} with (force)")


async def _start(settings: Settings, log: Path, watched: int, *arguments: str) -> asyncio.subprocess.Process:
    given = {"RELAIS_POOL_SIZE": "4", "RELAIS_POLL_SECONDS": "0.5", "RELAIS_WAIT_SECONDS": "60"}
    given["RELAIS_METRICS_PORT"] = str(watched)
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            cwd=ROOT,
            env=environment_of(settings) | given,
            stdout=output,
            stderr=output,
        )


async def said(log: Path, word: str) -> None:
    """Wait until a process has written this word."""

    async def look() -> bool:
        return word in await asyncio.to_thread(log.read_text)

    await eventually(look, word, 90)


async def _answers(port: int) -> None:
    # A bare connection: a request would be counted and logged, some runs more often than others.
    async def look() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(look, "the port is open", 30)


async def _listen(redis_url: str, corner: int, told: list[str]) -> "asyncio.Task[None]":
    listening = asyncio.Event()

    async def hear() -> None:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
            async with redis.monitor() as monitor:
                listening.set()
                while True:
                    heard = await monitor.next_command()
                    if heard["db"] == corner:
                        told.append(heard["command"])

    task = asyncio.create_task(hear())
    await asyncio.wait([task, asyncio.create_task(listening.wait())], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return task
