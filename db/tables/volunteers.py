"""Who opens the doors: pledges of associations, the turns in which they may serve, and their shifts.

A slot whose site asks for volunteers has a row in `slot_staffing`. Its capacity is then what may be given now: as many
as its volunteers can serve, never more than the room has, and never less than who is in it.
"""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CellColumn, CreatedAt, Identity, PointColumn, Row, Version, one_of
from matching.states import PledgeState, ShiftState

__all__ = ["Pledge", "PledgeTurn", "Shift", "SlotStaffing"]


class SlotStaffing(Row):
    """What a slot's room has (`places`) and how many people its live shifts can serve (`staffed`).

    `kept` people were in when the site began to ask for volunteers: they stay, with or without.
    """

    __tablename__ = "slot_staffing"

    slot_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("slot.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    places: Mapped[int]
    staffed: Mapped[int] = mapped_column(server_default=text("0"))
    kept: Mapped[int] = mapped_column(server_default=text("0"))

    __table_args__ = (CheckConstraint("places >= 0 and staffed >= 0 and kept >= 0", name="people"),)


class Pledge(Row):
    """Volunteers that an association declares: how many, with what skill, when, how far, how often a week."""

    __tablename__ = "pledge"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    cell: Mapped[CellColumn]
    point: Mapped[PointColumn]
    skill: Mapped[str]
    headcount: Mapped[int]
    radius_km: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]
    timezone: Mapped[str]
    opens: Mapped[time]
    closes: Mapped[time]
    rrule: Mapped[str]
    shifts_per_week_max: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=PledgeState.OPEN.value)
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", PledgeState), name="state"),
        CheckConstraint("headcount > 0 and radius_km >= 0 and shifts_per_week_max > 0", name="limits"),
        Index("pledge_organization_id_idx", "organization_id", "created_at", "id"),
        Index("pledge_skill_idx", "skill", postgresql_where=text("state = 'open'")),
    )


class PledgeTurn(Row):
    """One time at which a pledge's volunteers may serve; `day` says in which week it counts."""

    __tablename__ = "pledge_turn"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    pledge_id: Mapped[UUID] = mapped_column(ForeignKey("pledge.id", ondelete="CASCADE"))
    day: Mapped[date]
    starts: Mapped[datetime]
    ends: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("starts < ends", name="times"),
        Index("pledge_turn_pledge_id_starts_idx", "pledge_id", "starts"),
    )


class Shift(Row):
    """Volunteers of a pledge at a site for a slot. It keeps its times when the slot goes."""

    __tablename__ = "shift"

    id: Mapped[Identity]
    pledge_id: Mapped[UUID] = mapped_column(ForeignKey("pledge.id"))
    site_id: Mapped[UUID] = mapped_column(ForeignKey("site.id"))
    slot_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("slot.id", ondelete="SET NULL"))
    volunteers: Mapped[int]
    day: Mapped[date]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default=ShiftState.PLANNED.value)
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]
    asked: Mapped[int] = mapped_column(server_default=text("0"))
    """How often it was asked whether the volunteers still come."""
    asked_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    at_risk_at: Mapped[datetime | None]
    """Since when an answer is missing; others are looked for beside."""

    __table_args__ = (
        CheckConstraint(one_of("state", ShiftState), name="state"),
        CheckConstraint("volunteers > 0", name="volunteers"),
        Index("shift_pledge_id_idx", "pledge_id", "starts"),
        Index("shift_slot_id_idx", "slot_id"),
        Index("shift_site_id_idx", "site_id", "starts"),
        Index("shift_ends_idx", "ends", postgresql_where=text("state in ('planned', 'confirmed')")),
    )
