"""A network of the size that the figures speak of: clustered towns, their sites and offers, and needs to place.

Everything follows from a seed, so that two runs measure the same world. No town in it is a real one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import cos, radians
from random import Random
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import asyncpg

from geo.cells import Point, cell_of, centroid

__all__ = ["ZONE", "NeedRow", "TownRow", "World", "add_needs", "add_past", "build", "needs_around"]

ZONE = ZoneInfo("Europe/Paris")
_SEED = UUID("6f1d3c52-2a87-4be1-9f55-0c1f2f0f7a11")
_WEST, _EAST, _SOUTH, _NORTH = -4.0, 16.0, 40.0, 52.0
_CLUSTERS = 60
_KILOMETRES_PER_DEGREE = 111.2
_AUDIENCES = ("anyone",) * 14 + ("women", "women", "families", "families", "unaccompanied_minors", "lgbtq")
_PROVIDES = ("step_free", "ground_floor", "private_room", "family_room", "showers", "kitchen", "meals")
_CATEGORIES = ("shelter",) * 9 + ("sanitation",)
_HOMES = ("private_home",) * 4 + ("association_premises",) * 3 + ("municipal_building",) * 3


@dataclass(frozen=True, slots=True)
class TownRow:
    """A synthetic town; `weight` is its share of offers and needs."""

    id: int
    point: Point
    country: str
    weight: float


@dataclass(frozen=True, slots=True)
class World:
    """What a built database holds."""

    towns: Sequence[TownRow]
    organizations: Sequence[UUID]
    offers: int


@dataclass(frozen=True, slots=True)
class NeedRow:
    """One shelter need to place."""

    id: UUID
    organization_id: UUID
    town: TownRow
    adults: int
    minors: int
    starts: datetime
    ends: datetime
    urgency: str
    audience: list[str]
    requires: list[str]


async def build(
    connection: asyncpg.Connection,
    *,
    offers: int = 100_000,
    towns: int = 2_000,
    organizations: int = 500,
    nights: tuple[int, int] = (7, 30),
) -> World:
    """Fill a migrated database: towns, organizations, one offer a site, and as many slots an offer as `nights` says."""
    random = Random(7)
    places = list(_towns(random, towns))
    owners = [uuid5(_SEED, f"organization {n}") for n in range(organizations)]
    async with connection.transaction():
        await connection.execute(_STAGING)
        await connection.copy_records_to_table(
            "staged_town",
            records=[
                (town.id, town.country, town.point.longitude, town.point.latitude, cell_of(town.point))
                for town in places
            ],
        )
        await connection.copy_records_to_table("staged_organization", records=[(owner,) for owner in owners])
        await connection.copy_records_to_table("staged_offer", records=_offers(random, places, owners, offers, nights))
        for statement in _FILL:
            await connection.execute(statement)
    await connection.execute("vacuum analyze")
    return World(places, owners, offers)


def needs_around(world: World, count: int, seed: int) -> Iterator[NeedRow]:
    """Shelter needs where people are, from tonight on, of one to three nights."""
    random = Random(seed)
    weights = [town.weight for town in world.towns]
    today = datetime.now(ZONE).date()
    for number, town in enumerate(random.choices(world.towns, weights, k=count)):
        first = today + timedelta(days=random.choice((1, 1, 1, 2)))
        last = first + timedelta(days=random.choice((1, 1, 2, 3)))
        adults, minors = random.choice(((1, 0), (1, 0), (2, 0), (1, 1), (2, 2), (2, 3), (3, 0)))
        yield NeedRow(
            id=uuid5(_SEED, f"need {seed} {number}"),
            organization_id=random.choice(world.organizations),
            town=town,
            adults=adults,
            minors=minors,
            starts=datetime.combine(first, time(18), ZONE).astimezone(UTC),
            ends=datetime.combine(last, time(9), ZONE).astimezone(UTC),
            urgency=random.choice(("vital", "high", "normal")),
            audience=["families"] if minors else ["anyone"],
            requires=random.choice(([], [], [], ["step_free"], ["showers"], ["step_free", "meals"])),
        )


async def add_past(connection: asyncpg.Connection, world: World, count: int) -> None:
    """Needs that have come, been placed and gone: a network that has been in use, as the planner sees it too."""
    await add_needs(connection, list(needs_around(world, count, 1)))
    await connection.execute("update need set state = 'closed', ended_at = now()")
    await connection.execute(_PAST_STAYS)
    await connection.execute("vacuum analyze need, allocation, event")


async def add_needs(connection: asyncpg.Connection, needs: Sequence[NeedRow], due_in: float = 0.0) -> None:
    """Post needs in bulk: open, their events written; due at once, or within a moment so many seconds from now."""
    rows = []
    for need in needs:
        cell = cell_of(need.town.point)
        middle = centroid(cell)
        rows.append(
            (need.id, need.organization_id, need.town.id, cell, middle.longitude, middle.latitude, need.adults,
             need.minors, need.starts, need.ends, need.urgency, need.audience, need.requires, [need.town.country])
        )  # fmt: skip
    async with connection.transaction():
        await connection.execute(_STAGED_NEED)
        await connection.copy_records_to_table("staged_need", records=rows)
        await connection.execute(_POST_NEEDS, due_in)
    await connection.execute("vacuum analyze need")


def _towns(random: Random, count: int) -> Iterator[TownRow]:
    centres = [(random.uniform(_WEST, _EAST), random.uniform(_SOUTH, _NORTH)) for _ in range(_CLUSTERS)]
    for number in range(count):
        west_east, south_north = random.choice(centres)
        longitude = min(max(random.gauss(west_east, 0.45), _WEST), _EAST)
        latitude = min(max(random.gauss(south_north, 0.3), _SOUTH), _NORTH)
        # Few cities, many villages.
        weight = random.paretovariate(1.2)
        yield TownRow(number + 1, Point(longitude, latitude), _country(longitude, latitude), min(weight, 60.0))


def _country(longitude: float, latitude: float) -> str:
    if longitude > 7:
        return "DE" if latitude > 47 else "IT"
    return "ES" if latitude < 42.7 else "FR"


def _offers(
    random: Random, towns: Sequence[TownRow], owners: Sequence[UUID], count: int, nights: tuple[int, int]
) -> Iterator[tuple[object, ...]]:
    for number, town in enumerate(random.choices(towns, [town.weight for town in towns], k=count)):
        # A city's sites lie in more cells than a village's.
        spread = (1.0 + town.weight**0.5) / _KILOMETRES_PER_DEGREE
        latitude = random.gauss(town.point.latitude, spread)
        longitude = random.gauss(town.point.longitude, spread / cos(radians(latitude)))
        cell = cell_of(Point(longitude, latitude))
        middle = centroid(cell)
        kind = random.choice(_HOMES)
        yield (
            uuid5(_SEED, f"site {number}"),
            uuid5(_SEED, f"offer {number}"),
            random.choice(owners),
            town.id,
            town.country,
            kind,
            cell,
            middle.longitude,
            middle.latitude,
            random.choice(_CATEGORIES),
            random.randint(1, 6) if kind == "private_home" else random.randint(8, 60),
            [random.choice(_AUDIENCES)],
            random.sample(_PROVIDES, random.randint(1, 5)),
            random.random() < 0.9,
            random.randint(*nights),
            random.getrandbits(63),
        )


_STAGING = """
    create temporary table staged_town (id int, country text, longitude float8, latitude float8, cell bigint)
        on commit drop;
    create temporary table staged_organization (id uuid) on commit drop;
    create temporary table staged_offer (
        site_id uuid, id uuid, organization_id uuid, town_id int, country text, kind text, cell bigint,
        longitude float8, latitude float8, category text, capacity int, audience text[], provides text[],
        vetted bool, nights int, tie bigint
    ) on commit drop;
"""
_FILL = (
    """
    insert into town (id, name, country, population, timezone, latitude, longitude, cell, point)
    select id, 'Town ' || id, country, 1000, 'Europe/Paris', latitude, longitude, cell,
           st_point(longitude, latitude)::geography
      from staged_town
    """,
    """
    insert into organization (id, kind, name)
    select id, 'association', 'Organization ' || row_number() over () from staged_organization
    """,
    """
    insert into site (id, organization_id, town_id, name, kind, cell, visibility, provides, vetted_by, vetted_at)
    select site_id, organization_id, town_id, 'Site', kind, cell, 'on_confirmation', provides,
           case when vetted then organization_id end, case when vetted then now() end
      from staged_offer
    """,
    """
    insert into offer (id, site_id, organization_id, category, capacity, audience, provides, confirmation,
                       confirm_within_minutes, first_day, last_day, timezone, opens, closes, rrule, town_id, is_public,
                       country, cell, point, tie)
    select id, site_id, organization_id, category, capacity, audience, '{}', 'each', 60, current_date,
           current_date + nights - 1, 'Europe/Paris', '19:00', '08:00', 'FREQ=DAILY', town_id, false,
           country, cell, st_point(longitude, latitude)::geography, tie
      from staged_offer
    """,
    """
    insert into slot (offer_id, day, starts, ends, last_arrival, capacity)
    select o.id, o.first_day + night, (o.first_day + night + o.opens) at time zone o.timezone,
           (o.first_day + night + 1 + o.closes) at time zone o.timezone,
           (o.first_day + night + 1 + o.closes) at time zone o.timezone, o.capacity
      from offer o, generate_series(0, o.last_day - o.first_day) as night
     order by o.id, night
    """,
)
_STAGED_NEED = """
    create temporary table staged_need (
        id uuid, organization_id uuid, town_id int, cell bigint, longitude float8, latitude float8, adults int,
        minors int, starts timestamptz, ends timestamptz, urgency text, audience text[], requires text[],
        countries text[]
    ) on commit drop
"""
_PAST_STAYS = """
    insert into allocation (need_id, offer_id, provider_id, poster_id, people, state, firm_from, held_until,
                            last_arrival, ends, distance_km, policy_version, ended_at)
    select n.id, o.id, o.organization_id, n.organization_id, n.people, 'completed', now(), now(), now(), now(), 1, 1,
           now()
      from (select need.*, row_number() over (order by id) as number from need) n
      join (select offer.*, row_number() over (order by id) as number from offer) o using (number)
"""
_POST_NEEDS = """
    with posted as (
        insert into need (id, organization_id, category, town_id, cell, point, adults, minors, starts, ends, urgency,
                          tier, stay, audience, requires, countries, divisible, deadline, look_at)
        select id, organization_id, 'shelter', town_id, cell, st_point(longitude, latitude)::geography, adults, minors,
               starts, ends, urgency, case urgency when 'vital' then 0 when 'high' then 1 else 2 end, 'unknown',
               audience, requires, countries, false, ends,
               now() + make_interval(secs => $1 + row_number() over () * 0.000001)
          from staged_need
        returning id, organization_id
    )
    insert into event (kind, object_id, organizations) select 'need.posted', id, array[organization_id] from posted
"""
