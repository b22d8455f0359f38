"""Each allocation keeps how it was decided, and what its place cost at that moment."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema; of what was decided before it is not known."""
    op.add_column("allocation", sa.Column("way", sa.Text(), nullable=True))
    op.add_column("allocation", sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("allocation", sa.Column("round_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("allocation", "round_id")
    op.drop_column("allocation", "terms")
    op.drop_column("allocation", "way")
