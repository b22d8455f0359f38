"""Pathways: the best of all plans is found, held against a search that knows nothing but the facts of each plan."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.cells import Cell, Point, cell_of
from geo.distance import Kilometres, kilometres_between
from matching.assign import Candidate, cost_of
from matching.needs import OfferId
from matching.pathways import Found, PathwayState, Plan, Spot, Step, beside_bed, best_plan, cost_from, state_of
from matching.policy import FIRST_POLICY
from matching.states import NeedState
from matching.vocabulary import ACCESS, PROTECTIVE, Urgency
from tests.places import BRIANCON

FAMILY = 4
CELLS = [
    cell_of(Point(BRIANCON.longitude + x * 0.06, BRIANCON.latitude + y * 0.05)) for x in range(4) for y in range(4)
]


def spot(number: int, cell: Cell, km: int = 0, *, free: int = 10, slots: tuple[int, ...] | None = None) -> Spot:
    """An offer so far from the town, with a slot of its own unless told otherwise."""
    taken = (number,) if slots is None else slots
    return Spot(Candidate(OfferId(UUID(int=number)), taken, free, 10, Kilometres(km), tie=number, version=1), cell)


def step(*spots: Spot, reach: int = 5, urgency: Urgency = Urgency.NORMAL) -> Step:
    return Step(urgency, FAMILY, Kilometres(reach), spots)


@dataclass(frozen=True)
class World:
    """What there is for one pathway."""

    beds: tuple[Spot, ...]
    steps: tuple[Step, ...]
    found: tuple[Found, ...]
    present: Spot | None

    def best(self) -> Plan | None:
        return best_plan(self.beds, self.steps, self.found, FIRST_POLICY, self.present)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to four beds, up to three steps with up to four offers each, some of them in rooms that they share."""
    cells = st.sampled_from(CELLS)
    beds = tuple(
        spot(number, draw(cells), draw(st.integers(0, 30))) for number in range(1, 1 + draw(st.integers(0, 4)))
    )
    steps = []
    for number in range(draw(st.integers(0, 3))):
        room = st.one_of(st.none(), st.sampled_from([(900,), (901,), (900, 901)]))
        free = st.sampled_from([FAMILY, 2 * FAMILY, 30])
        spots = [
            spot(100 * (number + 1) + each, draw(cells), free=draw(free), slots=draw(room))
            for each in range(draw(st.integers(0, 4)))
        ]
        steps.append(step(*spots, reach=draw(st.integers(1, 12)), urgency=draw(st.sampled_from(Urgency))))
    found = [
        Found(draw(st.sampled_from(Urgency)), Kilometres(draw(st.integers(1, 12))), draw(cells))
        for _ in range(draw(st.integers(0, 1)))
    ]
    present = draw(st.sampled_from([None, *beds]))
    return World(beds, tuple(steps), tuple(found), present)


def possible(world: World) -> Iterator[Plan]:
    """Every plan that keeps what is promised: within reach, and no slot filled beyond its room."""
    for bed, *choice in product(world.beds, *((*each.spots, None) for each in world.steps)):
        assert bed is not None
        people: Counter[int] = Counter()
        for chosen in choice:
            people.update(dict.fromkeys(chosen.candidate.slots if chosen else (), FAMILY))
        if all(
            chosen is None
            or (
                kilometres_between(bed.cell, chosen.cell) <= each.reach
                and all(people[slot] <= chosen.candidate.free for slot in chosen.candidate.slots)
            )
            for chosen, each in zip(choice, world.steps, strict=True)
        ):
            yield Plan(bed, tuple(choice))


def worth(world: World, plan: Plan) -> tuple[Sequence[int], bool, float]:
    """Steps near the bed by urgency, whether the party stays, and kilometres saved; more is better."""
    near = [each.urgency for each, chosen in zip(world.steps, plan.steps, strict=True) if chosen]
    near += [each.urgency for each in world.found if kilometres_between(plan.bed.cell, each.cell) <= each.reach]
    km = cost_of(plan.bed.candidate, FIRST_POLICY).total
    km += sum(cost_from(plan.bed.cell, chosen, FIRST_POLICY).total for chosen in plan.steps if chosen)
    return [near.count(tier) for tier in Urgency], world.present in (None, plan.bed), round(-km, 6)


@given(worlds())
def test_the_best_of_all_plans_is_chosen(world: World) -> None:
    best = world.best()
    plans = list(possible(world))
    if best is None:
        assert not world.beds
        return
    assert best in plans
    assert worth(world, best) == max(worth(world, plan) for plan in plans)


def test_the_nearest_bed_would_not_be_the_best() -> None:
    """The control: what places one step after another is caught by the same search."""
    world = World(
        beds=(spot(1, CELLS[0], 1), spot(2, CELLS[15], 20)), steps=(step(spot(100, CELLS[15])),), found=(), present=None
    )
    nearest = Plan(world.beds[0], (None,))
    plans = list(possible(world))
    assert nearest in plans
    assert worth(world, nearest) < max(worth(world, plan) for plan in plans)
    best = world.best()
    assert best is not None
    assert best.bed is world.beds[1]


def test_without_a_class_near_any_bed_the_bed_is_taken_all_the_same() -> None:
    best = best_plan([spot(1, CELLS[0], 3)], [step(spot(100, CELLS[15]))], [], FIRST_POLICY)
    assert best == Plan(spot(1, CELLS[0], 3), (None,))


def test_a_more_urgent_step_is_never_traded_for_two_others() -> None:
    vital = step(spot(100, CELLS[0]), urgency=Urgency.VITAL)
    others = [step(spot(200, CELLS[15])), step(spot(300, CELLS[15]))]
    best = best_plan([spot(1, CELLS[15]), spot(2, CELLS[0], 30)], [*others, vital], [], FIRST_POLICY)
    assert best is not None
    assert best.bed.cell == CELLS[0]
    assert best.steps == (None, None, spot(100, CELLS[0]))


def test_two_steps_do_not_share_the_last_seats() -> None:
    room = spot(100, CELLS[0], free=FAMILY, slots=(900,))
    elsewhere = spot(200, CELLS[1], slots=(901,))
    best = best_plan([spot(1, CELLS[0])], [step(room), step(room, elsewhere, reach=30)], [], FIRST_POLICY)
    assert best is not None
    assert best.steps == (room, elsewhere)


def test_a_party_keeps_its_bed_unless_more_steps_are_near_another() -> None:
    present, nearer = spot(1, CELLS[0], 9), spot(2, CELLS[15], 1)
    stays = best_plan([present, nearer], [step(spot(100, CELLS[0])), step()], [], FIRST_POLICY, present)
    moves = best_plan([present, nearer], [step(spot(100, CELLS[15])), step()], [], FIRST_POLICY, present)
    assert stays is not None
    assert moves is not None
    assert (stays.bed, moves.bed) == (present, nearer)


def test_a_bed_near_the_class_that_they_have_is_the_better_one() -> None:
    found = [Found(Urgency.NORMAL, Kilometres(5), CELLS[15])]
    best = best_plan([spot(1, CELLS[0]), spot(2, CELLS[15], 25)], [], found, FIRST_POLICY)
    assert best is not None
    assert best.bed.cell == CELLS[15]


_S = NeedState


@pytest.mark.parametrize(
    ("states", "stands"),
    [
        ({_S.OPEN, _S.CONFIRMED}, PathwayState.OPEN),
        ({_S.REFERRED, _S.UNMET}, PathwayState.OPEN),
        ({_S.UNMET, _S.HELD}, PathwayState.UNMET),
        ({_S.HELD, _S.CONFIRMED, _S.CLOSED}, PathwayState.HELD),
        ({_S.CONFIRMED, _S.WITHDRAWN}, PathwayState.CONFIRMED),
        ({_S.CLOSED, _S.WITHDRAWN}, PathwayState.CLOSED),
        ({_S.WITHDRAWN}, PathwayState.WITHDRAWN),
    ],
)
def test_a_pathway_stands_where_its_living_steps_do(states: set[NeedState], stands: PathwayState) -> None:
    assert state_of(states) is stands


def test_beside_the_bed_is_required_what_holds_for_the_party_wherever_it_goes() -> None:
    assert beside_bed(ACCESS - {"step_free", "ground_floor", "lift"}) == frozenset()
    assert beside_bed(PROTECTIVE | {"kitchen"}) == PROTECTIVE
    for stairs in ("step_free", "ground_floor", "lift"):
        assert beside_bed({stairs, "quiet"}) == {"step_free"}
