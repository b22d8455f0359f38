"""What each organization does is written down in a chain of its own, whose every link holds the one before."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema."""
    op.create_table(
        "audit_head",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pruned_number", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("pruned_hash", sa.LargeBinary(), nullable=True),
        sa.Column("pruned_seal", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("0 <= pruned_number and pruned_number <= number", name=op.f("audit_head_numbers_check")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("audit_head_pkey")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "audit_entry",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("objects", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "number", name=op.f("audit_entry_pkey")),
    )

    op.create_table(
        "audit_pending",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("objects", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_pending_pkey")),
    )


def downgrade() -> None:
    """Go back: nothing is written down."""
    op.drop_table("audit_pending")
    op.drop_table("audit_entry")
    op.drop_table("audit_head")
