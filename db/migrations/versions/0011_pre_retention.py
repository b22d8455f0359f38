"""What is over is deleted after its term: daily counts and tombstones stay, and terms have what they are counted from."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema. Offers that are closed already count as closed now."""
    op.create_table(
        "daily_figure",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("count >= 0", name=op.f("daily_figure_count_check")),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("daily_figure_town_id_fkey")),
        sa.ForeignKeyConstraint(["category"], ["category.code"], name=op.f("daily_figure_category_fkey")),
        sa.PrimaryKeyConstraint("day", "town_id", "category", "measure", "part", name=op.f("daily_figure_pkey")),
    )
    op.create_table(
        "tombstone",
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("purged_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("tombstone_pkey")),
    )
    op.create_index("tombstone_purged_at_idx", "tombstone", ["purged_at"])
    op.add_column("offer", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("update offer set closed_at = now() where state = 'closed'")
    op.alter_column("site_location", "location", existing_type=sa.LargeBinary(), nullable=True)
    op.create_index("need_ended_at_idx", "need", ["ended_at"], postgresql_where=sa.text("ended_at is not null"))
    op.create_index("slot_ends_idx", "slot", ["ends"])
    op.create_index("idempotency_answered_at_idx", "idempotency", ["answered_at"])


def downgrade() -> None:
    """Go back, without places whose exact point was forgotten."""
    op.drop_index("idempotency_answered_at_idx", "idempotency")
    op.drop_index("slot_ends_idx", "slot")
    op.drop_index("need_ended_at_idx", "need")
    op.execute("delete from site_location where location is null")
    op.alter_column("site_location", "location", existing_type=sa.LargeBinary(), nullable=False)
    op.drop_column("offer", "closed_at")
    op.drop_table("tombstone")
    op.drop_table("daily_figure")
