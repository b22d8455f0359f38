"""Slips: a need is found by a keyed hash of its code, and its people may tell once how it was."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema. Needs that are there already are filed by the API when it starts: it has the secret."""
    op.add_column("need", sa.Column("slip", sa.LargeBinary(), nullable=True))
    op.add_column("need", sa.Column("feedback_given", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("need_slip_key", "need", ["slip"], unique=True, postgresql_where=sa.text("slip is not null"))


def downgrade() -> None:
    """Go back: codes find nothing again."""
    op.drop_index("need_slip_key", table_name="need")
    op.drop_column("need", "feedback_given")
    op.drop_column("need", "slip")
