"""Pledges and shifts: volunteers who open buildings. A site's `staffing` binds from here on."""

import geoalchemy2
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
NEW_ID = sa.text("gen_random_uuid()")


def upgrade() -> None:
    """Expand the schema, and put slots of sites that ask for volunteers under that rule: who is in one stays in it."""
    op.create_table(
        "slot_staffing",
        sa.Column("slot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("staffed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("kept", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("places >= 0 and staffed >= 0 and kept >= 0", name=op.f("slot_staffing_people_check")),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], name=op.f("slot_staffing_slot_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("slot_id", name=op.f("slot_staffing_pkey")),
    )
    _create_pledge()
    op.create_table(
        "pledge_turn",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("pledge_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("starts < ends", name=op.f("pledge_turn_times_check")),
        sa.ForeignKeyConstraint(
            ["pledge_id"], ["pledge.id"], name=op.f("pledge_turn_pledge_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pledge_turn_pkey")),
    )
    op.create_index("pledge_turn_pledge_id_starts_idx", "pledge_turn", ["pledge_id", "starts"])
    _create_shift()
    op.execute("""
        insert into slot_staffing (slot_id, places, kept)
        select s.id, s.capacity, s.used from slot s join offer o on o.id = s.offer_id join site h on h.id = o.site_id
         where h.staffing_skill is not null and s.ends > now()
    """)
    op.execute("update slot set capacity = used from slot_staffing g where g.slot_id = slot.id")


def _create_pledge() -> None:
    op.create_table(
        "pledge",
        sa.Column("id", sa.Uuid(), server_default=NEW_ID, nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column(
            "point", geoalchemy2.Geography("POINT", srid=4326, spatial_index=False, nullable=False), nullable=False
        ),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.Column("headcount", sa.Integer(), nullable=False),
        sa.Column("radius_km", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.Column("rrule", sa.Text(), nullable=False),
        sa.Column("shifts_per_week_max", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("state in ('open', 'closed')", name=op.f("pledge_state_check")),
        sa.CheckConstraint(
            "headcount > 0 and radius_km >= 0 and shifts_per_week_max > 0", name=op.f("pledge_limits_check")
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("pledge_organization_id_fkey")),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("pledge_town_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pledge_pkey")),
    )
    op.create_index("pledge_organization_id_idx", "pledge", ["organization_id", "created_at", "id"])
    op.create_index("pledge_skill_idx", "pledge", ["skill"], postgresql_where=sa.text("state = 'open'"))


def _create_shift() -> None:
    op.create_table(
        "shift",
        sa.Column("id", sa.Uuid(), server_default=NEW_ID, nullable=False),
        sa.Column("pledge_id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("slot_id", sa.BigInteger(), nullable=True),
        sa.Column("volunteers", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "state in ('planned', 'confirmed', 'declined', 'released', 'completed')", name=op.f("shift_state_check")
        ),
        sa.CheckConstraint("volunteers > 0", name=op.f("shift_volunteers_check")),
        sa.ForeignKeyConstraint(["pledge_id"], ["pledge.id"], name=op.f("shift_pledge_id_fkey")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("shift_site_id_fkey")),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], name=op.f("shift_slot_id_fkey"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("shift_pkey")),
    )
    op.create_index("shift_pledge_id_idx", "shift", ["pledge_id", "starts"])
    op.create_index("shift_slot_id_idx", "shift", ["slot_id"])
    op.create_index("shift_site_id_idx", "shift", ["site_id", "starts"])
    op.create_index("shift_ends_idx", "shift", ["ends"], postgresql_where=sa.text("state in ('planned', 'confirmed')"))


def downgrade() -> None:
    """Go back: staffing binds nothing again."""
    op.execute("update slot set capacity = greatest(g.places, used) from slot_staffing g where g.slot_id = slot.id")
    for table in ("shift", "pledge_turn", "pledge", "slot_staffing"):
        op.drop_table(table)
