"""Spreadsheets are read whatever wrote them, and hostile ones are refused before they cost anything."""

import tracemalloc
import zipfile
from datetime import date, time
from pathlib import Path

import openpyxl
import pytest

from importing import workbook
from importing.limits import MOST_COLUMNS, MOST_ROWS, MOST_UNPACKED, Most, NotASheet
from importing.sheet import read_sheet, sheet_of
from tests.relais.spreadsheets import csv_file, xlsx_file

ROWS = (("Nom", "Équipements"), ("Salle « Prorel »", "douches, lit"), ("Été; “3”", "a,b"))
HOSTILE = '=HYPERLINK("https://example.org", "click")'


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_text_is_read_whatever_stands_between_and_in_which_letters(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    sheet = read_sheet(csv_file(tmp_path / "a.CSV", ROWS, separator, encoding))
    assert (sheet.headers, *(row.cells for row in sheet.rows)) == ROWS


def test_a_workbook_is_read_as_its_cells_are_shown(tmp_path: Path) -> None:
    cells = ("Gym", 30, 6.5, 12.0, True, date(2026, 12, 1), time(19, 30), None, "01")
    (row,) = read_sheet(xlsx_file(tmp_path / "a.xlsx", [("a",), cells])).rows
    assert row.cells == ("Gym", "30", "6.5", "12", "yes", "2026-12-01", "19:30", "", "01")


def test_rows_keep_the_numbers_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    rows = [("a", "b"), ("1", "x"), ("", " "), ("2", "two\nlines"), ("3", "y")]
    for file in (csv_file(tmp_path / "a.csv", rows), xlsx_file(tmp_path / "a.xlsx", rows)):
        assert [row.number for row in read_sheet(file).rows] == [2, 4, 5]


def test_what_looks_like_a_formula_is_text_and_a_formula_is_what_it_showed_last(tmp_path: Path) -> None:
    (row,) = read_sheet(csv_file(tmp_path / "a.csv", [("a", "b"), (HOSTILE, "@SUM(1)")])).rows
    assert row.cells == (HOSTILE, "@SUM(1)")
    # Written by a library, a formula has never been shown: there is nothing in the cell.
    (row,) = read_sheet(xlsx_file(tmp_path / "a.xlsx", [("a", "b"), (HOSTILE, "x")])).rows
    assert row.cells == ("", "x")


def test_long_cells_are_read_and_left_to_whoever_knows_how_long_they_may_be(tmp_path: Path) -> None:
    rows = [("a",), ("x" * 10_000,)]
    for file in (csv_file(tmp_path / "a.csv", rows), xlsx_file(tmp_path / "a.xlsx", rows)):
        assert len(read_sheet(file).rows[0].cells[0]) == 10_000


def test_as_many_rows_as_may_be_are_read_and_one_more_is_refused(tmp_path: Path) -> None:
    rows = [("a",), *(("x",) for _ in range(MOST_ROWS))]
    assert len(read_sheet(csv_file(tmp_path / "a.csv", rows)).rows) == MOST_ROWS
    with pytest.raises(NotASheet, match="more than 10000 rows"):
        read_sheet(csv_file(tmp_path / "a.csv", [*rows, ("x",)]))


def test_a_million_rows_are_refused(tmp_path: Path) -> None:
    for line in ("x\n", "\n", "x" * 20 + "\n"):
        (tmp_path / "a.csv").write_text("a\n" + line * 1_000_000)
        with pytest.raises(NotASheet, match="cut"):
            read_sheet(tmp_path / "a.csv")


def test_a_workbook_that_claims_a_million_rows_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.active.append(["x"])
    book.active["A1000000"] = "far down"
    book.active["XFD2"] = "far right"
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(NotASheet, match=f"more than {MOST_COLUMNS} columns"):
        read_sheet(tmp_path / "a.xlsx")
    book.active["XFD2"] = None
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(NotASheet, match="below row"):
        read_sheet(tmp_path / "a.xlsx")


def _bomb(path: Path, part: str, megabytes: int) -> Path:
    """A true workbook of which one part unpacks to so much."""
    xlsx_file(path, [("a",), ("x",)])
    with zipfile.ZipFile(path) as packed:
        parts = {each: packed.read(each) for each in packed.namelist()}
    begins, end, rest = parts.pop(part, b"<x></x>").partition(b"</")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
        with packed.open(part, "w") as out:
            out.write(begins)
            for _ in range(megabytes):
                out.write(b" " * 1_000_000)
            out.write(end + rest)
    return path


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize("part", [SHEET, "xl/media/blank.xml"])
def test_a_packed_bomb_is_refused_unopened(tmp_path: Path, part: str) -> None:
    bomb = _bomb(tmp_path / "a.xlsx", part, 100)
    assert bomb.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(NotASheet, match="unpacks to more"):
        read_sheet(bomb)
    assert tracemalloc.get_traced_memory()[1] < MOST_UNPACKED / 4
    tracemalloc.stop()
    # What is smaller is read: it was the size, and not the strange part.
    assert read_sheet(_bomb(tmp_path / "b.xlsx", part, 1)).rows


def test_what_a_part_unpacks_to_is_never_more_than_it_claims(tmp_path: Path) -> None:
    """A bomb that lies about its size is not read beyond what it claims."""
    bomb = _bomb(tmp_path / "a.xlsx", SHEET, 100)
    with zipfile.ZipFile(bomb) as packed:
        size = packed.getinfo(SHEET).file_size.to_bytes(4, "little")
    raw = bomb.read_bytes()
    assert size in raw
    bomb.write_bytes(raw.replace(size, (2000).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(NotASheet, match="no workbook that can be read"):
        read_sheet(bomb)
    assert tracemalloc.get_traced_memory()[1] < MOST_UNPACKED / 4
    tracemalloc.stop()


def test_declarations_of_entities_are_refused(tmp_path: Path) -> None:
    file = xlsx_file(tmp_path / "a.xlsx", [("a",), ("x",)])
    with zipfile.ZipFile(file) as packed:
        parts = {each: packed.read(each) for each in packed.namelist()}
    for declaration in (b"", b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'):
        with zipfile.ZipFile(file, "w") as packed:
            for name, content in parts.items():
                sheet = name == SHEET
                packed.writestr(name, declaration + content if sheet else content)
        if declaration:
            with pytest.raises(NotASheet, match="no workbook that can be read"):
                read_sheet(file)
        else:
            assert read_sheet(file).rows


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b" ;\n;\n", "empty"),
        ("a.csv", b"\x00\x01\x02\xff" * 100, "no text"),
        ("a.csv", bytes(range(256)), "no text"),
        ("a.csv", "a;b".encode("utf-16"), "no text"),
        ("a.csv", b'a;b\n"never closed;c\n', "quotation mark"),
        ("a.csv", b'a;b\n"' + b"x" * 200_000 + b'";c\n', "quotation mark"),
        ("a.csv", b"a;b\n" + b";" * 200 + b"x", "columns"),
        ("a.xlsx", b"", "no workbook"),
        ("a.xlsx", b"a;b\n", "no workbook"),
        ("a.xlsx", b"PK\x03\x04" + bytes(range(256)) * 9, "no workbook"),
        ("a.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 100, "password"),
        ("a.ods", b"PK", ".csv or .xlsx"),
    ],
)
def test_what_is_no_spreadsheet_is_told_in_words(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotASheet, match=said):
        read_sheet(tmp_path / name)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    for name in ("folder.csv", "endless.csv", "nowhere.csv"):
        with pytest.raises(NotASheet, match="no such file"):
            read_sheet(tmp_path / name)


def test_a_workbook_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as packed:
        packed.writestr("word/document.xml", "<x/>")
    with pytest.raises(NotASheet, match="no workbook"):
        read_sheet(tmp_path / "a.xlsx")


def test_a_workbook_is_read_no_further_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = xlsx_file(tmp_path / "a.xlsx", [("a",) * 50] * 400).read_bytes()
    read: list[object] = []
    text = workbook._text  # noqa: SLF001 - where each cell passes

    def counted(cell: object) -> str:
        read.append(cell)
        return text(cell)

    monkeypatch.setattr(workbook, "_text", counted)
    for most, cells in ((Most(rows=3), 250), (Most(cells=400), 450)):
        read.clear()
        with pytest.raises(NotASheet) as told:
            sheet_of("a.xlsx", content, most)
        assert (told.value.code, len(read)) == ("large", cells)
    # The control: all of it where that is allowed.
    assert len(sheet_of("a.xlsx", content).rows) == 399
