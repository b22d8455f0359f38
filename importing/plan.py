"""What would come of a file: what is new, what is there, what differs, and all that is wrong, row by row."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from importing.columns import Columns
from importing.kinds import Entry, Item, Kind
from importing.reading import Reading
from importing.sheet import Row
from matching.refusals import Flaw, Invalid

__all__ = ["Differing", "Plan", "Wrong", "weigh"]

Terms = TypeVar("Terms")


@dataclass(frozen=True, slots=True)
class Differing:
    """A row that says otherwise than what is there: by field, what is there and what the row says."""

    row: int
    entry: Entry
    fields: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row that cannot be taken in, with all that is wrong in it."""

    row: int
    flaws: tuple[Flaw, ...]


@dataclass(slots=True)
class Plan(Generic[Terms]):
    """What would come of each row, by its number."""

    new: list[tuple[int, Item[Terms]]] = field(default_factory=list)
    there: list[tuple[int, Entry]] = field(default_factory=list)
    differing: list[Differing] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    doubts: list[tuple[int, str]] = field(default_factory=list)


async def weigh(kind: Kind[Terms], rows: Iterable[Row], columns: Columns) -> Plan[Terms]:
    """Read and check every row against what is there, and against the rows above it; nothing is written."""
    plan = Plan[Terms]()
    there: dict[Hashable, list[Entry]] = {}
    for entry in await kind.there():
        there.setdefault(entry.key, []).append(entry)
    above: dict[Hashable, tuple[int, Terms]] = {}
    for row in rows:
        try:
            item = await kind.read(Reading(row, columns))
            key = item.entry.key
            if key in there:
                _compare(plan, row.number, item.entry, there[key])
            elif key in above:
                _compare_above(item.terms, *above[key])
                plan.there.append((row.number, item.entry))
            else:
                await kind.check(item.terms)
                plan.new.append((row.number, item))
                above[key] = (row.number, item.terms)
                _doubt(plan, row.number, kind.doubt(item.terms))
        except Invalid as refusal:
            plan.wrong.append(Wrong(row.number, refusal.flaws))
    return plan


def _compare(plan: Plan[Terms], row: int, said: Entry, there: Sequence[Entry]) -> None:
    """Of several that are the same thing, the one that differs least is meant."""
    fields = min((_differences(said, each) for each in there), key=len)
    if fields:
        plan.differing.append(Differing(row, said, fields))
    else:
        plan.there.append((row, said))


def _compare_above(said: Terms, number: int, terms: Terms) -> None:
    if said != terms:
        raise Invalid.one("", "differs_from_row", row=number)


def _differences(said: Entry, there: Entry) -> dict[str, tuple[str, str]]:
    return {
        name: (there.facts.get(name, "?"), fact) for name, fact in said.facts.items() if there.facts.get(name) != fact
    }


def _doubt(plan: Plan[Terms], row: int, doubt: str | None) -> None:
    if doubt is not None:
        plan.doubts.append((row, doubt))
