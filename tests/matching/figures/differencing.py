"""The adversary: what can be worked out of everything that was published, by linear programming over the finest counts.

It shares no code with the withholding: it knows which of the finest counts are not nought, how published cells are made
of them, and what the words mean (who was served had been held a place). For any cell it gives the least and the most
that it can be.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from ortools.linear_solver import pywraplp

from matching.figures.calendar import month_of
from matching.figures.measures import NEVER, REFERRED, Measure
from matching.figures.tables import ALL, Cell, Fact, Span

__all__ = ["Adversary"]

_OUTCOMES = (Measure.SERVED_BY, Measure.UNMET_FOR, Measure.OTHER)
_MADE_OF = {
    Measure.ASKED: _OUTCOMES,
    Measure.SERVED: (Measure.SERVED_BY,),
    Measure.UNMET: (Measure.UNMET_FOR,),
}
_BY_PART = (Measure.REFERRED_OUT, Measure.REFERRED_IN)
"""Their wholes are the sums of their parts."""
_MOST = 1e5
"""More than any count, so that there is a most of everything."""
Place = tuple[date, str, str, str]
"""A week, a town, its country and a category."""
Counted = tuple[Measure, str]


class Adversary:
    """Everything that was published, as equations between unknown counts; `published` are cells with their values.

    One that knows that counts are `whole` takes longer. What no published cell ties together, over however many steps,
    tells nothing of each other: each such block is a programme of its own, and a cell's bounds are the sums of theirs.
    """

    def __init__(self, facts: Iterable[Fact], published: Mapping[Cell, int], *, whole: bool = False) -> None:
        unknown: dict[Place, set[Counted]] = {}
        for fact in facts:
            if fact.measure not in _MADE_OF:
                place = (fact.week, str(fact.town), fact.country, fact.category)
                unknown.setdefault(place, set()).add((fact.measure, fact.part))
        self._block_of: dict[Place, _Block] = {}
        blocks = [
            _Block({place: unknown[place] for place in places}, whole=whole) for places in _tied(unknown, published)
        ]
        for block in blocks:
            self._block_of.update(dict.fromkeys(block.places, block))
        for cell, value in published.items():
            for block in self._blocks(cell):
                block.learn(cell, value)
        self.blocks = len(blocks)

    def bounds(self, cell: Cell) -> tuple[float, float]:
        """The least and the most that a cell can be."""
        each = [block.bounds(cell) for block in self._blocks(cell)]
        return sum(least for least, _ in each), sum(most for _, most in each)

    def _blocks(self, cell: Cell) -> list["_Block"]:
        found = {id(block): block for place, block in self._block_of.items() if _lies(place, cell)}
        return list(found.values())


class _Block:
    """Unknown counts that published cells tie together."""

    def __init__(self, unknown: Mapping[Place, Iterable[Counted]], *, whole: bool) -> None:
        self._solver: Any = pywraplp.Solver.CreateSolver("SCIP" if whole else "GLOP")
        self.places = list(unknown)
        self._unknown = {
            place: {each: self._solver.Var(1, _MOST, whole, "") for each in sorted(here)}
            for place, here in unknown.items()
        }
        for place in self.places:
            self._add_meanings(place)
        for week, category in {(week, category) for week, _, _, category in self.places}:
            self._add_that_who_is_passed_on_arrives(week, category)

    def learn(self, cell: Cell, value: int) -> None:
        """A cell was published."""
        self._solver.Add(self._sum(cell) == value)

    def bounds(self, cell: Cell) -> tuple[float, float]:
        """The least and the most that the part of a cell in this block can be."""
        wanted = self._sum(cell)
        return self._extreme(self._solver.Minimize, wanted), self._extreme(self._solver.Maximize, wanted)

    def _extreme(self, sense: Any, wanted: Any) -> float:
        sense(wanted)
        status = self._solver.Solve()
        assert status == pywraplp.Solver.OPTIMAL, f"what was published contradicts itself ({status})"
        return float(self._solver.Objective().Value())

    def _sum(self, cell: Cell) -> Any:
        places = [place for place in self.places if _lies(place, cell)]
        return self._solver.Sum([each for place in places for each in self._here(place, cell)])

    def _here(self, place: Place, cell: Cell) -> list[Any]:
        measures = _MADE_OF.get(cell.measure) or ((cell.measure,) if cell.measure in _BY_PART and not cell.part else ())
        return [
            unknown
            for (measure, part), unknown in self._unknown[place].items()
            if (measure in measures if measures else (measure, part) == (cell.measure, cell.part))
        ]

    def _add_meanings(self, place: Place) -> None:
        here = self._unknown[place]

        def total(*measures: Measure) -> Any:
            return self._solver.Sum([each for (measure, _), each in here.items() if measure in measures])

        self._solver.Add(total(*_OUTCOMES) == total(Measure.WAITED))
        self._solver.Add(total(Measure.SERVED_BY) == total(Measure.SERVED_IN))
        never = here.get((Measure.WAITED, NEVER), 0)
        self._solver.Add(total(Measure.SERVED_BY) + never <= total(*_OUTCOMES))
        self._solver.Add(here.get((Measure.REFERRED_OUT, "placed"), 0) + never <= total(*_OUTCOMES))
        if (Measure.NIGHTS, "") in here:
            self._solver.Add(total(Measure.NIGHTS) >= total(Measure.SERVED_BY))

    def _add_that_who_is_passed_on_arrives(self, week: date, category: str) -> None:
        for part in REFERRED:
            out, taken = (
                self._solver.Sum(
                    [
                        self._unknown[place][measure, part]
                        for place in self.places
                        if place[0] == week and place[3] == category and (measure, part) in self._unknown[place]
                    ]
                )
                for measure in _BY_PART
            )
            self._solver.Add(out == taken)


def _tied(unknown: Mapping[Place, set[Counted]], published: Mapping[Cell, int]) -> list[list[Place]]:
    """Places in blocks: those of one published cell are in one, and so are all of a week and category."""
    root = {place: place for place in unknown}

    def find(place: Place) -> Place:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    def tie(places: list[Place]) -> None:
        for place in places[1:]:
            root[find(place)] = find(places[0])

    for cell in published:
        tie([place for place in unknown if _lies(place, cell)])
    for week, category in {(week, category) for week, _, _, category in unknown}:
        tie([place for place in unknown if place[0] == week and place[3] == category])
    blocks: defaultdict[Place, list[Place]] = defaultdict(list)
    for place in unknown:
        blocks[find(place)].append(place)
    return list(blocks.values())


def _lies(place: Place, cell: Cell) -> bool:
    week, town, country, category = place
    return (
        cell.area in (town, country, ALL)
        and cell.category in (category, ALL)
        and cell.first_day == (week if cell.span is Span.WEEK else month_of(week))
    )
