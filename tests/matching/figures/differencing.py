"""The adversary: what can be worked out of everything that was published, by linear programming over the finest counts.

It shares no code with the withholding: it knows which of the finest counts are not nought, how published cells are made
of them, and what the words mean (who was served had been held a place). For any cell it gives the least and the most
that it can be.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from ortools.linear_solver import pywraplp

from matching.figures.calendar import month_of
from matching.figures.measures import NEVER, Measure
from matching.figures.tables import ALL, Cell, Fact, Span

__all__ = ["Adversary"]

_OUTCOMES = (Measure.SERVED_BY, Measure.UNMET_FOR, Measure.OTHER)
_MADE_OF = {
    Measure.ASKED: _OUTCOMES,
    Measure.SERVED: (Measure.SERVED_BY,),
    Measure.UNMET: (Measure.UNMET_FOR,),
}
_MOST = 1e5
"""More than any count, so that there is a most of everything."""
Place = tuple[date, str, str, str]
"""A week, a town, its country and a category."""


class Adversary:
    """Everything that was published, as equations between unknown counts; `published` are cells with their values.

    One that knows that counts are `whole` takes longer.
    """

    def __init__(self, facts: Iterable[Fact], published: Mapping[Cell, int], *, whole: bool = False) -> None:
        self._solver: Any = pywraplp.Solver.CreateSolver("SCIP" if whole else "GLOP")
        self._unknown: dict[Place, dict[tuple[Measure, str], Any]] = {}
        for fact in facts:
            if fact.measure not in _MADE_OF:
                here = self._unknown.setdefault((fact.week, str(fact.town), fact.country, fact.category), {})
                here[fact.measure, fact.part] = self._solver.Var(1, _MOST, whole, "")
        for place in self._unknown:
            self._add_meanings(place)
        for cell, value in published.items():
            self._solver.Add(self._sum(cell) == value)

    def bounds(self, cell: Cell) -> tuple[float, float]:
        """The least and the most that a cell can be."""
        wanted = self._sum(cell)
        return self._extreme(self._solver.Minimize, wanted), self._extreme(self._solver.Maximize, wanted)

    def _extreme(self, sense: Any, wanted: Any) -> float:
        sense(wanted)
        status = self._solver.Solve()
        assert status == pywraplp.Solver.OPTIMAL, f"what was published contradicts itself ({status})"
        return float(self._solver.Objective().Value())

    def _sum(self, cell: Cell) -> Any:
        return self._solver.Sum(
            [each for place in self._unknown if _lies(place, cell) for each in self._here(place, cell)]
        )

    def _here(self, place: Place, cell: Cell) -> list[Any]:
        measures = _MADE_OF.get(cell.measure)
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
        if (Measure.NIGHTS, "") in here:
            self._solver.Add(total(Measure.NIGHTS) >= total(Measure.SERVED_BY))


def _lies(place: Place, cell: Cell) -> bool:
    week, town, country, category = place
    return (
        cell.area in (town, country, ALL)
        and cell.category in (category, ALL)
        and cell.first_day == (week if cell.span is Span.WEEK else month_of(week))
    )
