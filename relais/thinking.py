"""The engine beside a terminal: processes that think, a bar that moves, and Ctrl-C, which ends the thinking early.

Ctrl-C moves the engine's clock past every deadline, in all processes: each stage then ends as at its deadline, and the
best plan so far is answered. A second Ctrl-C leaves without it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from ctypes import c_bool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from time import perf_counter
from types import FrameType
from typing import Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from matching.engine.crew import Crew
from matching.engine.solve import warm

__all__ = ["clock", "shown", "thinking_room"]

Answer = TypeVar("Answer")

_CONTEXT: Final = get_context("spawn")
_PAST_EVERYTHING: Final = 1e9
"""Seconds by which the clock jumps when thinking is to end; finite, so that differences stay numbers."""
_GLANCE_SECONDS: Final = 0.1

_stopped = _CONTEXT.RawValue(c_bool)


def clock() -> float:
    """Seconds; the same in all processes of a room, and past every deadline once Ctrl-C was pressed."""
    return perf_counter() + (_PAST_EVERYTHING if _stopped.value else 0.0)


@contextmanager
def thinking_room(processes: int) -> Iterator[Crew | None]:
    """Processes that are ready to think, and Ctrl-C that ends it; nothing is left running behind."""
    _stopped.value = False
    # Processes that start while it is ignored never hear it: from a terminal, Ctrl-C goes to all of them.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(processes, _CONTEXT, _begin, (_stopped,)) if processes > 1 else None
    try:
        there = [pool.submit(_be_there) for _ in range(processes)] if pool is not None else []
        signal.signal(signal.SIGINT, _stop)
        if pool is None:
            warm()
        wait(there)
        yield None if pool is None else Crew(pool, processes)
    finally:
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            _end_children()
        signal.signal(signal.SIGINT, before)


def shown(work: Callable[[], Answer], seconds: float, console: Console) -> Answer:
    """Do the work in a thread, and show on a terminal how far the time has gone; signals are heard meanwhile."""
    columns = (TextColumn("Thinking"), BarColumn(), TimeElapsedColumn(), TextColumn("of at most {task.total:g} s"))
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(1) as thread,
    ):
        task = progress.add_task("", total=max(seconds, _GLANCE_SECONDS))
        began = perf_counter()
        answer: Future[Answer] = thread.submit(work)
        while not wait([answer], _GLANCE_SECONDS).done:
            progress.update(task, completed=min(seconds, perf_counter() - began))
        return answer.result()


def _stop(_number: int, _frame: FrameType | None) -> None:
    if _stopped.value:
        os.write(2, b"\nStopped.\n")
        _end_children()
        raise SystemExit(128 + signal.SIGINT)
    _stopped.value = True
    os.write(2, b"\nEnding with the best plan so far; Ctrl-C again leaves without it.\n")


def _end_children() -> None:
    for process in active_children():
        process.kill()


def _begin(stopped: c_bool) -> None:
    """In a process of the room: hear Ctrl-C through the clock alone, end with the command, greet nobody, be ready."""
    global _stopped  # noqa: PLW0603 - a process has one clock, and it is told once
    _stopped = stopped
    Thread(target=_end_with_parent, daemon=True).start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    warm()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _be_there() -> None:
    """Be asked, so that who asks knows that a process is there."""
