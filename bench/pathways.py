"""Pathways on generated cases: how often the class is within reach of the bed, beside an exact optimum.

*Alone* a party comes to a country. *In turn* a dozen come one after another to the same beds and seats: each is set
beside the optimum over what those before it have left. *Together* the same are set beside the optimum that knows all of
them beforehand, which no service does. It is a mixed-integer programme over people, places and kilometres, and nothing
of the matching is in it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from time import perf_counter
from typing import Final
from uuid import UUID

import highspy

from geo.cells import Cell, Point, cell_of
from geo.distance import Kilometres, kilometres_between
from matching.assign import Candidate
from matching.needs import OfferId
from matching.pathways import Spot, Step, best_plan
from matching.policy import FIRST_POLICY
from matching.vocabulary import Urgency

__all__ = ["Compared", "Country", "Party", "Placed", "Room", "compare", "draw_country", "most_near", "place_in_turn"]

_REACH: Final = (3, 5, 10, 15)
_BED_FIRST: Final = 1000.0
"""What a bed is worth against a class beside it: no bed is given up for any number of those."""


@dataclass(frozen=True, slots=True)
class Room:
    """A bed's house or a class: its cell, and how many people it takes."""

    number: int
    cell: Cell
    places: int


@dataclass(frozen=True, slots=True)
class Party:
    """People who ask in a town for a bed and a class of one language, at most `reach` kilometres from each other."""

    town: Cell
    people: int
    reach: Kilometres
    language: int


@dataclass(frozen=True, slots=True)
class Country:
    """Houses, classes by language, and parties in the order in which they come."""

    houses: tuple[Room, ...]
    classes: tuple[tuple[Room, ...], ...]
    parties: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A party as it was placed, and the country as it found it."""

    found: Country
    bed: bool
    near: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """Over all cases: parties with a bed and with a class near it, as they were placed and at the optimum."""

    name: str
    cases: int
    beds: int
    beds_best: int
    near: int
    near_best: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Classes within reach of the bed, of those of the optimum."""
        return self.near / max(self.near_best, 1)


def compare(cases: int = 40) -> Iterator[Compared]:
    """The seeds from 0 on: parties alone, and a dozen among few beds and fewer seats."""
    yield _compare("alone", cases * 5, 1, _each_in_turn)
    yield _compare("in turn", cases, 12, _each_in_turn)
    yield _compare("together", cases, 12, most_near)


def _compare(name: str, cases: int, parties: int, optimum: Callable[[Country], tuple[int, int]]) -> Compared:
    beds = beds_best = near = near_best = 0
    seconds = 0.0
    for seed in range(cases):
        country = draw_country(seed, parties)
        began = perf_counter()
        placed = list(place_in_turn(country))
        seconds += perf_counter() - began
        best = optimum(country)
        beds, near = beds + sum(each.bed for each in placed), near + sum(each.near for each in placed)
        beds_best, near_best = beds_best + best[0], near_best + best[1]
    return Compared(name, cases, beds, beds_best, near, near_best, seconds / cases)


def _each_in_turn(country: Country) -> tuple[int, int]:
    """The optimum of each party by itself, over what those before it have left as they were placed."""
    best = [most_near(placed.found) for placed in place_in_turn(country)]
    return sum(beds for beds, _ in best), sum(near for _, near in best)


def draw_country(seed: int, parties: int) -> Country:
    """A country some ninety kilometres wide with six towns: houses and classes stand in and between them."""
    rng = Random(seed)
    towns = [(6.0 + rng.random(), 44.4 + rng.random() * 0.8) for _ in range(6)]

    def somewhere() -> Cell:
        longitude, latitude = rng.choice(towns)
        return cell_of(Point(longitude + rng.gauss(0, 0.08), latitude + rng.gauss(0, 0.06)))

    houses = tuple(Room(number, somewhere(), rng.randint(1, 6)) for number in range(6 + 2 * parties))
    classes = tuple(
        tuple(
            Room(1000 * (language + 1) + number, somewhere(), rng.randint(1, 6))
            for number in range(1 + parties // 3 + rng.randint(0, 2))
        )
        for language in range(3)
    )
    asked = tuple(
        Party(
            town=cell_of(Point(*rng.choice(towns))),
            people=rng.choice((1, 1, 2, 2, 3, 4)),
            reach=Kilometres(rng.choice(_REACH)),
            language=rng.randrange(3),
        )
        for _ in range(parties)
    )
    return Country(houses, classes, asked)


def place_in_turn(country: Country) -> Iterator[Placed]:
    """The parties one after another, each by the best plan that is left."""
    taken: Counter[int] = Counter()
    for party in country.parties:
        found = Country(_left(country.houses, taken), tuple(_left(each, taken) for each in country.classes), (party,))
        spots = _spots(party, country.houses, taken)
        within = [spot for spot in spots if spot.candidate.distance <= FIRST_POLICY.radius_km]
        lessons = _spots(party, country.classes[party.language], taken)
        step = Step(Urgency.NORMAL, party.people, party.reach, tuple(lessons))
        plan = best_plan(within, [step], [], FIRST_POLICY)
        chosen = [spot for spot in (plan.bed, *plan.steps) if spot is not None] if plan else []
        for spot in chosen:
            taken[spot.candidate.slots[0]] += party.people
        near = len(chosen) == 2 and kilometres_between(chosen[0].cell, chosen[1].cell) <= party.reach
        yield Placed(found, bed=bool(chosen), near=near)


def _left(rooms: Sequence[Room], taken: Counter[int]) -> tuple[Room, ...]:
    return tuple(replace(room, places=room.places - taken[room.number]) for room in rooms)


def most_near(country: Country) -> tuple[int, int]:
    """Most beds, then most classes near them, over all ways to place everybody: proved by HiGHS."""
    model = _Model()
    full: dict[int, list[tuple[int, float]]] = {}
    beds: list[int] = []
    near: list[int] = []
    for party in country.parties:
        sleeps = {
            house: model.column(_BED_FIRST)
            for house in country.houses
            if kilometres_between(party.town, house.cell) <= FIRST_POLICY.radius_km
        }
        learns = {lesson: model.column(1.0) for lesson in country.classes[party.language]}
        model.at_most([(column, 1.0) for column in sleeps.values()], 1)
        model.at_most([(column, 1.0) for column in learns.values()], 1)
        for lesson, column in learns.items():
            close = [
                (bed, -1.0)
                for house, bed in sleeps.items()
                if kilometres_between(house.cell, lesson.cell) <= party.reach
            ]
            model.at_most([(column, 1.0), *close], 0)
        for room, column in (*sleeps.items(), *learns.items()):
            full.setdefault(room.number, []).append((column, float(party.people)))
        beds += sleeps.values()
        near += learns.values()
    for room in (*country.houses, *(lesson for lessons in country.classes for lesson in lessons)):
        model.at_most(full.get(room.number, []), room.places)
    chosen = model.solve()
    return round(sum(chosen[column] for column in beds)), round(sum(chosen[column] for column in near))


def _spots(party: Party, rooms: Sequence[Room], taken: Counter[int]) -> list[Spot]:
    return [
        Spot(
            Candidate(
                OfferId(UUID(int=room.number + 1)),
                (room.number,),
                room.places - taken[room.number],
                room.places,
                kilometres_between(party.town, room.cell),
                tie=room.number,
                version=1,
            ),
            room.cell,
        )
        for room in rooms
        if room.places - taken[room.number] >= party.people
    ]


class _Model:
    """A programme in which every column is chosen or not."""

    def __init__(self) -> None:
        self._solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self._solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's own way
        self._solver.setOptionValue("threads", 1)
        self._solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
        self._columns = 0

    def column(self, worth: float) -> int:
        """One more choice, worth so much."""
        self._solver.addVar(0.0, 1.0)
        self._solver.changeColCost(self._columns, worth)
        self._solver.changeColIntegrality(self._columns, highspy.HighsVarType.kInteger)
        self._columns += 1
        return self._columns - 1

    def at_most(self, terms: Sequence[tuple[int, float]], most: float) -> None:
        """A weighted sum of choices that is no more than this."""
        if terms:
            columns, weights = zip(*terms, strict=True)
            self._solver.addRow(-highspy.kHighsInf, float(most), len(columns), list(columns), list(weights))

    def solve(self) -> list[float]:
        """What is chosen, at the proved optimum."""
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError("the optimum was not proved")
        return list(self._solver.getSolution().col_value)
