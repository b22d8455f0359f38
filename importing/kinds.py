"""What every kind of file has in common: rows that can be compared with what is there, checked, and added."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.addresses import Vault
from db.pages import Page, Place
from importing.columns import Column
from importing.gazetteer import Gazetteer
from importing.reading import Reading

__all__ = ["Bringing", "Entry", "Item", "Kind", "all_pages", "yes_or_no"]

Terms = TypeVar("Terms")
_Item = TypeVar("_Item")
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Bringing:
    """For whom, and with what, rows are brought in."""

    tx: AsyncConnection
    organization_id: UUID
    gazetteer: Gazetteer
    vault: Vault
    tie_key: bytes
    tombstone_key: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, or what is there already, as far as the two can be compared; nothing that is guarded is in it.

    Two are the same thing when their keys are equal. `facts` are told by the names of our columns.
    """

    key: Hashable
    called: str
    facts: Mapping[str, str]

    def as_said(self, row: Reading) -> "Entry":
        """With the facts that stand in the row alone: an empty cell says nothing."""
        return replace(self, facts={name: fact for name, fact in self.facts.items() if row.says(name)})


@dataclass(frozen=True, slots=True)
class Item(Generic[Terms]):
    """A row that was read."""

    entry: Entry
    terms: Terms


class Kind(ABC, Generic[Terms]):
    """One kind of file: `sites`, `offers` or `pledges`."""

    name: ClassVar[str]
    columns: ClassVar[Sequence[Column]]

    def __init__(self, bringing: Bringing) -> None:
        self.bringing = bringing

    @abstractmethod
    async def there(self) -> Sequence[Entry]:
        """All that the organization has already."""

    @abstractmethod
    async def read(self, row: Reading) -> Item[Terms]:
        """What a row says. Raises `Invalid` with all that cannot be read."""

    @abstractmethod
    async def check(self, terms: Terms) -> None:
        """Raise `Invalid` as adding it would; nothing is written."""

    @abstractmethod
    async def add(self, terms: Terms) -> UUID:
        """Add what a row says."""

    def doubt(self, terms: Terms) -> str | None:  # noqa: ARG002 - for those kinds that have some
        """What whoever brings it should look at once more, though it can be added."""
        return None


async def all_pages(page: Callable[[Place | None, int], Awaitable[Page[_Item]]]) -> list[_Item]:
    """Everything of a list that is read in pages."""
    first = await page(None, _PAGE)
    found, after = list(first.items), first.next
    while after is not None:
        more = await page(after, _PAGE)
        found.extend(more.items)
        after = more.next
    return found


def yes_or_no(said: bool) -> str:  # noqa: FBT001 - what it tells
    """A truth in words."""
    return "yes" if said else "no"
