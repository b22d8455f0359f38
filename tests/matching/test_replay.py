"""A week replayed: the same rules and costs as the matching's, one need after another."""

from dataclasses import replace

from matching.policy import FIRST_POLICY
from matching.replay import Asked, replay
from tests.matching.builders import NOW, need, night, offer


def test_who_comes_first_takes_the_place_and_the_next_goes_without() -> None:
    house = offer(night(free=4, capacity=4))
    asked = [Asked(need(people=3), NOW), Asked(need(people=2), NOW), Asked(need(people=1), NOW)]
    told = replay(asked, [house], FIRST_POLICY)
    assert told.went == (house.id, None, house.id)
    assert (told.people, told.without, told.busiest) == (4, 2, 1.0)


def test_nothing_given_is_changed_and_the_same_is_told_twice() -> None:
    house = offer(night(free=4, capacity=4))
    asked = [Asked(need(people=3), NOW)]
    assert replay(asked, [house], FIRST_POLICY) == replay(asked, [house], FIRST_POLICY)
    assert house.slots[0].free == 4


def test_another_policy_is_seen() -> None:
    full, empty = offer(night(free=2, capacity=4)), offer(night(free=4, capacity=4))
    full = replace(full, cell=need().cell)
    asked = [Asked(need(people=1), NOW)]
    spread = replay(asked, [full, empty], replace(FIRST_POLICY, load_km=50))
    assert spread.went == (empty.id,)
    assert replay(asked, [full, empty], replace(FIRST_POLICY, radius_km=0, load_km=0)).people <= 1
    assert replay([], [full], FIRST_POLICY).km == 0
