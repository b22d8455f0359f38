"""What is withheld: cells in which somebody could be found, and as little else as keeps them from being worked out.

The adversary has every published cell of every table, and knows how they add up and which cells count nobody at all.
For each sensitive cell there must be two tables that fit all this and differ by `PROTECTION` in that cell: nobody can
tell them apart from the true one, and the interval in which the cell can be placed is at least that wide. Such a pair
is sought as the cheapest change, with what is withheld already for nothing, and all cells that it changes are withheld
too (after the heuristic of Kelly, Golden and Assad 1992 for the cell suppression problem; Fischetti and Salazar 2001
solve it exactly). The pair is its own proof; the tests attack the result by other means.
"""

from collections.abc import Mapping
from typing import Final

import highspy
import numpy as np
from numpy.typing import NDArray

from matching.figures.distance import far_apart
from matching.figures.measures import weight_of
from matching.figures.tables import FEWEST_PEOPLE, Cell, Table

__all__ = ["PROTECTION", "published"]

PROTECTION: Final = FEWEST_PEOPLE
"""How wide the interval is at least that a sensitive cell can be placed in: as wide as k."""
_WITHHELD_COST: Final = 1e-3
"""Not nothing, so that no change goes round in circles."""
_CLOSE: Final = 1e-6
_ROUNDS: Final = 6
_ALONE: Final = 20
"""After so many cells that were protected one by one it is looked again which others are so by now."""
_MARGIN: Final = 1.0
"""What tables that are not in whole numbers must differ more by: people are whole."""
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def published(table: Table, before: Mapping[Cell, bool]) -> set[Cell]:
    """The cells of a table that may be published.

    `before`: cells that were decided with an earlier table; whether they were published is never changed.
    """
    search = _Search(table, before)
    search.protect_all()
    return {cell for cell, withheld in zip(search.cells, search.withheld, strict=True) if not withheld}


class _Search:
    """The linear programme over two other tables at once: one where a cell is higher, one where it is lower.

    Of each cell (and of the rest of each sum that is not exact) four columns: its rise and its fall in the higher
    table, then in the lower one. The last row is the distance between the two tables at the cell that is looked at.
    """

    def __init__(self, table: Table, before: Mapping[Cell, bool]) -> None:
        self.cells = sorted(table.cells)
        behind = [table.cells[cell] for cell in self.cells]
        self.values = np.array([each.value for each in behind], np.float64)
        self.sensitive = np.array([each.sensitive for each in behind], bool)
        self.withheld = np.array(
            [not before.get(cell, not each.sensitive) for cell, each in zip(self.cells, behind, strict=True)], bool
        )
        self._fixed = np.array([before.get(cell, False) for cell in self.cells], bool)
        rests = _rests(table)
        self._columns = len(self.cells) + len(rests)
        self._most_rise = np.append(
            np.where(self._fixed, 0.0, highspy.kHighsInf), np.full(len(rests), highspy.kHighsInf)
        )
        self._most_fall = np.append(np.where(self._fixed, 0.0, self.values - 1.0), rests)
        self._sums = self._rows(table)
        self._distance = 2 * len(self._sums)
        self._solver = self._programme(self._sums, len(rests))

    def protect_all(self) -> None:
        """Withhold until every sensitive cell is protected, those that count most first."""
        safe = self._protected_already(~self.sensitive)
        alone = 0
        for cell in sorted(np.flatnonzero(self.sensitive), key=lambda each: -self.values[each]):
            if safe[cell]:
                continue
            high, low = self._cheapest(int(cell))
            self._withhold(np.flatnonzero(((np.abs(high) > _CLOSE) | (np.abs(low) > _CLOSE)) & ~self.withheld))
            safe |= np.abs(high - low) >= PROTECTION - _CLOSE
            alone += 1
            if alone % _ALONE == 0:
                safe = self._protected_already(safe)

    def _protected_already(self, safe: Bools) -> Bools:
        """Which cells are protected by what is withheld: many are found at once.

        Any two tables prove it for all cells that differ enough between them. Each round asks the cells that are left
        to differ in directions of its own.
        """
        rows = [[(place, sign) for place, sign in row if self._free(place)] for row in self._sums]
        for turn in range(_ROUNDS):
            left = np.flatnonzero(~safe)
            if not len(left):
                break
            ways = np.where((np.arange(len(left)) >> turn) & 1, -1.0, 1.0)
            differ = far_apart(rows, self._most_rise, self._most_fall, left, ways, PROTECTION + _MARGIN)
            safe = safe.copy()
            safe[left[differ]] = True
        return safe

    def _free(self, place: int) -> bool:
        return place >= len(self.cells) or bool(self.withheld[place])

    def _rows(self, table: Table) -> list[list[tuple[int, float]]]:
        """Each sum: its parts and its rest less its whole. What is fixed changes nothing."""
        number = {cell: place for place, cell in enumerate(self.cells)}
        rows, rest = [], len(self.cells)
        for each in table.sums:
            entries = [(number[each.whole], -1.0), *((number[part], 1.0) for part in each.parts)]
            entries = [(place, sign) for place, sign in entries if not self._fixed[place]]
            if not each.exact:
                entries.append((rest, 1.0))
                rest += 1
            if entries:
                rows.append(entries)
        return rows

    def _programme(self, rows: list[list[tuple[int, float]]], rests: int) -> highspy.Highs:
        n = self._columns
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = 4 * n, 2 * len(rows) + 1
        weights = np.array([weight_of(cell.measure) for cell in self.cells]) * np.maximum(self.values, 1.0)
        costs = np.append(np.where(self.withheld, _WITHHELD_COST, weights), np.full(rests, _WITHHELD_COST))
        model.col_cost_ = np.tile(costs, 4)
        model.col_lower_ = np.zeros(4 * n)
        model.col_upper_ = np.tile(np.concatenate((self._most_rise, self._most_fall)), 2)
        model.row_lower_ = np.append(np.zeros(2 * len(rows)), 0.0)
        model.row_upper_ = np.append(np.zeros(2 * len(rows)), highspy.kHighsInf)
        both = [[(place + shift, sign) for place, sign in row] for shift in (0, 2 * n) for row in rows]
        entries = [[(place + way * n, sign * (1 - 2 * way)) for place, sign in row for way in (0, 1)] for row in both]
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.cumsum([0, *map(len, entries), 0]).astype(np.int32)
        model.a_matrix_.index_ = np.array([place for row in entries for place, _ in row], np.int32)
        model.a_matrix_.value_ = np.array([sign for row in entries for _, sign in row], np.float64)
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
        solver.setOptionValue("threads", 1)
        solver.passModel(model)
        return solver

    def _withhold(self, cells: NDArray[np.intp]) -> None:
        self.withheld[cells] = True
        for cell in cells:
            for column in range(int(cell), 4 * self._columns, self._columns):
                self._solver.changeColCost(column, _WITHHELD_COST)

    def _cheapest(self, cell: int) -> tuple[Floats, Floats]:
        """How all cells change in the two cheapest tables between which this cell differs by `PROTECTION`."""
        n = self._columns
        self._look_at(cell, 1.0)
        self._solver.changeColBounds(cell + n, 0.0, 0.0)
        self._solver.changeColBounds(cell + 2 * n, 0.0, 0.0)
        found = self._solved()
        # To raise it with all its totals is always possible, as long as they are not published.
        assert found is not None, "what was published before has broken its promise"  # noqa: S101
        if np.any(np.abs(found - np.round(found)) > _CLOSE):
            self._look_at(cell, 1.0, _MARGIN)
            farther = self._solved()
            found = found if farther is None else farther
        self._look_at(cell, 0.0)
        self._solver.changeColBounds(cell + n, 0.0, self._most_fall[cell])
        self._solver.changeColBounds(cell + 2 * n, 0.0, self._most_rise[cell])
        rise, fall, rise_low, fall_low = found.reshape(4, n)[:, : len(self.cells)]
        return rise - fall, rise_low - fall_low

    def _look_at(self, cell: int, coefficient: float, more: float = 0.0) -> None:
        self._solver.changeCoeff(self._distance, cell, coefficient)
        self._solver.changeCoeff(self._distance, cell + 3 * self._columns, coefficient)
        self._solver.changeRowBounds(self._distance, (PROTECTION + more) * coefficient, highspy.kHighsInf)

    def _solved(self) -> Floats | None:
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return np.asarray(self._solver.getSolution().col_value, np.float64)


def _rests(table: Table) -> Floats:
    """How far the rest of each sum that is not exact can fall."""
    rests = [
        table.cells[each.whole].value - sum(table.cells[part].value for part in each.parts)
        for each in table.sums
        if not each.exact
    ]
    return np.maximum(np.array(rests, np.float64), 0.0)
