"""What is solved apart and put together is the plan of the whole, whoever solves it and whatever happens to them."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import count
from multiprocessing import get_context
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checker import broken_rules
from bench.instances import LEVEL_WEIGHTS, draw
from matching.engine.crew import Crew, Job, do_all
from matching.engine.methods import Method
from matching.engine.problem import Load, Plan, Problem
from matching.engine.solve import solve
from matching.engine.territories import cut, gather, put_together, territories
from matching.engine.urgency import place_by_urgency
from tests.matching.engine.test_solve import problems, solved


def side_by_side(parts: Sequence[Problem]) -> Problem:
    """One problem of several that share nothing; all with as many nights as the longest."""
    nights = max(part.capacity.shape[1] for part in parts)
    needs = np.cumsum([0, *(len(part.people) for part in parts)])
    offers = np.cumsum([0, *(len(part.capacity) for part in parts)])
    return Problem(
        people=np.concatenate([part.people for part in parts]),
        tier=np.concatenate([part.tier for part in parts]),
        waited=np.concatenate([part.waited for part in parts]),
        first_night=np.concatenate([part.first_night for part in parts]),
        last_night=np.concatenate([part.last_night for part in parts]),
        divisible=np.concatenate([part.divisible for part in parts]),
        capacity=np.concatenate([np.pad(p.capacity, ((0, 0), (0, nights - p.capacity.shape[1]))) for p in parts]),
        need=np.concatenate([part.need + at for part, at in zip(parts, needs, strict=False)]),
        offer=np.concatenate([part.offer + at for part, at in zip(parts, offers, strict=False)]),
        km=np.concatenate([part.km for part in parts]),
    )


@given(parts=st.lists(problems(most=4), min_size=1, max_size=4))
@settings(deadline=None, max_examples=60)
def test_the_best_plan_of_the_union_is_the_union_of_the_best_plans(parts: list[Problem]) -> None:
    apart = [solved(part, 2.0, Method.EXACT) for part in parts]
    whole = side_by_side(parts)
    together = solved(whole, 4.0, Method.EXACT)
    assert broken_rules(whole, together) == []
    for of_plan in (objective_of, bound_of):
        assert of_plan(together) == pytest.approx(sum(of_plan(plan) for plan in apart), rel=1e-9)


def test_a_part_keeps_the_load_of_its_own_houses_and_is_worth_as_much_alone() -> None:
    """Two houses each, one of which is half full: told of another's load, a part would fill the wrong one."""
    half, empty = Load(10.0, np.array([[2], [0]])), Load(10.0, np.array([[0], [2]]))
    apart = [replace(alone, load=load) for load, alone in zip((half, empty), [two_houses(), two_houses()], strict=True)]
    whole = replace(side_by_side(apart), load=Load(10.0, np.concatenate([half.taken, empty.taken])))
    together = solved(whole, 4.0, Method.EXACT)
    assert together.offer.tolist() == [1, 2]
    assert objective_of(together) == pytest.approx(sum(objective_of(solved(part, 2.0, Method.EXACT)) for part in apart))


def two_houses() -> Problem:
    """One person between two houses, equally far, with two places each."""
    none = np.zeros(1, np.int64)
    return Problem(
        people=none + 1,
        tier=none,
        waited=np.zeros(1),
        first_night=none,
        last_night=none,
        divisible=none > 0,
        capacity=np.full((2, 1), 2, np.int64),
        need=np.zeros(2, np.int64),
        offer=np.arange(2),
        km=np.ones(2),
    )


def objective_of(plan: Plan) -> float:
    return plan.objective


def bound_of(plan: Plan) -> float:
    return plan.certificate.bound


@given(problem=problems(most=8, divisible=True), least=st.sampled_from([0.0, 2.0, 1e9]), most=st.integers(0, 10))
@settings(deadline=None, max_examples=150)
def test_every_pair_that_can_be_used_is_in_one_part_with_its_need_and_offer(
    problem: Problem, least: float, most: int
) -> None:
    found = territories(problem)
    parcels = cut(problem, found, gather(found.pairs.astype(float), found.pairs, least, most))
    seen = [parcels[number] for number in range(len(parcels))]
    pairs = [pair for parcel in seen for pair in parcel.pairs.tolist()]
    assert sorted(pairs) == np.flatnonzero(found.usable).tolist()
    for members in ([parcel.needs for parcel in seen], [parcel.offers for parcel in seen]):
        together = np.concatenate([*members, np.zeros(0)])
        assert len(np.unique(together)) == len(together)
    for number, parcel in enumerate(seen):
        part = parcels.part(number)
        assert parcel.needs[part.need].tolist() == problem.need[parcel.pairs].tolist()
        assert parcel.offers[part.offer].tolist() == problem.offer[parcel.pairs].tolist()


@given(problem=problems(most=8, divisible=True))
@settings(deadline=None, max_examples=150)
def test_what_is_placed_without_a_thought_breaks_no_rule(problem: Problem) -> None:
    plan = place_by_urgency(problem)
    assert broken_rules(problem, plan) == []
    assert plan.objective <= plan.certificate.bound * (1 + 1e-9)


@given(problem=problems(most=8, nights=1))
@settings(deadline=None, max_examples=100)
def test_prices_put_together_still_prove_the_bound_put_together(problem: Problem) -> None:
    # Weights that may be traded are what the solvers count with: their prices close the very objective.
    problem = replace(problem, weights=LEVEL_WEIGHTS)
    found = territories(problem)
    parcels = cut(problem, found, np.arange(len(found.pairs)))
    plans = [solved(parcels.part(number), 0.05, Method.LP) for number in range(len(parcels))]
    plan = put_together(problem, [(parcels[number], plan) for number, plan in enumerate(plans)])
    assert plan.certificate.lp_bound is not None
    bought = np.zeros(len(problem.people))
    used = found.usable
    worth = np.asarray(problem.weights.tier)[problem.tier[problem.need]] - problem.weights.km * problem.km
    gain = (worth - plan.prices[problem.offer, problem.first_night[problem.need]])[used]
    np.maximum.at(bought, problem.need[used], gain)
    dual = float(bought @ problem.people + (plan.prices * problem.capacity).sum())
    assert dual == pytest.approx(plan.certificate.lp_bound, rel=1e-9)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        yield processes


def many_territories() -> Problem:
    return draw(2000, 2000, seed=3, weights=LEVEL_WEIGHTS).problem


def test_processes_answer_what_one_process_does(pool: ProcessPoolExecutor) -> None:
    problem = many_territories()
    assert len(territories(problem).pairs) > 4, "nothing is apart: the test shows nothing"
    plan = solve(problem, clock=perf_counter, deadline=perf_counter() + 60, seed=0, method=Method.GREEDY)
    crewed = solve(
        problem,
        clock=perf_counter,
        deadline=perf_counter() + 60,
        seed=0,
        method=Method.GREEDY,
        crew=Crew(pool, 2),
    )
    assert (crewed.need.tolist(), crewed.offer.tolist()) == (plan.need.tolist(), plan.offer.tolist())
    assert crewed.objective == plan.objective


def test_a_killed_process_costs_its_work_and_not_the_plan() -> None:
    problem = many_territories()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        victim = processes.submit(os.getpid).result()
        processes.submit(_kill_soon, victim)
        plan = solve(problem, clock=perf_counter, deadline=perf_counter() + 6, seed=0, crew=Crew(processes, 2))
    assert broken_rules(problem, plan) == []
    greedy = solve(problem, clock=perf_counter, deadline=0.0, seed=0, method=Method.GREEDY)
    assert plan.objective >= greedy.objective


def _kill_soon(victim: int) -> None:
    time.sleep(0.3)
    os.kill(victim, signal.SIGKILL)


def test_the_time_that_a_job_leaves_goes_to_those_after_it() -> None:
    now = [0.0]
    given: list[float] = []

    def job(work: float, takes: float) -> Job[None]:
        def ready(until: float) -> Callable[[], None]:
            given.append(until - now[0])
            return lambda: now.__setitem__(0, now[0] + takes)

        return Job(work, ready, lambda: None)

    do_all([job(2, 1.0), job(1, 6.0), job(1, 1.0)], None, clock=lambda: now[0], deadline=12.0)
    assert given == [6.0, 5.5, 5.0]


def test_jobs_whose_turn_comes_too_late_are_answered_at_once() -> None:
    ticks = count()
    jobs = [Job(1.0, lambda _: lambda: "thought", lambda: "at once") for _ in range(8)]
    answers = do_all(jobs, None, clock=lambda: float(next(ticks)), deadline=4.0)
    assert answers[0] == "thought"
    assert answers[-1] == "at once"


def test_many_territories_without_time_still_have_a_plan() -> None:
    problem = many_territories()
    plan = solved(problem, -1.0)
    assert broken_rules(problem, plan) == []
    assert plan.objective > 0
