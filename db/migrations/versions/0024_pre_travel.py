"""Travel and preferences: how long ways take, what people say on their slip, marks of sites, and rides."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_WISHES = (
    "'step_free', 'private_room', 'family_room', 'women_only', 'quiet', 'kitchen', 'open_by_day', 'luggage', 'pets', "
    "'smoke_free'"
)


def upgrade() -> None:
    """Expand the schema."""
    op.add_column("allocation", sa.Column("travel_minutes", sa.Integer(), nullable=True))
    op.create_table(
        "travel_time",
        sa.Column("from_cell", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_cell", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("from_cell", "to_cell", name="travel_time_pkey"),
        sa.CheckConstraint("minutes >= 0", name=op.f("travel_time_minutes_check")),
    )
    op.create_table(
        "preference",
        sa.Column("need_id", sa.Uuid(), nullable=False),
        sa.Column("near_town_id", sa.Integer(), nullable=True),
        sa.Column("near_km", sa.Integer(), nullable=True),
        sa.Column("most_km", sa.Integer(), nullable=True),
        sa.Column("wishes", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("waits_for", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("need_id", name="preference_pkey"),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"], name="preference_need_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["near_town_id"], ["town.id"], name="preference_near_town_id_fkey"),
        sa.CheckConstraint(
            "(near_town_id is null) = (near_km is null) and near_km >= 0", name=op.f("preference_near_check")
        ),
        sa.CheckConstraint("most_km > 0", name=op.f("preference_most_check")),
        sa.CheckConstraint(f"(wishes || waits_for) <@ array[{_WISHES}]", name=op.f("preference_words_check")),
    )
    op.create_table(
        "ride",
        sa.Column("need_id", sa.Uuid(), nullable=False),
        sa.Column("referral_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("need_id", name="ride_pkey"),
        sa.UniqueConstraint("referral_id", name="ride_referral_id_key"),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"], name="ride_need_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["referral_id"], ["referral.id"], name="ride_referral_id_fkey", ondelete="CASCADE"),
    )
    op.create_table(
        "site_mark",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("parties", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", name="site_mark_pkey"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="site_mark_site_id_fkey", ondelete="CASCADE"),
        sa.CheckConstraint(
            "parties > 0 and points between parties and 5 * parties", name=op.f("site_mark_points_check")
        ),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("site_mark")
    op.drop_table("ride")
    op.drop_table("preference")
    op.drop_table("travel_time")
    op.drop_column("allocation", "travel_minutes")
