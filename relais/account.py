"""The account of what happens, for whoever watches the terminal: one fact a line, with the clock and the town.

In colour where there is a terminal, plain lines where there is none.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

__all__ = ["Account", "Mark"]

_TOWN_WIDTH = 18
_Step = TypeVar("_Step")


class Mark(Enum):
    """What kind of fact a line tells: its sign and its colour."""

    NEED = ("?", "bold")
    HELD = ("…", "yellow")
    YES = ("✓", "green")
    NO = ("✗", "red")
    NOTE = (" ", "dim")


class Account:
    """Tells what happens on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str = "") -> None:
        """A sentence of the program itself."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=not self._console.is_terminal)

    def command(self, line: str) -> None:
        """Something to copy: never broken into lines."""
        self._console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    def title(self, line: str) -> None:
        """A heading."""
        self._console.print(f"\n{line}", style="bold", markup=False, highlight=False)

    def fact(self, at: datetime, town: str, mark: Mark, line: str) -> None:
        """One fact of the evening: when (in the town's own time), where, what."""
        sign, style = mark.value
        clock = at.strftime("%H:%M:%S")
        if not self._console.is_terminal:
            self._console.print(f"{clock}  {town}: {line}", markup=False, highlight=False, soft_wrap=True)
            return
        row = Table.grid(padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True, width=_TOWN_WIDTH)
        row.add_column(no_wrap=True)
        row.add_column()
        row.add_row(Text(clock, "dim"), Text(town, "cyan"), Text(sign, style), Text(line, style))
        self._console.print(row)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under their headings; the last column is never cut, so that it can be copied."""
        if not self._console.is_terminal:
            for row in rows:
                self._console.print("  ".join(row), markup=False, highlight=False, soft_wrap=True)
            return
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            grid.add_column(column, overflow="fold", no_wrap=column == columns[-1])
        for row in rows:
            grid.add_row(*(Text(cell) for cell in row))
        self._console.print(grid, soft_wrap=True)

    def progress(self, what: str, steps: Sequence[_Step]) -> Iterator[_Step]:
        """Go through the steps under a bar; plain lines where there is no terminal."""
        if not steps:
            return
        if self._console.is_terminal:
            yield from track(steps, what, console=self._console, transient=True)
            return
        for step in steps:
            self.say(f"{what}: {step}…")
            yield step

    @contextmanager
    def waiting(self, line: str) -> Iterator[None]:
        """A sign of life while something takes its time; the sentence alone where there is no terminal."""
        if not self._console.is_terminal:
            self.say(line)
            yield
            return
        with self._console.status(Text(line)):
            yield
