"""What there is to report of a town and a month: published figures alone, so that the paper can be public."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db import competences, published, towns
from db.published import Chosen, PublishedFigure, PublishedPeriod
from db.towns import TownFacts
from geo.distance import great_circle
from matching.competence import Competence
from matching.figures.calendar import WEEK, weeks_of
from matching.figures.measures import Measure
from matching.figures.tables import Span

__all__ = ["SHELTER", "MonthOfATown", "Neighbour", "read_month"]

SHELTER: Final = "shelter"
_WEEKS: Final = 13
_FARTHEST_KM: Final = 150
_MOST_NEIGHBOURS: Final = 12


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A town around, or the town itself, and how many people slept there for each thousand inhabitants."""

    town: TownFacts
    per_thousand: float


@dataclass(frozen=True, slots=True)
class MonthOfATown:
    """All that was told of a town and a month; `weeks` are the last thirteen to its end that were published."""

    town: TownFacts
    month: PublishedPeriod
    figures: Sequence[PublishedFigure]
    weeks: Sequence[PublishedPeriod]
    by_week: Sequence[PublishedFigure]
    neighbours: Sequence[Neighbour]
    competence: Competence

    def value(self, measure: Measure, category: str) -> int | None:
        """What was told of a measure and a category; `None` where nothing was."""
        told = (each.value for each in self.figures if (each.measure, each.category) == (measure, category))
        return next(told, None)

    def parts(self, measure: Measure, category: str) -> dict[str, int]:
        """What was told of a measure's parts, greatest first."""
        found = {
            each.part: each.value
            for each in self.figures
            if (each.measure, each.category) == (measure, category) and each.part
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))


async def read_month(tx: AsyncConnection, town_id: int, month: date) -> MonthOfATown | None:
    """What was told of a town and a month (its first day); `None` where the month was not published.

    Raises `NotFound` where there is no such town.
    """
    town = await towns.get(tx, town_id)
    periods = await published.periods(tx, Span.MONTH, month, month, None, 1)
    if not periods:
        return None
    last = weeks_of(month)[-1]
    weeks = await published.periods(tx, Span.WEEK, last - (_WEEKS - 1) * WEEK, last, None, _WEEKS)
    of_town = Chosen(town=town_id)
    everywhere = await published.figures(tx, Span.MONTH, [month], Chosen(category=SHELTER))
    return MonthOfATown(
        town=town,
        month=periods[0],
        figures=await published.figures(tx, Span.MONTH, [month], of_town),
        weeks=weeks[::-1],
        by_week=await published.figures(
            tx, Span.WEEK, [each.first_day for each in weeks], Chosen(town=town_id, category=SHELTER)
        ),
        neighbours=await _neighbours(tx, town, everywhere),
        competence=await competences.version(tx, periods[0].competence_version),
    )


async def _neighbours(tx: AsyncConnection, town: TownFacts, everywhere: Sequence[PublishedFigure]) -> list[Neighbour]:
    found = [
        Neighbour(await towns.get(tx, each.town), each.per_thousand)
        for each in everywhere
        if each.town is not None and each.per_thousand is not None and each.measure is Measure.SERVED
    ]
    near = [each for each in found if great_circle(town.point, each.town.point) <= _FARTHEST_KM]
    return sorted(near, key=lambda each: great_circle(town.point, each.town.point))[:_MOST_NEIGHBOURS]
