"""What row security reads: offers say town and publicity of their site, places say whether they have an address.

Roles and row security themselves are not a migration: they are applied after each, as `db.tenancy` declares them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand the schema: each offer takes both from its site."""
    op.add_column(
        "site_location", sa.Column("has_address", sa.Boolean(), sa.Computed("address is not null", persisted=True))
    )
    op.alter_column("site_location", "has_address", nullable=False)
    op.add_column("offer", sa.Column("town_id", sa.Integer(), nullable=True))
    op.add_column("offer", sa.Column("is_public", sa.Boolean(), nullable=True))
    op.execute("""
        update offer set town_id = h.town_id, is_public = h.visibility = 'public' and h.kind <> 'private_home'
          from site h where h.id = offer.site_id
    """)
    for name in ("town_id", "is_public"):
        op.alter_column("offer", name, nullable=False)
    op.create_foreign_key("offer_town_id_fkey", "offer", "town", ["town_id"], ["id"])
    op.create_index("offer_town_id_idx", "offer", ["town_id", "created_at", "id"])


def downgrade() -> None:
    """Go back: both are read from the site."""
    # It reads the town; the next `relais migrate` makes it again.
    op.execute("drop policy if exists app_select on offer")
    op.drop_index("offer_town_id_idx", table_name="offer")
    op.drop_constraint("offer_town_id_fkey", "offer", type_="foreignkey")
    for name in ("is_public", "town_id"):
        op.drop_column("offer", name)
    op.drop_column("site_location", "has_address")
