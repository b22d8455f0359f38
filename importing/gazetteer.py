"""Towns as they stand in spreadsheets: by name, within a country or not, or by their number in GeoNames."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db import towns
from db.towns import TownFacts
from geo.names import fold
from importing import cells
from importing.reading import Reading
from matching.bounds import TOWN_ID
from matching.refusals import Invalid, NotFound

__all__ = ["Gazetteer"]

_TOLD: Final = 5


class Gazetteer:
    """Finds the towns of a file. Of several of one name, the one that the organization works in is meant."""

    def __init__(self, tx: AsyncConnection, own: Collection[int]) -> None:
        self._tx = tx
        self._own = frozenset(own)
        self._found: dict[tuple[str, str | None], TownFacts | Invalid] = {}

    async def town_of(self, row: Reading) -> TownFacts:
        """The town of a row, by its columns `town` and `country`."""
        country = row.may("country", cells.country, None)
        return await row.find("town", lambda text: self.find(text, country))

    async def find(self, text: str, country: str | None) -> TownFacts:
        """The town that is meant. Raises `Invalid`; where several may be, they are named."""
        asked = (text, country)
        if asked not in self._found:
            try:
                self._found[asked] = await self._look(text, country)
            except Invalid as refusal:
                self._found[asked] = refusal
        found = self._found[asked]
        if isinstance(found, Invalid):
            raise found
        return found

    async def _look(self, text: str, country: str | None) -> TownFacts:
        if text.isdecimal():
            return await self._numbered(text, country)
        named = await towns.named(self._tx, text, country)
        # What a town is called today goes before what it is called elsewhere, or once was.
        candidates = [town for town in named if fold(town.name) == fold(text)] or named
        meant = [town for town in candidates if town.id in self._own] or candidates
        if not meant:
            raise Invalid.one("", "town_not_found")
        if len(meant) > 1:
            raise Invalid.one("", "several_towns", towns=_told(meant))
        return meant[0]

    async def _numbered(self, text: str, country: str | None) -> TownFacts:
        try:
            town = await towns.get(self._tx, min(int(text), TOWN_ID.most))
        except NotFound:
            raise Invalid.one("", "town_not_found") from None
        if country not in (None, town.country):
            raise Invalid.one("", "town_of_another_country")
        return town


def _told(candidates: Sequence[TownFacts]) -> str:
    """Name, country, people and number of each: without words, for it stands in sentences of any language."""
    told = [f"{town.name} ({town.country}, {town.population}): {town.id}" for town in candidates[:_TOLD]]
    more = len(candidates) - _TOLD
    return "; ".join([*told, *([f"… (+{more})"] if more > 0 else [])])
