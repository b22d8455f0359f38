"""A day of needs that arrive one after another, on a simulated clock: what each way of deciding reaches of hindsight.

The code that decides is the service's: `matching.assign` at once, `matching.rounds` and the engine in rounds. It is one
night; each need is known from its arrival on, and every provider is asked, and answers yes, when its hold is not
tentative any more. The bound is the relaxation's with all needs known from the start, over the whole graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from time import perf_counter
from typing import Final
from uuid import UUID

import numpy as np

from bench.instances import LEVEL_WEIGHTS, draw, real_towns, synthetic_towns
from geo.distance import Kilometres
from matching.assign import Candidate, ranked
from matching.engine.problem import DEFAULT_WEIGHTS, Floats, Problem
from matching.engine.solve import solve, warm
from matching.needs import OfferId
from matching.policy import FIRST_POLICY, Policy
from matching.rounds import Asking, Exchange, exchanges, prices_of, problem_of
from matching.vocabulary import Urgency

__all__ = ["DAYS", "WAYS", "Lived", "Played", "Way", "live"]

TONIGHT: Final = date(2026, 12, 1)
_HOURS: Final = 12.0
"""From the first arrival to the last."""
_VITAL: Final = 0
_THINKING_SECONDS: Final = 0.2
"""Of this machine's clock, for a round; the service's policy gives it more."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is given: needs as they arrive, and what one more place was worth in each offer yesterday, in km."""

    name: str
    problem: Problem
    arrives: Floats
    """(n,) seconds from the beginning, ascending."""
    yesterday: Floats
    """(m,)"""
    bound: float
    """On people placed."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to decide: its policy, whether yesterday's prices are known, and the seconds between rounds (0: none)."""

    name: str
    policy: Policy
    priced: bool = False
    beat: float = 0.0


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a day. `moved` are moves of parties that held a place.

    `asked_after` is how long after it was found a provider is asked about a place, in seconds: the mean of those that
    were tentative.
    """

    people: int
    share: float
    """Of the bound."""
    moved: int
    km: float
    asked_after: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Lived:
    """One way on one day."""

    day: str
    way: Way
    played: Played


_AT_ONCE: Final = replace(FIRST_POLICY, tentative_seconds=0, tentative_percent=0)
WAYS: Final[Sequence[Way]] = (
    Way("first come, nearest", replace(_AT_ONCE, load_km=0, candidates=1)),
    Way("at once", _AT_ONCE),
    Way("at once, yesterday's prices", _AT_ONCE, priced=True),
    Way("rounds, policy as published", FIRST_POLICY, beat=600.0),
    Way(
        "rounds, half the time, at most 3 h",
        replace(FIRST_POLICY, tentative_percent=50, tentative_most_minutes=180),
        beat=600.0,
    ),
    Way(
        "rounds, until the evening, moved up to 50 km",
        replace(FIRST_POLICY, tentative_percent=90, tentative_most_minutes=720, move_most_km=50),
        beat=900.0,
    ),
)
DAYS: Final[Mapping[str, tuple[int, int, bool]]] = {
    "10k × 10k, synthetic": (10_000, 10_000, False),
    "10k × 4k, synthetic": (10_000, 4_000, False),
    "10k × 10k, real towns": (10_000, 10_000, True),
    "10k × 4k, real towns": (10_000, 4_000, True),
}
"""Needs, offers, and whether the towns are those of the gazetteer."""


def live(days: Sequence[str], ways: Sequence[Way], seed: int) -> Iterator[Lived]:
    """Every way on every day."""
    warm()
    for name in days:
        day = _day(name, seed)
        for way in ways:
            yield Lived(name, way, _Evening(day, way).played())


def _day(name: str, seed: int) -> Day:
    needs, offers, real = DAYS[name]
    towns = real_towns("FR", "IT", "ES", "CH", "BE") if real else synthetic_towns(needs // 60, seed)
    both = draw(2 * needs, offers, seed=seed, towns=towns, weights=LEVEL_WEIGHTS).problem
    today, before = _share(both, needs, 2 * needs), _share(both, 0, needs)
    priced = solve(replace(before, weights=DEFAULT_WEIGHTS), clock=perf_counter, deadline=perf_counter() + 2, seed=0)
    hindsight = solve(today, clock=perf_counter, deadline=perf_counter() + 2, seed=0).certificate.lp_bound
    if hindsight is None:
        raise AssertionError("one window always has a bound")
    return Day(
        name=name,
        problem=today,
        arrives=np.sort(np.random.default_rng((seed, 2)).uniform(0, _HOURS * 3600, needs)),
        yesterday=priced.prices[:, 0] / DEFAULT_WEIGHTS.km,
        bound=hindsight / LEVEL_WEIGHTS.tier[0],
    )


def _share(both: Problem, first: int, last: int) -> Problem:
    """The needs from the first to before the last, with their pairs, the nearest first; distances in whole km."""
    own = (both.need >= first) & (both.need < last)
    need, offer, km = both.need[own] - first, both.offer[own], np.floor(both.km[own] + 0.5)
    order = np.lexsort((km, need))
    per_need = {
        name: getattr(both, name)[first:last]
        for name in ("people", "tier", "waited", "first_night", "last_night", "divisible")
    }
    return replace(both, **per_need, need=need[order], offer=offer[order], km=km[order])


@dataclass(slots=True)
class _Evening:
    """A day under way."""

    day: Day
    way: Way
    free: "np.ndarray[tuple[int], np.dtype[np.int64]]" = field(init=False)
    held: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By need: offer and kilometres."""
    tentative: dict[int, float] = field(default_factory=dict)
    """By need: until when."""
    waiting: set[int] = field(default_factory=set)
    begin: "np.ndarray[tuple[int], np.dtype[np.int64]]" = field(init=False)
    moved: int = 0
    price: Floats = field(init=False)
    priced_at: Floats = field(init=False)
    """(m,) as the last round that weighed the offer left it."""
    open_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        problem = self.day.problem
        self.free = problem.capacity[:, 0].copy()
        self.price = self.day.yesterday.copy() if self.way.priced else np.zeros(len(self.free))
        self.priced_at = np.full(len(self.free), np.inf if self.way.priced else -np.inf)
        self.begin = np.searchsorted(problem.need, np.arange(len(problem.people) + 1)).astype(np.int64)

    def played(self) -> Played:
        """Let every need arrive, and rounds happen in between and once when the last hold becomes firm."""
        began = perf_counter()
        next_round = self.way.beat
        for need, at in enumerate(self.day.arrives.tolist()):
            while self.way.beat and next_round <= at:
                self._hold_round(next_round)
                next_round += self.way.beat
            self._place_at_once(need, at)
        if self.way.beat:
            self._hold_round(next_round)
        problem = self.day.problem
        people = int(problem.people[list(self.held)].sum())
        km = sum(int(problem.people[need]) * km for need, (_, km) in self.held.items())
        return Played(
            people=people,
            share=people / self.day.bound,
            moved=self.moved,
            km=km / max(people, 1),
            asked_after=sum(self.open_seconds) / max(len(self.open_seconds), 1),
            seconds=perf_counter() - began,
        )

    def _place_at_once(self, need: int, at: float) -> None:
        problem, policy = self.day.problem, self.way.policy
        pairs = slice(self.begin[need], self.begin[need + 1])
        people = int(problem.people[need])
        room = self.free[problem.offer[pairs]]
        fitting = np.flatnonzero(room >= people)[: policy.candidates]
        found = [
            Candidate(
                offer_id=OfferId(UUID(int=int(problem.offer[pairs][one]))),
                slots=(),
                free=int(room[one]),
                capacity=int(problem.capacity[problem.offer[pairs][one], 0]),
                distance=Kilometres(int(problem.km[pairs][one])),
                tie=int(problem.offer[pairs][one]),
                version=0,
                price=self._price(need, int(problem.offer[pairs][one]), at),
            )
            for one in fitting
        ]
        if not found:
            self.waiting.add(need)
            return
        best = ranked(found, policy)[0]
        self._take(need, best.offer_id.int, best.distance)
        self._keep_open(need, at)

    def _hold_round(self, at: float) -> None:
        self.tentative = {need: until for need, until in self.tentative.items() if until > at}
        if not self.waiting or not self.tentative:
            return
        pool = sorted([*self.waiting, *self.tentative])
        asked = self._asked(pool)
        if asked is None:
            return
        needs, problem, numbers = asked
        plan = solve(problem, clock=perf_counter, deadline=perf_counter() + _THINKING_SECONDS, seed=0)
        weighed = np.unique(problem.offer)
        self.priced_at[weighed] = at
        priced = prices_of(problem, plan)[:, 0]
        self.price[weighed] = priced[weighed]
        for exchange in exchanges(needs, problem, plan, self.way.policy):
            self._carry_out(exchange, numbers, at)

    def _asked(self, pool: Sequence[int]) -> tuple[list[Asking], Problem, list[int]] | None:
        """The round's problem as `db.markets` would read it, or none when nobody who waits could be placed."""
        whole, policy = self.day.problem, self.way.policy
        given = self.free.copy()
        for need in self.tentative:
            given[self.held[need][0]] += whole.people[need]
        numbers: list[int] = []
        parts: list[tuple[int, np.ndarray[tuple[int], np.dtype[np.int64]]]] = []
        for need in pool:
            pairs = np.arange(self.begin[need], self.begin[need + 1])
            fits = given[whole.offer[pairs]] >= whole.people[need]
            if need in self.tentative:
                fits &= whole.km[pairs] <= self.held[need][1] + policy.move_most_km
            pairs = pairs[fits][: policy.round_candidates]
            if need in self.tentative and self.held[need][0] not in whole.offer[pairs]:
                continue
            if len(pairs):
                parts.append((len(numbers), pairs))
                numbers.append(need)
        if not any(need in self.waiting for need in numbers):
            return None
        needs = [
            Asking(
                people=int(whole.people[need]),
                tier=int(whole.tier[need]),
                waited_hours=0.0,
                first_night=0,
                last_night=0,
                divisible=False,
                held=self.held[need][0] if need in self.held else None,
                held_km=self.held[need][1] if need in self.held else 0,
            )
            for need in numbers
        ]
        chosen = np.concatenate([pairs for _, pairs in parts])
        index = np.repeat(np.arange(len(parts)), [len(pairs) for _, pairs in parts]).astype(np.int64)
        pairs_now = (index, whole.offer[chosen], whole.km[chosen])
        return needs, problem_of(needs, given[:, None], pairs_now), numbers

    def _carry_out(self, exchange: Exchange, numbers: Sequence[int], at: float) -> None:
        people = self.day.problem.people
        room = self.free.copy()
        for step in exchange.moves:
            room[self.held[numbers[step.need]][0]] += people[numbers[step.need]]
        for step in exchange.steps:
            room[step.offer] -= step.people
        if room.min() < 0:
            return
        for step in exchange.moves:
            self._leave(numbers[step.need])
            self.moved += 1
        for step in exchange.steps:
            need = numbers[step.need]
            self._take(need, step.offer, step.km)
            if need in self.waiting:
                self.waiting.remove(need)
                self._keep_open(need, at)

    def _price(self, need: int, offer: int, at: float) -> float:
        recent = at - self.priced_at[offer] <= self.way.policy.price_hours * 3600
        return float(self.price[offer]) if recent and self.day.problem.tier[need] != _VITAL else 0.0

    def _keep_open(self, need: int, at: float) -> None:
        urgency = list(Urgency)[int(self.day.problem.tier[need])]
        seconds = self.way.policy.tentative_for(urgency, timedelta(seconds=_HOURS * 3600 - at)).total_seconds()
        if seconds:
            self.tentative[need] = at + seconds
            self.open_seconds.append(seconds)

    def _take(self, need: int, offer: int, km: int) -> None:
        self.free[offer] -= self.day.problem.people[need]
        self.held[need] = (offer, km)

    def _leave(self, need: int) -> None:
        offer, _ = self.held.pop(need)
        self.free[offer] += self.day.problem.people[need]
