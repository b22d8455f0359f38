"""The language of towns: load them, find them by name, give them roles in the network."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import Cell, Point, centroid
from geo.gazetteer import GazetteerTown
from geo.names import fold
from matching.refusals import NotFound
from matching.vocabulary import TownRole

__all__ = [
    "TownFacts",
    "add",
    "countries_around",
    "get",
    "loaded_countries",
    "named",
    "names",
    "search",
    "set_roles",
    "several",
]


@dataclass(frozen=True, slots=True)
class TownFacts:
    """A town of the gazetteer."""

    id: int
    name: str
    country: str
    population: int
    timezone: str
    point: Point
    cell: Cell
    roles: tuple[TownRole, ...]


_SELECT = "select t.id, t.name, t.country, t.population, t.timezone, t.longitude, t.latitude, t.cell, t.roles"
_GET = text(_SELECT + " from town t where t.id = :id")
# A range, not LIKE: its plan is by the index whatever the server knows of the prefix, and no character is special.
# Lateral with offset 0: once the statement is prepared the server guesses that any prefix finds thousands of names,
# and a plain join would then read the whole table of towns for each search.
_SEARCH = text(f"""
    with found as (
        select town_id, bool_or(folded = :start) as whole,
               bool_or(folded = :start or starts_with(folded, :turned) or starts_with(folded, :word)) as worded
          from town_name
         where folded ~>=~ :start and folded ~<~ :end
         group by town_id
    )
    {_SELECT}
      from found f cross join lateral (select * from town where id = f.town_id offset 0) t
     where cast(:country as text) is null or t.country = :country
     order by f.whole desc,
              log(t.population + 10) + cast(f.worded as int) - coalesce(
                  st_distance(t.point, st_point(:longitude, :latitude)::geography, false) / 100000, 0) desc,
              t.id
     limit :limit
""")
_NAMED = text(f"""
    {_SELECT}
      from town t
     where t.id in (select town_id from town_name where folded = :folded)
       and (cast(:country as text) is null or t.country = :country)
     order by t.population desc, t.id
     limit :limit
""")
_MOST_NAMESAKES = 100
_SEVERAL = text(_SELECT + " from town t where t.id = any(cast(:ids as int[]))")
_NAMES = text("select id, name from town where id = any(cast(:ids as int[]))")
_LOADED = text("select distinct country from town")
_COUNTRIES_AROUND = text("""
    select distinct country from town
     where abs(latitude - :latitude) < 1 and abs(longitude - :longitude) < 1 / cos(radians(:latitude))
""")
_SET_ROLES = text("update town set roles = :roles where id = :id")
_STAGE = (
    # The names of a large country take a busy machine longer than any one statement of a request should.
    "set local statement_timeout = 0",
    """create temporary table town_staged (id int, name text, country text, population int, timezone text,
           longitude float8, latitude float8, cell bigint, middle_longitude float8, middle_latitude float8)
       on commit drop""",
    "create temporary table town_name_staged (town_id int, folded text, name text) on commit drop",
)
_UNSTAGE = (
    """insert into town (id, name, country, population, timezone, longitude, latitude, cell, point)
       select id, name, country, population, timezone, longitude, latitude, cell,
              st_point(middle_longitude, middle_latitude)::geography
         from town_staged
       on conflict (id) do nothing""",
    """insert into town_name (town_id, folded, name) select town_id, folded, name from town_name_staged
       on conflict (town_id, folded) do nothing""",
    "drop table town_staged, town_name_staged",
)


async def search(
    tx: AsyncConnection, q: str, *, country: str | None, near: Point | None, limit: int
) -> list[TownFacts]:
    """Towns of which some name, or some word of a name, begins with what was typed.

    Whole names first; then the highest of log₁₀(people + 10) less kilometres / 100, plus 1 where what was typed ends a
    word: a hundred kilometres, or whole words, weigh as much as ten times the people. Empty when nothing that can be
    searched was typed.
    """
    start = fold(q)
    if not start:
        return []
    rows = await tx.execute(
        _SEARCH,
        {
            "start": start,
            "end": start + "\U0010ffff",
            "turned": start + ",",
            "word": start + " ",
            "country": country,
            "longitude": near.longitude if near else None,
            "latitude": near.latitude if near else None,
            "limit": limit,
        },
    )
    return [_facts(row) for row in rows]


async def named(tx: AsyncConnection, name: str, country: str | None) -> list[TownFacts]:
    """Towns that have this name, whole, in some language; largest first. Accents, case and hyphens do not matter."""
    folded = fold(name)
    if not folded:
        return []
    asked = {"folded": folded, "country": country, "limit": _MOST_NAMESAKES}
    return [_facts(row) for row in await tx.execute(_NAMED, asked)]


async def names(tx: AsyncConnection, ids: Sequence[int]) -> dict[int, str]:
    """What these towns are called."""
    return {row.id: row.name for row in await tx.execute(_NAMES, {"ids": list(ids)})}


async def get(tx: AsyncConnection, town_id: int) -> TownFacts:
    """One town. Raises `NotFound`."""
    row = (await tx.execute(_GET, {"id": town_id})).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def several(tx: AsyncConnection, ids: Collection[int]) -> dict[int, TownFacts]:
    """These towns, by id."""
    return {row.id: _facts(row) for row in await tx.execute(_SEVERAL, {"ids": list(ids)})}


async def loaded_countries(tx: AsyncConnection) -> frozenset[str]:
    """Countries of which towns are loaded (ISO 3166-1, two letters)."""
    return frozenset((await tx.execute(_LOADED)).scalars())


async def countries_around(tx: AsyncConnection, point: Point) -> frozenset[str]:
    """Countries with a town within 111 km north, south, east and west of a point (ISO 3166-1, two letters)."""
    values = {"longitude": point.longitude, "latitude": point.latitude}
    return frozenset((await tx.execute(_COUNTRIES_AROUND, values)).scalars())


async def set_roles(tx: AsyncConnection, town_id: int, roles: Collection[TownRole]) -> None:
    """Say what a town is to people on the road."""
    await tx.execute(_SET_ROLES, {"id": town_id, "roles": sorted(roles)})


async def add(tx: AsyncConnection, towns: Sequence[GazetteerTown]) -> None:
    """Add towns with their names, in bulk; those that are there stay as they are."""
    for statement in _STAGE:
        await tx.execute(text(statement))
    # Staging has begun the transaction on the driver's connection, which COPY now shares.
    driver = (await tx.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection was lost while towns were loaded; nothing was stored: load them again")
    await driver.copy_records_to_table("town_staged", records=[_record(town) for town in towns])
    await driver.copy_records_to_table(
        "town_name_staged",
        records=[(town.id, folded, name) for town in towns for folded, name in town.names.items()],
    )
    for statement in _UNSTAGE:
        await tx.execute(text(statement))


def _record(town: GazetteerTown) -> tuple[int | str | float, ...]:
    middle = centroid(town.cell)
    place = (town.point.longitude, town.point.latitude, town.cell, middle.longitude, middle.latitude)
    return (town.id, town.name, town.country, town.population, town.timezone, *place)


def _facts(row: Row[tuple[object, ...]]) -> TownFacts:
    values = row._mapping
    return TownFacts(
        id=values["id"],
        name=values["name"],
        country=values["country"],
        population=values["population"],
        timezone=values["timezone"],
        point=Point(values["longitude"], values["latitude"]),
        cell=Cell(values["cell"]),
        roles=tuple(TownRole(role) for role in values["roles"]),
    )
