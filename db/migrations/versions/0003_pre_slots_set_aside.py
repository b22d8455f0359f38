"""A slot may be set aside: its offer has other hours now, and past allocations still show the times they had."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema."""
    op.alter_column("slot", "offer_id", existing_type=sa.Uuid(), nullable=True)


def downgrade() -> None:
    """Go back, without the times of the past."""
    op.execute("delete from slot where offer_id is null")
    op.alter_column("slot", "offer_id", existing_type=sa.Uuid(), nullable=False)
