"""What the planner of shifts promises: no limit passed, and nearly as many people served as can be."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import highspy
import pytest

from matching.staffing import (
    Call,
    Choice,
    Crew,
    Duty,
    Party,
    Region,
    StaffingPlan,
    Watch,
    plan_shifts,
    volunteers_for,
)
from matching.staffing_programme import best_staffing
from matching.windows import Window

MONDAY = date(2026, 12, 7)


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
    for plan in (plan_shifts(given, seed=0), best_staffing(given, 2.0)):
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
    served = sum(sum(best_staffing(each, 2.0).people) for each in regions)
    best = sum(_most_people(each) for each in regions)
    assert best > 500, "the regions are too poor to show anything"
    assert served >= 0.95 * best, f"{served} of {best}"


@pytest.mark.parametrize("seed", range(6))
def test_no_worse_than_the_best_of_two_hundred_random_orders(seed: int) -> None:
    given = region(seed, sites=8, crews=8, nights=4, parties=40, tiers=(1,))
    plan = best_staffing(given, 2.0)
    assert list(broken(given, plan)) == []
    random = Random(seed)  # noqa: S311 - the same each time
    assert sum(plan.people) >= max(_greedy(given, random) for _ in range(200))


def test_of_urgency_and_number_urgency_decides() -> None:
    for seed in range(20):
        given = region(seed)
        vital = replace(given, parties=tuple(party for party in given.parties if party.tier == 0))
        assert best_staffing(given, 2.0).people[0] == best_staffing(vital, 2.0).people[0]


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
    assert best_staffing(given, 2.0).people == (2, 0, 0)


@pytest.mark.parametrize(("people", "expected"), [(0, 0), (1, 2), (30, 2), (31, 3)])
def test_volunteers_grow_with_the_people_from_the_minimum_on(people: int, expected: int) -> None:
    assert volunteers_for(people, each=15, minimum=2) == expected
