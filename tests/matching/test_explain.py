"""Why this place and why not the others: each offer around a need gets the reason that decided about it."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

from geo.distance import kilometres_between
from matching.explain import MOST_OTHERS, Explanation, Placement, Term, explain, unmet_reasons
from matching.needs import Need
from matching.offers import Offer
from matching.policy import FIRST_POLICY
from matching.rules import Failure
from matching.states import AllocationState, OfferState
from tests.matching.builders import AT, DAY, evening, need, night, offer
from tests.matching.test_rules import ALONE
from tests.places import BAYONNE, BRIANCON, GAP, HENDAYE, MONTGENEVRE


def placed(asked: Need, chosen: Offer, people: int | None = None) -> Placement:
    return Placement(
        allocation_id=uuid4(),
        offer_id=chosen.id,
        state=AllocationState.HELD,
        people=people or asked.people.count,
        distance=kilometres_between(asked.cell, chosen.cell),
        policy_version=FIRST_POLICY.version,
        begins=frozenset(slot.window.starts for slot in chosen.slots),
    )


def told(asked: Need, chosen: Offer | None, *others: Offer) -> Explanation:
    had = [] if chosen is None else [chosen]
    return explain(asked, [placed(asked, each) for each in had], had, others, AT)


def codes(explanation: Explanation) -> list[str]:
    return [other.code for other in explanation.others]


@pytest.mark.parametrize("rule", [rule for rule in ALONE if rule != "category"])
def test_each_rule_that_failed_is_told_with_its_facts(rule: str) -> None:
    asked, unfit = ALONE[rule]
    (other,) = told(asked, None, unfit).others
    assert isinstance(other.reason, Failure)
    assert other.reason.rule == rule


def test_a_chosen_place_tells_its_terms_and_the_policy_it_was_chosen_under() -> None:
    asked, chosen = need(people=2), offer(night(free=4), cell=MONTGENEVRE.cell)
    (place,) = told(asked, chosen).chosen
    assert place.placement.policy_version == FIRST_POLICY.version
    assert place.cost.travel == kilometres_between(BRIANCON.cell, MONTGENEVRE.cell)
    assert place.cost.load == pytest.approx(FIRST_POLICY.load_km * 6 / 10)


def test_a_chosen_place_is_never_among_the_others() -> None:
    chosen = offer()
    asked = replace(need(), turned_down=frozenset({chosen.id}))
    assert told(asked, chosen, chosen).others == ()


def test_a_place_farther_away_lost_on_travel_by_so_many_kilometres() -> None:
    (other,) = told(need(), offer(), offer(cell=MONTGENEVRE.cell)).others
    assert other.reason.facts == (("km", kilometres_between(BRIANCON.cell, MONTGENEVRE.cell)),)
    assert other.code == Term.TRAVEL


def test_a_fuller_place_lost_on_load() -> None:
    assert codes(told(need(), offer(), offer(night(free=3)))) == [Term.LOAD]


def test_what_weighed_more_is_told() -> None:
    far_and_a_little_fuller = offer(night(free=9), cell=MONTGENEVRE.cell)
    assert codes(told(need(), offer(), far_and_a_little_fuller)) == [Term.TRAVEL]


def test_equals_are_drawn_by_lot() -> None:
    assert codes(told(need(), offer(), offer())) == [Term.TIE]


def test_a_place_that_became_better_since_moves_nobody() -> None:
    assert codes(told(need(), offer(night(free=3)), offer())) == [Term.KEPT]


def test_a_need_without_a_place_is_told_what_fits_and_why_not_the_rest() -> None:
    asked = need()
    explanation = told(asked, None, offer(), offer(night(free=1)), offer(country="IT"))
    assert codes(explanation) == [Term.FITS, "capacity", "border"]
    assert explanation.left == asked.people.count


def test_a_party_that_is_partly_placed_still_seeks_for_the_rest() -> None:
    asked, chosen = need(people=5, divisible=True), offer(night(free=3))
    explanation = explain(asked, [placed(asked, chosen, 3)], [chosen], [offer(night(free=1))], AT)
    assert explanation.left == 2
    assert codes(explanation) == [Term.FITS]


def test_of_several_places_of_one_party_the_costliest_is_what_others_lost_to() -> None:
    asked = need(people=12, divisible=True)
    near, far = offer(), offer(cell=MONTGENEVRE.cell)
    explanation = explain(asked, [placed(asked, near, 10), placed(asked, far, 2)], [near, far], [offer()], AT)
    assert codes(explanation) == [Term.KEPT]


def test_a_place_whose_nights_are_over_still_tells_how_far_it_is() -> None:
    asked, chosen = need(), offer(cell=MONTGENEVRE.cell)
    placement = placed(asked, chosen)
    (place,) = explain(asked, [placement], [replace(chosen, slots=())], [], AT).chosen
    assert (place.cost.travel, place.cost.load) == (placement.distance, 0)


def test_the_nearest_are_told_one_by_one_and_the_rest_counted() -> None:
    near = [offer(night(free=1)) for _ in range(MOST_OTHERS)]
    rest = [offer(state=OfferState.PAUSED), offer(country="IT"), offer(country="ES")]
    explanation = told(need(), None, *near, *rest)
    assert [other.offer for other in explanation.others] == near
    assert explanation.counts == {"border": 2, "paused": 1}


def reasons(*offers: Offer) -> dict[str, int]:
    return unmet_reasons(need(people=4), offers, AT)


@pytest.mark.parametrize("around", [(), (offer(category="meal"),)])
def test_a_help_that_nobody_offers_is_unmet_for_its_category(around: Sequence[Offer]) -> None:
    assert reasons(*around) == {"category": 0}


def test_a_help_that_is_offered_only_far_away_is_unmet_for_distance() -> None:
    assert reasons(offer(cell=BAYONNE.cell), offer(cell=HENDAYE.cell, country="ES")) == {"distance": 2}


def test_places_within_reach_are_counted_by_the_first_rule_that_fails() -> None:
    full, paused, abroad = offer(night(free=3)), offer(state=OfferState.PAUSED), offer(country="IT")
    other_night = offer(replace(night(), day=DAY.replace(day=2)))
    far = offer(cell=GAP.cell)
    assert reasons(full, full, paused, abroad, other_night, far) == {
        "border": 1,
        "capacity": 2,
        "paused": 1,
        "window": 1,
    }


def test_a_place_that_fits_is_no_reason() -> None:
    assert reasons(offer(), offer(night(free=3, last_arrival=evening(21)))) == {"capacity": 1}
