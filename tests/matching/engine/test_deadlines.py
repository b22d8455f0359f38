"""Deadlines are kept, and what is answered in time is still a plan: whole, bounded, and never below greedy.

No test here waits or measures: time is that of a machine on which every step costs what it would in a larger problem,
or real time told many times too fast.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import count
from time import perf_counter, process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checker import broken_rules
from bench.instances import LEVEL_WEIGHTS, draw, synthetic_towns
from bench.weeks import week
from matching.engine import nights
from matching.engine.flow import relax_window
from matching.engine.methods import Method
from matching.engine.pace import FIND, FLOW, READ, Pace
from matching.engine.pairs import Pairs, usable_pairs
from matching.engine.problem import DEFAULT_WEIGHTS, Plan, Problem
from matching.engine.relaxation import Relaxation, priced_bound, relax
from matching.engine.solve import solve
from matching.engine.urgency import place_by_urgency
from matching.engine.volume import relax_by_volume
from tests.matching.engine.heavy import HeavyMachine, Late, heavy
from tests.matching.engine.test_solve import exactly, problems, solved

DEADLINES = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
CROWDED = "one territory, one window"
APART = "many territories, one window"
WEEK = "seven nights"


@cache
def problem_of(kind: str) -> Problem:
    """About ten thousand pairs."""
    if kind == WEEK:
        problem = week(400, 300, 1)
    elif kind == CROWDED:
        problem = draw(250, 200, seed=5, towns=synthetic_towns(2, seed=5)).problem
    else:
        problem = draw(700, 500, seed=2).problem
    # Needs that are cut into parts are placed by urgency in two ways, none of them always the better.
    return replace(problem, divisible=np.zeros(len(problem.people), np.bool_))


@cache
def greedily(kind: str) -> Fraction:
    """What greedy by urgency is worth, exactly: what is not below serves no fewer of the first tier that differs."""
    problem = problem_of(kind)
    return exactly(problem, solved(problem, method=Method.GREEDY)).weighed(problem.weights)


def think(machine: HeavyMachine, problem: Problem, method: Method = Method.AUTO) -> Plan:
    return solve(problem, clock=machine.clock, deadline=machine.deadline, seed=0, method=method)


def without_the_guard(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Pace, "affords", lambda *_: True)


@pytest.fixture
def many_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there are too many pairs for a simplex."""
    monkeypatch.setattr(nights, "_SIMPLEX_PAIRS", 0)


@pytest.mark.usefixtures("many_pairs")
def test_no_step_is_begun_that_outlasts_the_deadline(pytestconfig: pytest.Config) -> None:
    @given(
        kind=st.sampled_from((CROWDED, APART, WEEK)),
        times=st.floats(1.0, 60.0),
        slower=st.floats(0.3, 1.6),
        deadline=st.sampled_from(DEADLINES),
        method=st.sampled_from((Method.AUTO, Method.AUTO, Method.LOCAL)),
        seed=st.integers(0, 1000),
    )
    @settings(deadline=None, max_examples=200 if pytestconfig.getoption("--long") else 25)
    def check(kind: str, times: float, slower: float, deadline: float, method: Method, seed: int) -> None:
        problem = problem_of(kind)
        with heavy(times=times, slower=slower, deadline=deadline, seed=seed) as machine:
            plan = think(machine, problem, method)
        # Nothing can be answered sooner than by the one pass; all else is in time.
        if machine.begun != ["place_by_urgency"]:
            assert machine.late == []
            assert machine.now <= deadline + machine.tolerance, machine.begun[-8:]
        assert broken_rules(problem, plan) == []
        assert plan.objective <= plan.certificate.bound * (1 + 1e-9)
        assert exactly(problem, plan).weighed(problem.weights) >= greedily(kind)

    check()


@pytest.mark.usefixtures("many_pairs")
@pytest.mark.parametrize(("kind", "what"), [(CROWDED, "relax_window"), (APART, "usable_pairs"), (WEEK, "gains")])
def test_without_the_guard_steps_are_begun_too_late(kind: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: the same machine catches the engine when it begins what it cannot end."""
    with heavy(times=60.0, deadline=0.3, seed=0) as machine:
        think(machine, problem_of(kind))
    assert machine.late == []
    without_the_guard(monkeypatch)
    with heavy(times=60.0, deadline=0.3, seed=0) as careless:
        think(careless, problem_of(kind))
    assert what in [late.what for late in careless.late]


@pytest.mark.parametrize("guarded", [True, False])
def test_a_flow_that_would_not_end_is_not_begun_on_a_slow_machine(
    guarded: bool,  # noqa: FBT001 - a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock goes three hundred times too fast, so that this machine looks as much slower than the figures say."""
    begun = []

    def flow(problem: Problem, pairs: Pairs) -> Relaxation:
        begun.append(len(pairs.need))
        return relax_window(problem, pairs)

    monkeypatch.setattr(nights, "relax_window", flow)
    if not guarded:
        without_the_guard(monkeypatch)
    problem = problem_of(CROWDED)

    def clock() -> float:
        return 300 * process_time()

    plan = solve(problem, clock=clock, deadline=clock() + 3.0, seed=0)
    assert bool(begun) != guarded
    assert broken_rules(problem, plan) == []


@pytest.mark.parametrize("kind", [CROWDED, WEEK])
def test_with_time_a_heavy_machine_is_searched_on_to_the_end(kind: str) -> None:
    """The guard is no excuse: what fits is done."""
    with heavy(times=20.0, deadline=60.0, seed=0) as machine:
        plan = think(machine, problem_of(kind))
    assert plan.certificate.lp_bound is not None
    assert "search" in machine.begun
    assert machine.begun.count("usable_pairs") == 1


def test_what_would_take_longer_than_the_time_is_placed_by_urgency_in_one_pass() -> None:
    problem = problem_of(APART)
    with heavy(times=1000.0, deadline=0.1, seed=0) as machine:
        plan = think(machine, problem)
    assert machine.begun == ["place_by_urgency"]
    assert broken_rules(problem, plan) == []
    assert plan.objective == solved(problem, method=Method.GREEDY).objective


@given(problem=problems(most=8, weights=(DEFAULT_WEIGHTS, LEVEL_WEIGHTS)))
@settings(deadline=None, max_examples=60)
def test_in_one_pass_or_sorted_greedy_serves_the_same(problem: Problem) -> None:
    once, sorted_first = place_by_urgency(problem), solved(problem, method=Method.GREEDY)
    assert exactly(problem, once).person_nights == exactly(problem, sorted_first).person_nights


def test_numbers_of_half_the_width_are_placed_in_one_pass_too() -> None:
    problem = problem_of(APART)
    narrow = replace(
        problem,
        need=problem.need.astype(np.int32),
        offer=problem.offer.astype(np.int32),
        km=problem.km.astype(np.float32),
    )
    with heavy(times=1000.0, deadline=0.1, seed=0) as machine:
        plan = think(machine, narrow)
    assert broken_rules(problem, replace(plan, objective=solved(problem, method=Method.GREEDY).objective)) == []


def test_a_simplex_stops_at_its_limit_and_what_it_knows_still_bounds() -> None:
    problem = problem_of(WEEK)
    pairs = usable_pairs(problem)
    stopped = relax(problem, pairs, clock=perf_counter, deadline=perf_counter() - 1.0)
    best = relax(problem, pairs, clock=perf_counter, deadline=np.inf)
    assert not stopped.solved
    assert best.solved
    assert best.bound * (1 - 1e-9) <= stopped.bound
    assert stopped.bound <= priced_bound(problem, pairs, np.zeros(problem.capacity.shape))


@pytest.mark.parametrize(("most", "passes"), [(500_000, 10), (1, 1)])
def test_the_more_pairs_the_fewer_passes_between_two_looks_at_the_clock(
    most: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problem_of(WEEK)
    pairs = usable_pairs(problem)
    done = []
    monkeypatch.setattr("matching.engine.volume._PAIRS_SEEN", most)
    monkeypatch.setattr("matching.engine.volume._descend", lambda *given: done.append(given[-1]))
    ticks = count()
    relax_by_volume(problem, pairs, 1.0, clock=lambda: float(next(ticks)), deadline=2.5)
    assert done == [passes] * 4


def at(moments: list[float]) -> Callable[[], float]:
    return iter(moments).__next__


def test_a_step_that_took_twice_as_long_makes_all_others_twice_as_dear() -> None:
    by_figures = READ.seconds(1_000_000, 0)
    pace = Pace(at([0.0, 2 * by_figures]), deadline=10.0, latest=10.0)
    before = pace.expects(FLOW, 1000)
    with pace.measured(READ, 1_000_000):
        pass
    assert pace.expects(FLOW, 1000) == pytest.approx(2 * before, rel=0.05)


def test_a_moment_says_nothing_about_the_machine() -> None:
    pace = Pace(at([0.0, 5.0]), deadline=10.0, latest=10.0)
    with pace.measured(FIND, 100):
        pass
    assert pace.slower == 1.0


def test_a_moment_is_allowed_however_late_it_is() -> None:
    pace = Pace(lambda: 100.0, deadline=1.0, latest=1.0)
    assert pace.affords(0.01)
    assert not pace.affords(0.05)


def test_what_is_kept_for_later_never_takes_the_last_moment() -> None:
    """Small problems whose turn comes at the end are proved best all the same."""
    pace = Pace(lambda: 0.0, deadline=1.0, latest=1.0)
    assert pace.spared(0.4) == pytest.approx(0.6)
    assert pace.spared(3.0) > 0


def test_a_late_step_is_told_from_one_in_time() -> None:
    machine = HeavyMachine(1.0, 1.0, np.random.default_rng(0))
    machine.spend("short", 0.5)
    assert machine.late == []
    machine.spend("long", 5.0)
    assert [late.what for late in machine.late] == ["long"]
    assert isinstance(machine.late[0], Late)
