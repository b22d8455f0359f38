"""Signing in elsewhere: issuers that vouch for people, and for which organization somebody is then admitted."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_ID = sa.text("gen_random_uuid()")
_NONE = sa.text("'{}'")


def upgrade() -> None:
    """Expand the schema."""
    op.create_table(
        "issuer",
        sa.Column("id", sa.Uuid(), server_default=_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("also_at", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("pkce", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("asks_again", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name="issuer_pkey"),
    )
    op.create_table(
        "admission",
        sa.Column("id", sa.Uuid(), server_default=_ID, nullable=False),
        sa.Column("issuer_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("key_prefix", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name="admission_pkey"),
        sa.UniqueConstraint("key_prefix", name="admission_key_prefix_key"),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.id"], name="admission_issuer_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="admission_organization_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["key_prefix"], ["api_key.prefix"], name="admission_key_prefix_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint("(claim is null) = (value is null)", name="claimed"),
    )
    op.create_index("admission_issuer_id_idx", "admission", ["issuer_id"])
    op.create_index("admission_organization_id_idx", "admission", ["organization_id"])


def downgrade() -> None:
    """Go back."""
    op.execute("drop function if exists issuers(uuid)")
    op.execute("drop function if exists admissions(uuid)")
    op.drop_table("admission")
    op.drop_table("issuer")
