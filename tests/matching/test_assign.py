"""Who gets what: of places that fit, the nearer and the emptier, and between equals a lot nobody can read."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.distance import Kilometres
from matching.assign import Candidate, cost_of, ranked, tie_of
from matching.needs import OfferId
from matching.policy import FIRST_POLICY


def candidate(km: int = 0, *, free: int = 10, capacity: int = 10, tie: int = 0) -> Candidate:
    return Candidate(OfferId(UUID(int=tie)), (1,), free, capacity, Kilometres(km), tie, 1)


CANDIDATES = st.builds(
    lambda km, capacity, taken, tie: candidate(km, free=max(capacity - taken, 0), capacity=capacity, tie=tie),
    km=st.integers(0, 50),
    capacity=st.integers(1, 40),
    taken=st.integers(0, 40),
    tie=st.integers(0, 2**63 - 1),
)
UNLIKE = st.lists(CANDIDATES, max_size=30, unique_by=lambda each: each.tie)


def test_the_nearer_of_two_alike_is_better() -> None:
    near, far = candidate(3), candidate(4)
    assert ranked([far, near], FIRST_POLICY) == [near, far]


def test_the_emptier_of_two_as_near_is_better() -> None:
    empty, fuller = candidate(tie=2), candidate(free=5, tie=1)
    assert ranked([fuller, empty], FIRST_POLICY) == [empty, fuller]


def test_a_house_is_not_filled_to_the_brim_to_save_a_few_kilometres() -> None:
    brimful, empty = candidate(0, free=2), candidate(FIRST_POLICY.load_km - 2, capacity=100, free=100)
    assert ranked([brimful, empty], FIRST_POLICY) == [empty, brimful]


def test_an_empty_house_far_away_does_not_outweigh_a_near_one() -> None:
    brimful, empty = candidate(0, free=2), candidate(FIRST_POLICY.load_km + 1, capacity=100, free=100)
    assert ranked([brimful, empty], FIRST_POLICY) == [brimful, empty]


def test_a_full_house_costs_the_policys_kilometres() -> None:
    assert cost_of(candidate(free=0), FIRST_POLICY).load == FIRST_POLICY.load_km


def test_an_empty_home_is_no_fuller_than_an_empty_hall() -> None:
    home, hall = candidate(free=2, capacity=2, tie=1), candidate(free=100, capacity=100, tie=2)
    assert ranked([hall, home], FIRST_POLICY) == [home, hall], "drawn by lot, not kept for nobody"


@given(UNLIKE, st.randoms())
def test_the_order_in_which_candidates_are_found_changes_nothing(found: list[Candidate], random: object) -> None:
    shuffled = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert ranked(shuffled, FIRST_POLICY) == ranked(found, FIRST_POLICY)


@given(UNLIKE)
def test_nothing_is_lost_and_no_better_one_comes_later(found: list[Candidate]) -> None:
    order = ranked(found, FIRST_POLICY)
    costs = [cost_of(each, FIRST_POLICY).total for each in order]
    assert sorted(order, key=lambda each: each.tie) == sorted(found, key=lambda each: each.tie)
    assert costs == sorted(costs)


@pytest.mark.parametrize("key", [b"one key", b"another"])
def test_a_lot_is_the_same_for_the_same_key_and_fits_a_column(key: bytes) -> None:
    offer = UUID(int=7)
    assert tie_of(offer, key) == tie_of(offer, key)
    assert 0 <= tie_of(offer, key) < 2**63


def test_lots_cannot_be_told_from_ids_without_the_key() -> None:
    ids = [UUID(int=n) for n in range(200)]
    by_one = sorted(ids, key=lambda each: tie_of(each, b"one key"))
    assert by_one not in (ids, sorted(ids, key=lambda each: tie_of(each, b"another")))
