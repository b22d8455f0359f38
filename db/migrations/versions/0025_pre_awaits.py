"""Places say whether they await the people's answer; projects, what they said yes to and which houses they refused."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema. Of a project that is proposed every hold awaits its answer."""
    op.add_column(
        "allocation", sa.Column("awaits_people", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("project", sa.Column("accepted_plan", sa.Integer(), nullable=True))
    op.add_column("project", sa.Column("refused", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False))
    op.execute("update project set accepted_plan = plan where state = 'accepted'")
    op.execute("""
        update allocation set awaits_people = true
         where state = 'held'
           and need_id in (select n.id from need n join project p on p.id = n.project_id where p.state = 'proposed')
    """)


def downgrade() -> None:
    """Go back."""
    op.drop_column("project", "refused")
    op.drop_column("project", "accepted_plan")
    op.drop_column("allocation", "awaits_people")
