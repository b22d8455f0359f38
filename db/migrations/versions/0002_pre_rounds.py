"""Rounds: what each decided and proved, the scarcity prices that it left, and the policy that governs them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEW_TERMS = {
    "candidates": 8,
    "round_seconds": 5,
    "round_needs": 10_000,
    "round_candidates": 50,
    "round_solve_seconds": 2.0,
    "move_most_km": 10,
    "move_gain_km": 5,
}


def upgrade() -> None:
    """Expand the schema."""
    # A default that is no expression is written once for the whole table: no row is touched.
    op.add_column("slot", sa.Column("price", sa.REAL(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "round",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("needs", sa.Integer(), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("pairs", sa.Integer(), nullable=False),
        sa.Column("placed", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("objective", sa.Float(), nullable=False),
        sa.Column("bound", sa.Float(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["policy_version"], ["policy.version"], name=op.f("round_policy_version_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("round_pkey")),
    )
    op.create_index("round_decided_at_idx", "round", ["decided_at"])
    op.execute(
        sa.text("""
            insert into policy (version, terms)
            select version + 1, terms || cast(:terms as jsonb) from policy order by version desc limit 1
        """).bindparams(terms=json.dumps(NEW_TERMS))
    )


def downgrade() -> None:
    """Go back."""
    op.execute("update allocation set policy_version = 1 where policy_version = 2")
    op.execute("delete from policy where version = 2")
    op.drop_table("round")
    op.drop_column("slot", "price")
