"""A second API and worker on a house's servers, told otherwise than its own; the house's worker rests meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from db.settings import Settings
from relais.embedded.ports import LOOPBACK, free_port
from relais.processes import Child
from tests.faults.house import House, answers, child_of, end
from tests.faults.kills import start_again
from tests.waiting import eventually

__all__ = ["Beside", "beside"]


@dataclass(frozen=True)
class Beside:
    """Where it answers, and its processes."""

    url: str
    api: Child
    worker: Child


@asynccontextmanager
async def beside(house: House, settings: Settings, environment: Mapping[str, str]) -> AsyncIterator[Beside]:
    """One for as long as the block runs."""
    port = free_port()
    api = child_of(settings, house.log / "beside-api.log", port=port, environment=environment)
    worker = child_of(settings, house.log / "beside-worker.log", environment=environment)
    before = worker.log.size()
    async with AsyncExitStack() as undo:
        undo.push_async_callback(start_again, house)
        await asyncio.to_thread(end, house.worker)
        for child in (api, worker):
            undo.push_async_callback(asyncio.to_thread, end, child)
            child.start()
        url = f"http://{LOOPBACK}:{port}"

        async def ready() -> bool:
            for child in (api, worker):
                child.check()
            return "worker.ready" in worker.log.since(before) and await answers(url)

        await eventually(ready, "the API and the worker beside are ready")
        yield Beside(url, api, worker)
