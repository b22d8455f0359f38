"""What is left when the rest is deleted: chains of who did what, daily counts, and marks of what was purged."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Uuid, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Row

__all__ = ["AuditEntry", "AuditHead", "AuditPending", "DailyFigure", "Tombstone"]


class AuditHead(Row):
    """The newest link of an organization's chain, and the last that was pruned, sealed with a key outside.

    No foreign keys, here and on entries: nothing of a chain waits for anything else.
    """

    __tablename__ = "audit_head"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]
    pruned_number: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    pruned_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    pruned_seal: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        CheckConstraint("0 <= pruned_number and pruned_number <= number", name="numbers"),
        {"postgresql_with": {"fillfactor": "50"}},
    )


class AuditEntry(Row):
    """One act of an organization: in which role and scope, what kind, on which objects, when. Never its content."""

    __tablename__ = "audit_entry"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    role: Mapped[str]
    scope: Mapped[str]
    act: Mapped[str]
    objects: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditPending(Row):
    """An act that is not linked yet, written in its own transaction."""

    __tablename__ = "audit_pending"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    organization_id: Mapped[UUID]
    at: Mapped[CreatedAt]
    role: Mapped[str]
    scope: Mapped[str]
    act: Mapped[str]
    objects: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))


class DailyFigure(Row):
    """One count of a day, a town and a category, without ids. `part` says of what, where a measure has parts.

    `parties` is how many needs stand behind it.
    """

    __tablename__ = "daily_figure"

    day: Mapped[date] = mapped_column(primary_key=True)
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"), primary_key=True)
    category: Mapped[str] = mapped_column(ForeignKey("category.code"), primary_key=True)
    measure: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    count: Mapped[int] = mapped_column(BigInteger)
    parties: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = (CheckConstraint("count >= 0", name="count"),)


class Tombstone(Row):
    """Something was purged: a keyed hash of its id, so that a restored backup does not bring it back."""

    __tablename__ = "tombstone"

    name: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purged_at: Mapped[CreatedAt]

    __table_args__ = (Index("tombstone_purged_at_idx", "purged_at"),)
