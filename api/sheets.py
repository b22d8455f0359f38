"""Tables as CSV, with HXL tags in their second line, that a spreadsheet reads as they are and reckons nothing with."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, Final

from fastapi import Response

__all__ = ["AS_SHEET", "Sheet", "sheet"]

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
AS_SHEET: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string", "maxLength": 100_000_000}}}}
}
"""What the document says of such an answer."""


class Sheet(Response):
    """A table."""

    media_type = "text/csv"


def sheet(columns: Mapping[str, str], rows: Iterable[Iterable[object]]) -> Sheet:
    """Rows under the names of their columns and the HXL tag of each; what is not there is empty."""
    written = StringIO()
    writer = csv.writer(written)
    writer.writerows([columns.keys(), columns.values()])
    writer.writerows([_harmless("" if cell is None else str(cell)) for cell in row] for row in rows)
    return Sheet(written.getvalue())


def _harmless(cell: str) -> str:
    """What a spreadsheet does not reckon with: text that begins as a formula does begins with an apostrophe."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell
