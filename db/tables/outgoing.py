"""What leaves the house: where organizations want to hear of events, and what they have not heard yet."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy import Identity as Serial
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts, Version, one_of
from matching.delivering import DeliveryState, DisabledFor, Trouble, WebhookState

__all__ = ["Webhook", "WebhookDelivery"]


class Webhook(Row):
    """An address that an organization is told of events at. The address is sealed; its secrets are stored nowhere.

    `generation` counts its secrets, which are derived; `retired_at` is when each of the last ones was replaced, oldest
    first. `kinds` are those asked for, all where there are none; `objects`
    are those that the key which made it could read. `failures` in a row, since `failing_since`, have it wait until
    `try_at`.
    """

    __tablename__ = "webhook"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    url: Mapped[bytes] = mapped_column(LargeBinary)
    kinds: Mapped[Texts]
    objects: Mapped[Texts]
    state: Mapped[str] = mapped_column(server_default="active")
    reason: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    rotated_at: Mapped[datetime | None]
    retired_at: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)), server_default=text("'{}'"))
    succeeded_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    failing_since: Mapped[datetime | None]
    try_at: Mapped[CreatedAt]
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", WebhookState), name="state"),
        CheckConstraint(one_of("reason", DisabledFor), name="reason"),
        CheckConstraint("(state = 'disabled') = (reason is not null and disabled_at is not null)", name="disabled"),
        Index("webhook_organization_id_idx", "organization_id", "created_at", "id"),
    )


class WebhookDelivery(Row):
    """An event that a webhook has not taken yet, as it will be told; it is deleted once it is taken.

    `id` is the order of events. Who tells it holds it until `leased_until`. `attempts` are all that were made,
    `failures` those that were not the whole address failing.
    """

    __tablename__ = "webhook_delivery"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    event_id: Mapped[UUID]
    kind: Mapped[str]
    object_id: Mapped[UUID]
    at: Mapped[datetime]
    facts: Mapped[dict[str, str | int]] = mapped_column(JSONB, server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(server_default="waiting")
    since: Mapped[CreatedAt]
    """Since when it is in its state: its term counts from here."""
    try_at: Mapped[CreatedAt]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    tried_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    answered: Mapped[int | None]
    """The status of the last answer; nothing where none came."""
    trouble: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(one_of("state", DeliveryState), name="state"),
        CheckConstraint(one_of("trouble", Trouble), name="trouble"),
        UniqueConstraint("webhook_id", "event_id"),
        Index(
            "webhook_delivery_waiting_idx", "webhook_id", "object_id", "id", postgresql_where=text("state = 'waiting'")
        ),
        Index("webhook_delivery_webhook_id_idx", "webhook_id", "state", "id"),
        Index("webhook_delivery_since_idx", "since"),
    )
