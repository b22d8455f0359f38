"""What the next step will cost on this machine, now: none is begun that would end after the deadline.

Some steps cannot be stopped once they are begun: a flow, a sort of all pairs. What each costs is about proportional to
the pairs and needs it reads; how fast the machine is, and how much of it others take, is told by the steps that were
run in the same solve. A step that would not fit is left out, and something cheaper is answered in its stead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = [
    "CUT",
    "FIND",
    "FINISH",
    "FLOW",
    "HARD_FLOW",
    "KNAPSACKS",
    "MODEL",
    "PLAN",
    "READ",
    "URGENCY",
    "Pace",
    "Step",
]


class Step(NamedTuple):
    """What a step costs on the machine that others are compared with: two cores of 2026, half of them taken."""

    pair: float
    """Seconds for each pair that it reads."""
    need: float
    """Seconds for each need, beside its pairs."""

    def seconds(self, pairs: int, needs: int) -> float:
        """On that machine."""
        return self.pair * pairs + self.need * needs


FIND: Final = Step(2.5e-8, 5e-7)
"""Find territories."""
CUT: Final = Step(8e-8, 1e-6)
"""Find them and cut the problem into them."""
URGENCY: Final = Step(6e-8, 1e-6)
"""Place everybody by urgency in one pass: the least that can be answered."""
READ: Final = Step(8e-7, 2e-6)
"""Lay the pairs out, and greedy by urgency."""
FLOW: Final = Step(3e-6, 0.0)
"""One window's relaxation over so many of its pairs, where places are many or territories small."""
HARD_FLOW: Final = Step(1e-5, 0.0)
"""The same where everybody wants what everybody wants; how hard a flow is does not show before it is solved."""
MODEL: Final = Step(2.5e-6, 0.0)
"""A linear programme told to its solver, which looks at the clock only then."""
FINISH: Final = Step(6e-7, 2.5e-5)
"""Proof, parties in the order of their gain, rounding."""
KNAPSACKS: Final = Step(2e-7, 2e-6)
"""Of all offers, once."""
PLAN: Final = Step(2e-8, 1e-6)
"""Write the plan down."""

_MOMENT: Final = 0.02
"""Seconds that a step may take however late it is: less than anybody minds, and enough for any small problem."""
_SURE: Final = 0.8
"""Of everybody's time left, that a step may be expected to take: the rest is for being wrong."""
_TRUSTED: Final = 0.005
"""Seconds of steps that what was known before weighs as much as: a shorter measurement is mostly chance."""
_LEAST_MEASURED: Final = 0.002
"""Seconds that a step must be expected to take for its time to say anything."""


@dataclass(slots=True)
class Pace:
    """The time left, and how many times slower than the steps' figures this machine has been so far."""

    clock: Callable[[], float]
    deadline: float
    latest: float
    """When everybody's time is out: what one territory overruns, others have less."""
    slower: float = 1.0
    weight: float = _TRUSTED
    """Seconds, by the figures, that `slower` rests on."""

    @property
    def left(self) -> float:
        """Seconds; less than none when the deadline has passed."""
        return self.deadline - self.clock()

    def expects(self, step: Step, pairs: int, needs: int = 0) -> float:
        """Seconds that a step over so many pairs and needs will take here."""
        return self.slower * step.seconds(pairs, needs)

    def affords(self, seconds: float, at_most: float = 0.0) -> bool:
        """Whether what will take so many seconds may be begun; `at_most`: what it may take where that is uncertain.

        It must be expected to fit into the time left and, at its longest, into everybody's. What takes a moment may be
        begun however late it is.
        """
        now = self.clock()
        fits = seconds <= self.deadline - now and max(seconds, at_most) <= _SURE * (self.latest - now)
        return fits or max(seconds, at_most) <= _MOMENT

    def spared(self, seconds: float) -> float:
        """What is left when so many seconds are kept for what comes after; a moment, however little it is."""
        return max(self.left - seconds, _MOMENT)

    @contextmanager
    def measured(self, step: Step, pairs: int, needs: int = 0) -> Iterator[None]:
        """Learn from how long the step takes that is done inside; what was learned last counts as much as all else."""
        began = self.clock()
        yield
        by_figures = step.seconds(pairs, needs)
        if by_figures < _LEAST_MEASURED:
            return
        took = self.clock() - began
        self.slower = (self.slower * self.weight + took) / (self.weight + by_figures)
        self.weight = max(_TRUSTED, by_figures)
