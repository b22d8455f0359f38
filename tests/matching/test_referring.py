"""To whom people are referred, and why not: what two towns agreed on, and what the people did."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.distance import Kilometres
from matching.policy import FIRST_POLICY
from matching.referring import Partner, failure, in_order, there
from matching.vocabulary import Acceptance
from tests.matching.builders import need
from tests.places import GAP

PARTNER = Partner(
    pact_id=UUID(int=1),
    number=1,
    from_id=UUID(int=2),
    from_town_id=1,
    to_id=UUID(int=3),
    town_id=GAP.id,
    town=GAP.name,
    cell=GAP.cell,
    country="FR",
    inhabitants=40_000,
    abroad=False,
    km=Kilometres(58),
    asked=False,
    categories=frozenset({"shelter"}),
    crosses_border=False,
    acceptance=Acceptance.EACH,
    answer_within_minutes=60,
    monday=date(2026, 11, 30),
    per_week=10,
    used=0,
    carried=0,
)
ABROAD = {"country": "IT", "abroad": True}
FAR = {"km": Kilometres(FIRST_POLICY.refer_most_km + 1)}


@pytest.mark.parametrize(
    ("partner", "asked", "rule"),
    [
        ({}, {}, None),
        ({"categories": frozenset({"meal"})}, {}, "category"),
        ({**ABROAD}, {"countries": frozenset({"FR", "IT"})}, "border"),
        ({**ABROAD, "crosses_border": True}, {}, "consent"),
        ({**ABROAD, "crosses_border": True}, {"countries": frozenset({"FR", "IT"})}, None),
        ({"country": "IT"}, {}, "consent"),
        ({}, {"max_km": 58}, None),
        ({}, {"max_km": 57}, "distance"),
        (FAR, {}, "distance"),
        (FAR, {"max_km": 1000}, None),
        ({"asked": True}, {}, "tried"),
        ({"used": 8}, {}, None),
        ({"used": 9}, {}, "week"),
        ({"per_week": 0}, {}, "week"),
    ],
)
def test_both_the_pact_and_the_people_must_allow_it(
    partner: dict[str, Any], asked: dict[str, Any], rule: str | None
) -> None:
    found = failure(need(people=2, **asked), replace(PARTNER, **partner), FIRST_POLICY)
    assert (found.rule if found else None) == rule


def test_the_fewest_for_their_size_go_first_then_the_nearest() -> None:
    small = replace(PARTNER, pact_id=UUID(int=10), inhabitants=10_000, carried=1, km=Kilometres(5))
    large = replace(PARTNER, pact_id=UUID(int=11), inhabitants=40_000, carried=8)
    nearer = replace(large, pact_id=UUID(int=12), km=Kilometres(20))
    assert in_order([large, nearer, small], 1) == [small, nearer, large]
    assert in_order([small, nearer], 4) == [nearer, small], "with all who would come"


def test_of_a_town_of_which_nobody_knows_how_large_it_is_few_are_asked() -> None:
    unknown = replace(PARTNER, pact_id=UUID(int=10), inhabitants=0)
    assert in_order([unknown, PARTNER], 1) == [PARTNER, unknown]


@given(st.none() | st.integers(0, 1000), st.integers(0, 1000))
def test_nobody_goes_farther_in_all_than_they_said(most: int | None, km: int) -> None:
    elsewhere = there(need(max_km=most), replace(PARTNER, km=Kilometres(km)))
    assert elsewhere.cell == GAP.cell
    assert elsewhere.max_km is None if most is None else elsewhere.max_km == max(most - km, 0)
