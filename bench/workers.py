"""What more workers bring to a backlog of open needs in many territories, and whether it goes on as fast as it begins.

All run on one machine, beside the server. So how much of the processor each takes is measured too: where it is used up,
more workers bring nothing there, whatever they would bring on machines of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from os import environ, sysconf
from pathlib import Path
from time import perf_counter
from typing import Final

import asyncpg

from bench.confined import confined
from bench.databases import plain_connection
from bench.world import NeedRow, add_needs, build, needs_around
from db.settings import Settings
from relais.embedded.processes import Log, running_in
from relais.processes import Child

__all__ = ["CONTINENT", "COUNTS", "EVENING", "SMALL_SERVER", "Backlog", "Worked", "work"]

COUNTS: Final = (1, 2, 4)
"""Workers side by side."""
_NIGHTS: Final = (5, 7)
_READY_SECONDS: Final = 120
_LOOK_SECONDS: Final = 0.1
_HOUSE: Final = Path(__file__).parents[1]
_TICKS: Final = sysconf("SC_CLK_TCK")
_OWN_TIMES, _CHILDRENS_TIMES = slice(11, 13), slice(13, 15)
_SESSION: Final = 3
"""Places in the line of /proc/PID/stat, counted behind the name."""
_PLACED: Final = "select count(*) from need where state <> 'open'"
_WITHOUT_ROUNDS: Final = """
    insert into policy (version, terms)
    select version + 1, terms || '{"round_seconds": 3600}' from policy order by version desc limit 1
"""
_ONE_BY_ONE: Final = {"RELAIS_SIDE_BY_SIDE": "1"}
_STILL: Final = 5.0
"""Seconds without a change after which all are placed that will be."""
_MOST: Final = 0.95


@dataclass(frozen=True, slots=True)
class Backlog:
    """So many needs that are open at once, among so many offers; how often it is looked how many have a place.

    Where nothing goes by rounds, which decide many needs at once in one worker, each looks at one need at a time: so a
    worker takes no more than a core with its part of the server, and on two it can be seen what a second brings.
    """

    needs: int
    offers: int
    towns: int
    look_seconds: float
    rounds: bool
    due_in: float
    """Seconds from when they begin to be added until all are due: so that nobody works beside their being added."""
    server_cores: float | None = None
    """What the server may take of the processor; all of it where nothing is said."""


EVENING: Final = Backlog(3_000, 6_000, 600, 0.1, rounds=False, due_in=8.0)
SMALL_SERVER: Final = replace(EVENING, server_cores=0.7)
"""So that workers have more of two cores than the server, as they have on machines of their own."""
CONTINENT: Final = Backlog(100_000, 1_000_000, 20_000, 2.0, rounds=True, due_in=0.0)


@dataclass(frozen=True, slots=True)
class Worked:
    """So many workers placed so many needs in so many seconds; processor seconds of the server and of all workers.

    `server_seconds` is `None` where the server's processes cannot be seen from here. `tenths` are the needs placed in a
    second during each tenth of them, in their order.
    """

    workers: int
    placed: int
    seconds: float
    server_seconds: float | None
    workers_seconds: float
    tenths: Sequence[float]

    @property
    def rate(self) -> float:
        """Needs that were placed in a second."""
        return self.placed / self.seconds


async def work(
    own_database: Callable[[], AbstractAsyncContextManager[Settings]], backlog: Backlog, counts: Sequence[int]
) -> AsyncIterator[Worked]:
    """Each number of workers on the same backlog, in a database of its own, one after the other."""
    for count in counts:
        async with own_database() as settings:
            connection = await plain_connection(settings)
            try:
                world = await build(connection, offers=backlog.offers, towns=backlog.towns, nights=_NIGHTS)
                if not backlog.rounds:
                    await connection.execute(_WITHOUT_ROUNDS)
                data = Path(await connection.fetchval("select current_setting('data_directory')"))
                share = confined(data, backlog.server_cores) if backlog.server_cores else nullcontext()
                with share, _running(settings, count, {} if backlog.rounds else _ONE_BY_ONE) as workers:
                    await _all_ready(workers)
                    needs = list(needs_around(world, backlog.needs, 3))
                    adding = asyncio.create_task(_add_backlog(settings, needs, backlog.due_in))
                    yield await _watched(connection, data, workers, backlog.look_seconds)
                    await adding
            finally:
                await connection.close()


async def _watched(connection: asyncpg.Connection, data: Path, workers: Sequence[Child], look_seconds: float) -> Worked:
    """From the first need that is seen placed to nineteen of twenty: some are placed late, by rounds, whoever looks."""
    seen: list[_Seen] = []
    while not seen or seen[-1].moment < next(each.moment for each in seen if each.placed == seen[-1].placed) + _STILL:
        await asyncio.sleep(look_seconds)
        for each in workers:
            each.check()
        placed = await connection.fetchval(_PLACED)
        if placed:
            seen.append(_Seen(perf_counter(), placed, _server_seconds(data), _workers_seconds(workers)))
    first, last = seen[0], next(each for each in seen if each.placed >= _MOST * seen[-1].placed)
    return Worked(
        len(workers),
        last.placed - first.placed,
        last.moment - first.moment,
        None if last.server is None or first.server is None else last.server - first.server,
        last.workers - first.workers,
        _tenths(seen, first.placed, last.placed),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many needs had a place at a moment, and what the processor had done for the server and the workers."""

    moment: float
    placed: int
    server: float | None
    workers: float


def _tenths(seen: "Sequence[_Seen]", first: int, last: int) -> list[float]:
    marks = [next(each for each in seen if each.placed >= first + (last - first) * tenth / 10) for tenth in range(11)]
    return [
        (after.placed - before.placed) / (after.moment - before.moment)
        for before, after in pairwise(marks)
        if after is not before
    ]


async def _add_backlog(settings: Settings, needs: Sequence[NeedRow], due_in: float) -> None:
    connection = await plain_connection(settings)
    try:
        await add_needs(connection, needs, due_in)
    finally:
        await connection.close()


@contextmanager
def _running(settings: Settings, count: int, more: Mapping[str, str]) -> Iterator[list[Child]]:
    """So many workers for as long as the block runs. They look by themselves twice a second."""
    logs = settings.secret_file.parent / "logs"
    logs.mkdir(exist_ok=True)
    given = {
        **{name: value for name, value in environ.items() if not name.startswith("RELAIS_")},
        "PYTHONPATH": str(_HOUSE),
        "RELAIS_DATABASE_URL": settings.database_url,
        "RELAIS_SECRET_FILE": str(settings.secret_file),
        "RELAIS_ADDRESS_KEY_FILE": str(settings.address_key_file),
        "RELAIS_POLL_SECONDS": "0.5",
        **more,
    }
    workers = [
        Child(f"Worker {n}", ["-m", "worker"], given, Log(logs / f"worker-{count}-{n}.log")) for n in range(count)
    ]
    try:
        for each in workers:
            each.start()
        yield workers
    finally:
        for each in workers:
            each.end()


async def _all_ready(workers: Sequence[Child]) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while not all("worker.ready" in each.log.since(0) for each in workers):
            for each in workers:
                each.check()
            await asyncio.sleep(_LOOK_SECONDS)


def _server_seconds(data: Path) -> float | None:
    """What the server has taken of the processor: its processes, and those of them that have ended."""
    pids = running_in(data)
    if not pids:
        return None
    postmaster = int((data / "postmaster.pid").read_text().split()[0])
    return sum(_seconds(pid, _OWN_TIMES) for pid in pids) + _seconds(postmaster, _CHILDRENS_TIMES)


def _workers_seconds(workers: Sequence[Child]) -> float:
    """What workers have taken, with the processes that think for them: each leads a session of its own."""
    leaders = {each.pid for each in workers}
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return sum(_seconds(pid, _OWN_TIMES) for pid in pids if _session_of(pid) in leaders)


def _session_of(pid: int) -> int | None:
    facts = _facts(pid)
    return int(facts[_SESSION]) if facts else None


def _seconds(pid: int, which: slice) -> float:
    return sum(map(int, _facts(pid)[which])) / _TICKS


def _facts(pid: int) -> list[str]:
    """What the kernel says of a process, behind its name; nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
