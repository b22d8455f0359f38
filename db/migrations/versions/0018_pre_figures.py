"""Figures are published: whose duty help is, the weeks that are closed, and what was told of them."""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_SPAN = "span in ('week', 'month')"
FIRST_DUTIES = {
    "BE": {"shelter": {"duty": "municipality", "basis": "Loi organique des CPAS du 8 juillet 1976, art. 1, 57"}},
    "DE": {"shelter": {"duty": "municipality", "basis": "Polizei- und Ordnungsrecht der Länder"}},
    "ES": {"shelter": {"duty": "municipality", "basis": "Ley 7/1985 (LBRL), art. 25.2 e)"}},
    "FR": {"shelter": {"duty": "state", "basis": "CASF, art. L345-2, L345-2-2"}},
    "GB": {"shelter": {"duty": "municipality", "basis": "Housing Act 1996, s. 188 (England)"}},
    "IT": {"shelter": {"duty": "municipality", "basis": "L. 328/2000, art. 6, 22"}},
}


def upgrade() -> None:
    """Expand the schema. Of weeks before the next nothing is told where needs were counted otherwise already."""
    op.add_column("daily_figure", sa.Column("parties", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "competence",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("duties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("competence_pkey")),
    )
    op.create_table(
        "figure_period",
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("competence_version", sa.Integer(), nullable=True),
        sa.CheckConstraint(_SPAN, name=op.f("figure_period_span_check")),
        sa.CheckConstraint("state in ('closed', 'published', 'lost')", name=op.f("figure_period_state_check")),
        sa.CheckConstraint(
            "(state = 'published') = (published_at is not null)", name=op.f("figure_period_published_check")
        ),
        sa.PrimaryKeyConstraint("span", "first_day", name=op.f("figure_period_pkey")),
    )
    op.create_table(
        "figure",
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(_SPAN, name=op.f("figure_span_check")),
        sa.PrimaryKeyConstraint("span", "first_day", "area", "category", "measure", "part", name=op.f("figure_pkey")),
    )
    op.execute(
        sa.text("insert into competence (version, duties) values (1, cast(:duties as jsonb))").bindparams(
            duties=json.dumps(FIRST_DUTIES)
        )
    )
    op.execute("""
        insert into figure_period (span, first_day, state)
        select 'week', cast(date_trunc('week', now() at time zone 'UTC') as date)
                       - case when exists (select from daily_figure) then 0 else 7 end, 'lost'
    """)


def downgrade() -> None:
    """Go back: what was published is forgotten here, and nowhere else."""
    op.drop_table("figure")
    op.drop_table("figure_period")
    op.drop_table("competence")
    op.drop_column("daily_figure", "parties")
