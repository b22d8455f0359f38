"""Reading what was published: weeks and months with their figures, as they were told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import Cell, centroid
from geo.distance import Kilometres
from matching.competence import Duty
from matching.figures.measures import Measure
from matching.figures.tables import Span

__all__ = [
    "Chosen",
    "PublishedFigure",
    "PublishedPeriod",
    "ToldTown",
    "figures",
    "periods",
    "towns_told",
    "towns_told_around",
]


@dataclass(frozen=True, slots=True)
class PublishedPeriod:
    """A week or month that was published, and under which policy and table of duties."""

    span: Span
    first_day: date
    published_at: datetime
    policy_version: int
    competence_version: int


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """One figure. Without a `town` it is its country's, without a `country` the network's; `*` is all categories."""

    first_day: date
    town: int | None
    name: str | None
    country: str | None
    population: int | None
    category: str
    measure: Measure
    part: str
    value: int
    duty: Duty | None
    """Of unmet people: whose legal duty this help was, by the table in force when it was published."""

    @property
    def per_thousand(self) -> float | None:
        """Of a town: so many for each thousand inhabitants, to two digits."""
        return round(1000 * self.value / self.population, 2) if self.population else None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which figures: of one town or some, of one country with its towns, of one category; all where nothing is said."""

    town: int | None = None
    country: str | None = None
    category: str | None = None
    towns: Collection[int] | None = None
    measures: Collection[Measure] | None = None


@dataclass(frozen=True, slots=True)
class ToldTown:
    """A town of which something was told."""

    id: int
    name: str
    country: str


# Looked for in a year before the newest: the table grows for as long as Relais is used.
_TOWNS = text("""
    select t.id, t.name, t.country
      from (select distinct area from figure where first_day > (select max(first_day) - 366 from figure)) f
      join town t on t.id = case when f.area ~ '^[0-9]+$' then cast(f.area as int) end
     order by t.name, t.id
     limit :limit
""")
# Distances count in whole kilometres, rounded half up, from the middle of one cell to that of the other.
_AROUND = text("""
    select t.id
      from (select distinct area from figure where first_day > (select max(first_day) - 366 from figure)) f
      join town t on t.id = case when f.area ~ '^[0-9]+$' then cast(f.area as int) end
     where st_dwithin(t.point, cast(:point as geography), :metres, false)
       and (cast(:country as text) is null or t.country = :country)
     order by st_distance(t.point, cast(:point as geography), false), t.id
     limit :limit
""")
_PERIODS = text("""
    select span, first_day, published_at, policy_version, competence_version from figure_period
     where span = :span and state = 'published'
       and (cast(:since as date) is null or first_day >= :since)
       and (cast(:until as date) is null or first_day <= :until)
       and (cast(:before as date) is null or first_day < :before)
     order by first_day desc limit :limit
""")
_FIGURES = text("""
    select g.first_day, t.id as town, t.name, coalesce(t.country, nullif(g.area, '*')) as country, t.population,
           g.category, g.measure, g.part, g.value,
           case when g.measure in ('unmet', 'unmet_for') and g.area <> '*' and g.category <> '*'
                then coalesce(c.duties -> coalesce(t.country, g.area) -> g.category ->> 'duty', 'unknown') end as duty
      from figure g
      join figure_period p on p.span = g.span and p.first_day = g.first_day
      join competence c on c.version = p.competence_version
      left join town t on t.id = case when g.area ~ '^[0-9]+$' then cast(g.area as int) end
     where g.span = :span and g.first_day = any(cast(:days as date[]))
       and (cast(:town as int) is null or t.id = :town)
       and (cast(:towns as int[]) is null or t.id = any(cast(:towns as int[])))
       and (cast(:country as text) is null or coalesce(t.country, g.area) = :country)
       and (cast(:category as text) is null or g.category = :category)
       and (cast(:measures as text[]) is null or g.measure = any(cast(:measures as text[])))
     order by g.first_day desc, g.area, g.category, g.measure, g.part
""")


async def periods(
    tx: AsyncConnection, span: Span, since: date | None, until: date | None, before: date | None, limit: int
) -> list[PublishedPeriod]:
    """At most so many weeks or months, newest first, of those that begin between two days and before a third."""
    asked = {"span": span.value, "since": since, "until": until, "before": before, "limit": limit}
    return [
        PublishedPeriod(Span(row.span), row.first_day, row.published_at, row.policy_version, row.competence_version)
        for row in await tx.execute(_PERIODS, asked)
    ]


async def figures(tx: AsyncConnection, span: Span, first_days: Sequence[date], chosen: Chosen) -> list[PublishedFigure]:
    """The figures of these weeks or months, newest first."""
    asked = {
        "span": span.value,
        "days": list(first_days),
        "town": chosen.town,
        "country": chosen.country,
        "category": chosen.category,
        "towns": None if chosen.towns is None else list(chosen.towns),
        "measures": None if chosen.measures is None else [each.value for each in chosen.measures],
    }
    return [
        PublishedFigure(
            first_day=row.first_day,
            town=row.town,
            name=row.name,
            country=row.country,
            population=row.population,
            category=row.category,
            measure=Measure(row.measure),
            part=row.part,
            value=row.value,
            duty=Duty(row.duty) if row.duty else None,
        )
        for row in await tx.execute(_FIGURES, asked)
    ]


async def towns_told(tx: AsyncConnection, limit: int) -> list[ToldTown]:
    """Towns of which something was told in the year before the newest figures, by name."""
    return [ToldTown(row.id, row.name, row.country) for row in await tx.execute(_TOWNS, {"limit": limit})]


async def towns_told_around(
    tx: AsyncConnection, cell: Cell, km: Kilometres, country: str | None, limit: int
) -> list[int]:
    """The nearest towns at most so far from a cell of which something was told in that year; of one country, or any."""
    asked = {
        "point": centroid(cell).ewkt,
        "metres": km * 1000 + 499.999,
        "country": country,
        "limit": limit,
    }
    return list((await tx.execute(_AROUND, asked)).scalars())
