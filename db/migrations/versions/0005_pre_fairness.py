"""Scarcity prices that grow old, and the loads of towns and associations that the policy weighs."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NEW_TERMS = {
    "price_percent": 100,
    "price_most_km": 20,
    "price_hours": 6,
    "town_load_times": 2.0,
    "town_load_km": 5,
    "town_load_most_km": 10,
    "association_load_times": 1.5,
    "association_load_km": 5,
    "association_load_most_km": 10,
    "fair_from_people": 10,
    "tentative_percent": 25,
    "tentative_most_minutes": 60,
}


def upgrade() -> None:
    """Expand the schema. Prices set before count for nothing: nobody knows when."""
    op.add_column("slot", sa.Column("priced_at", sa.DateTime(timezone=True), nullable=True))
    for table, key, whose, kind in (
        ("town_load", "town_id", "town.id", sa.Integer()),
        ("association_load", "organization_id", "organization.id", sa.Uuid()),
    ):
        op.create_table(
            table,
            sa.Column(key, kind, autoincrement=False, nullable=False),
            sa.Column("load", sa.Float(), nullable=False),
            sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
            sa.ForeignKeyConstraint([key], [whose], name=op.f(f"{table}_{key}_fkey"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint(key, name=op.f(f"{table}_pkey")),
        )
    op.execute(
        sa.text("""
            insert into policy (version, terms)
            select version + 1, terms || cast(:terms as jsonb) from policy order by version desc limit 1
        """).bindparams(terms=json.dumps(NEW_TERMS))
    )


def downgrade() -> None:
    """Go back."""
    op.execute("""
        update allocation set policy_version = policy_version - 1
         where policy_version = (select max(version) from policy)
    """)
    op.execute("delete from policy where version = (select max(version) from policy)")
    op.drop_table("association_load")
    op.drop_table("town_load")
    op.drop_column("slot", "priced_at")
