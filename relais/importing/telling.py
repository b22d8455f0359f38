"""What a file is taken for and what would come of it, as people read it in a terminal."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from importing.columns import Columns, Found
from importing.plan import Differing, Plan, Wrong
from importing.sentences import ALIASES, sentence

__all__ = ["columns", "plan", "progress"]

Each = TypeVar("Each")
Terms = TypeVar("Terms")
_SHOWN: Final = 20
_LONG: Final = 200
"""Rows from which on it takes so long that people ask themselves whether something goes on."""


def columns(found: Columns) -> None:
    """Which column is taken for what."""
    table = Table("column of the file", "is", title="What the columns are taken for")
    for each in found.found:
        table.add_row(escape(each.header), _meaning(each))
    Console().print(table)


def plan(plan: Plan[Terms], found: Columns) -> None:
    """What would come of each row; what is wrong goes where errors go, all of it."""
    typer.echo(
        f"{len(plan.new)} new, {len(plan.there)} there already, {len(plan.differing)} there with other facts, "
        f"{len(plan.wrong)} with errors."
    )
    for number, item in plan.new[:_SHOWN]:
        facts = ", ".join(f"{name} {fact}" for name, fact in item.entry.facts.items())
        typer.echo(f"  new      row {number}: {item.entry.called}" + (f" ({facts})" if facts else ""))
    if len(plan.new) > _SHOWN:
        typer.echo(f"  new      and {len(plan.new) - _SHOWN} more")
    for each in plan.differing:
        typer.echo(_difference(each))
    for number, doubt in plan.doubts:
        typer.echo(f"  look at  row {number}: {doubt}")
    for wrong in plan.wrong:
        _wrong(wrong, found)


def progress(rows: Sequence[Each], what: str) -> Iterable[Each]:
    """The same rows, with a bar where somebody looks and there is enough to wait for."""
    console = Console(stderr=True)
    quiet = len(rows) < _LONG or not console.is_terminal
    return track(rows, what, console=console, disable=quiet, transient=True)


def _meaning(each: Found) -> str:
    if each.refused:
        return "refused: free text, or text about people, is never taken in"
    return each.ours or "left out: it is none of ours"


def _difference(each: Differing) -> str:
    fields = "; ".join(f"{name} is {there}, the row says {said}" for name, (there, said) in each.fields.items())
    return f"  differs  row {each.row}: {each.entry.called}: {fields} (not changed)"


def _wrong(wrong: Wrong, found: Columns) -> None:
    for flaw in wrong.flaws:
        name = flaw.at.removeprefix("/").partition("/")[0]
        ours = ALIASES.get(name, name)
        where = f", column {_called(ours, found)}" if ours else ""
        typer.echo(f"  error    row {wrong.row}{where}: {sentence(flaw)}.", err=True)


def _called(ours: str, found: Columns) -> str:
    theirs = found.called(ours)
    return ours if theirs == ours else f"“{theirs}” ({ours})"
