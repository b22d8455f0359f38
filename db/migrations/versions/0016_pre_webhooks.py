"""Organizations are told of events at addresses of theirs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_NONE = sa.text("'{}'")
_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Expand the schema; what happened before is told to no webhook."""
    _add_webhooks()
    _add_deliveries()
    _name_marks("'purged', 'era', 'webhooks', 'webhooks_era'")
    op.execute("""
        insert into feed_mark
        select 'webhooks', pg_snapshot_xmin(pg_current_snapshot()), 0
         union all select 'webhooks_era', '0', event_id from feed_mark where name = 'era'
    """)


def _add_webhooks() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.LargeBinary(), nullable=False),
        sa.Column("kinds", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("objects", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("succeeded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("try_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name="webhook_pkey"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="webhook_organization_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint("state in ('active', 'disabled')", name="state"),
        sa.CheckConstraint("reason in ('gone', 'failing')", name="reason"),
        sa.CheckConstraint("(state = 'disabled') = (reason is not null and disabled_at is not null)", name="disabled"),
    )
    op.create_index("webhook_organization_id_idx", "webhook", ["organization_id", "created_at", "id"])


def _add_deliveries() -> None:
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("facts", postgresql.JSONB(), server_default=_NONE, nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("try_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered", sa.Integer(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="webhook_delivery_pkey"),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name="webhook_delivery_webhook_id_fkey", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("webhook_id", "event_id", name="webhook_delivery_webhook_id_event_id_key"),
        sa.CheckConstraint("state in ('waiting', 'parked')", name="state"),
        sa.CheckConstraint("trouble in ('refused', 'unreachable', 'insecure', 'too_slow')", name="trouble"),
    )
    op.create_index(
        "webhook_delivery_waiting_idx", "webhook_delivery", ["webhook_id", "object_id", "id"], postgresql_where=_WAITING
    )
    op.create_index("webhook_delivery_webhook_id_idx", "webhook_delivery", ["webhook_id", "state", "id"])
    op.create_index("webhook_delivery_since_idx", "webhook_delivery", ["since"])


def _name_marks(names: str) -> None:
    op.drop_constraint("name", "feed_mark", type_="check")
    op.create_check_constraint("name", "feed_mark", f"name in ({names})")


def downgrade() -> None:
    """Go back."""
    op.execute("delete from feed_mark where name in ('webhooks', 'webhooks_era')")
    _name_marks("'purged', 'era'")
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
