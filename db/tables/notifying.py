"""How organizations want their people to be told that something waits: channels, hours, and what each was told."""

from datetime import datetime, time
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts, Version, one_of
from matching.notifying import TELLS_IN, ChannelState, Fault, Happening, NoticeState, PausedFor

__all__ = ["Channel", "Notice", "NotificationChoice"]


class NotificationChoice(Row):
    """In which language an organization is told, and at which hours of its own clock it is not."""

    __tablename__ = "notification_choice"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str]
    timezone: Mapped[str]
    quiet_from: Mapped[time | None]
    quiet_until: Mapped[time | None]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("language", TELLS_IN), name="language"),
        CheckConstraint("(quiet_from is null) = (quiet_until is null) and quiet_from <> quiet_until", name="quiet"),
    )


class Channel(Row):
    """An address by which people of an organization are told. It is sealed.

    `kind` is `mail` or the service that its address names. `failures` in a row, since `failing_since`, have it wait
    until `try_at`.
    """

    __tablename__ = "channel"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    kind: Mapped[str]
    address: Mapped[bytes] = mapped_column(LargeBinary)
    happenings: Mapped[Texts]
    state: Mapped[str] = mapped_column(server_default="active")
    reason: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    failing_since: Mapped[datetime | None]
    fault: Mapped[str | None]
    told_at: Mapped[datetime | None]
    try_at: Mapped[CreatedAt]
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", ChannelState), name="state"),
        CheckConstraint(one_of("reason", PausedFor), name="reason"),
        CheckConstraint("(state = 'paused') = (reason is not null)", name="paused"),
        CheckConstraint(one_of("fault", Fault), name="fault"),
        Index("channel_organization_id_idx", "organization_id", "created_at", "id"),
    )


class Notice(Row):
    """One happening, of one allocation or referral, for one channel: there is never a second. A test is of none.

    Who tells it holds it until `leased_until`; nobody tells it after that.
    """

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    channel_id: Mapped[UUID] = mapped_column(ForeignKey("channel.id", ondelete="CASCADE"))
    allocation_id: Mapped[UUID | None] = mapped_column(ForeignKey("allocation.id", ondelete="CASCADE"))
    referral_id: Mapped[UUID | None] = mapped_column(ForeignKey("referral.id", ondelete="CASCADE"))
    happening: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="waiting")
    try_at: Mapped[CreatedAt]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    leased_until: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint(one_of("happening", Happening), name="happening"),
        CheckConstraint(one_of("state", NoticeState), name="state"),
        CheckConstraint(
            "(happening = 'asked') = (referral_id is not null) "
            "and (happening in ('asked', 'test')) = (allocation_id is null)",
            name="about",
        ),
        UniqueConstraint("channel_id", "happening", "allocation_id"),
        Index("notice_allocation_id_idx", "allocation_id"),
        Index(
            "notice_referral_key",
            *("referral_id", "channel_id", "happening"),
            unique=True,
            postgresql_where=text("referral_id is not null"),
        ),
        Index("notice_open_idx", "channel_id", "try_at", postgresql_where=text("state in ('waiting', 'sending')")),
        Index("notice_test_idx", "created_at", postgresql_where=text("allocation_id is null")),
    )
