"""Charts as bars, laid out to be drawn as SVG by a template: no script, any width, from right to left too.

Each bar has its number beside it, and its own pattern beside its colour. The table of the same stands below each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Bar", "Chart", "Group", "Row", "laid_out"]

_WIDTH: Final = 360.0
_NUMBER: Final = 64.0
"""What is left beside the longest bar for its number."""
_LINE, _BAR, _GAP, _BETWEEN = 20.0, 15.0, 3.0, 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """What stands side by side: a week, a reason, a town; a value for each series, `None` where it is not told."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: `x` and `width` of the bar, `y` of its upper edge, and where its number stands: units of the picture."""

    series: int
    x: float
    y: float
    width: float
    height: float
    told: str
    told_x: float


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of a row, and where its name stands."""

    name: str
    x: float
    y: float
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the table of the same. `series` are the names of what is compared; `told` are the table's cells."""

    id: str
    title: str
    about: str
    series: Sequence[str]
    first: str
    width: float
    height: float
    groups: Sequence[Group]
    told: Sequence[tuple[str, Sequence[str]]]


def laid_out(
    name: str,
    title: str,
    first: str,
    series: Sequence[str],
    rows: Sequence[Row],
    *,
    told: Callable[[float | None], str],
    rtl: bool,
) -> Chart | None:
    """A chart of these rows; `first` names their column, `told` writes a value. `None` where nothing is told at all."""
    largest = max((value for row in rows for value in row.values if value is not None), default=0)
    if not largest:
        return None
    scale = (_WIDTH - _NUMBER) / largest
    groups: list[Group] = []
    y = 0.0
    for row in rows:
        top = y + _LINE
        bars = [
            _bar(number, (value or 0) * scale, top + number * (_BAR + _GAP), told(value), rtl=rtl)
            for number, value in enumerate(row.values)
        ]
        groups.append(Group(row.name, _WIDTH if rtl else 0.0, y + _BAR, bars))
        y = top + len(bars) * (_BAR + _GAP) + _BETWEEN
    cells = [(row.name, [told(value) for value in row.values]) for row in rows]
    about = ". ".join(
        f"{row}: " + ", ".join(f"{kind} {value}" for kind, value in zip(series, values, strict=True))
        for row, values in cells
    )
    return Chart(name, title, about, series, first, _WIDTH, round(y, 1), groups, cells)


def _bar(number: int, width: float, y: float, told: str, *, rtl: bool) -> Bar:
    x = _WIDTH - width if rtl else 0.0
    told_x = x - 5 if rtl else width + 5
    return Bar(number, round(x, 1), round(y, 1), round(width, 1), _BAR, told, round(told_x, 1))
