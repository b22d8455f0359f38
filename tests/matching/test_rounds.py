"""Rounds between the world and the engine: what is asked, what hangs together, and what is worth a move."""

from dataclasses import replace

import numpy as np

from matching.assign import Way
from matching.engine.problem import Certificate, Plan, Problem
from matching.policy import FIRST_POLICY
from matching.rounds import Asking, Exchange, Step, exchanges, prices_of, problem_of


def asking(
    people: int = 2, *, tier: int = 2, on: tuple[int, int] = (0, 0), held: int | None = None, km: int = 0
) -> Asking:
    return Asking(people, tier, 0.0, *on, divisible=False, held=held, held_km=km)


def problem(needs: list[Asking], offers: int, pairs: list[tuple[int, int, int]]) -> Problem:
    need, offer, km = zip(*pairs, strict=True)
    free = np.full((offers, 3), 4)
    free[:, 2] = -1
    return problem_of(needs, free, (np.array(need), np.array(offer), np.array(km, np.float64)))


def plan(*assigned: tuple[int, int, int], prices: list[list[float]] | None = None) -> Plan:
    need, offer, people = np.array(assigned, np.int64).reshape(-1, 3).T
    proved = Certificate(0.0, None, None, 0.0)
    return Plan(need, offer, people, 0.0, proved, np.array(prices or [[0.0]]), "by hand")


def test_where_an_offer_has_no_night_it_has_no_places() -> None:
    asked = problem([asking(on=(1, 2)), asking(on=(2, 2))], 1, [(0, 0, 3), (1, 0, 3)])
    assert (asked.first_night.tolist(), asked.last_night.tolist()) == ([1, 2], [2, 2])
    assert asked.capacity.tolist() == [[4, 4, 0]]


def test_who_has_a_place_is_weighed_like_the_most_urgent() -> None:
    asked = problem([asking(tier=2, held=0), asking(tier=1)], 1, [(0, 0, 3), (1, 0, 3)])
    assert asked.tier.tolist() == [0, 1]


def test_a_plan_that_leaves_everybody_where_they_are_asks_for_nothing() -> None:
    needs = [asking(held=0)]
    assert exchanges(needs, problem(needs, 1, [(0, 0, 3)]), plan((0, 0, 2)), FIRST_POLICY) == []


def test_a_move_that_makes_room_hangs_together_with_who_takes_it() -> None:
    needs = [asking(held=0, km=3), asking(), asking()]
    pairs = [(0, 0, 3), (0, 1, 9), (1, 0, 2), (2, 2, 1)]
    made = exchanges(needs, problem(needs, 3, pairs), plan((0, 1, 2), (1, 0, 2), (2, 2, 2)), FIRST_POLICY)
    assert sorted([step.need for step in exchange.steps] for exchange in made) == [[0, 1], [2]]
    together = next(exchange for exchange in made if len(exchange.steps) == 2)
    assert ([step.need for step in together.moves], together.newly_placed) == ([0], 2)


def test_the_parts_of_one_party_are_placed_together() -> None:
    needs = [asking(people=4)]
    made = exchanges(needs, problem(needs, 2, [(0, 0, 1), (0, 1, 1)]), plan((0, 0, 2), (0, 1, 2)), FIRST_POLICY)
    assert [len(exchange.steps) for exchange in made] == [2]


def test_nobody_is_moved_for_a_small_gain() -> None:
    for spared in range(FIRST_POLICY.move_gain_km + 2):
        needs = [asking(held=0, km=20)]
        asked = problem(needs, 2, [(0, 0, 20), (0, 1, 20 - spared)])
        made = exchanges(needs, asked, plan((0, 1, 2)), FIRST_POLICY)
        assert len(made) == (1 if spared >= FIRST_POLICY.move_gain_km else 0), spared


def test_two_who_change_places_must_both_be_worth_it() -> None:
    needs = [asking(held=0, km=20), asking(held=1, km=20)]
    for spared, moved in ((0, 0), (FIRST_POLICY.move_gain_km, 0), (2 * FIRST_POLICY.move_gain_km, 1)):
        asked = problem(needs, 2, [(0, 0, 20), (0, 1, 20 - spared), (1, 1, 20), (1, 0, 20)])
        assert len(exchanges(needs, asked, plan((0, 1, 2), (1, 0, 2)), FIRST_POLICY)) == moved


def test_prices_are_kilometres_of_the_nights_that_cost_anything() -> None:
    needs = [asking(on=(1, 2))]
    asked = problem(needs, 2, [(0, 0, 1), (0, 1, 1)])
    priced = prices_of(asked, plan(prices=[[0.0, 2.0], [0.0, 0.0]]))
    assert priced.tolist() == [[0.0, 2.0 / asked.weights.km], [0.0, 0.0]]


def test_the_load_of_houses_is_told_to_the_engine() -> None:
    needs, free = [asking(), asking()], np.full((2, 1), 4)
    ways = (np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 1.0, 2.0]))
    assert problem_of(needs, free, ways).load is None
    told = problem_of(needs, free, ways, load_km=5).load
    assert told is not None
    assert (told.km, told.taken.tolist()) == (5, [[0], [0]])


def alone_of(step: Step) -> list[Exchange]:
    """What is left of an exchange when nobody else has a part in it."""
    needs = [asking(held=step.leaves, km=step.km + step.spared_km)]
    asked = problem(needs, 3, [(0, step.leaves or 0, step.km + step.spared_km), (0, step.offer, step.km)])
    return exchanges(needs, asked, plan((0, step.offer, step.people)), FIRST_POLICY)


def test_who_makes_room_would_not_have_been_moved_alone_and_who_is_spared_the_way_would() -> None:
    gain = FIRST_POLICY.move_gain_km
    for spared in range(-3, gain + 3):
        needs = [asking(held=0, km=20), asking()]
        asked = problem(needs, 3, [(0, 0, 20), (0, 1, 20 - spared), (1, 0, 2)])
        (exchange,) = exchanges(needs, asked, plan((0, 1, 2), (1, 0, 2)), FIRST_POLICY)
        (moved,) = exchange.moves
        (placed,) = (step for step in exchange.steps if step.leaves is None)
        assert exchange.way_of(placed, FIRST_POLICY) is Way.ROUND
        alone = alone_of(moved)
        assert exchange.way_of(moved, FIRST_POLICY) is (Way.NEARER if alone else Way.MADE_ROOM), spared


def test_a_pair_costs_its_way_and_the_fairness_of_its_offer_but_a_move_counts_the_way_alone() -> None:
    needs = [asking(held=0, km=20)]
    fairness = np.array([9.5, 0.0])
    pairs = (np.array([0, 0]), np.array([0, 1]), np.array([20.0, 20.0 - FIRST_POLICY.move_gain_km + 1]))
    asked = problem_of(needs, np.full((2, 1), 4), pairs, fairness_km=fairness)
    assert asked.km.tolist() == [29.5, 21.0 - FIRST_POLICY.move_gain_km]
    to_the_other = plan((0, 1, 2))
    assert exchanges(needs, asked, to_the_other, FIRST_POLICY, fairness) == [], "for a town nobody is moved"
    (moved,) = exchanges(needs, asked, to_the_other, replace(FIRST_POLICY, move_gain_km=4), fairness)
    assert moved.steps[0].km == 16


def test_a_party_is_moved_for_what_it_prefers_and_the_explanation_says_so() -> None:
    needs = [replace(asking(held=0, km=3), held_lean=12.0)]
    pairs = np.array([0, 0]), np.array([0, 1]), np.array([3.0, 5.0])
    lean = np.array([12.0, 0.0])
    asked = problem_of(needs, np.full((2, 1), 4), pairs, lean_km=lean)
    assert asked.km.tolist() == [15.0, 5.0]
    (moved,) = exchanges(needs, asked, plan((0, 1, 2)), FIRST_POLICY, lean_km=lean)
    (step,) = moved.steps
    assert (step.km, step.spared_km, step.gain_km) == (5, -2, 10)
    assert moved.way_of(step, FIRST_POLICY) is Way.PREFERRED
    for least in (10, 11):
        policy = replace(FIRST_POLICY, move_gain_km=least)
        assert len(exchanges(needs, asked, plan((0, 1, 2)), policy, lean_km=lean)) == (least == 10)


def test_control_without_what_it_prefers_it_stays() -> None:
    needs = [asking(held=0, km=3)]
    asked = problem_of(needs, np.full((2, 1), 4), (np.array([0, 0]), np.array([0, 1]), np.array([3.0, 5.0])))
    assert exchanges(needs, asked, plan((0, 1, 2)), FIRST_POLICY) == []
