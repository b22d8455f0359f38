"""A spreadsheet as rows of text, whatever program has written it; hostile ones are refused before they cost anything.

A cell is only ever read as text: what looks like a formula is what its letters say.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from importing import delimited, workbook
from importing.limits import MOST_BYTES, MOST_COLUMNS, Most, NotASheet

__all__ = ["NotASheet", "Row", "Sheet", "read_sheet", "sheet_of"]

_TEXT: Final = ".csv"
_WORKBOOK: Final = ".xlsx"
_OLD_OFFICE: Final = bytes.fromhex("d0cf11e0a1b11ae1")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the spreadsheet, from 1, and its cells without space around them."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The first row, which says what the columns are, and the rows under it that are not empty."""

    headers: tuple[str, ...]
    rows: tuple[Row, ...]


def read_sheet(path: Path) -> Sheet:
    """Read a `.csv` or the first sheet of an `.xlsx`. Raises `NotASheet`."""
    _ending(path.name)
    return sheet_of(path.name, _content(path))


def sheet_of(name: str, content: bytes, most: Most | None = None) -> Sheet:
    """The same of a file of this name that was read already, no further than is allowed. Raises `NotASheet`."""
    most = most or Most()
    ending = _ending(name)
    if content.startswith(_OLD_OFFICE):
        raise NotASheet(
            "This is an old workbook, or one with a password. What to do: save it as .xlsx, without one.", "old"
        )
    return _sheet(workbook.rows(content, most) if ending == _WORKBOOK else delimited.rows(content), most.rows)


def _ending(name: str) -> str:
    ending = PurePath(name).suffix.lower()
    if ending not in (_TEXT, _WORKBOOK):
        raise NotASheet("Only files that end in .csv or .xlsx are read. What to do: save it as one of them.", "kind")
    return ending


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise NotASheet("There is no such file.")
        if path.stat().st_size > MOST_BYTES:
            raise NotASheet(f"The file is larger than {MOST_BYTES // 1_000_000} MB. What to do: cut it into several.")
        return path.read_bytes()
    except OSError as error:
        raise NotASheet(f"The file cannot be read ({error.strerror}).") from None


def _sheet(lines: Iterable[tuple[str, ...]], most_rows: int) -> Sheet:
    told = _told(lines, most_rows)
    headers = next(told, None)
    if headers is None:
        raise NotASheet("The file is empty.", "empty")
    return Sheet(headers.cells, tuple(told))


def _told(lines: Iterable[tuple[str, ...]], most_rows: int) -> Iterator[Row]:
    """Rows with something in them."""
    found = 0
    for number, line in enumerate(lines, 1):
        cells = tuple(cell.strip() for cell in line)
        if not any(cells):
            continue
        found += 1
        if len(cells) > MOST_COLUMNS:
            raise NotASheet(f"Row {number} has more than {MOST_COLUMNS} columns.", "large")
        if found > most_rows + 1:
            raise NotASheet(f"There are more than {most_rows} rows. What to do: cut the file into several.", "large")
        yield Row(number, cells)
