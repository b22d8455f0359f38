"""States: the ways through them end, and nothing comes back from an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.states import (
    ALLOCATION_TRANSITIONS,
    LIVE,
    NEED_TRANSITIONS,
    SEEKING,
    AllocationState,
    NeedState,
    need_state,
)

ENDS = {NeedState.WITHDRAWN, NeedState.CLOSED}


def test_every_state_says_what_may_follow() -> None:
    assert set(NEED_TRANSITIONS) == set(NeedState)
    assert set(ALLOCATION_TRANSITIONS) == set(AllocationState)


def test_needs_end_only_when_withdrawn_or_closed() -> None:
    assert {state for state, following in NEED_TRANSITIONS.items() if not following} == ENDS


def test_an_allocation_that_keeps_no_place_has_ended() -> None:
    assert {state for state, following in ALLOCATION_TRANSITIONS.items() if following} == LIVE


@pytest.mark.parametrize("state", sorted(set(NeedState) - ENDS))
def test_a_living_need_may_always_be_withdrawn(state: NeedState) -> None:
    assert NeedState.WITHDRAWN in NEED_TRANSITIONS[state]


@pytest.mark.parametrize("state", [NeedState.HELD, NeedState.CONFIRMED])
def test_a_need_whose_place_is_lost_is_open_again(state: NeedState) -> None:
    assert NeedState.OPEN in NEED_TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(SEEKING))
def test_a_seeking_need_takes_a_place_that_appears(state: NeedState) -> None:
    assert {NeedState.HELD, NeedState.CONFIRMED} <= NEED_TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(LIVE))
def test_places_can_be_given_back_from_every_live_state(state: AllocationState) -> None:
    assert AllocationState.RELEASED in ALLOCATION_TRANSITIONS[state]


def test_who_has_arrived_is_no_no_show() -> None:
    assert AllocationState.NO_SHOW not in ALLOCATION_TRANSITIONS[AllocationState.ARRIVED]


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_need_is_held_or_confirmed_only_when_all_its_people_are(asked: int, held: int, confirmed: int) -> None:
    state = need_state(asked, held, confirmed)
    assert (state is NeedState.OPEN) == (held + confirmed < asked)
    assert state is not NeedState.CONFIRMED or held == 0
