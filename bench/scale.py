"""The engine on a whole country: a hundred thousand needs, territories apart, processes side by side, memory counted.

Instances are drawn in a process of their own and kept in a file, so that what is measured is what solves them. Every
plan is looked at again here, by nothing of the engine's.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter
from typing import Final, TypeVar

import numpy as np

from bench.instances import LEVEL_WEIGHTS, draw
from matching.engine.crew import Crew
from matching.engine.methods import Method
from matching.engine.problem import Integers, Plan, Problem
from matching.engine.solve import solve, warm
from matching.engine.territories import territories

__all__ = ["Measured", "be_ready", "broken_rules", "measure_all"]

Answer = TypeVar("Answer")

_NEEDS: Final = 100_000
_WHOLE: Final = 29.0
"""Seconds, of thirty: what is read, cut and put together is within them."""
_HALF: Final = 15.0
_COLUMNS: Final = (
    "people", "tier", "waited", "first_night", "last_night", "divisible", "capacity", "need", "offer", "km",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One plan."""

    name: str
    processes: int
    given: float
    seconds: float
    objective: float
    lp_bound: float | None
    """Of the relaxation over all pairs; `None` where it was not found everywhere in the time."""
    people: int
    megabytes: float
    """The greatest sum of resident memory of all processes that was seen, in millions of bytes."""
    broken: int
    """Rules that the plan breaks."""


def measure_all() -> Iterator[Measured]:
    """One window: greedy, one process, two; then half and twice the territories to the same quality."""
    with TemporaryDirectory() as folder:
        whole, half = Path(folder, "whole.npz"), Path(folder, "half.npz")
        for needs, path in ((_NEEDS, whole), (_NEEDS // 2, half)):
            _apart(_draw, needs, path)
        yield _apart(_measure, whole, "greedy by urgency", 1, 0.0)
        for processes, seconds in ((2, _WHOLE), (2, _HALF), (1, 1.8 * _HALF)):
            yield _apart(_measure, whole, "100,000 needs", processes, seconds)
        yield _apart(_measure, half, "50,000 needs", 2, _HALF / 2.1)


def broken_rules(problem: Problem, plan: Plan) -> int:
    """How many rules the plan breaks: pairs that are none, offers too full, needs split or placed twice, false sums."""
    width = len(problem.capacity)
    keys = problem.need.astype(np.int64) * width + problem.offer
    order = np.argsort(keys)
    wanted = plan.need * width + plan.offer
    at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    strangers = int((keys[order[at]] != wanted).sum())
    km = problem.km[order[at]]
    nights = problem.last_night - problem.first_night + 1
    night = np.repeat(problem.first_night[plan.need], nights[plan.need]) + _steps(nights[plan.need])
    used = np.zeros(problem.capacity.shape, np.int64)
    np.add.at(used, (np.repeat(plan.offer, nights[plan.need]), night), np.repeat(plan.people, nights[plan.need]))
    placed = np.bincount(plan.need, plan.people, len(problem.people)).astype(np.int64)
    times = np.bincount(plan.need, minlength=len(problem.people))
    torn = ~problem.divisible & (times > 0) & ((times > 1) | (placed != problem.people))
    worth = nights[plan.need] * np.asarray(problem.weights.tier)[problem.tier[plan.need]] - problem.weights.km * km
    false_sum = abs(float(plan.people @ worth) - plan.objective) > 1e-6 * max(1.0, plan.objective)
    return (
        strangers
        + int((used > problem.capacity).sum())
        + int(torn.sum())
        + int((placed > problem.people).sum())
        + int((plan.people < 1).sum())
        + int(false_sum)
        + int(plan.objective > plan.certificate.bound * (1 + 1e-9))
    )


def _steps(lengths: Integers) -> Integers:
    """0, 1, … for each length."""
    steps: Integers = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return steps


def _apart(act: Callable[..., Answer], *arguments: object) -> Answer:
    """Act in a process of its own, so that nothing of it stays in memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_be_silent) as process:
        return process.submit(act, *arguments).result()


def _be_silent() -> None:
    """A library greets on the standard output."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def be_ready() -> None:
    """Ready to solve, and silent."""
    _be_silent()
    warm()


def _measure(path: Path, name: str, processes: int, seconds: float) -> Measured:
    with np.load(path) as kept:
        problem = Problem(**{column: kept[column] for column in _COLUMNS}, weights=LEVEL_WEIGHTS)
    warm()
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=be_ready)
    crew = Crew(pool, processes) if processes > 1 else None
    if crew is not None:
        wait([pool.submit(_be_there) for _ in range(processes)])
    # What is compiled for the width of these numbers is kept on disk after the first time.
    territories(problem)
    with _watched() as peak:
        began = perf_counter()
        method = Method.AUTO if seconds else Method.GREEDY
        plan = solve(problem, clock=perf_counter, deadline=began + (seconds or 60.0), seed=0, method=method, crew=crew)
        took = perf_counter() - began
    pool.shutdown()
    bound = plan.certificate.lp_bound
    return Measured(
        name=name,
        processes=processes,
        given=seconds,
        seconds=took,
        objective=plan.objective,
        lp_bound=bound,
        people=int(plan.people.sum()),
        megabytes=max(peak) / 1e6,
        broken=broken_rules(problem, plan),
    )


def _be_there() -> None:
    """Be asked: all processes that are started at once are ready at about the same time."""


@contextmanager
def _watched() -> Iterator[list[int]]:
    """Look every twentieth of a second how much memory this process and all below it have together: sums of bytes."""
    sums = [_resident(os.getpid())]
    ended = Event()

    def look() -> None:
        while not ended.wait(0.05):
            sums.append(_resident(os.getpid()))

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield sums
    finally:
        ended.set()
        watcher.join()


def _resident(process: int) -> int:
    """Bytes of a process and those below it; pages that they share count for each."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        below = [
            int(child)
            for children in Path(f"/proc/{process}/task").glob("*/children")
            for child in children.read_text().split()
        ]
    except OSError:  # it ended meanwhile
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident(child) for child in below)


def _draw(needs: int, path: Path) -> None:
    """Pairs in half the width, as who has ten million of them keeps them."""
    problem = draw(needs, needs, seed=1, weights=LEVEL_WEIGHTS).problem
    columns = {name: getattr(problem, name) for name in _COLUMNS}
    columns |= {"need": problem.need.astype(np.int32), "offer": problem.offer.astype(np.int32)}
    np.savez(path, **columns | {"km": problem.km.astype(np.float32)})
