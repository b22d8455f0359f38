"""Where the engine runs: in processes of its own, so that thinking hard never keeps the worker from answering."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from threading import Lock
from time import perf_counter
from typing import TypeVar

from matching import pairing
from matching.engine.crew import Crew
from matching.engine.problem import Plan, Problem
from matching.engine.solve import solve, warm
from worker.apart import begin_apart

__all__ = ["Thinkers", "solve_within"]

Answer = TypeVar("Answer")


def solve_within(problem: Problem, seconds: float) -> Plan:
    """The best plan that can be found in so many seconds, from now, in this process."""
    return solve(problem, clock=perf_counter, deadline=perf_counter() + seconds, seed=0)


def _begin() -> None:
    begin_apart()
    pairing.warm()
    warm()


def _be_there() -> None:
    """Be asked, so that who asks knows that a process is started and idle."""


class Thinkers:
    """The processes that solve; started when first asked, and again after one was killed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._starting = Lock()

    @property
    def pool(self) -> ProcessPoolExecutor:
        """The pool to ask now."""
        with self._starting:
            if self._pool is None:
                # Not forked: the worker has threads and connections that a child must not inherit.
                self._pool = ProcessPoolExecutor(self._count, mp_context=get_context("spawn"), initializer=_begin)
            return self._pool

    def solve(self, problem: Problem, seconds: float) -> Plan:
        """The best plan that the processes find together in so many seconds, from when they are ready.

        Blocks: call it from a thread. A process that is killed meanwhile costs time, not the plan.
        """
        self._gather()
        until = perf_counter() + seconds
        return solve(problem, clock=perf_counter, deadline=until, seed=0, crew=Crew(self.pool, self._count))

    def asked(self, act: Callable[[ProcessPoolExecutor], Awaitable[Answer]]) -> Callable[[], Awaitable[Answer]]:
        """The same act with the pool that there is then; where that is broken, the next time there is another."""

        async def ask() -> Answer:
            try:
                return await act(self.pool)
            except BrokenProcessPool as error:
                self.forget(error)
                raise

        return ask

    def forget(self, _: BrokenProcessPool) -> None:
        """Start anew at the next question: a process of the pool was killed."""
        self._pool = None

    def end(self) -> None:
        """End the processes, without waiting for what they think about."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()

    def _gather(self) -> None:
        """Wait until the processes are there; those of a pool that died are started anew."""
        try:
            for answer in [self.pool.submit(_be_there) for _ in range(self._count)]:
                answer.result()
        except BrokenProcessPool as error:
            self.forget(error)
            for answer in [self.pool.submit(_be_there) for _ in range(self._count)]:
                answer.result()
