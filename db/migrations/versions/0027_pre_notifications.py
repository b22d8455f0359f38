"""Notifications: channels of organizations, their quiet hours, and what each channel was told."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_NONE = sa.text("0")
_FIRST = sa.text("1")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Expand the schema."""
    op.create_table(
        "notification_choice",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=_FIRST, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="notification_choice_pkey"),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name="notification_choice_organization_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("language in ('en', 'fr', 'it', 'es', 'ar')", name="language"),
        sa.CheckConstraint("(quiet_from is null) = (quiet_until is null) and quiet_from <> quiet_until", name="quiet"),
    )
    op.create_table(
        "channel",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("happenings", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=_NONE, nullable=False),
        sa.Column("failing_since", _INSTANT, nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("told_at", _INSTANT, nullable=True),
        sa.Column("try_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default=_FIRST, nullable=False),
        sa.PrimaryKeyConstraint("id", name="channel_pkey"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="channel_organization_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint("state in ('active', 'paused')", name="state"),
        sa.CheckConstraint("reason in ('asked', 'failing')", name="reason"),
        sa.CheckConstraint("(state = 'paused') = (reason is not null)", name="paused"),
        sa.CheckConstraint("fault in ('refused', 'unreachable', 'unsure', 'not_set_up', 'unusable')", name="fault"),
    )
    op.create_index("channel_organization_id_idx", "channel", ["organization_id", "created_at", "id"])
    op.create_table(
        "notice",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("allocation_id", sa.Uuid(), nullable=True),
        sa.Column("happening", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("try_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("failures", sa.Integer(), server_default=_NONE, nullable=False),
        sa.Column("leased_until", _INSTANT, nullable=True),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name="notice_pkey"),
        sa.ForeignKeyConstraint(["channel_id"], ["channel.id"], name="notice_channel_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["allocation_id"], ["allocation.id"], name="notice_allocation_id_fkey", ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "channel_id", "happening", "allocation_id", name="notice_channel_id_happening_allocation_id_key"
        ),
        sa.CheckConstraint("happening in ('awaits', 'expiring', 'confirmed', 'test')", name="happening"),
        sa.CheckConstraint("state in ('waiting', 'sending', 'told', 'past', 'lost', 'given_up')", name="state"),
        sa.CheckConstraint("(happening = 'test') = (allocation_id is null)", name="about"),
    )
    op.create_index("notice_allocation_id_idx", "notice", ["allocation_id"])
    op.create_index(
        "notice_open_idx",
        "notice",
        ["channel_id", "try_at"],
        postgresql_where=sa.text("state in ('waiting', 'sending')"),
    )
    op.create_index("notice_test_idx", "notice", ["created_at"], postgresql_where=sa.text("allocation_id is null"))


def downgrade() -> None:
    """Go back."""
    op.drop_table("notice")
    op.drop_table("channel")
    op.drop_table("notification_choice")
