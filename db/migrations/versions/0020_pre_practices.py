"""Practices are told: what organizations do, from closed lists and counts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_NONE = sa.text("'{}'")
_DOING = (
    "municipal_building",
    "night_shelter",
    "day_centre",
    "homes_network",
    "self_run_house",
    "housing_leases",
    "resettlement",
    "showers",
    "laundry",
    "meals",
    "classes",
    "health_desk",
    "legal_desk",
    "drivers",
    "interpreters",
)


def upgrade() -> None:
    """Expand the schema."""
    doing = ", ".join(f"'{word}'" for word in _DOING)
    op.create_table(
        "practice",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("doing", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("audience", postgresql.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("first_month", sa.Date(), nullable=False),
        sa.Column("last_month", sa.Date(), nullable=True),
        sa.Column("places", sa.Integer(), nullable=True),
        sa.Column("volunteers", sa.Integer(), nullable=True),
        sa.Column("paid_hours_per_week", sa.Integer(), nullable=True),
        sa.Column("cost_per_year", sa.Integer(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("means", postgresql.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("funding", postgresql.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("obstacles", postgresql.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("named", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), server_default="told", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(f"doing in ({doing})", name=op.f("practice_doing_check")),
        sa.CheckConstraint("state in ('told', 'withdrawn')", name=op.f("practice_state_check")),
        sa.CheckConstraint("last_month is null or last_month >= first_month", name=op.f("practice_months_check")),
        sa.CheckConstraint("(cost_per_year is null) = (currency is null)", name=op.f("practice_cost_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="practice_organization_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("practice_town_id_fkey")),
        sa.ForeignKeyConstraint(["category"], ["category.code"], name=op.f("practice_category_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("practice_pkey")),
    )
    op.create_index(
        "practice_created_at_idx", "practice", ["created_at", "id"], postgresql_where=sa.text("state = 'told'")
    )
    op.create_index("practice_organization_id_idx", "practice", ["organization_id"])


def downgrade() -> None:
    """Go back: what was told is forgotten; `relais migrate` says anew who sees organizations."""
    op.execute("drop policy if exists app_select on organization")
    op.drop_table("practice")
