"""The reveal: nothing before it is confirmed, nothing early, nothing late, and of a rendezvous never the address."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from matching.reveal import AHEAD, Occasion, Revealed, reading_time, revealed
from matching.states import AllocationState
from matching.vocabulary import SiteKind, Visibility

BEGINS = datetime(2026, 12, 1, 18, tzinfo=UTC)
ENDS = datetime(2026, 12, 3, 8, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
GYM = Occasion(
    kind=SiteKind.MUNICIPAL_BUILDING,
    visibility=Visibility.ON_CONFIRMATION,
    state=AllocationState.CONFIRMED,
    begins=BEGINS,
    ends=ENDS,
)
KEEPS_PEOPLE_THERE = (AllocationState.CONFIRMED, AllocationState.ARRIVED)


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("kind", SiteKind)
@pytest.mark.parametrize("state", [each for each in AllocationState if each not in KEEPS_PEOPLE_THERE])
def test_nothing_is_read_unless_the_place_is_theirs(
    state: AllocationState, kind: SiteKind, visibility: Visibility
) -> None:
    there = replace(GYM, state=state, kind=kind, visibility=visibility)
    assert reading_time(there) is None
    assert revealed(there, BEGINS) is None


@pytest.mark.parametrize("state", KEEPS_PEOPLE_THERE)
@pytest.mark.parametrize("visibility", [Visibility.ON_CONFIRMATION, Visibility.RENDEZVOUS])
def test_a_protected_place_is_read_from_twelve_hours_before_until_its_end(
    state: AllocationState, visibility: Visibility
) -> None:
    there = replace(GYM, state=state, visibility=visibility)
    assert revealed(there, BEGINS - AHEAD - INSTANT) is None
    assert revealed(there, BEGINS - AHEAD) is not None
    assert revealed(there, ENDS - INSTANT) is not None
    assert revealed(there, ENDS) is None


def test_a_public_place_is_read_from_when_it_is_confirmed_until_its_end() -> None:
    there = replace(GYM, visibility=Visibility.PUBLIC)
    assert revealed(there, BEGINS - timedelta(days=30)) is Revealed.ADDRESS
    assert revealed(there, ENDS) is None


def test_a_home_is_never_public() -> None:
    home = replace(GYM, kind=SiteKind.PRIVATE_HOME, visibility=Visibility.PUBLIC)
    assert revealed(home, BEGINS - AHEAD - INSTANT) is None
    assert revealed(home, BEGINS - AHEAD) is Revealed.ADDRESS


@pytest.mark.parametrize("kind", SiteKind)
def test_of_a_rendezvous_the_meeting_point_alone_is_read(kind: SiteKind) -> None:
    there = replace(GYM, kind=kind, visibility=Visibility.RENDEZVOUS)
    moments = [BEGINS - AHEAD + timedelta(hours=hour) for hour in range(60)]
    assert {revealed(there, moment) for moment in moments} == {Revealed.MEETING_POINT, None}
