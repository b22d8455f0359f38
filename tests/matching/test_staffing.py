"""What the planner of shifts promises: no limit passed, and nearly as many people served as can be."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from time import perf_counter
from typing import Any
from uuid import UUID

import highspy
import pytest

from bench.staffing import best_of_random_orders, most_people
from bench.staffing_regions import Drawn, draw_region, flaws, imagined_towns, real_towns, region_of
from matching.staffing import (
    Call,
    Choice,
    Crew,
    Duty,
    Party,
    Region,
    StaffingPlan,
    Watch,
    volunteers_for,
)
from matching.staffing_greedy import plan_shifts
from matching.staffing_search import improve
from matching.staffing_territories import best_staffing, territories
from matching.windows import Window

MONDAY = date(2026, 12, 7)


def planned(given: Region) -> StaffingPlan:
    """As the worker has it planned, with time for a machine that does other things beside."""
    return best_staffing(given, clock=perf_counter, deadline=perf_counter() + 8.0)


def night(day: int) -> Window:
    starts = datetime(2026, 12, 7, 19, tzinfo=UTC) + timedelta(days=day)
    return Window(starts, starts + timedelta(hours=13))


def region(
    seed: int,
    *,
    sites: int = 4,
    crews: int = 4,
    nights: int = 3,
    parties: int = 12,
    tiers: tuple[int, ...] = (0, 1, 1, 2),
) -> Region:
    """Small regions in which sites, volunteers, weekly limits and places are all scarce now and then."""
    random = Random(seed)  # noqa: S311 - the same each time
    watches, able = {}, {}
    for site in range(sites):
        each, minimum, places = random.randint(2, 8), random.randint(0, 3), random.randint(4, 14)
        near = [crew for crew in range(crews) if random.random() < 0.6]
        for day in range(nights):
            slot = site * 100 + day
            staffed = random.random() < 0.15
            volunteers = max(1, minimum) if staffed else 0
            used = random.randint(0, min(places, volunteers * each)) if staffed else 0
            watches[slot] = Watch(slot, UUID(int=site), night(day), used, places, volunteers, each, minimum)
            able[slot] = [(crew, MONDAY + timedelta(days=day)) for crew in near if random.random() < 0.9]
    made = tuple(
        Crew(UUID(int=100 + crew), UUID(int=crew // 2), random.randint(1, 4), random.randint(1, 4), duties(random))
        for crew in range(crews)
    )
    return Region(tuple(party(random, sites, nights, tiers) for _ in range(parties)), watches, made, able)


def duties(random: Random) -> tuple[Duty, ...]:
    return (Duty(night(0), MONDAY, 1),) if random.random() < 0.3 else ()


def party(random: Random, sites: int, nights: int, tiers: tuple[int, ...]) -> Party:
    first = random.randrange(nights)
    days = range(first, min(nights, first + random.choice((1, 1, 2))))
    near = random.sample(range(sites), random.randint(1, min(3, sites)))
    choices = tuple(Choice(tuple(site * 100 + day for day in days), random.randint(0, 30)) for site in near)
    return Party(random.randint(1, 5), random.choice(tiers), choices)


def broken(given: Region, plan: StaffingPlan) -> Iterator[str]:
    """By the rules alone: what the shifts do that they must not."""
    able = {(crew, slot, day) for slot, each in given.able.items() for crew, day in each}
    for call in plan.calls:
        if (call.crew, call.slot, call.day) not in able or call.volunteers < 1:
            yield f"{call} cannot be"
    for number, crew in enumerate(given.crews):
        mine = [call for call in plan.calls if call.crew == number]
        weeks = Counter(duty.day.isocalendar()[:2] for duty in crew.duties)
        weeks.update(call.day.isocalendar()[:2] for call in mine)
        if mine and max(weeks.values()) > crew.weekly:
            yield f"{crew.pledge} is called {weeks} times"
        for call in mine:
            window = given.watches[call.slot].window
            busy = sum(duty.volunteers for duty in crew.duties if duty.window.overlaps(window))
            busy += sum(each.volunteers for each in mine if given.watches[each.slot].window.overlaps(window))
            if busy > crew.headcount:
                yield f"{crew.pledge} counts volunteers twice"


def serves(given: Region, plan: StaffingPlan) -> int:
    """How many people all sites together can place with these shifts at most, tier by tier all alike: solved anew."""
    volunteers = {slot: watch.volunteers for slot, watch in given.watches.items()}
    for call in plan.calls:
        volunteers[call.slot] += call.volunteers
    return _most_people(given, fixed=volunteers)


def _most_people(given: Region, fixed: dict[int, int] | None = None) -> int:
    """The exact optimum by a mixed-integer programme: who goes where, and who serves where."""
    model: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    model.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    placed = {
        (number, choice): model.addBinary()
        for number, each in enumerate(given.parties)
        for choice in range(len(each.choices))
    }
    for number, each in enumerate(given.parties):
        if each.choices:
            model.addConstr(sum(placed[number, choice] for choice in range(len(each.choices))) <= 1)
    come: dict[tuple[int, int], highspy.highs.highs_var] = {}
    called: defaultdict[int, list[tuple[int, highspy.highs.highs_var]]] = defaultdict(list)
    for slot, watch in given.watches.items():
        inside = sum(
            given.parties[number].people * variable
            for (number, choice), variable in placed.items()
            if slot in given.parties[number].choices[choice].slots
        )
        here = [
            variable
            for (number, choice), variable in placed.items()
            if slot in given.parties[number].choices[choice].slots
        ]
        if not here:
            continue
        model.addConstr(inside <= watch.places - watch.used)
        if fixed is not None:
            able = fixed[slot] if fixed[slot] >= max(1, watch.minimum) else 0
            model.addConstr(inside + watch.used <= max(able * watch.each, watch.used))
            continue
        volunteers = watch.volunteers
        for crew, _ in given.able[slot]:
            come[crew, slot] = model.addIntegral(0, given.crews[crew].headcount)
            shift = model.addBinary()
            called[crew].append((slot, shift))
            model.addConstr(come[crew, slot] <= given.crews[crew].headcount * shift)
            volunteers = volunteers + come[crew, slot]
        model.addConstr(inside + watch.used <= watch.each * volunteers)
        for variable in here:
            model.addConstr(max(1, watch.minimum) * variable <= volunteers)
    for crew, shifts in called.items():
        mine = given.crews[crew]
        model.addConstr(sum(shift for _, shift in shifts) <= max(0, mine.weekly - len(mine.duties)))
        for slot, _ in shifts:
            window = given.watches[slot].window
            busy = sum(duty.volunteers for duty in mine.duties if duty.window.overlaps(window))
            beside = [come[crew, other] for other, _ in shifts if given.watches[other].window.overlaps(window)]
            model.addConstr(sum(beside) <= max(0, mine.headcount - busy))
    model.maximize(sum(given.parties[number].people * variable for (number, _), variable in placed.items()))
    people: int = round(model.getInfo().objective_function_value)
    return people


@pytest.mark.parametrize("seed", range(60))
def test_no_limit_is_passed_and_everybody_counted_can_be_placed(seed: int) -> None:
    given = region(seed)
    for plan in (plan_shifts(given, seed=0), planned(given)):
        assert list(broken(given, plan)) == []
        assert serves(given, plan) >= sum(plan.people)


def test_the_checker_sees_a_volunteer_counted_twice_and_a_week_too_full() -> None:
    given = region(1)
    (call, *_) = plan_shifts(given, seed=0).calls
    greedy = StaffingPlan((replace(call, volunteers=99),), 0, (0, 0, 0), 0)
    assert any("twice" in flaw for flaw in broken(given, greedy))
    idle = replace(given, crews=tuple(replace(crew, weekly=0) for crew in given.crews))
    assert any("times" in flaw for flaw in broken(idle, StaffingPlan((call,), 0, (0, 0, 0), 0)))


def test_all_regions_together_serve_nearly_what_is_possible() -> None:
    regions = [region(seed, tiers=(1,)) for seed in range(60)]
    served = sum(sum(planned(each).people) for each in regions)
    best = sum(_most_people(each) for each in regions)
    assert best > 500, "the regions are too poor to show anything"
    assert served >= 0.95 * best, f"{served} of {best}"


@pytest.mark.parametrize("seed", range(6))
def test_no_worse_than_the_best_of_two_hundred_random_orders(seed: int) -> None:
    given = region(seed, sites=8, crews=8, nights=4, parties=40, tiers=(1,))
    plan = planned(given)
    assert list(broken(given, plan)) == []
    random = Random(seed)  # noqa: S311 - the same each time
    assert sum(plan.people) >= max(_greedy(given, random) for _ in range(200))


def test_of_urgency_and_number_urgency_decides() -> None:
    for seed in range(20):
        given = region(seed)
        vital = replace(given, parties=tuple(party for party in given.parties if party.tier == 0))
        assert planned(given).people[0] == planned(vital).people[0]


def _greedy(given: Region, random: Random) -> int:
    """People served when parties come in a random order, each to its nearest site that can be staffed in any way."""
    people = {slot: watch.used for slot, watch in given.watches.items()}
    volunteers = {slot: watch.volunteers for slot, watch in given.watches.items()}
    mine = {number: list(crew.duties) for number, crew in enumerate(given.crews)}
    served = 0
    for one in random.sample(given.parties, len(given.parties)):
        for choice in sorted(one.choices, key=lambda each: each.km):
            if any(given.watches[slot].places - people[slot] < one.people for slot in choice.slots):
                continue
            calls = _called(given, choice, one.people, people, volunteers, mine)
            if calls is None:
                continue
            for call in calls:
                volunteers[call.slot] += call.volunteers
                mine[call.crew].append(Duty(given.watches[call.slot].window, call.day, call.volunteers))
            for slot in choice.slots:
                people[slot] += one.people
            served += one.people
            break
    return served


def _called(
    given: Region,
    choice: Choice,
    more: int,
    people: dict[int, int],
    volunteers: dict[int, int],
    duties: dict[int, list[Duty]],
) -> list[Call] | None:
    calls: list[Call] = []
    for slot in choice.slots:
        watch = given.watches[slot]
        missing = volunteers_for(people[slot] + more, watch.each, watch.minimum) - volunteers[slot]
        for crew, day in given.able[slot]:
            if missing <= 0:
                break
            taken = [
                *duties[crew],
                *(Duty(given.watches[c.slot].window, c.day, c.volunteers) for c in calls if c.crew == crew),
            ]
            spare = given.crews[crew].headcount - sum(d.volunteers for d in taken if d.window.overlaps(watch.window))
            if (
                spare > 0
                and sum(d.day.isocalendar()[:2] == day.isocalendar()[:2] for d in taken) < given.crews[crew].weekly
            ):
                calls.append(Call(crew, slot, day, min(spare, missing)))
                missing -= min(spare, missing)
        if missing > 0:
            return None
    return calls


def test_the_vital_come_first() -> None:
    watch = Watch(1, UUID(int=1), night(0), 0, 4, 0, 4, 1)
    crew = Crew(UUID(int=2), UUID(int=3), 1, 1, ())
    here = (Choice((1,), 0),)
    given = Region((Party(4, 2, here), Party(2, 0, here)), {1: watch}, (crew,), {1: [(0, MONDAY)]})
    assert plan_shifts(given, seed=0).people == (2, 0, 0)
    assert planned(given).people == (2, 0, 0)


@pytest.mark.parametrize(("people", "expected"), [(0, 0), (1, 2), (30, 2), (31, 3)])
def test_volunteers_grow_with_the_people_from_the_minimum_on(people: int, expected: int) -> None:
    assert volunteers_for(people, each=15, minimum=2) == expected


def test_volunteers_fill_a_hall_that_is_open_before_they_open_another() -> None:
    halls = {
        1: Watch(1, UUID(int=1), night(0), 2, 10, 1, 10, 1),
        2: Watch(2, UUID(int=2), night(0), 0, 10, 0, 10, 1),
    }
    crew = Crew(UUID(int=3), UUID(int=4), 5, 7, ())
    # The closed one is nearer, and full of room.
    parties = (Party(4, 2, (Choice((2,), 0), Choice((1,), 9))), Party(3, 2, (Choice((2,), 0), Choice((1,), 9))))
    plan = planned(Region(parties, halls, (crew,), {1: [(0, MONDAY)], 2: [(0, MONDAY)]}))
    assert (sum(plan.people), plan.calls, plan.opened) == (7, (), 0)
    full = {**halls, 1: replace(halls[1], volunteers=1, each=6)}
    plan = planned(Region(parties, full, (crew,), {1: [(0, MONDAY)], 2: [(0, MONDAY)]}))
    assert [(call.slot, call.volunteers) for call in plan.calls] == [(1, 1)], "a second volunteer where one is already"


def test_shifts_are_spread_over_associations_by_what_they_pledged() -> None:
    slots = range(6)
    halls = {slot: Watch(slot, UUID(int=slot), night(slot), 0, 5, 0, 5, 1) for slot in slots}
    parties = tuple(Party(3, 2, (Choice((slot,), 1),)) for slot in slots)
    crews = (Crew(UUID(int=11), UUID(int=1), 2, 4, ()), Crew(UUID(int=12), UUID(int=2), 2, 4, ()))
    able = {slot: [(0, MONDAY + timedelta(slot)), (1, MONDAY + timedelta(slot))] for slot in slots}
    plan = planned(Region(parties, halls, crews, able))
    assert Counter(call.crew for call in plan.calls) == {0: 3, 1: 3}
    tired = (replace(crews[0], duties=(Duty(night(-2), MONDAY - timedelta(2), 1),) * 2), crews[1])
    plan = planned(Region(parties, halls, tired, able))
    assert Counter(call.crew for call in plan.calls) == {0: 2, 1: 4}, "who served lately is spared"


def test_a_sunday_night_counts_in_the_week_that_it_ends() -> None:
    sunday, monday = MONDAY + timedelta(6), MONDAY + timedelta(7)
    halls = {slot: Watch(slot, UUID(int=slot), night(6 + slot), 0, 5, 0, 5, 1) for slot in (0, 1)}
    parties = (Party(3, 2, (Choice((0, 1), 1),)),)
    crew = Crew(UUID(int=11), UUID(int=1), 2, 1, ())
    plan = planned(Region(parties, halls, (crew,), {0: [(0, sunday)], 1: [(0, monday)]}))
    assert (plan.people, len(plan.calls)) == ((0, 0, 3), 2), "one shift in each of two weeks"
    same = planned(Region(parties, halls, (crew,), {0: [(0, sunday)], 1: [(0, sunday)]}))
    assert (same.people, same.calls) == ((0, 0, 0), ())


def test_territories_share_nothing_and_leave_nobody_out() -> None:
    apart = [region(seed, sites=3, crews=2, parties=6) for seed in (1, 2)]
    shifted = [
        Region(
            tuple(
                replace(
                    party,
                    choices=tuple(
                        Choice(tuple(at * 10_000 + slot for slot in choice.slots), choice.km)
                        for choice in party.choices
                    ),
                )
                for party in each.parties
            ),
            {at * 10_000 + slot: replace(watch, slot=at * 10_000 + slot) for slot, watch in each.watches.items()},
            each.crews,
            {
                at * 10_000 + slot: [(crew + at * len(apart[0].crews), day) for crew, day in able]
                for slot, able in each.able.items()
            },
        )
        for at, each in enumerate(apart)
    ]
    whole = Region(
        sum((each.parties for each in shifted), ()),
        {slot: watch for each in shifted for slot, watch in each.watches.items()},
        sum((each.crews for each in shifted), ()),
        {slot: able for each in shifted for slot, able in each.able.items()},
    )
    parts = territories(whole)
    assert len(parts) > 1
    assert sorted(party for part in parts for party in part.parties) == list(range(len(whole.parties)))
    assert sorted(slot for part in parts for slot in part.region.watches) == sorted(whole.watches)
    plan = planned(whole)
    assert list(broken(whole, plan)) == []
    assert sum(plan.people) == sum(sum(planned(each).people) for each in apart)


def _drawn(seed: int, *, level: bool) -> Drawn:
    towns = imagined_towns(4, seed) if seed % 2 else real_towns("Briançon", 40.0)[:12]
    return draw_region(towns, seed=seed, halls=6, pledges=8, parties=40, nights=5, level=level)


@pytest.mark.parametrize("seed", range(10))
def test_around_real_towns_a_plan_serves_nearly_what_another_solver_proves_and_no_less_than_any_order(
    seed: int,
) -> None:
    drawn = _drawn(seed, level=True)
    plan = planned(region_of(drawn))
    assert list(flaws(drawn, plan)) == []
    assert sum(plan.people) >= best_of_random_orders(drawn, region_of(drawn), 200, seed)
    best, _ = most_people(drawn, region_of(drawn), 5.0)
    assert sum(plan.people) >= 0.95 * (best or 0)


@pytest.mark.parametrize("seed", range(4))
def test_piece_by_piece_a_plan_is_never_worse_and_stays_within_every_limit(seed: int) -> None:
    drawn = _drawn(seed, level=False)
    given = region_of(drawn)
    begin = plan_shifts(given, seed=0, tries=0)
    ticks = iter(range(25, -1, -1))
    better = improve(given, begin, seconds_left=lambda: float(next(ticks)), seed=seed)
    assert better.merit >= begin.merit
    assert list(flaws(drawn, better)) == []


def test_the_checker_sees_what_a_plan_must_not_do() -> None:
    drawn = _drawn(1, level=True)
    plan = planned(region_of(drawn))
    call = max(plan.calls, key=lambda each: each.volunteers)
    wrong = {
        "counts a volunteer twice": replace(plan, calls=(*plan.calls, replace(call, volunteers=99))),
        "has too few volunteers": replace(plan, calls=()),
        "split": replace(plan, seats=(*plan.seats, plan.seats[0])),
        "are counted": replace(plan, people=(0, 0, 1)),
    }
    for words, each in wrong.items():
        assert any(words in flaw for flaw in flaws(drawn, each)), words
    narrow = replace(
        drawn, pledges=tuple(replace(each, radius_km=-1.0, skill="care", weekly=0) for each in drawn.pledges)
    )
    told = " ".join(flaws(narrow, plan))
    assert all(words in told for words in ("beyond the radius", "lacks the skill", "more often in a week"))
