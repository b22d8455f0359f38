"""Needs that are due, or like one that is posted, are found by their keys whatever the planner believes of how many live.

Where none lived when it last counted them, as in the morning, any index of live needs looked as cheap to it as the right
one: each need that was posted in the evening then walked all that lived, and so did each look at what is due. A condition
that fits no other index leaves it no choice.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_KEYS = ["organization_id", "town_id", "starts"]
_DUE = "state in ('open', 'unmet') and parked_at is null and "


def upgrade() -> None:
    """Exchange the indexes."""
    op.drop_index("need_due_idx", "need")
    op.drop_index("need_lookalike_idx", "need")
    lives = sa.text(_DUE + "coalesce(ended_at, 'infinity') = 'infinity'")
    op.create_index("need_due_idx", "need", ["tier", "look_at"], postgresql_where=lives)
    op.create_index("need_lookalike_idx", "need", _KEYS)


def downgrade() -> None:
    """Go back."""
    op.drop_index("need_lookalike_idx", "need")
    op.drop_index("need_due_idx", "need")
    op.create_index("need_due_idx", "need", ["tier", "look_at"], postgresql_where=sa.text(_DUE + "ended_at is null"))
    op.create_index("need_lookalike_idx", "need", _KEYS, postgresql_where=sa.text("ended_at is null"))
