"""Feedback: what people tell of a place, counted by day, town and word, with nothing that leads back to a need."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

WORDS = (
    "rated_1", "rated_2", "rated_3", "rated_4", "rated_5", "welcomed", "calm", "clean", "felt_safe", "kept_together",
    "not_as_told", "too_far", "cold", "dirty", "not_enough_food", "not_respected", "felt_unsafe", "turned_away",
)  # fmt: skip


def upgrade() -> None:
    """Expand the schema."""
    words = ", ".join(f"'{word}'" for word in WORDS)
    op.create_table(
        "feedback_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.CheckConstraint(f"word in ({words})", name=op.f("feedback_count_word_check")),
        sa.CheckConstraint("times > 0", name=op.f("feedback_count_times_check")),
        sa.ForeignKeyConstraint(["category"], ["category.code"], name=op.f("feedback_count_category_fkey")),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("feedback_count_town_id_fkey")),
        sa.PrimaryKeyConstraint("day", "town_id", "category", "word", name=op.f("feedback_count_pkey")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("feedback_count")
