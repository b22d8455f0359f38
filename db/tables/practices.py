"""Practices: what organizations do, told to the network."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts, Version, one_of
from matching.practices import Doing, PracticeState

__all__ = ["Practice"]


class Practice(Row):
    """What an organization does, from closed lists and counts: see `matching.practices.PracticeTerms`."""

    __tablename__ = "practice"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    doing: Mapped[str]
    category: Mapped[str] = mapped_column(ForeignKey("category.code"))
    audience: Mapped[Texts]
    first_month: Mapped[date]
    last_month: Mapped[date | None]
    places: Mapped[int | None]
    volunteers: Mapped[int | None]
    paid_hours_per_week: Mapped[int | None]
    cost_per_year: Mapped[int | None]
    currency: Mapped[str | None]
    means: Mapped[Texts]
    funding: Mapped[Texts]
    obstacles: Mapped[Texts]
    named: Mapped[bool]
    state: Mapped[str] = mapped_column(server_default=PracticeState.TOLD.value)
    created_at: Mapped[CreatedAt]
    changed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("doing", Doing), name="doing"),
        CheckConstraint(one_of("state", PracticeState), name="state"),
        CheckConstraint("last_month is null or last_month >= first_month", name="months"),
        CheckConstraint("(cost_per_year is null) = (currency is null)", name="cost"),
        Index("practice_created_at_idx", "created_at", "id", postgresql_where=text("state = 'told'")),
        Index("practice_organization_id_idx", "organization_id"),
    )
