"""Projects: never divided, never apart, never below the minimum, and as many people as any plan could house."""

from dataclasses import dataclass, replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.cells import Point, cell_of
from geo.distance import Kilometres
from matching.projects import House, Household, ProjectPlan, plan_project
from tests.matching.placed_together import Fact, broken
from tests.places import BRIANCON

SECONDS = 5.0
CELLS = [
    cell_of(Point(BRIANCON.longitude + x * 0.06, BRIANCON.latitude + y * 0.05)) for x in range(4) for y in range(3)
]


@dataclass(frozen=True)
class Project:
    """A camp that moves: its parties, the houses there are, and what was promised."""

    parties: tuple[Household, ...]
    houses: tuple[House, ...]
    together: int
    minimum: int

    def planned(self) -> ProjectPlan | None:
        return plan_project(self.parties, self.houses, Kilometres(self.together), self.minimum, SECONDS)

    def broken(self, plan: ProjectPlan) -> list[str]:
        """What the checker finds, which knows people, rooms and cells."""
        facts = [
            Fact(number, party.people, party.people, house)
            for number, (party, house) in enumerate(zip(self.parties, plan.houses, strict=True))
            if house is not None
        ]
        cells = {number: int(house.cell) for number, house in enumerate(self.houses)}
        room = {number: house.room for number, house in enumerate(self.houses)}
        unfit = [fact for fact in facts if fact.house not in self.parties[fact.party].houses]
        return broken(facts, cells, room, self.together, self.minimum) + ["unfit" for _ in unfit]

    def most_people(self) -> int:
        """People that any plan at all could house, by trying every one."""
        best = 0
        for houses in product(*((None, *party.houses) for party in self.parties)):
            plan = ProjectPlan(tuple(houses))
            people = plan.people(self.parties)
            if people > best and not self.broken(plan):
                best = people
        return best


@st.composite
def projects(draw: st.DrawFn) -> Project:
    houses = tuple(House(draw(st.sampled_from(CELLS)), draw(st.integers(1, 8))) for _ in range(draw(st.integers(0, 4))))
    parties = tuple(
        Household(
            draw(st.integers(1, 5)),
            {
                house: Kilometres(draw(st.integers(0, 40)))
                for house in range(len(houses))
                if draw(st.integers(0, 3)) > 0
            },
        )
        for _ in range(draw(st.integers(1, 5)))
    )
    everybody = sum(party.people for party in parties)
    return Project(parties, houses, draw(st.integers(0, 20)), draw(st.integers(1, everybody)))


@given(projects())
def test_a_plan_keeps_every_promise_and_houses_as_many_as_any_could(project: Project) -> None:
    most = project.most_people()
    plan = project.planned()
    if plan is None:
        assert most < project.minimum
        return
    assert project.broken(plan) == []
    assert plan.people(project.parties) == most


CAMP = Project(
    parties=(Household(4, {0: Kilometres(1), 1: Kilometres(9)}), Household(3, {0: Kilometres(1), 1: Kilometres(9)})),
    houses=(House(CELLS[0], 5), House(CELLS[-1], 5)),
    together=3,
    minimum=4,
)


@pytest.mark.parametrize(
    ("plan", "project", "found"),
    [
        (ProjectPlan((0, 1)), CAMP, ["apart"]),
        (ProjectPlan((0, 0)), CAMP, ["overfull"]),
        (ProjectPlan((None, 0)), CAMP, ["too few"]),
        (ProjectPlan((0, None)), replace(CAMP, parties=(Household(4, {1: Kilometres(9)}), CAMP.parties[1])), ["unfit"]),
        (ProjectPlan((0, None)), CAMP, []),
    ],
)
def test_the_checker_finds_what_is_broken(plan: ProjectPlan, project: Project, found: list[str]) -> None:
    assert project.broken(plan) == found


def test_the_checker_finds_a_divided_party() -> None:
    halves = [Fact(0, 4, 2, 0), Fact(0, 4, 2, 1)]
    assert broken(halves, {0: int(CELLS[0]), 1: int(CELLS[0])}, {0: 5, 1: 5}, 3, 4) == ["divided"]


def test_without_the_minimum_there_is_no_plan() -> None:
    assert CAMP.planned() == ProjectPlan((0, None))
    assert replace(CAMP, minimum=7).planned() is None
    assert replace(CAMP, minimum=7, together=40).planned() is not None


def test_a_camp_of_sixty_parties_is_planned_in_the_time() -> None:
    """As large as a project may be, over forty houses: the programme begins with a plan, so there is always one."""
    houses = tuple(House(CELLS[number % len(CELLS)], 3 + number % 5) for number in range(40))
    parties = tuple(
        Household(1 + number % 6, {house: Kilometres((house * 7 + number) % 40) for house in range(40)})
        for number in range(60)
    )
    project = Project(parties, houses, 6, 20)
    plan = plan_project(parties, houses, Kilometres(6), 20, 0.5)
    assert plan is not None
    assert project.broken(plan) == []
