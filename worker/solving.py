"""Where the engine runs: a process of its own, so that thinking hard never keeps the worker from answering."""

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from time import perf_counter

from matching import pairing
from matching.engine.problem import Plan, Problem
from matching.engine.solve import solve, warm

__all__ = ["Thinkers", "solve_within"]


def solve_within(problem: Problem, seconds: float) -> Plan:
    """The best plan that can be found in so many seconds, from now."""
    return solve(problem, clock=perf_counter, deadline=perf_counter() + seconds, seed=0)


def _begin() -> None:
    """Leave others the processor, keep libraries from greeting in the worker's log, and be ready."""
    os.nice(10)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    pairing.warm()
    warm()


class Thinkers:
    """The processes that solve; started when first asked, and again after one was killed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    @property
    def pool(self) -> ProcessPoolExecutor:
        """The pool to ask now."""
        if self._pool is None:
            # Not forked: the worker has threads and connections that a child must not inherit.
            self._pool = ProcessPoolExecutor(self._count, mp_context=get_context("spawn"), initializer=_begin)
        return self._pool

    def forget(self, _: BrokenProcessPool) -> None:
        """Start anew at the next question: a process of the pool was killed."""
        self._pool = None

    def end(self) -> None:
        """End the processes, without waiting for what they think about."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
