"""Webhooks know when each of their former secrets was replaced: rotating twice in a day cuts nobody off."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_TIMES = postgresql.ARRAY(sa.DateTime(timezone=True))


def upgrade() -> None:
    """Expand the schema. A secret that was replaced before is known by `rotated_at`, which stays."""
    op.add_column("webhook", sa.Column("retired_at", _TIMES, server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    """Go back: of the former secrets the newest alone is known."""
    op.drop_column("webhook", "retired_at")
