"""A plan checked against its problem by the rules alone, one person-night at a time: none of the engine's own code.

The tests and every benchmark hold their plans against it.
"""

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from math import isclose

from matching.engine.problem import Plan, Problem

__all__ = ["best_objective", "broken_rules", "person_nights"]


def broken_rules(problem: Problem, plan: Plan) -> list[str]:
    """What the plan does that it must not."""
    broken = []
    km = {
        (need, offer): way
        for need, offer, way in zip(problem.need.tolist(), problem.offer.tolist(), problem.km.tolist(), strict=True)
    }
    used: defaultdict[tuple[int, int], int] = defaultdict(int)
    placed: defaultdict[int, list[int]] = defaultdict(list)
    objective = Fraction(0)
    for need, offer, people in zip(plan.need.tolist(), plan.offer.tolist(), plan.people.tolist(), strict=True):
        if (need, offer) not in km:
            broken.append(f"need {need} at offer {offer}, which is no candidate")
            continue
        if people < 1:
            broken.append(f"need {need} places {people} people")
        for night in _nights(problem, need):
            used[offer, night] += people
        placed[need].append(people)
        objective += people * _worth(problem, need, km[need, offer])
    objective -= _load(problem, used)
    broken += _too_full(problem, used) + _torn_apart(problem, placed)
    if not isclose(float(objective), plan.objective, rel_tol=1e-9, abs_tol=1e-9):
        broken.append(f"the objective is {float(objective)}, not {plan.objective}")
    if plan.objective > plan.certificate.bound:
        broken.append(f"the objective {plan.objective} passes its bound {plan.certificate.bound}")
    return broken


def person_nights(problem: Problem, plan: Plan) -> list[int]:
    """How many person-nights of each tier are served."""
    served = [0, 0, 0]
    for need, people in zip(plan.need.tolist(), plan.people.tolist(), strict=True):
        served[problem.tier[need]] += people * len(_nights(problem, need))
    return served


def best_objective(problem: Problem) -> Fraction:
    """The best objective of any plan of whole parties, to the last digit, by trying all of them."""
    pairs: list[list[tuple[int, Fraction]]] = [[] for _ in problem.people]
    for need, offer, km in zip(problem.need.tolist(), problem.offer.tolist(), problem.km.tolist(), strict=True):
        pairs[need].append((offer, int(problem.people[need]) * _worth(problem, need, km)))
    best = Fraction(0)
    for chosen in product(*([(-1, Fraction(0)), *each] for each in pairs)):
        used: defaultdict[tuple[int, int], int] = defaultdict(int)
        for need, (offer, _) in enumerate(chosen):
            for night in _nights(problem, need) if offer >= 0 else ():
                used[offer, night] += int(problem.people[need])
        if not _too_full(problem, used):
            best = max(best, sum((worth for _, worth in chosen), Fraction(0)) - _load(problem, used))
    return best


def _nights(problem: Problem, need: int) -> range:
    return range(int(problem.first_night[need]), int(problem.last_night[need]) + 1)


def _worth(problem: Problem, need: int, km: float) -> Fraction:
    """Of one person of the need at such a distance."""
    place = len(_nights(problem, need)) * Fraction(problem.weights.tier[problem.tier[need]])
    return place - Fraction(problem.weights.km) * Fraction(km)


def _load(problem: Problem, used: Mapping[tuple[int, int], int]) -> Fraction:
    """What the persons add who come to a house one after the other."""
    load = problem.load
    if load is None:
        return Fraction(0)
    shares = Fraction(0)
    for (offer, night), people in used.items():
        before = int(load.taken[offer, night])
        places = before + int(problem.capacity[offer, night])
        shares += sum((Fraction(before + person, max(places, 1)) for person in range(people)), Fraction(0))
    return Fraction(problem.weights.km) * Fraction(load.km) * shares


def _too_full(problem: Problem, used: Mapping[tuple[int, int], int]) -> list[str]:
    return [
        f"offer {offer} holds {people} in night {night}"
        for (offer, night), people in used.items()
        if people > problem.capacity[offer, night]
    ]


def _torn_apart(problem: Problem, placed: Mapping[int, list[int]]) -> list[str]:
    broken = []
    for need, parts in placed.items():
        if not problem.divisible[need] and parts != [problem.people[need]]:
            broken.append(f"need {need} is split into {parts}")
        if sum(parts) > problem.people[need]:
            broken.append(f"need {need} places {sum(parts)} of {problem.people[need]}")
    return broken
