"""A plan checked against its problem by the rules alone, one person-night at a time: none of the engine's own code."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import product

from matching.engine.problem import Plan, Problem

__all__ = ["best_objective", "broken_rules"]


def broken_rules(problem: Problem, plan: Plan) -> list[str]:
    """What the plan does that it must not."""
    broken = []
    km = {
        (int(need), int(offer)): float(way)
        for need, offer, way in zip(problem.need, problem.offer, problem.km, strict=True)
    }
    used: defaultdict[tuple[int, int], int] = defaultdict(int)
    placed: defaultdict[int, list[int]] = defaultdict(list)
    objective = 0.0
    for need, offer, people in zip(plan.need.tolist(), plan.offer.tolist(), plan.people.tolist(), strict=True):
        if (need, offer) not in km:
            broken.append(f"need {need} at offer {offer}, which is no candidate")
            continue
        if people < 1:
            broken.append(f"need {need} places {people} people")
        nights = range(int(problem.first_night[need]), int(problem.last_night[need]) + 1)
        for night in nights:
            used[offer, night] += people
        placed[need].append(people)
        worth = len(nights) * problem.weights.tier[problem.tier[need]] - problem.weights.km * km[need, offer]
        objective += people * worth
    broken += _too_full(problem, used) + _torn_apart(problem, placed)
    if abs(objective - plan.objective) > 1e-6 * max(1.0, abs(objective)):
        broken.append(f"the objective is {objective}, not {plan.objective}")
    return broken


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


def best_objective(problem: Problem) -> float:
    """The best objective of any plan of whole parties, by trying all of them."""
    pairs: list[list[tuple[int, float]]] = [[] for _ in problem.people]
    for need, offer, km in zip(problem.need.tolist(), problem.offer.tolist(), problem.km.tolist(), strict=True):
        nights = problem.last_night[need] - problem.first_night[need] + 1
        worth = nights * problem.weights.tier[problem.tier[need]] - problem.weights.km * km
        pairs[need].append((offer, float(problem.people[need] * worth)))
    best = 0.0
    for chosen in product(*([(-1, 0.0), *each] for each in pairs)):
        left = problem.capacity.copy()
        for need, (offer, _) in enumerate(chosen):
            if offer >= 0:
                left[offer, problem.first_night[need] : problem.last_night[need] + 1] -= problem.people[need]
        if (left >= 0).all():
            best = max(best, sum(worth for _, worth in chosen))
    return best
