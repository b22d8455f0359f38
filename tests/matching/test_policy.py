"""The policy's own arithmetic: what counts, for whom, and for how long."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from matching.policy import FIRST_POLICY, Policy
from matching.revising import BY_URGENCY, LIMITS
from matching.vocabulary import Urgency
from tests.matching.builders import NOW

HOUR = timedelta(hours=1)
POLICY = replace(FIRST_POLICY, tentative_seconds=20, tentative_percent=25, tentative_most_minutes=60)


@pytest.mark.parametrize(
    ("ahead", "tentative"),
    [
        (-HOUR, timedelta(seconds=20)),
        (0 * HOUR, timedelta(seconds=20)),
        (2 * HOUR, HOUR / 2),
        (4 * HOUR, HOUR),
        (72 * HOUR, HOUR),
    ],
)
def test_a_hold_is_tentative_for_a_share_of_the_time_that_there_is(ahead: timedelta, tentative: timedelta) -> None:
    assert POLICY.tentative_for(Urgency.NORMAL, ahead) == tentative
    assert POLICY.tentative_for(Urgency.VITAL, ahead) == timedelta(0)


def test_a_vital_need_pays_no_price_however_recent() -> None:
    assert FIRST_POLICY.prices_since(Urgency.VITAL, NOW) > NOW + 10_000 * HOUR
    assert FIRST_POLICY.prices_since(Urgency.HIGH, NOW) == NOW - FIRST_POLICY.price_hours * HOUR


def test_every_term_has_its_limits_and_the_first_policy_keeps_them() -> None:
    terms = {field.name for field in fields(Policy)} - {"version"}
    assert set(LIMITS) == terms
    for name in terms:
        value = getattr(FIRST_POLICY, name)
        for each in value.values() if name in BY_URGENCY else (value,):
            assert LIMITS[name].least <= each <= LIMITS[name].most, name
