"""Two tables that fit the same sums and lie as far apart as they can at many cells at once."""

from collections.abc import Sequence

import highspy
import numpy as np
from numpy.typing import NDArray

__all__ = ["far_apart"]

_CLOSE = 1e-6
Floats = NDArray[np.float64]


def far_apart(
    sums: Sequence[Sequence[tuple[int, float]]],
    most_rise: Floats,
    most_fall: Floats,
    cells: NDArray[np.intp],
    ways: Floats,
    wanted: float,
) -> NDArray[np.bool_]:
    """(k,) which of the `cells` differ by `wanted` between two tables, each in its way (1 or -1).

    `sums`: rows of places with their signs that are nought; a place that is in none does not change. `most_rise` and
    `most_fall`: (n,) how far each place can change. Columns are both tables' changes of the places, then the distances.
    """
    used = np.unique(np.array([place for row in sums for place, _ in row], np.intp))
    column = {int(place): number for number, place in enumerate(used)}
    n, k = len(used), len(cells)
    rows = [[(column[place] + shift, sign) for place, sign in row] for shift in (0, n) for row in sums if row]
    ties = len(rows)
    for number, (cell, way) in enumerate(zip(cells, ways, strict=True)):
        place = column.get(int(cell))
        changes = [(place, -way), (place + n, way)] if place is not None else []
        rows.append([(2 * n + number, 1.0), *changes])
    model = highspy.HighsLp()
    model.sense_ = highspy.ObjSense.kMaximize
    model.num_col_, model.num_row_ = 2 * n + k, len(rows)
    model.col_cost_ = np.append(np.zeros(2 * n), np.ones(k))
    model.col_lower_ = np.append(np.tile(-most_fall[used], 2), np.full(k, -highspy.kHighsInf))
    model.col_upper_ = np.append(np.tile(most_rise[used], 2), np.full(k, wanted))
    model.row_lower_ = np.append(np.zeros(ties), np.full(k, -highspy.kHighsInf))
    model.row_upper_ = np.zeros(len(rows))
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    model.a_matrix_.index_ = np.array([place for row in rows for place, _ in row], np.int32)
    model.a_matrix_.value_ = np.array([sign for row in rows for _, sign in row], np.float64)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the library's own signature
    solver.setOptionValue("threads", 1)
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return np.zeros(k, bool)
    distances = np.asarray(solver.getSolution().col_value)[2 * n :]
    return np.asarray(distances >= wanted - _CLOSE, bool)
