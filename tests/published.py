"""Figures that were published, put there as they are."""

from datetime import date

from sqlalchemy.ext.asyncio import AsyncEngine

from db import publication
from db.connection import transaction
from matching.figures.measures import Measure
from matching.figures.publication import Due, Told
from matching.figures.tables import Cell, Span

__all__ = ["tell"]


async def tell(engine: AsyncEngine, span: Span, first_day: date, *figures: tuple[str, str, Measure, str, int]) -> None:
    """Publish figures as they are: area, category, measure, part, value."""
    told = [
        Told(Cell(span, first_day, area, category, measure, part), value)
        for area, category, measure, part, value in figures
    ]
    async with transaction(engine) as tx:
        assert await publication.publish(tx, Due(span, first_day, [], {}), told)
