"""The planner of shifts beside two hundred random orders and beside the proved best plan of another solver."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from time import perf_counter
from typing import Final

from ortools.sat.python import cp_model

from bench.staffing_regions import (
    FIRST,
    PASSES,
    Drawn,
    draw_region,
    flaws,
    imagined_towns,
    real_towns,
    region_of,
)
from matching.staffing import Region
from matching.staffing_territories import best_staffing

__all__ = ["Planned", "best_of_random_orders", "most_people", "plan_all"]

SECONDS: Final = 2.0
"""What the planner has in service."""
_ORDERS: Final = 200
_PROOF_SECONDS: Final = 20.0
_SIZES: Final = (
    ("small", {"halls": 6, "pledges": 8, "parties": 40, "nights": 4}, 4),
    ("middle", {"halls": 20, "pledges": 24, "parties": 120, "nights": 7}, 12),
    ("large", {"halls": 60, "pledges": 70, "parties": 300, "nights": 7}, 36),
)
"""Name, what there is, and how many towns it is spread over."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One region: people served by the plan, by the best of random orders, and at most (`None`: not proved in time)."""

    name: str
    seed: int
    seconds: float
    served: int
    random: int
    bound: int
    best: int | None
    flaws: int


def plan_all(seeds: int = 4) -> Iterator[Planned]:
    """Every size on imagined towns, and around each real crossing."""
    for name, there, towns in _SIZES:
        for seed in range(seeds):
            drawn = draw_region(imagined_towns(towns, seed), seed=seed, level=True, **there)
            yield _planned(f"{name}, imagined towns", seed, drawn)
    for number, crossing in enumerate(PASSES):
        drawn = draw_region(real_towns(crossing, 40.0)[:40], seed=number, level=True, **_SIZES[1][1])
        yield _planned(f"middle, around {crossing}", number, drawn)


def _planned(name: str, seed: int, drawn: Drawn) -> Planned:
    region = region_of(drawn)
    began = perf_counter()
    plan = best_staffing(region, clock=perf_counter, deadline=began + SECONDS)
    took = perf_counter() - began
    best, bound = most_people(drawn, region, _PROOF_SECONDS)
    found = best_of_random_orders(drawn, region, _ORDERS, seed)
    return Planned(name, seed, took, sum(plan.people), found, bound, best, len(list(flaws(drawn, plan))))


def most_people(drawn: Drawn, region: Region, seconds: float) -> tuple[int | None, int]:
    """People that any plan can serve beside who is in: the proved most, and a bound on it (CP-SAT of OR-tools).

    Nobody who is in a slot already is asked to leave.
    """
    model = cp_model.CpModel()
    inside: defaultdict[int, list[tuple[int, cp_model.IntVar]]] = defaultdict(list)
    served = []
    for number, party in enumerate(region.parties):
        here = [model.new_bool_var("") for _ in party.choices]
        model.add_at_most_one(here)
        for choice, variable in zip(party.choices, here, strict=True):
            served.append(party.people * variable)
            for slot in choice.slots:
                inside[slot].append((drawn.parties[number].people, variable))
    comes: defaultdict[tuple[int, int], list[cp_model.IntVar]] = defaultdict(list)
    weeks: defaultdict[tuple[int, tuple[int, int]], list[cp_model.IntVar]] = defaultdict(list)
    for number, hall in enumerate(drawn.halls):
        for night, evening in hall.nights.items():
            slot = number * 1000 + night
            volunteers = []
            for crew, _ in region.able[slot]:
                pledge = drawn.pledges[crew]
                come, shift = model.new_int_var(0, pledge.headcount, ""), model.new_bool_var("")
                model.add(come <= pledge.headcount * shift)
                comes[crew, night].append(come)
                weeks[crew, _week(slot)].append(shift)
                volunteers.append(come)
            people = sum(size * variable for size, variable in inside[slot])
            there = evening.volunteers + sum(volunteers)
            model.add(people + evening.used <= hall.places)
            model.add(people + evening.used <= hall.each * there)
            for _, variable in inside[slot]:
                model.add(there >= max(1, hall.minimum)).only_enforce_if(variable)
    for (crew, _), coming in comes.items():
        model.add(sum(coming) <= drawn.pledges[crew].headcount)
    for (crew, _), shifts in weeks.items():
        model.add(sum(shifts) <= drawn.pledges[crew].weekly)
    model.maximize(sum(served))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 1
    proved = solver.solve(model) == cp_model.OPTIMAL
    return (round(solver.objective_value) if proved else None), int(solver.best_objective_bound + 1e-6)


def best_of_random_orders(drawn: Drawn, region: Region, orders: int, seed: int) -> int:
    """The most people that are served when parties come in any order, each to its nearest hall that can be staffed."""
    random = Random(seed)
    return max(_in_order(drawn, region, random) for _ in range(orders))


def _in_order(drawn: Drawn, region: Region, random: Random) -> int:
    rota = _Rota(drawn, region, random)
    order = random.sample(range(len(drawn.parties)), len(drawn.parties))
    return sum(drawn.parties[party].people for party in order if rota.serves(party))


class _Rota:
    """A plan that grows party by party, without looking back."""

    def __init__(self, drawn: Drawn, region: Region, random: Random) -> None:
        self._drawn, self._region, self._random = drawn, region, random
        self._people = {slot: watch.used for slot, watch in region.watches.items()}
        self._there = {slot: watch.volunteers for slot, watch in region.watches.items()}
        self._called: Counter[tuple[int, int]] = Counter()

    def serves(self, party: int) -> bool:
        """Place a party at the nearest hall that can be staffed for it. Whether one could."""
        size = self._drawn.parties[party].people
        for choice in sorted(self._region.parties[party].choices, key=lambda each: each.km):
            done: list[tuple[int, int, int]] = []
            if all(self._staff(slot, size, done) for slot in choice.slots):
                for slot in choice.slots:
                    self._people[slot] += size
                return True
            for crew, slot, volunteers in done:
                self._called[crew, slot] -= volunteers
                self._there[slot] -= volunteers
        return False

    def _staff(self, slot: int, more: int, done: list[tuple[int, int, int]]) -> bool:
        hall, after = self._drawn.halls[slot // 1000], self._people[slot] + more
        missing = max(1, hall.minimum, -(-after // hall.each)) - self._there[slot]
        for crew, _ in self._random.sample(list(self._region.able[slot]), len(self._region.able[slot])):
            volunteers = min(missing, self._spare(crew, slot))
            if after <= hall.places and volunteers > 0:
                self._called[crew, slot] += volunteers
                self._there[slot] += volunteers
                done.append((crew, slot, volunteers))
                missing -= volunteers
        return after <= hall.places and missing <= 0

    def _spare(self, crew: int, slot: int) -> int:
        pledge, mine = self._drawn.pledges[crew], {at: n for (who, at), n in self._called.items() if who == crew and n}
        week = sum(_week(at) == _week(slot) for at in mine if at != slot)
        busy = sum(volunteers for at, volunteers in mine.items() if at % 1000 == slot % 1000)
        return 0 if week >= pledge.weekly else pledge.headcount - busy


def _week(slot: int) -> tuple[int, int]:
    return (FIRST + timedelta(slot % 1000)).isocalendar()[:2]
