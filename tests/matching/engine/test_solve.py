"""What the engine promises of every plan: no rule broken, a true bound, and the best there is when it has the time."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from time import perf_counter, process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checker import best_objective, broken_rules
from bench.instances import LEVEL_WEIGHTS, draw, synthetic_towns
from bench.weeks import week
from matching.engine.columns import promising, relax_by_columns
from matching.engine.methods import Method
from matching.engine.objective import Worth, worth_of
from matching.engine.pairs import usable_pairs
from matching.engine.problem import DEFAULT_WEIGHTS, Load, Plan, Problem, Weights
from matching.engine.relaxation import priced_bound, relax
from matching.engine.solve import solve
from matching.engine.volume import relax_by_volume


def solved(problem: Problem, seconds: float = 0.3, method: Method = Method.AUTO, seed: int = 0) -> Plan:
    # Processor time: beside other work, as on an idle machine.
    return solve(problem, clock=process_time, deadline=process_time() + seconds, seed=seed, method=method)


WEIGHTS = (DEFAULT_WEIGHTS, LEVEL_WEIGHTS, Weights((9.0, 3.0, 1.0), 0.01), Weights((0.0, 2.0, 5.0), 0.1))


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    most: int,
    nights: int | None = None,
    divisible: bool = False,
    weights: tuple[Weights, ...] = (DEFAULT_WEIGHTS,),
    loaded: bool = False,
) -> Problem:
    """A few needs and offers with any pairs between them."""
    needs, offers = draw(st.integers(1, most)), draw(st.integers(1, 4))
    length = nights or draw(st.integers(1, 3))
    spans = [sorted((draw(st.integers(0, length - 1)), draw(st.integers(0, length - 1)))) for _ in range(needs)]
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, needs - 1), st.integers(0, offers - 1), st.integers(0, 50)),
            max_size=16,
            unique_by=lambda pair: pair[:2],
        )
    )
    need, offer, km = np.array(pairs, np.int64).reshape(-1, 3).T
    taken = np.array(draw(st.lists(st.integers(0, 3), min_size=offers * length, max_size=offers * length)), np.int64)
    load = Load(draw(st.sampled_from((2.0, 20.0))), taken.reshape(offers, length)) if loaded else None
    return Problem(
        people=np.array(draw(st.lists(st.integers(1, 5), min_size=needs, max_size=needs)), np.int64),
        tier=np.array(draw(st.lists(st.integers(0, 2), min_size=needs, max_size=needs)), np.int64),
        waited=np.zeros(needs),
        first_night=np.array([first for first, _ in spans], np.int64),
        last_night=np.array([last for _, last in spans], np.int64),
        divisible=np.array(draw(st.lists(st.booleans(), min_size=needs, max_size=needs)), np.bool_) & divisible,
        capacity=np.array(
            draw(
                st.lists(
                    st.lists(st.integers(0, 8), min_size=length, max_size=length), min_size=offers, max_size=offers
                )
            ),
            np.int64,
        ),
        need=need,
        offer=offer,
        km=km.astype(np.float64),
        weights=draw(st.sampled_from(weights)),
        load=load,
    )


@given(problem=problems(most=8, divisible=True, weights=WEIGHTS, loaded=True), method=st.sampled_from(Method))
@settings(deadline=None, max_examples=150)
def test_no_plan_breaks_a_rule_and_none_passes_the_bound(problem: Problem, method: Method) -> None:
    plan = solved(problem, 0.02, method)
    assert broken_rules(problem, plan) == []
    assert plan.objective <= plan.certificate.bound * (1 + 1e-9) + 1e-9
    assert (plan.prices >= 0).all()
    assert plan.prices.shape == problem.capacity.shape


def exactly(problem: Problem, plan: Plan) -> Worth:
    km = {(n, o): d for n, o, d in zip(problem.need.tolist(), problem.offer.tolist(), problem.km.tolist(), strict=True)}
    ways = np.array([km[pair] for pair in zip(plan.need.tolist(), plan.offer.tolist(), strict=True)], np.float64)
    return worth_of(problem, plan.need, plan.offer, plan.people, ways)


@pytest.mark.parametrize("what_counts", ["places and ways", "load as well"])
def test_with_time_the_plan_of_a_small_problem_is_the_best_there_is(
    pytestconfig: pytest.Config, what_counts: str
) -> None:
    @given(problem=problems(most=5, weights=WEIGHTS, loaded=what_counts == "load as well"))
    @settings(deadline=None, max_examples=1000 if pytestconfig.getoption("--long") else 50)
    def check(problem: Problem) -> None:
        best = best_objective(problem)
        plan = solved(problem, 5.0)
        # As fractions: the last tier and the way count to the last digit beside a tier that weighs 1e14.
        found = exactly(problem, plan).weighed(problem.weights)
        assert abs(found - best) <= Fraction(1, 10**6) * Fraction(problem.weights.km)
        assert plan.certificate.bound >= float(best) * (1 - 1e-9)

    check()


@given(problem=problems(most=6, nights=1, divisible=True))
@settings(deadline=None, max_examples=100)
def test_the_prices_of_one_window_close_the_relaxation_exactly(problem: Problem) -> None:
    proved = solved(problem, 0.02).certificate
    assert proved.lp_bound is not None
    assert proved.dual_error < 1e-6


@pytest.mark.parametrize("nights", [1, 7])
def test_a_tier_is_never_traded_for_the_next(nights: int) -> None:
    # One vital person takes the place of fifty normal ones where there is no other way.
    both = np.zeros(2, np.int64)
    problem = Problem(
        people=np.array([50, 1], np.int64),
        tier=np.array([2, 0], np.int64),
        waited=np.zeros(2),
        first_night=both,
        last_night=both + nights - 1,
        divisible=np.zeros(2, np.bool_),
        capacity=np.full((1, nights), 50, np.int64),
        need=np.array([0, 1], np.int64),
        offer=both,
        km=np.zeros(2),
    )
    assert solved(problem).need.tolist() == [1]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_parties_for_a_week_are_placed_better_than_by_urgency_alone(seed: int) -> None:
    problem = week(1000, 400, seed)
    first, plan = solved(problem, method=Method.GREEDY), solved(problem, 1.0)
    assert broken_rules(problem, first) == broken_rules(problem, plan) == []
    assert first.objective < plan.objective <= plan.certificate.bound
    assert plan.gap < 0.05


def test_the_same_seed_and_no_time_give_the_same_plan() -> None:
    problem = week(300, 200, 3)
    one, other = (solved(problem, method=Method.GREEDY) for _ in range(2))
    assert (one.need.tolist(), one.offer.tolist()) == (other.need.tolist(), other.offer.tolist())


def test_without_time_there_is_a_plan_all_the_same() -> None:
    problem = week(300, 200, 4)
    plan = solved(problem, -1.0)
    assert broken_rules(problem, plan) == []
    assert plan.objective == solved(problem, method=Method.GREEDY).objective


def test_the_weights_of_the_file_decide() -> None:
    problem = Problem(
        people=np.array([1], np.int64),
        tier=np.array([2], np.int64),
        waited=np.zeros(1),
        first_night=np.zeros(1, np.int64),
        last_night=np.zeros(1, np.int64),
        divisible=np.zeros(1, np.bool_),
        capacity=np.ones((1, 1), np.int64),
        need=np.zeros(1, np.int64),
        offer=np.zeros(1, np.int64),
        km=np.array([30.0]),
        weights=Weights((3.0, 2.0, 1.0), 0.1),
    )
    assert solved(problem).need.tolist() == [], "the way costs more than the place gives"


@pytest.mark.parametrize("offers", [60, 150])
def test_the_knapsack_bound_is_between_the_plan_and_the_relaxation(offers: int) -> None:
    problem = draw(300, offers, seed=1, weights=LEVEL_WEIGHTS).problem
    plan = solved(problem, 1.0)
    proved = plan.certificate
    assert broken_rules(problem, plan) == []
    assert proved.lp_bound is not None
    assert proved.knapsack_bound is not None
    assert plan.objective <= proved.knapsack_bound * (1 + 1e-9)
    assert proved.knapsack_bound <= proved.lp_bound * (1 + 1e-9)
    assert proved.bound == max(plan.objective, min(proved.knapsack_bound, proved.lp_bound))


@given(problem=problems(most=5, nights=1))
@settings(deadline=None, max_examples=100)
def test_no_whole_plan_passes_the_knapsack_bound(problem: Problem) -> None:
    bound = solved(problem, 0.05).certificate.knapsack_bound
    assert bound is None or bound >= float(best_objective(problem)) * (1 - 1e-9)


@pytest.mark.parametrize("nights", [1, 4])
def test_a_relaxation_over_some_of_the_pairs_bounds_over_all_of_them(nights: int) -> None:
    crowded = synthetic_towns(2, seed=5)
    problem = draw(600, 300, seed=5, nights=nights, towns=crowded, weights=LEVEL_WEIGHTS).problem
    pairs = usable_pairs(problem)
    assert promising(pairs).sum() < 0.7 * len(pairs.need), "nothing was left out: the test shows nothing"
    never = partial(relax, problem, clock=perf_counter, deadline=np.inf)
    whole, fewer = never(pairs), relax_by_columns(problem, pairs, never, enough=lambda: False)
    assert whole.bound * (1 - 1e-9) <= fewer.bound <= whole.bound * (1 + 2e-4)
    assert np.bincount(pairs.need, fewer.people, len(problem.people)).max() <= problem.people.max() + 1e-6
    assert abs(fewer.people @ pairs.worth - whole.bound) <= 2e-4 * whole.bound


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_prices_that_settle_bound_nearly_as_the_simplex_does(seed: int) -> None:
    problem = draw(600, 200, seed=seed, nights=5, weights=LEVEL_WEIGHTS).problem
    pairs = usable_pairs(problem)
    greedy = solved(problem, method=Method.GREEDY).objective
    simplex = relax(problem, pairs, clock=perf_counter, deadline=np.inf)
    settled = relax_by_volume(problem, pairs, greedy, clock=perf_counter, deadline=np.inf)
    assert simplex.solved
    assert simplex.bound * (1 - 1e-9) <= settled.bound <= simplex.bound * 1.01
    assert settled.bound < priced_bound(problem, pairs, np.zeros(problem.capacity.shape)) * 0.95


@pytest.mark.parametrize("method", [Method.LP, Method.EXACT])
def test_two_houses_are_filled_evenly_where_a_full_one_costs_more(method: Method) -> None:
    both = np.zeros(2, np.int64)
    problem = Problem(
        people=both + 2,
        tier=both,
        waited=np.zeros(2),
        first_night=both,
        last_night=both,
        divisible=both > 0,
        capacity=np.full((2, 1), 4, np.int64),
        need=np.array([0, 0, 1, 1], np.int64),
        offer=np.array([0, 1, 0, 1], np.int64),
        km=np.array([1.0, 2.0, 1.0, 2.0]),
    )
    assert set(solved(problem, method=method).offer.tolist()) == {0}
    loaded = replace(problem, load=Load(5.0, np.zeros((2, 1), np.int64)))
    plan = solved(loaded, method=method)
    assert set(plan.offer.tolist()) == {0, 1}
    assert broken_rules(loaded, plan) == []


def test_a_vital_person_is_not_traded_for_a_hundred_thousand_others() -> None:
    both = np.zeros(2, np.int64)
    problem = Problem(
        people=np.array([1, 100_000], np.int64),
        tier=np.array([0, 1], np.int64),
        waited=np.zeros(2),
        first_night=both,
        last_night=np.array([0, 6], np.int64),
        divisible=both > 0,
        capacity=np.full((1, 7), 100_000, np.int64),
        need=np.array([0, 1], np.int64),
        offer=both,
        km=np.array([50.0, 0.0]),
    )
    assert solved(problem).need.tolist() == [0]
