"""One row read into values, with all that is wrong in it told at once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, TypeVar, cast

from importing.columns import Columns
from importing.sheet import Row
from matching.bounds import ADDRESS_CHARACTERS
from matching.refusals import Flaw, Invalid

__all__ = ["Reading"]

Value = TypeVar("Value")
Other = TypeVar("Other")


class Reading:
    """The cells of a row by our names of their columns.

    What is wrong in one is remembered, and a stand-in read in its place that is never used: `finish` raises.
    """

    def __init__(self, row: Row, columns: Columns) -> None:
        cells = row.cells
        self.number = row.number
        self._cells: Mapping[str, str] = {
            each.ours: cells[each.place] for each in columns.found if each.ours and each.place < len(cells)
        }
        self._flaws: list[Flaw] = []

    def says(self, name: str) -> bool:
        """Whether something stands in this column."""
        return bool(self._cells.get(name))

    def must(self, name: str, read: Callable[[str], Value]) -> Value:
        """What stands in a column that must be filled in."""
        if not self.says(name):
            self.wrong(name, Invalid.one("", "required"))
            return cast("Value", None)
        return self._read(name, read)

    def may(self, name: str, read: Callable[[str], Value], otherwise: Other) -> Value | Other:
        """What stands in a column, or something else where nothing does."""
        return self._read(name, read) if self.says(name) else otherwise

    async def find(self, name: str, look: Callable[[str], Awaitable[Value]]) -> Value:
        """What is looked up by the text of a column that must be filled in."""
        before = len(self._flaws)
        text = self.must(name, str)
        if len(self._flaws) > before:
            return cast("Value", None)
        try:
            return await look(text)
        except Invalid as refusal:
            self.wrong(name, refusal)
            return cast("Value", None)

    def wrong(self, name: str, refusal: Invalid) -> None:
        """Remember what is wrong in a column."""
        self._flaws.extend(Flaw(f"/{name}", flaw.code, flaw.facts) for flaw in refusal.flaws)

    def finish(self) -> None:
        """Raise `Invalid` with everything that was wrong."""
        if self._flaws:
            raise Invalid(tuple(self._flaws))

    def _read(self, name: str, read: Callable[[str], Value]) -> Value:
        cell = self._cells[name]
        try:
            if len(cell) > ADDRESS_CHARACTERS:
                _refuse_length()
            return read(cell)
        except Invalid as refusal:
            self.wrong(name, refusal)
            return cast("Value", None)


def _refuse_length() -> NoReturn:
    """Nothing that is asked for is longer than an address."""
    raise Invalid.one("", "too_long", most=ADDRESS_CHARACTERS)
