"""The monthly report as PDF: a Typst template that is given facts, in the reader's language, from right to left too.

Typst comes with its fonts for Latin letters, and matplotlib with one that has Arabic ones. Nothing is fetched, and no
font of the machine is used: the paper looks the same everywhere.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typst
from matplotlib import get_data_path

from web.report_words import report_word

__all__ = [
    "MAP_SHAPE",
    "Bar",
    "CategoryLine",
    "Number",
    "Report",
    "TownMark",
    "WeekLine",
    "pdf",
]

MAP_SHAPE: Final = 2.2
"""How much wider than high the map is."""
_HERE: Final = Path(__file__).parent
_RIGHT_TO_LEFT: Final = frozenset({"ar"})
_LABELS: Final = (
    *("title", "page", "nothing", "untold", "asked", "served", "unmet", "help", "duty"),
    *(f"part.{name}" for name in ("categories", "weeks", "why", "waited", "hosts", "map", "told", "method")),
)


@dataclass(frozen=True, slots=True)
class Number:
    """A large number of the first page: what it counts (`asked`, `served`, `unmet`); `None` is not told."""

    kind: str
    name: str
    told: str | None


@dataclass(frozen=True, slots=True)
class CategoryLine:
    """A kind of help: numbers as they are written, and whose duty it is."""

    name: str
    asked: str | None
    served: str | None
    unmet: str | None
    duty: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its name, its length and how that is written."""

    name: str
    value: int
    told: str


@dataclass(frozen=True, slots=True)
class WeekLine:
    """A week, and how many found a place or did not; `None` is not told."""

    label: str
    served: int | None
    unmet: int | None
    served_told: str
    unmet_told: str


@dataclass(frozen=True, slots=True)
class TownMark:
    """A town of the map. `x` and `y` go from 0 to 1, from the west and from the north."""

    name: str
    x: float
    y: float
    value: float
    told: str
    here: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says, written in its language."""

    language: str
    place: str
    country: str
    month: str
    period: str
    numbers: Sequence[Number]
    lead: Sequence[str]
    categories: Sequence[CategoryLine]
    weeks: Sequence[WeekLine]
    why: Sequence[Bar]
    waited: Sequence[Bar]
    hosts: Sequence[Bar]
    said: Sequence[Bar]
    towns: Sequence[TownMark]
    method: Sequence[str]


def pdf(report: Report) -> bytes:
    """The report as a PDF file."""
    given = asdict(report) | {
        "heading": report_word("heading", report.language, place=report.place, month=report.month),
        "rtl": report.language in _RIGHT_TO_LEFT,
        "words": {name: report_word(name, report.language) for name in _LABELS},
    }
    made = typst.compile(
        str(_HERE / "templates" / "report.typ"),
        root=str(_HERE / "templates"),
        font_paths=[str(Path(get_data_path(), "fonts", "ttf"))],
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"data": json.dumps(given)},
    )
    assert isinstance(made, bytes)  # noqa: S101 - a PDF is one file
    return made
