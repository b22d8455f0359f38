"""Sessions: browsers that are signed in to the console with a key."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Expand the schema."""
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key_prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="session_pkey"),
        sa.UniqueConstraint("digest", name="session_digest_key"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="session_organization_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key_prefix"], ["api_key.prefix"], name="session_key_prefix_fkey", ondelete="CASCADE"),
    )
    op.create_index("session_organization_id_idx", "session", ["organization_id"])
    op.create_index("session_key_prefix_idx", "session", ["key_prefix"])


def downgrade() -> None:
    """Go back."""
    op.execute("drop function if exists session_holder(bytea, interval)")
    op.drop_table("session")
