"""Pathways: needs of one party are placed as one plan. Projects: parties that move together are placed as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Expand the schema; no need that is there belongs to a pathway or a project."""
    op.create_table(
        "pathway",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("near_km", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("slip", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("near_km > 0", name=op.f("pathway_near_km_check")),
        sa.PrimaryKeyConstraint("id", name="pathway_pkey"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name="pathway_organization_id_fkey"),
    )
    op.create_index("pathway_organization_id_idx", "pathway", ["organization_id", "posted_at", "id"])
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("together_km", sa.Integer(), nullable=False),
        sa.Column("minimum", sa.Integer(), nullable=False),
        sa.Column("answer_hours", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("plan", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answer_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("slip", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "state in ('open', 'proposed', 'accepted', 'closed', 'withdrawn')", name=op.f("project_state_check")
        ),
        sa.CheckConstraint("together_km >= 0 and minimum > 0 and answer_hours > 0", name=op.f("project_terms_check")),
        sa.CheckConstraint("(state = 'proposed') = (answer_by is not null)", name=op.f("project_answer_by_check")),
        sa.PrimaryKeyConstraint("id", name="project_pkey"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name="project_organization_id_fkey"),
    )
    op.create_index("project_organization_id_idx", "project", ["organization_id", "posted_at", "id"])
    filed = sa.text("slip is not null")
    op.create_index("project_slip_key", "project", ["slip"], unique=True, postgresql_where=filed)
    op.create_index("pathway_slip_key", "pathway", ["slip"], unique=True, postgresql_where=filed)
    # No foreign keys: a pathway or a project is only ever deleted when no need names it.
    op.add_column("need", sa.Column("pathway_id", sa.Uuid(), nullable=True))
    op.add_column("need", sa.Column("step", sa.Integer(), nullable=True))
    named = sa.text("pathway_id is not null")
    op.create_index("need_pathway_id_idx", "need", ["pathway_id"], postgresql_where=named)
    op.add_column("need", sa.Column("project_id", sa.Uuid(), nullable=True))
    named = sa.text("project_id is not null")
    op.create_index("need_project_id_idx", "need", ["project_id"], postgresql_where=named)


def downgrade() -> None:
    """Go back: steps and parties become needs of their own."""
    op.drop_index("need_project_id_idx", "need")
    op.drop_column("need", "project_id")
    op.drop_table("project")
    op.drop_index("need_pathway_id_idx", "need")
    op.drop_column("need", "step")
    op.drop_column("need", "pathway_id")
    op.drop_table("pathway")
