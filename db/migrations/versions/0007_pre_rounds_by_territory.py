"""Rounds by territory: each says which part of the land it decided, so that workers decide several side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema."""
    op.add_column("round", sa.Column("territory", sa.BigInteger(), nullable=True))
    op.create_index("round_territory_idx", "round", ["territory", "decided_at"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("round_territory_idx", "round")
    op.drop_column("round", "territory")
