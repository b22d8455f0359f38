"""Towns of a tile are found without reading the gazetteer from end to end: a view of the map asks for some ten tiles."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index. All three are in it, so that only towns that are drawn are read."""
    with op.get_context().autocommit_block():
        op.drop_index("town_place_idx", "town", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "town_place_idx",
            "town",
            ["latitude", "longitude", "population"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    """Go back."""
    op.drop_index("town_place_idx", "town", if_exists=True)
