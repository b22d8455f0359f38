"""Spreadsheets for tests, as programs write them."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import openpyxl

__all__ = ["Rows", "csv_file", "xlsx_file"]

Rows = Sequence[Sequence[object]]


def csv_file(path: Path, rows: Rows, separator: str = ";", encoding: str = "utf-8") -> Path:
    """A file of text with something between the cells."""
    text = StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def xlsx_file(path: Path, rows: Rows) -> Path:
    """A workbook with one sheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return path
