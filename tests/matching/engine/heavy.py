"""A machine whose seconds are counted, not waited for: every step takes what it would in a problem many times larger.

The steps are the engine's own and do their work on a small problem, which the guard takes for one many times larger;
the clock moves by what the work costs on a machine so many times slower than the figures say, which the guard does not
know, and no step costs just what it should. Only the search takes fewer steps than it is charged for: minutes of it are
played in moments.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest

from matching.engine import improve, knapsack, nights, solve, volume
from matching.engine.pace import CUT, FIND, FINISH, FLOW, KNAPSACKS, MODEL, PLAN, READ, URGENCY, Step
from matching.engine.search import search as engine_search

__all__ = ["HeavyMachine", "Late", "heavy"]

_STEP_SECONDS: Final = 4e-6
"""Of the search: it hardly depends on how large the problem is."""
_PASS_SECONDS: Final = 3e-8
"""Of one pass over a pair, in the volume algorithm."""
_WHIM: Final = (0.7, 1.4)
"""Between which every single step is dearer than its figure says."""


@dataclass(frozen=True, slots=True)
class Late:
    """A step that was begun although it could not end in time."""

    what: str
    seconds: float
    left: float


@dataclass(slots=True)
class HeavyMachine:
    """Its time, what was begun on it, and what was begun too late."""

    slower: float
    deadline: float
    chance: np.random.Generator
    now: float = 0.0
    begun: list[str] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)

    def clock(self) -> float:
        """Seconds since the machine was switched on."""
        return self.now

    @property
    def tolerance(self) -> float:
        """Seconds that may be overrun."""
        return max(0.1, 0.1 * self.deadline)

    def spend(self, what: str, seconds: float) -> None:
        """Begin what takes so long."""
        cost = seconds * self.slower * float(self.chance.uniform(*_WHIM))
        left = self.deadline - self.now
        self.begun.append(what)
        if cost > max(left, 0.0) + self.tolerance:
            self.late.append(Late(what, cost, left))
        self.now += cost


@contextmanager
def heavy(*, times: float, deadline: float, seed: int, slower: float = 1.0) -> Iterator[HeavyMachine]:
    """All steps of the engine cost as in a problem so many times larger, on a machine so many times slower."""
    machine = HeavyMachine(slower, deadline, np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Step, "seconds", lambda step, pairs, needs: times * (step.pair * pairs + step.need * needs))

        def charge(module: ModuleType, name: str, cost: Callable[..., float]) -> None:
            real: Callable[..., Any] = getattr(module, name)

            def act(*given: Any, **named: Any) -> Any:
                machine.spend(name, cost(*given))
                return real(*given, **named)

            patched.setattr(module, name, act)

        def of(step: Step, *given: Any) -> float:
            problem = given[0]
            return step.seconds(len(problem.need), len(problem.people))

        def flow(_: Any, pairs: Any) -> float:
            return 2 * FLOW.seconds(len(pairs.need), 0)

        charge(solve, "territories", lambda problem: of(FIND, problem))
        charge(solve, "cut", lambda problem, *_: of(CUT, problem) - of(FIND, problem))
        charge(solve, "place_by_urgency", lambda problem: of(URGENCY, problem))
        charge(nights, "place_by_urgency", lambda problem: of(URGENCY, problem))
        charge(nights, "usable_pairs", lambda problem: of(READ, problem))
        charge(nights, "relax_window", flow)
        charge(nights, "relax", lambda _, pairs: MODEL.seconds(len(pairs.need), 0))
        charge(nights, "gains", lambda problem, *_: of(FINISH, problem))
        charge(nights, "_plan", lambda problem, *_: of(PLAN, problem))
        charge(volume, "_descend", lambda pairs, *rest: times * _PASS_SECONDS * len(pairs.need) * rest[-1])
        charge(knapsack, "_sell", lambda need, people, *_: KNAPSACKS.seconds(len(need), len(people)))
        _charge_search(machine, patched)
        yield machine


def _charge_search(machine: HeavyMachine, patched: pytest.MonkeyPatch) -> None:
    real = engine_search
    # A minute has three thousand slices of the usual length, and as many plans to look at.
    patched.setattr(improve, "_SLICE_SECONDS", max(0.02, machine.deadline / 200))

    def search(parties: Any, standing: Any, aims: Any, steps: int, temperature: float) -> None:
        machine.spend("search", steps * _STEP_SECONDS)
        real(parties, standing, aims, min(steps, 50), temperature)

    patched.setattr(improve, "search", search)
