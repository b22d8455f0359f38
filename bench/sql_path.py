"""Need to committed hold, the SQL alone: candidates and the guarded take, beside a search that scans.

Two client processes share the two cores with the server; holds are taken by `db.holds` over the bare driver.
"""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from time import perf_counter

import asyncpg
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.databases import plain_connection
from bench.open_loop import Latencies, play, run_precisely
from bench.thin import thin
from bench.world import ZONE, NeedRow, World, add_needs, needs_around
from db import candidates, holds, seekers
from db.settings import Settings
from geo.cells import cell_of
from matching.needs import Need, NeedId, People
from matching.policy import FIRST_POLICY
from matching.states import NeedState
from matching.vocabulary import Audience, Coverage, Stay, Urgency
from matching.windows import Window, nights_of

__all__ = ["ask", "hold_at_rate", "search_both_ways", "seeker_of"]

CLIENTS = 2
CONNECTIONS = 2
"""Of each client: more than two for each core only push each other aside."""
WARM_UP = 4.0
_SCANNING = text(
    candidates.STATEMENTS[Coverage.EVERY].text.replace(
        "o.point <-> cast(:point as geography)", "st_distance(o.point, cast(:point as geography), false)"
    )
)


async def hold_at_rate(settings: Settings, world: World, *, rate: float, seconds: float, seed: int) -> Latencies:
    """Hold a place for each of `rate` needs a second for so many seconds, after a warm-up."""
    each = int(rate / CLIENTS * (WARM_UP + seconds) * 1.2)
    shares = [list(needs_around(world, each, seed + n)) for n in range(CLIENTS)]
    connection = await plain_connection(settings)
    await add_needs(connection, [need for share in shares for need in share])
    await connection.execute("checkpoint")
    await connection.close()
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn")) as processes:
        parts = await asyncio.gather(
            *(
                loop.run_in_executor(processes, partial(_client, settings, share, rate / CLIENTS, seconds, seed + n))
                for n, share in enumerate(shares)
            )
        )
    return Latencies.of_all(parts)


async def search_both_ways(settings: Settings, world: World, count: int) -> tuple[Latencies, Latencies]:
    """Candidates of the same needs, by the index and by a scan, one at a time."""
    connection = await plain_connection(settings)
    await connection.execute("set jit = off")
    seekers = [seeker_of(need) for need in needs_around(world, count, 99)]
    found = (
        await _search(connection, seekers, candidates.STATEMENTS[Coverage.EVERY].text),
        await _search(connection, seekers, _SCANNING.text),
    )
    await connection.close()
    return found


async def _search(connection: asyncpg.Connection, seekers: Sequence[seekers.Seeker], statement: str) -> Latencies:
    session, prepared = thin(connection), text(statement)
    # The first few bring the data into memory for both ways alike.
    await ask(session, prepared, seekers[:20])
    began = perf_counter()
    return Latencies(await ask(session, prepared, seekers), 0, perf_counter() - began)


async def ask(session: AsyncConnection, statement: TextClause, seekers: Iterable[seekers.Seeker]) -> list[float]:
    """Look for candidates of each, one at a time: milliseconds."""
    taken = []
    for seeker in seekers:
        values = candidates.parameters(seeker.need, FIRST_POLICY, seeker.now, seeker.people_left)
        start = perf_counter()
        (await session.execute(statement, values)).all()
        taken.append((perf_counter() - start) * 1000)
    return taken


def _client(settings: Settings, needs: Sequence[NeedRow], rate: float, seconds: float, seed: int) -> Latencies:
    return run_precisely(partial(_hold_all, settings, needs, rate, seconds, seed))


async def _hold_all(settings: Settings, needs: Sequence[NeedRow], rate: float, seconds: float, seed: int) -> Latencies:
    connections = [await plain_connection(settings) for _ in range(CONNECTIONS)]
    free: asyncio.LifoQueue[object] = asyncio.LifoQueue()
    for connection in connections:
        free.put_nowait(thin(connection))
    seekers = [seeker_of(need) for need in needs]

    async def hold(number: int) -> bool:
        session = await free.get()
        try:
            made = await holds.hold_best_places(session, seekers[number], FIRST_POLICY)  # type: ignore[arg-type]
        finally:
            free.put_nowait(session)
        return made.left == 0

    played = await play(hold, rate=rate, warm_up=WARM_UP, seconds=seconds, seed=seed)
    for connection in connections:
        await connection.close()
    return played


def seeker_of(row: NeedRow) -> seekers.Seeker:
    """A need as the matching sees it when it has just been posted."""
    window = Window(row.starts, row.ends)
    need = Need(
        id=NeedId(row.id),
        category="shelter",
        coverage=Coverage.EVERY,
        cell=cell_of(row.town.point),
        people=People(row.adults, row.minors),
        window=window,
        days=nights_of(window, ZONE),
        urgency=Urgency(row.urgency),
        stay=Stay.UNKNOWN,
        audience=frozenset(map(Audience, row.audience)),
        requires=frozenset(row.requires),
        countries=frozenset({row.town.country}),
        max_km=None,
        divisible=False,
        language=None,
    )
    return seekers.Seeker(need, row.organization_id, NeedState.OPEN, need.people.count, 1, datetime.now(UTC))
