"""Workbooks (`.xlsx`): the cells of the first sheet as text, as the program that saved it has last shown them.

A workbook is a packed folder of XML. What it would unpack to is looked at before any of it is; the declarations that
XML bombs are made of are refused by `defusedxml`, which openpyxl reads through where it is installed.
"""

import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Final
from zipfile import BadZipFile, ZipFile

from importing.limits import MOST_LINES, MOST_PARTS, Most, NotASheet

__all__ = ["rows"]

_UNREADABLE: Final = (
    "This is no workbook that can be read. What to do: open it in a spreadsheet program and save it as .xlsx anew."
)
_MIDNIGHT: Final = time()
_LAST_ROW: Final = 1_048_576
"""Of any workbook. A row may claim any number, and those before it are made up."""


def rows(content: bytes, most: Most) -> Iterator[tuple[str, ...]]:
    """The rows of the first sheet, empty ones too, each when it is asked for. Raises `NotASheet`."""
    _weigh(content, most.unpacked)
    with warnings.catch_warnings():
        # They tell of styles, and quote cells.
        warnings.simplefilter("ignore")
        try:
            yield from _rows(content, most.cells)
        except NotASheet:
            raise
        except Exception:  # noqa: BLE001 - what is not written as it should be raises anything in the library
            raise NotASheet(_UNREADABLE) from None


def _weigh(content: bytes, most_unpacked: int) -> None:
    try:
        with ZipFile(BytesIO(content)) as packed:
            parts = packed.infolist()
    except (BadZipFile, ValueError, NotImplementedError, OSError):
        raise NotASheet(_UNREADABLE) from None
    # No part can unpack to more than it says here: reading it stops there.
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > most_unpacked:
        raise NotASheet(
            f"The workbook unpacks to more than {most_unpacked // 1_000_000} MB. What to do: copy the rows into a new "
            "one, or cut it into several.",
            "large",
        )


def _rows(content: bytes, most_cells: int) -> Iterator[tuple[str, ...]]:
    import openpyxl  # noqa: PLC0415 - takes a second, which no other command is to wait for

    # `data_only`: of a formula, the value that was last shown.
    book = openpyxl.load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    try:
        if not book.worksheets:
            raise NotASheet("The workbook has no sheet with cells.")
        sheet = book.worksheets[0]
        # What the sheet says of its size may be wrong, or a lie.
        sheet.reset_dimensions()
        seen = 0
        for number, row in enumerate(sheet.iter_rows(max_row=_LAST_ROW, values_only=True), 1):
            if not row:
                if number <= MOST_LINES:
                    yield ()
                continue
            cells = _without_end(tuple(_text(cell) for cell in row))
            if cells and number > MOST_LINES:
                raise NotASheet(
                    f"There is something below row {MOST_LINES}. What to do: move it up, or remove it.", "large"
                )
            # Cells that are empty but for a colour cost as much, and one far to the right is a row of them.
            seen += len(row)
            if seen > most_cells:
                raise NotASheet("There are too many cells. What to do: copy the rows into a new workbook.", "large")
            yield cells
    finally:
        book.close()


def _without_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    filled = max((number for number, cell in enumerate(cells, 1) if cell), default=0)
    return cells[:filled]


def _text(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case float() if cell.is_integer():
            return str(int(cell))
        case date() | time():
            return _moment(cell)
    return str(cell)


def _moment(cell: date | time) -> str:
    if isinstance(cell, time):
        return cell.isoformat("minutes")
    if isinstance(cell, datetime) and cell.time() != _MIDNIGHT:
        return cell.isoformat(" ", "minutes")
    return cell.strftime("%Y-%m-%d")
