"""Which column of a file is which of ours: guessed from what it is called, and put right by whoever brings it."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from geo.names import fold
from importing.limits import NotASheet
from importing.words import headers

__all__ = ["Column", "Columns", "Found", "WrongColumns", "find", "letters_of", "safe_header"]

_SHORTEST_PART: Final = 4
"""Letters of a word that is looked for inside of longer headers."""
_LONGEST_TOLD: Final = 40


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ours; what is `secret` is shown nowhere."""

    name: str
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A column of the file: its place, from 0, what may be told of its header, and which of ours it is, if any."""

    place: int
    header: str
    ours: str | None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns of a file that have something said of them."""

    found: tuple[Found, ...]

    def place_of(self, ours: str) -> int | None:
        """Where one of ours stands."""
        return next((each.place for each in self.found if each.ours == ours), None)

    def called(self, ours: str) -> str:
        """What whoever wrote the file calls one of ours."""
        return next((each.header for each in self.found if each.ours == ours), ours)


class WrongColumns(NotASheet):
    """The columns of the file are not those that are needed.

    `names` are those of ours that it is about, `found` what is clear all the same.
    """

    def __init__(self, message: str, names: Iterable[str], found: Columns) -> None:
        super().__init__(message, "columns")
        self.names = tuple(names)
        self.found = found


def find(
    kind: str,
    ours: Sequence[Column],
    row: Sequence[str],
    said: Mapping[str, str | int],
    without: Collection[str] = (),
) -> Columns:
    """Tell which is which. Raises `WrongColumns`, with all that is wrong.

    `said`: columns of the file by our names, each as it is called or by its place, from 0; `without`: those of ours
    that are not to be taken from it, whatever its columns are called.
    """
    wrong: list[str] = []
    about: list[str] = []
    names = [column.name for column in ours]
    placed: dict[int, str] = {}
    for name, theirs in said.items():
        place = _place(theirs, row)
        before = len(wrong)
        if name not in names:
            wrong.append(f"There is no column of ours called “{_told(name)}”; there are: {', '.join(names)}.")
        elif place is None:
            wrong.append(f"--column {name}: no column, or more than one, is called so.")
        elif _is_refused(row[place]):
            wrong.append(f"--column {name}: text about people, or free text, is never taken in.")
        elif place in placed:
            wrong.append(f"--column {name}: that column is {placed[place]} already.")
        else:
            placed[place] = name
        about.extend([name] if len(wrong) > before else [])
    guessed = _guessed(kind, row, placed, [name for name in names if name not in without])
    for name, places in guessed.items():
        if len(places) > 1:
            told = " and ".join(letters_of(place) for place in places)
            about.append(name)
            wrong.append(f"Columns {told} could both be {name}. What to do: say which with --column {name}=….")
        else:
            placed[places[0]] = name
    if not placed:
        raise WrongColumns(
            "None of the first row's cells is the name of a column that is known here. What to do: give the file a "
            "first row that says what each column is (docs/import.md), or say it with --column ours=theirs.",
            [column.name for column in ours if column.required],
            Columns(()),
        )
    found = tuple(
        Found(place, safe_header(place, header), placed.get(place), _is_refused(header) and place not in placed)
        for place, header in enumerate(row)
        if header or place in placed
    )
    missing = [column.name for column in ours if column.required and column.name not in {*placed.values(), *guessed}]
    wrong.extend(_missing(missing))
    if wrong:
        raise WrongColumns("\n".join(wrong), [*about, *missing], Columns(found))
    return Columns(found)


def _missing(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield f"The column {name} is missing. What to do: add it, or say which one it is with --column {name}=…."


def _guessed(kind: str, row: Sequence[str], placed: Mapping[int, str], names: Sequence[str]) -> dict[str, list[int]]:
    """The places that could be each of ours: those that are called so whole, else those that have the words in them."""
    whole: defaultdict[str, list[int]] = defaultdict(list)
    partly: defaultdict[str, list[int]] = defaultdict(list)
    known = {word: name for word, name in headers(kind).items() if name in names}
    for place, header in enumerate(row):
        if place in placed or _is_refused(header):
            continue
        folded = _plain(header)
        if folded in known:
            whole[known[folded]].append(place)
        elif (name := _inside(folded, known)) is not None:
            partly[name].append(place)
    return {
        name: whole.get(name) or partly[name]
        for name in names
        if name not in placed.values() and (name in whole or name in partly)
    }


def _inside(folded: str, known: Mapping[str, str]) -> str | None:
    """What the longest known word in a header means; an address before anything else, for it is guarded."""
    found = [word for word in known if len(word) >= _SHORTEST_PART and _has(folded, word)]
    return known[max(found, key=lambda word: (known[word] == "address", len(word)))] if found else None


def _is_refused(header: str) -> bool:
    folded = _plain(header)
    return any(_has(folded, word) for word in headers("refused"))


def _has(folded: str, word: str) -> bool:
    return f" {word} " in f" {folded} "


def _plain(header: str) -> str:
    """Folded, without what stands in brackets: “Places (nombre)” is “places”."""
    return fold(re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", header)) or fold(header)


def _place(theirs: str | int, row: Sequence[str]) -> int | None:
    if isinstance(theirs, int):
        return theirs if 0 <= theirs < len(row) else None
    same = [place for place, each in enumerate(row) if each and fold(each) == fold(theirs)]
    return same[0] if len(same) == 1 else None


def letters_of(place: int) -> str:
    """The letters that a spreadsheet gives a column: 0 is A."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def safe_header(place: int, header: str) -> str:
    """A header as it may be told: one with digits may be what should stand under it, such as an address."""
    looks_like_one = (
        bool(header) and len(header) <= _LONGEST_TOLD and header.isprintable() and not any(map(str.isdigit, header))
    )
    return header if looks_like_one else f"column {letters_of(place)}"


def _told(name: str) -> str:
    return name if name.isidentifier() and len(name) <= _LONGEST_TOLD else "…"
