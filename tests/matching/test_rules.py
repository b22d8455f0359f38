"""What fits: each rule alone keeps an unsuitable place away, and nothing else does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from geo.distance import kilometres_between
from matching.needs import Language, Need
from matching.offers import Offer
from matching.policy import FIRST_POLICY
from matching.rules import RULES, Circumstances, cover, failures, radius
from matching.states import OfferState
from matching.vocabulary import Audience, Coverage, Level, SiteKind
from matching.windows import Window
from tests.matching.builders import AT, NOW, evening, need, night, offer, session, shelter_window
from tests.places import BAYONNE, BRIANCON, GAP

HOME = SiteKind.PRIVATE_HOME
TRUSTED = [(1, True, []), (0, True, ["vetting"]), (1, False, ["vetting"])]
FRENCH = Language("fr", Level.A1)
EVENING = Window(evening(18), evening(20))


def failing(asked: Need, offered: Offer, at: Circumstances = AT) -> list[str]:
    """Codes of the rules that fail; who is not open has no room either, which is not a reason of its own."""
    codes = [failure.rule for failure in failures(asked, offered, at)]
    return [code for code in codes if code != "capacity" or "window" not in codes]


def course(*days: int, free: int = 1) -> Offer:
    sessions = [session(evening(18, day), minutes=90, free=free, capacity=8, number=day) for day in days]
    return offer(*sessions, category="language_class", language=FRENCH)


def learner(language: Language = FRENCH, window: Window | None = None) -> Need:
    return need(
        people=1,
        category="language_class",
        coverage=Coverage.COURSE,
        window=window or Window(evening(17), evening(23, 14)),
        language=language,
    )


def shower(people: int = 1, window: Window = EVENING) -> Need:
    return need(people=people, category="sanitation", coverage=Coverage.ANY, window=window)


ALONE = {
    "category": (need(), offer(category="meal")),
    "paused": (need(), offer(state=OfferState.PAUSED)),
    "stale": (need(), offer(verified_at=NOW - timedelta(days=21))),
    "vetting": (need(), offer(site_kind=HOME, vetted=False)),
    "distance": (need(), offer(cell=BAYONNE.cell)),
    "border": (need(), offer(country="IT")),
    "audience": (need(), offer(audience=frozenset({Audience.WOMEN}))),
    "access": (need(requires=frozenset({"step_free"})), offer(provides=frozenset({"lift"}))),
    "language": (need(requires=frozenset({"interpreter:ps"})), offer(provides=frozenset({"interpreter:fa"}))),
    "party_size": (need(people=5), offer(party_max=4)),
    "stay_length": (need(window=shelter_window(2)), offer(night(0), night(1), nights_max=1)),
    "refused_before": (need(), offer()),
    "window": (need(window=shelter_window(2)), offer(night(0))),
    "capacity": (need(people=3), offer(night(free=2))),
    "staffing": (need(people=3), offer(night(free=2, unstaffed=1))),
}
_ASKED, _OFFERED = ALONE["refused_before"]
ALONE["refused_before"] = (replace(_ASKED, turned_down=frozenset({_OFFERED.id})), _OFFERED)


def test_every_rule_has_a_case_in_which_it_alone_fails() -> None:
    assert set(ALONE) == set(RULES)


@pytest.mark.parametrize("code", RULES)
def test_each_rule_alone_keeps_a_place_away(code: str) -> None:
    assert failing(*ALONE[code]) == [code]


def test_a_place_that_keeps_every_rule_is_feasible() -> None:
    assert failing(need(), offer()) == []


@pytest.mark.parametrize(("adults", "vetted", "codes"), TRUSTED)
def test_a_private_home_takes_parties_with_an_adult_once_it_was_visited(
    *, adults: int, vetted: bool, codes: list[str]
) -> None:
    assert failing(need(people=2, minors=2 - adults), offer(site_kind=HOME, vetted=vetted)) == codes


def test_unaccompanied_minors_are_never_sent_to_a_private_home_whatever_the_heads() -> None:
    asked = need(audience=frozenset({Audience.UNACCOMPANIED_MINORS}))
    assert failing(asked, offer(site_kind=HOME, vetted=True)) == ["vetting"]


def test_an_offer_is_proposed_until_the_last_moment_before_it_is_stale() -> None:
    lately = NOW - timedelta(days=FIRST_POLICY.stale_after_days) + timedelta(microseconds=1)
    assert failing(need(), offer(verified_at=lately)) == []


def test_the_partys_own_limit_is_kept_when_it_is_nearer_than_the_policys() -> None:
    wide = Circumstances(replace(FIRST_POLICY, radius_km=80), NOW)
    km = kilometres_between(BRIANCON.cell, GAP.cell)
    assert failing(need(max_km=km - 1), offer(cell=GAP.cell), wide) == ["distance"]
    assert failing(need(max_km=km), offer(cell=GAP.cell), wide) == []


def test_the_partys_own_limit_never_reaches_beyond_the_policys() -> None:
    assert radius(need(max_km=500), FIRST_POLICY) == FIRST_POLICY.radius_km


def test_a_border_is_crossed_with_consent() -> None:
    assert failing(need(countries=frozenset({"FR", "IT"})), offer(country="IT")) == []


def test_consent_to_another_country_alone_leaves_ones_own_out() -> None:
    assert failing(need(countries=frozenset({"IT"})), offer(country="FR")) == ["border"]


@pytest.mark.parametrize(
    ("reserved", "party", "codes"),
    [
        ({Audience.WOMEN}, {Audience.WOMEN}, []),
        ({Audience.WOMEN, Audience.FAMILIES}, {Audience.FAMILIES}, []),
        ({Audience.WOMEN}, {Audience.FAMILIES}, ["audience"]),
        ({Audience.LGBTQ}, {Audience.ANYONE}, ["audience"]),
        ({Audience.ANYONE}, {Audience.LGBTQ}, []),
    ],
)
def test_a_reserved_place_takes_its_audience_alone(
    reserved: set[Audience], party: set[Audience], codes: list[str]
) -> None:
    assert failing(need(audience=frozenset(party)), offer(audience=frozenset(reserved))) == codes


@pytest.mark.parametrize("protection", ["women_only", "lgbtq_safe", "minors_supervised"])
def test_a_party_gets_the_protection_that_it_requires(protection: str) -> None:
    asked = need(requires=frozenset({protection}))
    assert failing(asked, offer()) == ["audience"]
    assert failing(asked, offer(provides=frozenset({protection}))) == []


def test_the_missing_feature_is_named() -> None:
    asked = need(requires=frozenset({"lift", "quiet", "step_free"}))
    (failure,) = failures(asked, offer(provides=frozenset({"lift"})), AT)
    assert failure.facts == (("missing", "quiet"),)


@pytest.mark.parametrize(
    ("wanted", "taught", "codes"),
    [
        (Language("fr", None), Language("fr", Level.B2), []),
        (Language("fr", Level.A1), Language("fr", Level.A1), []),
        (Language("fr", Level.A1), Language("fr", Level.A2), ["language"]),
        (Language("fr", Level.A1), Language("fr", None), ["language"]),
        (Language("it", None), Language("fr", None), ["language"]),
        (Language("fr", None), None, ["language"]),
    ],
)
def test_a_class_teaches_the_language_and_level_asked_for(
    wanted: Language, taught: Language | None, codes: list[str]
) -> None:
    assert failing(learner(language=wanted), replace(course(1, 3), language=taught)) == codes


def test_a_party_that_may_be_split_takes_what_room_there_is() -> None:
    asked = need(people=12, divisible=True)
    assert failing(asked, offer(night(free=1), party_max=4)) == []
    assert failing(asked, offer(night(free=0))) == ["capacity"]


def test_a_party_that_stays_together_needs_room_on_every_night() -> None:
    asked = need(people=4, window=shelter_window(3))
    assert failing(asked, offer(night(0), night(1, free=3), night(2))) == ["capacity"]
    assert failing(asked, offer(night(0), night(1, free=4), night(2))) == []


def test_a_door_that_closes_before_the_party_comes_is_closed() -> None:
    late = need(window=Window(evening(22, minute=30), evening(9, 1)))
    assert failing(late, offer(night(last_arrival=evening(22, minute=30)))) == ["window"]
    assert failing(late, offer(night(last_arrival=evening(22, minute=31)))) == []


def test_a_night_that_has_begun_is_still_a_night() -> None:
    at = Circumstances(FIRST_POLICY, evening(23))
    assert failing(need(), offer(), at) == []


def test_a_need_whose_window_has_passed_fits_nowhere() -> None:
    assert failing(need(), offer(), Circumstances(FIRST_POLICY, evening(9, 1))) == ["window"]


def test_a_shower_is_the_first_half_hour_with_room() -> None:
    showers = offer(
        *(session(evening(18, minute=30 * n), free=free, number=n) for n, free in enumerate([0, 1])),
        category="sanitation",
    )
    assert [slot.id for slot in cover(shower(), showers, NOW)] == [201]


def test_full_showers_are_full_rather_than_closed() -> None:
    assert failing(shower(), offer(session(evening(18), free=0), category="sanitation")) == ["capacity"]


def test_half_a_shower_is_a_shower_still() -> None:
    one = offer(session(evening(18)), category="sanitation")
    assert failing(shower(window=Window(evening(18, minute=15), evening(20))), one) == []
    assert failing(shower(window=Window(evening(18, minute=16), evening(20))), one) == ["window"]


def test_a_class_keeps_the_seat_for_the_whole_course() -> None:
    full_at_the_end = course(1, 3)
    last = replace(full_at_the_end.slots[-1], free=0)
    assert failing(learner(), replace(full_at_the_end, slots=(full_at_the_end.slots[0], last))) == ["capacity"]


def test_a_class_is_joined_at_the_next_session_and_kept_beyond_the_window() -> None:
    asked = learner(window=Window(evening(19, 1), evening(23, 4)))
    assert [slot.id for slot in cover(asked, course(1, 3, 20), NOW)] == [203, 220]


def test_a_class_that_begins_after_the_window_is_not_joined() -> None:
    assert failing(learner(window=Window(evening(17), evening(12, 1))), course(1, 3)) == ["window"]
