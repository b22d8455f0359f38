"""What two towns may agree on."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from matching.pacts import LONGEST_TERM, PactTerms, flaws_of
from matching.vocabulary import Acceptance, Transport

TODAY = date(2026, 12, 1)
TERMS = PactTerms(
    to_partner_per_week=10,
    to_proposer_per_week=0,
    categories=frozenset({"shelter"}),
    crosses_border=False,
    transport=Transport.PEOPLE,
    acceptance=Acceptance.EACH,
    answer_within_minutes=60,
    first_day=TODAY,
    last_day=TODAY + timedelta(days=365),
    notice_days=30,
)


@pytest.mark.parametrize(
    ("changes", "abroad", "found"),
    [
        ({}, False, []),
        ({"to_partner_per_week": 0, "to_proposer_per_week": 1}, False, []),
        ({"to_partner_per_week": 0}, False, [("/terms/to_partner_per_week", "nobody_either_way")]),
        ({}, True, [("/terms/crosses_border", "border_between_towns")]),
        ({"crosses_border": True}, True, []),
        ({"last_day": TODAY}, False, []),
        (
            {"first_day": TODAY - timedelta(days=9), "last_day": TODAY - timedelta(days=1)},
            False,
            [("/terms/last_day", "in_the_past")],
        ),
        ({"last_day": TODAY - timedelta(days=1)}, False, [("/terms/last_day", "before_first_day")]),
        ({"last_day": TODAY + LONGEST_TERM}, False, []),
        ({"last_day": TODAY + LONGEST_TERM + timedelta(days=1)}, False, [("/terms/last_day", "span_too_long")]),
    ],
)
def test_terms_that_cannot_be_of_use_are_named(
    changes: dict[str, object], *, abroad: bool, found: list[tuple[str, str]]
) -> None:
    terms = replace(TERMS, **changes)  # type: ignore[arg-type]
    assert [(flaw.at, flaw.code) for flaw in flaws_of(terms, TODAY, abroad=abroad)] == found
