"""Sharing a time out among jobs by their work, in this process or in the processes of a pool.

Each job learns only when its turn comes how long it may take: its part of what is left. So the time that one does not
need goes to those after it, and what one overruns is spread over them; the deadline is everybody's. A process that dies
loses what it was thinking about, nothing else: its job is done again here, in the time that is left.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["Crew", "Job", "do_all"]

Answer = TypeVar("Answer")

_GRACE: Final = 0.05
"""Of the time, after the deadline, that a process may still answer in; and at least so many seconds."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Processes that think side by side."""

    pool: Executor
    """What is submitted to it is pickled: functions of modules, arrays, a clock that all processes share."""
    count: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Job(Generic[Answer]):
    """One piece of work."""

    work: float
    """How much there is to do, against the others."""
    ready: Callable[[float], Callable[[], Answer]]
    """Given its deadline, what to call, here or in another process."""
    otherwise: Callable[[], Answer]
    """What to answer, at once, when its turn comes too late."""


def do_all(
    jobs: Sequence[Job[Answer]], crew: Crew | None, *, clock: Callable[[], float], deadline: float
) -> list[Answer]:
    """Do all jobs by the deadline, an instant of `clock` in seconds; their answers, in order."""
    answers: dict[int, Answer] = {}
    left = [*range(len(jobs))]
    if crew is not None:
        left = _do_side_by_side(jobs, crew, answers, clock, deadline)
    for place, number in enumerate(left):
        now = clock()
        until = now + _share(jobs, left[place:], deadline - now)
        # The first is always thought about: without any time at all there is still a bound for the largest part.
        answers[number] = jobs[number].ready(until)() if now < deadline or number == 0 else jobs[number].otherwise()
    return [answers[number] for number in range(len(jobs))]


def _do_side_by_side(
    jobs: Sequence[Job[Answer]],
    crew: Crew,
    answers: dict[int, Answer],
    clock: Callable[[], float],
    deadline: float,
) -> list[int]:
    """Do what the processes can; which jobs they left undone because one of them died."""
    began = clock()
    todo = [*range(len(jobs))]
    under_way: dict[Future[Answer], tuple[int, float]] = {}
    latest = deadline + max(_GRACE, _GRACE * (deadline - began))
    while todo or under_way:
        try:
            while todo and len(under_way) < crew.count and clock() < deadline:
                until = _until(jobs, todo, [until for _, until in under_way.values()], crew.count, clock(), deadline)
                future = crew.pool.submit(jobs[todo[0]].ready(until))
                under_way[future] = (todo.pop(0), until)
            if not under_way:
                break
            done, _ = wait(under_way, max(0.0, latest - clock()), FIRST_COMPLETED)
            if not done:
                break
            for future in done:
                answers[under_way[future][0]] = future.result()
                del under_way[future]
        except BrokenProcessPool:
            return sorted({*range(len(jobs))} - answers.keys())
    for number in [*(number for number, _ in under_way.values()), *todo]:
        answers[number] = jobs[number].otherwise()
    return []


def _until(
    jobs: Sequence[Job[Answer]], todo: Sequence[int], busy: Sequence[float], count: int, now: float, deadline: float
) -> float:
    """Until when the first of those to do may take."""
    idle = (count - len(busy)) * max(0.0, deadline - now)
    later = sum(max(0.0, deadline - max(now, until)) for until in busy)
    return min(deadline, now + _share(jobs, todo, idle + later))


def _share(jobs: Sequence[Job[Answer]], todo: Sequence[int], seconds: float) -> float:
    total = sum(jobs[number].work for number in todo)
    return max(0.0, seconds) * (jobs[todo[0]].work / total if total > 0 else 1.0)
