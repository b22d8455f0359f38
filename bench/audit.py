"""What the audit costs: acts of one organization, written down and not (control), and how fast they are linked."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.open_loop import Latencies, play
from db import audit, events
from db.audit import Actor
from db.connection import connect, transaction
from db.linking import link_acts
from db.settings import Settings

__all__ = ["act_at_once", "act_at_rate", "link_all"]

_CLIENTS = 64
_NOBODY: Sequence[UUID] = ()


async def act_at_rate(settings: Settings, rate: float, seconds: float) -> tuple[Latencies, Latencies]:
    """Whole transactions of one organization at so many a second: without a line of audit, and with one."""
    engine = connect(settings, "bench")
    organization = uuid4()

    async def plain(_: int) -> bool:
        return await _act(engine, organization, _NOBODY)

    async def linked(_: int) -> bool:
        return await _act(engine, organization, [organization])

    found = [await play(act, rate=rate, warm_up=2, seconds=seconds, seed=7) for act in (plain, linked)]
    await engine.dispose()
    return found[0], found[1]


async def act_at_once(settings: Settings, each: int) -> dict[str, Latencies]:
    """64 clients that act without a pause: without a line, each in a chain of its own, and all in one chain."""
    engine = connect(settings, "bench")
    one, own = uuid4(), [uuid4() for _ in range(_CLIENTS)]
    found = {
        "without a line (control)": await _together(engine, [_NOBODY] * _CLIENTS, each),
        "each in a chain of its own": await _together(engine, [[chain] for chain in own], each),
        "all in one chain": await _together(engine, [[one]] * _CLIENTS, each),
    }
    await engine.dispose()
    return found


async def link_all(settings: Settings) -> tuple[int, float]:
    """How many acts waited, and the seconds that linking them took."""
    engine = connect(settings, "bench")
    began = perf_counter()
    linked = await link_acts(engine)
    await engine.dispose()
    return linked, perf_counter() - began


async def _together(engine: AsyncEngine, chains: Sequence[Sequence[UUID]], each: int) -> Latencies:
    taken: list[float] = []

    async def client(chain: Sequence[UUID]) -> None:
        for _ in range(each):
            began = perf_counter()
            await _act(engine, uuid4(), chain)
            taken.append((perf_counter() - began) * 1000)

    began = perf_counter()
    await asyncio.gather(*map(client, chains))
    return Latencies(taken, 0, perf_counter() - began)


async def _act(engine: AsyncEngine, organization: UUID, chain: Sequence[UUID]) -> bool:
    async with transaction(engine) as tx:
        await events.record(tx, "need.posted", organization, [organization])
        for each in chain:
            await _link(tx, each)
    return True


async def _link(tx: AsyncConnection, chain: UUID) -> None:
    await audit.append(tx, Actor(chain, "coordination", "needs:write"), "POST /v1/needs", [chain])
