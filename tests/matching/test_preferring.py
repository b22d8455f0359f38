"""P2: what the people prefer is weighed, keeps nobody out, and weighs the same at once and in rounds."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.cells import Cell
from geo.distance import Kilometres, kilometres_between
from geo.travel import Minutes, minutes_between
from matching.assign import Candidate, cost_of, ranked
from matching.explain import Lost, Placement, Term, explain
from matching.leaning import lean_of_pairs
from matching.needs import NO_PREFERENCES, Near, Need, OfferId, Preferences, as_posted
from matching.offers import Offer
from matching.pairing import ANY_NUMBER, Kind, Pairs, Stalls, Wish
from matching.policy import FIRST_POLICY, Policy
from matching.preferring import minutes_of, preference_km
from matching.rules import Circumstances, failures
from matching.states import AllocationState
from matching.vocabulary import SiteKind
from tests.matching.builders import AT, NOW, need, night, offer
from tests.places import BRIANCON, CLAVIERE, GAP, MONTGENEVRE, OULX, PLACES

CELLS = st.sampled_from([place.cell for place in PLACES])
WORDS = st.frozensets(st.sampled_from(["quiet", "kitchen", "step_free"]))
SAID = st.builds(
    Preferences,
    st.none() | st.builds(Near, CELLS, st.integers(0, 30).map(Kilometres)),
    WORDS,
)
WEIGHED = replace(FIRST_POLICY, minute_km=0.5)


def candidate(number: int, km: int = 5, **facts: object) -> Candidate:
    made = Candidate(OfferId(UUID(int=number)), (1,), 5, 10, Kilometres(km), number, 1)
    return replace(made, **facts)  # type: ignore[arg-type]


def test_who_said_nothing_pays_nothing() -> None:
    assert preference_km(need(), GAP.cell, frozenset(), FIRST_POLICY) == 0
    assert preference_km(need(preferences=Preferences()), GAP.cell, frozenset(), FIRST_POLICY) == 0


def test_near_is_free_and_each_kilometre_beyond_it_costs() -> None:
    near = need(preferences=Preferences(near=Near(BRIANCON.cell, Kilometres(5))))
    km = kilometres_between(BRIANCON.cell, MONTGENEVRE.cell)
    assert preference_km(near, BRIANCON.cell, frozenset(), FIRST_POLICY) == 0
    assert preference_km(near, MONTGENEVRE.cell, frozenset(), FIRST_POLICY) == FIRST_POLICY.near_times * (km - 5)
    there = need(preferences=Preferences(near=Near(MONTGENEVRE.cell, Kilometres(0))))
    assert preference_km(there, MONTGENEVRE.cell, frozenset(), FIRST_POLICY) == 0
    assert preference_km(there, BRIANCON.cell, frozenset(), FIRST_POLICY) > 0


def test_each_wish_that_is_not_met_costs_and_all_together_no_more_than_the_policy_says() -> None:
    asked = need(preferences=Preferences(wishes=frozenset({"quiet", "kitchen"})))
    costs = [
        preference_km(asked, BRIANCON.cell, frozenset(provides), FIRST_POLICY)
        for provides in ((), ("quiet",), ("quiet", "kitchen", "pets"))
    ]
    assert costs == [2 * FIRST_POLICY.wish_km, FIRST_POLICY.wish_km, 0]
    capped = replace(FIRST_POLICY, preference_most_km=3)
    assert preference_km(asked, BRIANCON.cell, frozenset(), capped) == 3


@given(SAID, CELLS, WORDS)
def test_a_preference_never_makes_a_place_infeasible(said: Preferences, cell: Cell, provides: frozenset[str]) -> None:
    asked, place = need(countries=frozenset({"FR", "IT", "ES"})), offer(cell=cell, provides=provides, country="FR")
    plain = list(failures(asked, place, AT))
    assert list(failures(replace(asked, preferences=said), place, AT)) == plain


def test_what_they_wait_for_does_and_the_need_as_posted_knows_nothing_of_it() -> None:
    waits = Preferences(waits_for=frozenset({"quiet"}), posted_max_km=30, most_km=5)
    asked = need(requires=frozenset({"quiet"}), max_km=5, preferences=waits)
    assert [failure.rule for failure in failures(asked, offer(cell=MONTGENEVRE.cell), AT)] == ["distance", "access"]
    posted = as_posted(asked)
    assert (posted.requires, posted.max_km, posted.preferences) == (frozenset(), 30, NO_PREFERENCES)
    assert list(failures(posted, offer(cell=MONTGENEVRE.cell), AT)) == []


def test_minutes_are_weighed_only_where_the_policy_says_so() -> None:
    slow, quick = candidate(1, km=10, minutes=Minutes(60)), candidate(2, km=14, minutes=Minutes(20))
    assert [each.tie for each in ranked([slow, quick], FIRST_POLICY)] == [1, 2]
    assert [each.tie for each in ranked([slow, quick], WEIGHED)] == [2, 1]
    assert cost_of(slow, WEIGHED).time == 30
    assert cost_of(slow, FIRST_POLICY).time == 0


def test_an_engines_answer_counts_before_the_estimate() -> None:
    routed = {(BRIANCON.cell, GAP.cell): Minutes(77)}
    assert minutes_of(BRIANCON.cell, GAP.cell, routed) == 77
    assert minutes_of(GAP.cell, BRIANCON.cell, routed) == minutes_between(GAP.cell, BRIANCON.cell)


@pytest.mark.parametrize(
    ("marks", "first"),
    [((None, None), 1), ((3.2, 4.9), 2), ((2.0, None), 2), ((4.6, 4.4), 1), ((None, 2.0), 1)],
)
def test_marks_decide_between_equals_and_few_marks_count_as_middling(
    marks: tuple[float | None, float | None], first: int
) -> None:
    equal = [candidate(1, mark=marks[0]), candidate(2, mark=marks[1])]
    assert ranked(equal, FIRST_POLICY)[0].tie == first
    assert ranked(equal[::-1], FIRST_POLICY)[0].tie == first


def test_marks_never_outweigh_a_kilometre() -> None:
    worst, best = candidate(1, km=4, mark=1.0), candidate(2, km=5, mark=5.0)
    assert ranked([best, worst], FIRST_POLICY)[0].tie == 1


def test_what_is_explained_is_what_decided() -> None:
    chosen, other = offer(night(free=9)), offer(night(free=9))
    asked = need(preferences=Preferences(wishes=frozenset({"quiet"})))
    quiet = replace(chosen, provides=frozenset({"quiet"}))
    told = explain(asked, [_placed(asked, quiet)], [quiet], [other], AT)
    assert told.others[0].reason == _lost(Term.PREFERENCE, km=FIRST_POLICY.wish_km)
    far = replace(other, minutes=Minutes(41))
    near = replace(chosen, minutes=Minutes(1))
    slow = explain(need(), [_placed(need(), near)], [near], [far], Circumstances(WEIGHED, NOW))
    assert slow.others[0].reason == _lost(Term.TIME, km=20)
    liked = replace(chosen, mark=4.5)
    equal = explain(need(), [_placed(need(), liked)], [liked], [other], AT)
    assert equal.others[0].code == Term.MARKS
    assert explain(need(), [_placed(need(), chosen)], [chosen], [other], AT).others[0].code == Term.TIE


def _lost(term: Term, **facts: int) -> Lost:
    return Lost(term, tuple(facts.items()))


def _placed(asked: Need, where: Offer) -> Placement:
    return Placement(
        allocation_id=UUID(int=1),
        offer_id=where.id,
        state=AllocationState.HELD,
        people=asked.people.count,
        distance=kilometres_between(asked.cell, where.cell),
        policy_version=1,
        begins=frozenset(slot.window.starts for slot in where.slots),
    )


def stalls(offers: list[Offer]) -> Stalls:
    kinds = [
        Kind("shelter", each.country, SiteKind.MUNICIPAL_BUILDING, each.audience, each.provides) for each in offers
    ]
    many = np.full(len(offers), ANY_NUMBER)
    return Stalls(
        kinds=kinds,
        kind=np.arange(len(offers)),
        cell=np.array([each.cell for each in offers], np.int64),
        party_max=many,
        nights_max=many,
        free=np.ones((len(offers), 1), np.int64),
        last_arrival=np.ones((len(offers), 1)),
    )


def leans(
    asked: list[Need], offers: list[Offer], policy: Policy, routed: dict[tuple[Cell, Cell], Minutes]
) -> list[float]:
    wishes = [Wish(each, 1, Kilometres(50), 0.0, 0, 0) for each in asked]
    every = np.indices((len(asked), len(offers))).reshape(2, -1)
    pairs = Pairs(every[0], every[1], np.zeros(every.shape[1]))
    return [round(km, 6) for km in lean_of_pairs(wishes, stalls(offers), pairs, policy, routed).tolist()]


def at_once(asked: Need, where: Offer, policy: Policy, routed: dict[tuple[Cell, Cell], Minutes]) -> float:
    cost = cost_of(
        candidate(
            1,
            minutes=minutes_of(asked.cell, where.cell, routed),
            preference=preference_km(asked, where.cell, where.provides, policy),
        ),
        policy,
    )
    return round(cost.time + cost.preference, 6)


@given(
    st.lists(st.tuples(SAID, CELLS), min_size=1, max_size=4), st.lists(st.tuples(CELLS, WORDS), min_size=1, max_size=4)
)
def test_rounds_weigh_time_and_preferences_as_the_search_of_one_need_does(
    who: list[tuple[Preferences, Cell]], where: list[tuple[Cell, frozenset[str]]]
) -> None:
    asked = [need(preferences=said, cell=cell) for said, cell in who]
    offers = [offer(cell=cell, provides=provides) for cell, provides in where]
    routed = {(OULX.cell, CLAVIERE.cell): Minutes(17), (BRIANCON.cell, BRIANCON.cell): Minutes(2)}
    for policy in (FIRST_POLICY, WEIGHED):
        alone = [at_once(each, place, policy, routed) for each in asked for place in offers]
        assert leans(asked, offers, policy, routed) == alone


def test_control_a_round_under_another_policy_weighs_otherwise() -> None:
    asked = [need(preferences=Preferences(wishes=frozenset({"quiet"})))]
    assert leans(asked, [offer()], FIRST_POLICY, {}) != leans(asked, [offer()], replace(FIRST_POLICY, wish_km=3), {})
    assert leans(asked, [offer()], FIRST_POLICY, {}) != leans(asked, [offer()], WEIGHED, {})
