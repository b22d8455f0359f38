"""The public directory reads offers at public places, oldest first, and counts them."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    with op.get_context().autocommit_block():
        op.create_index(
            "offer_public_idx",
            "offer",
            ["created_at", "id"],
            postgresql_where=sa.text("is_public and state <> 'closed'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    """Go back."""
    op.drop_index("offer_public_idx", "offer", if_exists=True)
