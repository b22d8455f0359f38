"""The engine against the clock: how far each deadline is overrun, with the guard that predicts steps and without it.

The control is the same engine, told that every step fits. Every plan is looked at by what is not the engine's. A
machine that others use takes part in the answer: what is overrun because others had the processor counts as overrun.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from time import perf_counter
from typing import Final
from unittest.mock import patch

import numpy as np

from bench.instances import LEVEL_WEIGHTS, draw
from bench.scale import be_ready, broken_rules
from matching.engine.methods import Method
from matching.engine.pace import Pace
from matching.engine.problem import Problem
from matching.engine.solve import solve

__all__ = ["Kept", "measure_all", "one_piece"]

_SHORT: Final = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0)
_NEAREST: Final = 50
_SIDE_KM: Final = 100.0
_FEW: Final = 200
"""Needs on which a process becomes used to its work before its time is taken."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One plan and its deadline."""

    name: str
    pairs: int
    guarded: bool
    deadline: float
    """Seconds."""
    seconds: float
    share: float
    """Of the plan's own bound."""
    as_greedy: float
    """The objective, against greedy by urgency: 1 where it is worth as much."""
    method: str
    broken: int
    """Rules that the plan breaks."""

    @property
    def overrun(self) -> float:
        """Seconds; less than none where the answer came before."""
        return self.seconds - self.deadline

    @property
    def kept(self) -> bool:
        """Within a tenth of the time, or of a second."""
        return self.overrun <= max(0.1, 0.1 * self.deadline)


def measure_all() -> Iterator[Kept]:
    """Each size, window and deadline, with the guard and without; the longest deadlines and the largest size once."""
    apart, joined = _drawn, one_piece
    for needs in (1_000, 10_000):
        for nights in (1, 7):
            yield from _measured(f"{needs:,} needs, {_window(nights)}", apart, (needs, nights), _both(_SHORT))
    for nights in (1, 7):
        yield from _measured(f"10,000 needs in one piece, {_window(nights)}", joined, (10_000, nights), _both(_SHORT))
    yield from _measured("10,000 needs, one window", apart, (10_000, 1), [(True, 30.0)])
    yield from _measured("10,000 needs, seven nights", apart, (10_000, 7), [(True, 60.0)])
    yield from _measured("100,000 needs, one window", apart, (100_000, 1), _both((1.0, 10.0)))


def _both(deadlines: Sequence[float]) -> list[tuple[bool, float]]:
    return [(guarded, deadline) for deadline in deadlines for guarded in (True, False)]


def _window(nights: int) -> str:
    return "one window" if nights == 1 else "seven nights"


def _measured(
    name: str, make: Callable[[int, int], Problem], size: tuple[int, int], runs: Sequence[tuple[bool, float]]
) -> Iterator[Kept]:
    """In a process of its own, so that nothing of it stays in memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=be_ready) as process:
        process.submit(_become_used, make, size[1]).result()
        for guarded, deadline in runs:
            yield process.submit(_measure, name, make, size, guarded=guarded, deadline=deadline).result()


def _measure(
    name: str, make: Callable[[int, int], Problem], size: tuple[int, int], *, guarded: bool, deadline: float
) -> Kept:
    problem, greedy = _with_greedy(make, *size)
    with nullcontext() if guarded else patch.object(Pace, "affords", _always):
        began = perf_counter()
        plan = solve(problem, clock=perf_counter, deadline=began + deadline, seed=0)
        took = perf_counter() - began
    return Kept(
        name=name,
        pairs=len(problem.need),
        guarded=guarded,
        deadline=deadline,
        seconds=took,
        share=plan.objective / plan.certificate.bound,
        as_greedy=plan.objective / greedy,
        method=plan.method,
        broken=broken_rules(problem, plan),
    )


@cache
def _with_greedy(make: Callable[[int, int], Problem], needs: int, nights: int) -> tuple[Problem, float]:
    """The problem, and what greedy by urgency is worth."""
    problem = make(needs, nights)
    greedy = solve(problem, clock=perf_counter, deadline=perf_counter() + 3600.0, seed=0, method=Method.GREEDY)
    return problem, greedy.objective


def _become_used(make: Callable[[int, int], Problem], nights: int) -> None:
    """What is loaded or compiled when it is first needed is not the engine's time."""
    solve(make(_FEW, nights), clock=perf_counter, deadline=perf_counter() + 0.5, seed=0)


def _always(*_: object) -> bool:
    return True


def _drawn(needs: int, nights: int) -> Problem:
    """Clustered towns, all candidates within 10 to 50 km: about a hundred a need, in many territories."""
    return draw(needs, needs, seed=1, nights=nights, weights=LEVEL_WEIGHTS).problem


def one_piece(needs: int, nights: int) -> Problem:
    """Needs and offers evenly over one plain, the fifty nearest offers of each need: one territory, hard to share."""
    chance = np.random.default_rng(1)
    here, there = chance.uniform(0, _SIDE_KM, (2, needs, 2))
    nearest, km = [], []
    for some in np.array_split(here, 1 + needs // 500):
        apart = np.hypot(*(some[:, None] - there[None]).transpose(2, 0, 1))
        offer = np.sort(np.argpartition(apart, _NEAREST, axis=1)[:, :_NEAREST], axis=1)
        nearest.append(offer.ravel())
        km.append(np.take_along_axis(apart, offer, axis=1).ravel())
    first = chance.integers(nights, size=needs)
    return Problem(
        people=chance.integers(1, 6, needs),
        tier=chance.choice(3, needs, p=[0.1, 0.3, 0.6]),
        waited=chance.exponential(6.0, needs),
        first_night=first,
        last_night=np.minimum(nights - 1, first + chance.integers(4, size=needs)),
        divisible=np.zeros(needs, np.bool_),
        capacity=chance.integers(6, size=(needs, nights)),
        need=np.repeat(np.arange(needs), _NEAREST),
        offer=np.concatenate(nearest).astype(np.int64),
        km=np.concatenate(km),
        weights=LEVEL_WEIGHTS,
    )
