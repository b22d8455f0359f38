"""Public figures as they were told, the weeks and months that are closed, and whose duty help is by law."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Row, one_of
from matching.figures.tables import Span

__all__ = ["Competence", "Figure", "FigurePeriod"]


class Competence(Row):
    """A published version of whose legal duty each kind of help is, by country and category; the newest is in force."""

    __tablename__ = "competence"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    duties: Mapped[dict[str, dict[str, dict[str, str]]]] = mapped_column(JSONB)
    published_at: Mapped[CreatedAt]


class FigurePeriod(Row):
    """A week or a month: nothing is counted in it any more once it is `closed`; its figures are `published` once.

    A `lost` one is never published: it began before there were figures, or was told by a database that is no more.
    """

    __tablename__ = "figure_period"

    span: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    state: Mapped[str]
    closed_at: Mapped[CreatedAt]
    published_at: Mapped[datetime | None]
    policy_version: Mapped[int | None]
    competence_version: Mapped[int | None]

    __table_args__ = (
        CheckConstraint(one_of("span", Span), name="span"),
        CheckConstraint(one_of("state", ["closed", "published", "lost"]), name="state"),
        CheckConstraint("(state = 'published') = (published_at is not null)", name="published"),
    )


class Figure(Row):
    """One published figure, never changed: see `matching.figures.tables.Cell` for what its words mean."""

    __tablename__ = "figure"

    span: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    area: Mapped[str] = mapped_column(primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint(one_of("span", Span), name="span"),)
