"""Each stated reason is the reason: take it away, and the place is no longer lost for it."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.cells import Point, cell_of
from geo.distance import Kilometres, kilometres_between
from geo.travel import minutes_between
from matching.assign import Candidate, Cost, Decision, Way, cost_of, ranked
from matching.explain import Placement, Term, explain
from matching.needs import Language, Near, Need, OfferId, Preferences
from matching.offers import Crew, Offer, Slot
from matching.policy import FIRST_POLICY, Policy
from matching.preferring import preference_km
from matching.rules import RULES, Circumstances, cover, failures
from matching.states import AllocationState, OfferState
from matching.vocabulary import Audience, Level, SiteKind
from tests.matching.builders import NOW, need, night, offer, shelter_window
from tests.matching.removing import REMOVE, Scene, manned
from tests.places import BRIANCON, GAP

FRENCH = Language("fr", Level.A1)
PARTS = (Term.TRAVEL, Term.TIME, Term.PREFERENCE, Term.LOAD, Term.PRICE, Term.TOWN, Term.ASSOCIATION)
BY_LOT = {Term.TIE, Term.MARKS}
EVERY_REASON = {*RULES, *Term} - BY_LOT


def scene_of(seed: int) -> Scene:
    """One need, perhaps with a place, and another offer; most facts suit, so that each reason has its turn."""
    random = Random(seed)  # noqa: S311 - scenes must be the same each time
    asked = _asked(random)
    chosen = _offered(random, asked, suits=1.0)
    other = _offered(random, asked, suits=0.9 if random.random() < 0.5 else 1.0)
    placed = random.random() < 0.85
    policy = replace(FIRST_POLICY, candidates=random.choice((1, 1, 8)), round_candidates=random.choice((1, 50)))
    if random.random() < 0.05:
        asked = replace(asked, turned_down=frozenset({other.id}))
    asked, policy = _leaning(Random(seed + 1), asked, policy)  # noqa: S311 - as above
    placement = _placement(random, asked, chosen) if placed else None
    in_project = Random(seed + 2).random() < 0.2  # noqa: S311 - as above
    return Scene(asked, chosen, placement, other, Circumstances(policy, NOW), in_project)


def _leaning(random: Random, asked: Need, policy: Policy) -> tuple[Need, Policy]:
    """Some say something on their slip, and some policies weigh minutes."""
    said = Preferences(
        near=random.choice((None, Near(GAP.cell, Kilometres(40)), Near(BRIANCON.cell, Kilometres(2)))),
        wishes=frozenset(random.sample(("step_free", "women_only", "quiet"), random.choice((0, 1, 2)))),
    )
    weighed = replace(policy, minute_km=random.choice((0.0, 0.0, 0.0, 1.0)))
    return (replace(asked, preferences=said) if random.random() < 0.3 else asked), weighed


def _asked(random: Random) -> Need:
    return need(
        people=random.randint(1, 6),
        window=shelter_window(random.randint(1, 3)),
        requires=frozenset(random.sample(("step_free", "women_only", "interpreter:ps"), random.choice((0, 0, 1, 2)))),
        language=random.choice((None, None, FRENCH)),
    )


def _offered(random: Random, asked: Need, suits: float) -> Offer:
    def mostly(right: object, wrong: object) -> object:
        return right if random.random() < suits else wrong

    capacity = random.choice((8, 20))
    slots = tuple(_night(random, number, capacity, mostly(asked.people.count, 0)) for number in range(len(asked.days)))
    return offer(
        *(slots if mostly(1, 0) else slots[:-1]),
        category=mostly("shelter", "meal"),
        state=mostly(OfferState.OPEN, OfferState.PAUSED),
        cell=_cell(random, mostly(0.08, 2.0)),
        country=mostly("FR", "IT"),
        site_kind=mostly(SiteKind.MUNICIPAL_BUILDING, SiteKind.PRIVATE_HOME),
        audience=mostly(frozenset({Audience.ANYONE}), frozenset({Audience.WOMEN})),
        provides=mostly(asked.requires, frozenset()),
        language=mostly(asked.language, None),
        party_max=mostly(None, 1),
        nights_max=mostly(None, 1),
        verified_at=NOW - timedelta(days=int(str(mostly(1, 40)))),
        town_load=random.choice((0.0, 0.0, 2.5, 3.7, 9.0)),
        association_load=random.choice((0.0, 0.0, 1.2, 2.0, 3.1)),
    )


def _cell(random: Random, reach: object) -> int:
    east = float(str(reach))
    return cell_of(
        Point(BRIANCON.longitude + random.uniform(-east, east), BRIANCON.latitude + random.uniform(-0.05, 0.05))
    )


def _night(random: Random, number: int, capacity: int, least: object) -> Slot:
    free = random.randint(int(str(least)), capacity)
    slot = replace(night(number, free=free, capacity=capacity), price=random.choice((0.0, 0.0, 0.0, 4.0, 30.0)))
    if random.random() < 0.75:
        return slot
    # Where volunteers are asked for: as many as serve who is there, or a few more.
    crew = Crew(each=random.choice((3, 5)), minimum=random.choice((1, 2)), volunteers=0)
    whole = replace(slot, unstaffed=0, crew=crew)
    return manned(whole, crew.missing_for(capacity - free) + random.choice((0, 1, 4)))


def _placement(random: Random, asked: Need, chosen: Offer) -> Placement:
    way = random.choice(list(Way))
    return Placement(
        allocation_id=UUID(int=1),
        offer_id=chosen.id,
        state=AllocationState.HELD,
        people=asked.people.count,
        distance=kilometres_between(asked.cell, chosen.cell),
        policy_version=FIRST_POLICY.version,
        begins=frozenset(slot.window.starts for slot in chosen.slots),
        tentative=random.random() < 0.5,
        decision=random.choice((None, Decision(way, Cost(0.0, 0.0)))),
    )


@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 2**32))
def test_without_its_reason_an_offer_is_not_lost_for_it(seed: int) -> None:
    scene = scene_of(seed)
    code = scene.code
    if code not in BY_LOT:
        assert REMOVE[code](scene).code != code, scene


def test_every_reason_has_its_turn() -> None:
    told = Counter(scene_of(seed).code for seed in range(4000))
    assert {reason for reason in EVERY_REASON if told[reason] < 3} == set(), told


def test_every_reason_can_be_taken_away() -> None:
    assert set(REMOVE) == EVERY_REASON


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**32))
def test_a_rule_that_is_kept_again_is_no_failure_and_no_other_appears_before_it(seed: int) -> None:
    scene = scene_of(seed)
    if scene.code not in RULES:
        return
    after = REMOVE[scene.code](scene)
    codes = [failure.rule for failure in failures(after.need, after.other, after.at)]
    order = list(RULES)
    assert all(order.index(code) > order.index(scene.code) for code in codes), (scene.code, codes)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**32))
def test_one_volunteer_fewer_than_told_does_not_open_it(seed: int) -> None:
    scene = scene_of(seed)
    if scene.code != "staffing":
        return
    facts = dict(scene.told().others[0].reason.facts)
    more, short = int(facts["volunteers"]), int(facts["slots"])
    assert scene.with_slots(lambda slot: manned(slot, more - 1)).code == "staffing"
    crewed = [slot for slot in cover(scene.need, scene.other, NOW) if slot.free < scene.need.people.count]
    assert len(crewed) == short


def cost_in(scene: Scene, offered: Offer) -> Cost:
    """By the code that decides, not by the one that explains."""
    return cost_of(candidate(scene, offered), scene.at.policy)


def candidate(scene: Scene, offered: Offer) -> Candidate:
    slots = cover(scene.need, offered, NOW)
    return Candidate(
        offer_id=offered.id,
        slots=tuple(slot.id for slot in slots),
        free=min(slot.free for slot in slots),
        capacity=min(slot.capacity for slot in slots),
        distance=kilometres_between(scene.need.cell, offered.cell),
        tie=offered.id.int >> 65,
        version=1,
        price=sum(slot.price for slot in slots),
        town_load=offered.town_load,
        association_load=offered.association_load,
        minutes=minutes_between(scene.need.cell, offered.cell),
        preference=preference_km(scene.need, offered.cell, offered.provides, scene.at.policy),
    )


@settings(max_examples=800, deadline=None)
@given(st.integers(0, 2**32))
def test_where_a_term_is_all_that_an_offer_is_worse_in_it_wins_without_it(seed: int) -> None:
    scene = scene_of(seed)
    code = scene.code
    if code not in PARTS or next(failures(scene.need, scene.chosen, scene.at), None):
        return
    ours, theirs = cost_in(scene, scene.chosen), cost_in(scene, scene.other)
    worse = [term for term in PARTS if getattr(theirs, term) > getattr(ours, term)]
    assert code in worse
    if worse != [code]:
        return
    after = REMOVE[code](scene)
    ours, theirs = cost_in(after, after.chosen), cost_in(after, after.other)
    assert theirs.total <= ours.total + 1e-9


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_whom_the_matching_chooses_nobody_was_better_than(seed: int) -> None:
    first = scene_of(seed)
    offers = [each for each in (first.chosen, first.other) if not next(failures(first.need, each, first.at), None)]
    if len(offers) < 2:
        return
    order = ranked([candidate(first, each) for each in offers], first.at.policy)
    chosen = next(each for each in offers if each.id == order[0].offer_id)
    other = next(each for each in offers if each is not chosen)
    told = explain(first.need, [_placement(Random(seed), first.need, chosen)], [chosen], [other], first.at)  # noqa: S311
    assert told.others[0].code in {*PARTS, Term.TIE}


def test_a_tie_is_broken_by_anything() -> None:
    asked, chosen = need(), offer()
    scene = Scene(asked, chosen, _placement(Random(1), asked, chosen), offer(), Circumstances(FIRST_POLICY, NOW))  # noqa: S311
    assert scene.code == Term.TIE
    assert scene.offering(association_load=9.0).code == Term.ASSOCIATION
    assert scene.offering(mark=2.0).code == Term.MARKS
    assert scene.offering(mark=2.8).code == Term.TIE
    assert scene.offering(mark=4.0).code in {Term.KEPT, Term.SMALL_GAIN}
    assert replace(scene, chosen=replace(chosen, town_load=9.0)).code in {Term.KEPT, Term.SMALL_GAIN}


@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_no_more_than_so_many_of_the_nearest_are_weighed(candidates: int) -> None:
    full = offer(night(free=2))
    emptier = offer(cell=cell_of(Point(BRIANCON.longitude + 0.02, BRIANCON.latitude)))
    asked = need()
    at = Circumstances(replace(FIRST_POLICY, candidates=candidates), NOW)
    told = explain(asked, [_placement(Random(3), asked, full)], [full], [offer(night(free=2)), emptier], at)  # noqa: S311
    assert (told.others[-1].code == Term.BEYOND) == (candidates < 3)
    assert OfferId(told.others[-1].offer.id) == emptier.id
