"""Spreadsheets as text with commas, semicolons or tabs, as every program writes them."""

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Final

from importing.limits import MOST_LINES, NotASheet

__all__ = ["rows"]

_SEPARATORS: Final = (",", ";", "\t")


def rows(content: bytes) -> Iterator[tuple[str, ...]]:
    """The rows of a file, empty ones too. Raises `NotASheet`."""
    text = _text(content)
    reader = csv.reader(StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    try:
        for number, row in enumerate(reader, 1):
            if number > MOST_LINES:
                raise NotASheet(
                    f"There are more than {MOST_LINES} lines. What to do: cut the file into several.", "large"
                )
            yield tuple(row)
    except csv.Error:
        raise NotASheet(
            f"Line {reader.line_num} is not written as CSV is: a quotation mark is missing or one too many, or a cell "
            "is much too long."
        ) from None


def _text(content: bytes) -> str:
    """UTF-8, with a mark of byte order or without; what is not is Windows-1252, as older programs write."""
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise NotASheet("This is no text in UTF-8 or Windows-1252. What to do: save it as “CSV UTF-8”.")


def _separator(text: str) -> str:
    """What cuts the first line with something in it into the most columns."""
    lines = text.splitlines()
    head = next((line for line in lines if line.strip(" ,;\t")), lines[0] if lines else "")
    return max(_SEPARATORS, key=lambda separator: _columns(head, separator))


def _columns(head: str, separator: str) -> int:
    try:
        return len(next(csv.reader([head], delimiter=separator), []))
    except csv.Error:
        return 0
