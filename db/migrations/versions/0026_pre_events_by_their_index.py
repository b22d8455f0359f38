"""The place of an event is looked up by its index, also in sessions that began when there were hardly any events.

Such a session keeps the plan that it made then, which reads the table from end to end for each event, until the next
ANALYZE: a hundred thousand events written at once took longer with each one.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Plan it so, whatever the table holds."""
    op.execute("alter function event_in_order() set enable_seqscan = off")


def downgrade() -> None:
    """Go back."""
    op.execute("alter function event_in_order() reset enable_seqscan")
