"""Load that does not wait for answers, and latencies counted from when each act was due.

An act that starts late because the ones before it were slow counts its waiting: nothing is omitted.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import perf_counter

__all__ = ["Latencies", "play", "run_precisely"]


@dataclass(frozen=True)
class Latencies:
    """Milliseconds from due to done, of those that were due after the warm-up; and how many failed."""

    milliseconds: Sequence[float]
    failed: int
    seconds: float

    @classmethod
    def of_all(cls, parts: Sequence["Latencies"]) -> "Latencies":
        """Those of clients that ran side by side."""
        together = sorted(each for part in parts for each in part.milliseconds)
        return cls(together, sum(part.failed for part in parts), max(part.seconds for part in parts))

    @property
    def rate(self) -> float:
        """Acts a second that were done."""
        return len(self.milliseconds) / self.seconds

    def quantile(self, share: float) -> float:
        """The latency that this share stays under."""
        ordered = sorted(self.milliseconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


async def play(
    act: Callable[[int], Awaitable[bool]], *, rate: float, warm_up: float, seconds: float, seed: int
) -> Latencies:
    """Start `act(number)` at `rate` a second, as a Poisson process, whether or not earlier ones are done."""
    random = Random(seed)
    taken: list[float] = []
    failed = 0

    async def one(number: int, due: float) -> None:
        nonlocal failed
        done = await act(number)
        if due >= measured_from:
            taken.append((perf_counter() - due) * 1000)
            failed += not done

    began = perf_counter()
    measured_from = began + warm_up
    due, number = began, 0
    async with asyncio.TaskGroup() as group:
        while (due := due + random.expovariate(rate)) < measured_from + seconds:
            if (pause := due - perf_counter()) > 0:
                await asyncio.sleep(pause)
            group.create_task(one(number, due))
            number += 1
    return Latencies(taken, failed, seconds)


def run_precisely(main: Callable[[], Awaitable[Latencies]]) -> Latencies:
    """Run in an event loop whose timers are exact to microseconds; the usual ones round up to milliseconds."""

    async def run() -> Latencies:
        return await main()

    def loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(run())
