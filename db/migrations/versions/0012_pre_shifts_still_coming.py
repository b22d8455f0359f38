"""Shifts know when their volunteers were asked whether they still come, and when they answered."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema: who has a shift has not been asked yet."""
    op.add_column("shift", sa.Column("asked", sa.Integer(), server_default=sa.text("0"), nullable=False))
    for name in ("asked_at", "answered_at", "at_risk_at"):
        op.add_column("shift", sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Go back: nobody is asked."""
    for name in ("at_risk_at", "answered_at", "asked_at", "asked"):
        op.drop_column("shift", name)
