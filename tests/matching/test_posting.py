"""What may be asked: everything wrong with a need is named at once, at its place."""

from dataclasses import replace
from datetime import timedelta

import pytest

from matching.needs import Language, People
from matching.policy import FIRST_POLICY
from matching.posting import LONGEST_STAY, LONGEST_WAIT, NeedTerms, deadline_of, flaws_of
from matching.vocabulary import Audience, Coverage, Stay, Urgency
from tests.matching.builders import NOW, PARIS, evening
from tests.places import BRIANCON

TERMS = NeedTerms(
    category="shelter",
    town_id=BRIANCON.id,
    people=People(2, 2),
    starts=evening(18),
    ends=evening(9, 1),
    urgency=Urgency.VITAL,
    stay=Stay.TRANSIT,
    audience=frozenset({Audience.FAMILIES}),
    requires=frozenset(),
    countries=frozenset(),
    max_km=None,
    divisible=False,
    language=None,
)


def flaws(coverage: Coverage = Coverage.EVERY, **changes: object) -> list[tuple[str, str]]:
    terms = replace(TERMS, **changes)  # type: ignore[arg-type]
    return [(flaw.at, flaw.code) for flaw in flaws_of(terms, coverage, PARIS, NOW)]


def test_a_family_for_tonight_is_a_need() -> None:
    assert flaws() == []


def test_somebody_must_need_it() -> None:
    assert flaws(people=People(0, 0)) == [("/people", "nobody")]


def test_minors_alone_are_a_party() -> None:
    assert flaws(people=People(0, 1), audience=frozenset({Audience.UNACCOMPANIED_MINORS})) == []


def test_unaccompanied_minors_have_no_adult_with_them() -> None:
    alone = frozenset({Audience.UNACCOMPANIED_MINORS})
    assert flaws(audience=alone) == [("/audience", "adults_among_unaccompanied_minors")]


@pytest.mark.parametrize("hours", [18, 17])
def test_a_window_ends_after_it_starts(hours: int) -> None:
    assert flaws(ends=evening(hours)) == [("/until", "before_from")]


def test_a_window_that_has_passed_cannot_be_answered() -> None:
    assert flaws(starts=NOW - timedelta(hours=20), ends=NOW)[0] == ("/until", "in_the_past")


def test_a_need_may_be_written_down_after_the_party_came() -> None:
    assert flaws(starts=NOW - timedelta(hours=24)) == []
    assert flaws(starts=NOW - timedelta(hours=24, seconds=1)) == [("/from", "in_the_past")]


def test_a_stay_has_an_end_in_sight() -> None:
    assert flaws(ends=TERMS.starts + LONGEST_STAY) == []
    assert flaws(ends=TERMS.starts + LONGEST_STAY + timedelta(seconds=1)) == [("/until", "span_too_long")]


def test_a_need_begins_within_a_year() -> None:
    starts = NOW + LONGEST_WAIT + timedelta(days=1)
    assert flaws(starts=starts, ends=starts + timedelta(days=1)) == [("/from", "too_far_ahead")]


def test_a_shelter_is_asked_for_a_night() -> None:
    assert flaws(starts=evening(9, 1), ends=evening(17, 1)) == [("/until", "no_night_in_window")]
    assert flaws(Coverage.ANY, starts=evening(9, 1), ends=evening(17, 1)) == []


def test_a_class_names_its_language_and_nothing_else_does() -> None:
    french = Language("fr", None)
    assert flaws(Coverage.COURSE) == [("/language", "language_needed")]
    assert flaws(Coverage.COURSE, language=french) == []
    assert flaws(language=french) == [("/language", "language_not_used")]


def test_all_flaws_are_named_at_once() -> None:
    assert flaws(people=People(0, 0), ends=TERMS.starts) == [("/people", "nobody"), ("/until", "before_from")]


@pytest.mark.parametrize("urgency", Urgency)
def test_an_answer_is_due_within_the_patience_of_the_urgency(urgency: Urgency) -> None:
    patience = timedelta(minutes=FIRST_POLICY.answer_minutes[urgency])
    asked = replace(TERMS, urgency=urgency)
    assert deadline_of(asked, FIRST_POLICY, NOW) == TERMS.starts + patience


def test_patience_begins_when_a_late_need_is_posted() -> None:
    late = TERMS.starts + timedelta(hours=3)
    assert deadline_of(TERMS, FIRST_POLICY, late) == late + timedelta(minutes=FIRST_POLICY.answer_minutes["vital"])


def test_an_answer_is_due_before_the_need_is_over() -> None:
    assert deadline_of(replace(TERMS, urgency=Urgency.NORMAL), FIRST_POLICY, evening(7, 1)) == TERMS.ends
