"""One house alone: by the rules of the matching, in the order given, and never more than it has."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as some

from matching.needs import Need
from matching.offers import Offer
from matching.one_house import HouseAlone, Lot, Waiting, whom_it_takes
from matching.rules import failures
from matching.vocabulary import Audience
from matching.windows import Window
from tests.matching.builders import AT, evening, need, night, offer
from tests.places import GAP


def alone(house: Offer, *parties: Need) -> HouseAlone:
    return whom_it_takes(house, [Waiting(each, each.people.count) for each in parties], AT)


def of(found: HouseAlone) -> tuple[tuple[int, int], dict[str, tuple[int, int]]]:
    return (found.taken.parties, found.taken.people), {
        rule: (lot.parties, lot.people) for rule, lot in found.kept_out.items()
    }


def nights(count: int) -> Window:
    return Window(evening(18), evening(9, count))


def test_who_comes_first_is_first_and_who_fits_beside_them_comes_in() -> None:
    found = alone(offer(night(free=6, capacity=6)), need(people=4), need(people=3), need(people=2))
    assert (found.asked.parties, found.asked.people) == (3, 9)
    assert of(found) == ((2, 6), {"capacity": (1, 3)})


def test_each_is_kept_out_by_the_first_rule_that_fails() -> None:
    found = alone(
        offer(),
        need(),
        need(requires=frozenset({"step_free"})),
        need(requires=frozenset({"women_only"})),
        need(countries=frozenset({"IT"})),
        need(cell=GAP.cell, max_km=1),
        need(window=nights(2)),
        need(people=11),
    )
    assert of(found) == (
        (1, 2),
        {
            "access": (1, 2),
            "audience": (1, 2),
            "border": (1, 2),
            "distance": (1, 2),
            "window": (1, 2),
            "capacity": (1, 11),
        },
    )
    assert alone(offer(provides=frozenset({"step_free"})), need(requires=frozenset({"step_free"}))).taken.people == 2
    women = offer(audience=frozenset({Audience.WOMEN}))
    assert of(alone(women, need(), need(audience=frozenset({Audience.WOMEN})))) == ((1, 2), {"audience": (1, 2)})


def test_a_night_that_is_full_keeps_out_who_needs_it_and_nobody_else() -> None:
    house = offer(night(0, free=2, capacity=2), night(1, free=2, capacity=2))
    tomorrow = Window(evening(18, 1), evening(9, 2))
    assert of(alone(house, need(), need(window=nights(2)), need(window=tomorrow))) == ((2, 4), {"capacity": (1, 2)})


def test_of_a_party_that_may_be_divided_some_come_in() -> None:
    found = alone(offer(night(free=5, capacity=5)), need(people=8, divisible=True), need(people=1))
    assert of(found) == ((1, 5), {"capacity": (2, 4)})
    rest = whom_it_takes(offer(), [Waiting(need(people=8, divisible=True), 3)], AT)
    assert of(rest) == ((1, 3), {})


asks = some.tuples(some.integers(1, 6), some.integers(0, 3), some.integers(1, 3), some.booleans())


@given(some.lists(asks, max_size=30), some.integers(1, 12))
def test_never_more_than_there_is_and_nobody_who_breaks_a_rule(
    asked: list[tuple[int, int, int, bool]], free: int
) -> None:
    house = offer(*(night(day, free=free, capacity=free) for day in range(4)))
    parties = [
        need(
            people=people,
            window=Window(evening(18, first), evening(9, first + stay)),
            requires=frozenset({"lift"} if lift else ()),
        )
        for people, first, stay, lift in asked
    ]
    found = alone(house, *parties)
    assert found.taken.people <= free * 4
    roomy = replace(house, slots=tuple(replace(slot, free=1000) for slot in house.slots))
    able = [each for each in parties if next(failures(each, roomy, AT), None) is None]
    full = found.kept_out.get("capacity", Lot())
    assert found.taken.people + full.people == sum(each.people.count for each in able)
