"""The benchmark's verdict on a plan agrees with the checker's, on good plans and on spoilt ones."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from bench import checker, scale
from bench.weeks import week
from matching.engine.problem import Plan, Problem
from matching.engine.urgency import place_by_urgency
from tests.matching.engine.test_solve import problems


@given(problem=problems(most=8, divisible=True))
@settings(deadline=None, max_examples=60)
def test_a_plan_that_keeps_the_rules_is_let_pass(problem: Problem) -> None:
    plan = place_by_urgency(problem)
    assert checker.broken_rules(problem, plan) == []
    assert scale.broken_rules(problem, plan) == 0


def twice(plan: Plan) -> Plan:
    return replace(plan, need=plan.need.repeat(2), offer=plan.offer.repeat(2), people=plan.people.repeat(2))


@pytest.mark.parametrize(
    "spoil",
    [
        twice,
        lambda plan: replace(plan, objective=plan.objective * 1.01),
        lambda plan: replace(plan, people=plan.people + 1),
        lambda plan: replace(plan, offer=np.full(len(plan.offer), plan.offer[0])),
        lambda plan: replace(plan, people=np.zeros_like(plan.people)),
    ],
)
def test_a_spoilt_plan_is_caught(spoil: Callable[[Plan], Plan]) -> None:
    problem = week(300, 150, 1)
    spoilt = spoil(place_by_urgency(problem))
    assert checker.broken_rules(problem, spoilt) != []
    assert scale.broken_rules(problem, spoilt) > 0
