"""How large a spreadsheet may be, and what is told of one that cannot be read."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "MOST_BYTES",
    "MOST_CELLS",
    "MOST_COLUMNS",
    "MOST_LINES",
    "MOST_PARTS",
    "MOST_ROWS",
    "MOST_UNPACKED",
    "Most",
    "NotASheet",
]

MOST_BYTES: Final = 10_000_000
"""Of the file."""
MOST_UNPACKED: Final = 40_000_000
"""Of all parts of a workbook together, which is a packed folder: a hundred megabytes of blanks take some kilobytes."""
MOST_PARTS: Final = 500
"""Of a workbook."""
MOST_ROWS: Final = 10_000
"""With something in them, under the headers."""
MOST_LINES: Final = 100_000
"""With the empty ones: what stands farther down is not looked for."""
MOST_COLUMNS: Final = 100
MOST_CELLS: Final = 5_000_000
"""Of a workbook, with the empty ones left of the last in each row."""


@dataclass(frozen=True, slots=True)
class Most:
    """How much is read of a file before it is refused; whoever waits for it may say less than this."""

    rows: int = MOST_ROWS
    """With something in them, below the first."""
    cells: int = MOST_CELLS
    unpacked: int = MOST_UNPACKED


class NotASheet(Exception):  # noqa: N818 - it is told to people, not a fault of the program
    """The file cannot be read as a spreadsheet; the message says why, and nothing of what is in it.

    `code` says the same to whoever has words of their own for it.
    """

    def __init__(self, message: str, code: str = "unreadable") -> None:
        super().__init__(message)
        self.code = code
