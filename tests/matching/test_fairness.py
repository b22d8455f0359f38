"""Shared responsibility: who carries far more than their share costs more, by so much and no more."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from matching.assign import cost_of, ranked
from matching.fairness import House, association_km, loads_of, town_km
from matching.policy import FIRST_POLICY
from tests.matching.test_assign import candidate

REFUGE, CARITAS, TOWN_HALL = (UUID(int=n) for n in (1, 2, 3))
HOSTS = frozenset({REFUGE, CARITAS})
BIG, SMALL = 1, 2
INHABITANTS = {BIG: 40_000, SMALL: 1_000}


def test_a_town_is_weighed_by_its_inhabitants() -> None:
    houses = [House(BIG, TOWN_HALL, 40, 100), House(SMALL, TOWN_HALL, 42, 50)]
    loads = loads_of(houses, INHABITANTS, HOSTS, FIRST_POLICY)
    # 82 people among 41,000: two for each thousand.
    assert loads.town == {SMALL: 21.0}
    everybody = loads_of(houses, INHABITANTS, HOSTS, replace(FIRST_POLICY, town_load_times=0))
    assert everybody.town == {BIG: 0.5, SMALL: 21.0}


def test_an_association_is_weighed_by_its_own_places_and_a_town_hall_is_not() -> None:
    houses = [House(BIG, REFUGE, 20, 20), House(BIG, CARITAS, 20, 100), House(BIG, TOWN_HALL, 40, 200)]
    assert loads_of(houses, INHABITANTS, HOSTS, FIRST_POLICY).association == {REFUGE: 4.0}


def test_a_few_people_are_no_load() -> None:
    few = FIRST_POLICY.fair_from_people - 1
    loads = loads_of([House(SMALL, REFUGE, few, few), House(BIG, CARITAS, 0, 90)], INHABITANTS, HOSTS, FIRST_POLICY)
    assert (loads.town, loads.association) == ({}, {})


def test_a_network_without_places_or_people_has_no_loads() -> None:
    for houses in ([], [House(BIG, REFUGE, 0, 0)], [House(BIG, REFUGE, 0, 9)]):
        loads = loads_of(houses, {}, HOSTS, replace(FIRST_POLICY, fair_from_people=1))
        assert (loads.town, loads.association) == ({}, {})


@given(st.floats(0, 1000))
def test_up_to_the_threshold_it_costs_nothing_and_beyond_never_more_than_the_limit(load: float) -> None:
    policy = FIRST_POLICY
    for km, times, most in (
        (town_km(load, policy), policy.town_load_times, policy.town_load_most_km),
        (association_km(load, policy), policy.association_load_times, policy.association_load_most_km),
    ):
        assert 0 <= km <= most
        assert (km == 0) == (load <= times)


def test_of_two_places_as_near_the_one_in_the_town_that_carries_less_is_taken() -> None:
    burdened, other = replace(candidate(tie=1), town_load=3.0), candidate(tie=2)
    assert ranked([burdened, other], FIRST_POLICY) == [other, burdened]
    assert cost_of(burdened, FIRST_POLICY).town == FIRST_POLICY.town_load_km


def test_a_burdened_host_far_from_all_others_is_still_asked() -> None:
    alone = replace(candidate(), town_load=900.0, association_load=900.0, price=1e9)
    assert ranked([alone], FIRST_POLICY) == [alone]


def test_a_scarce_place_is_left_to_others_as_far_as_the_policy_says() -> None:
    scarce, common = replace(candidate(tie=1), price=1e9), candidate(FIRST_POLICY.price_most_km + 1, tie=2)
    assert ranked([common, scarce], FIRST_POLICY) == [scarce, common]
    nearer = replace(common, distance=candidate(FIRST_POLICY.price_most_km - 1).distance)
    assert ranked([scarce, nearer], FIRST_POLICY) == [nearer, scarce]
    assert ranked([scarce, nearer], replace(FIRST_POLICY, price_percent=0)) == [scarce, nearer]
