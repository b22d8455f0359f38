"""The first tables: towns, organizations, what is given, what is asked, and the facts that follow."""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geography
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CATEGORIES = {
    "shelter": "every",
    "sanitation": "any",
    "language_class": "course",
    "meal": "any",
    "respite": "any",
    "transport": "any",
    "legal_advice": "any",
    "health": "any",
    "laundry": "any",
}
FIRST_TERMS = {
    "radius_km": 50,
    "candidates": 12,
    "load_km": 5,
    "tentative_seconds": 20,
    "answer_minutes": {"vital": 30, "high": 120, "normal": 360},
    "ask_again_minutes": 60,
    "verify_after_days": 14,
    "stale_after_days": 21,
}


class TransactionId(UserDefinedType[str]):
    """The 64-bit transaction id, which SQLAlchemy has no type for."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The column's type in DDL."""
        return "xid8"


def upgrade() -> None:
    """Expand the schema."""
    op.execute("create extension if not exists postgis")
    op.execute("create extension if not exists btree_gist")
    op.create_table(
        "capacity_news",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("capacity_news_pkey")),
    )
    op.create_table(
        "category",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("coverage", sa.Text(), nullable=False),
        sa.CheckConstraint("coverage in ('every', 'any', 'course')", name=op.f("category_coverage_check")),
        sa.PrimaryKeyConstraint("code", name=op.f("category_pkey")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("transaction", TransactionId(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("organizations", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("event_pkey")),
    )
    op.create_index("event_object_id_idx", "event", ["object_id", "id"], unique=False)
    op.create_table(
        "organization",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("self_organized", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "kind in ('coordination', 'association', 'municipality')", name=op.f("organization_kind_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("organization_pkey")),
    )
    op.create_table(
        "policy",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("policy_pkey")),
    )
    op.create_table(
        "town",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("population", sa.Integer(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column(
            "point",
            Geography(
                geometry_type="POINT",
                srid=4326,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeogFromText",
                name="geography",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("roles", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("town_pkey")),
    )
    op.create_index("town_country_idx", "town", ["country"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("api_key_organization_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_key_pkey")),
        sa.UniqueConstraint("prefix", name=op.f("api_key_prefix_key")),
    )
    op.create_index(op.f("api_key_organization_id_idx"), "api_key", ["organization_id"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("idempotency_organization_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "key", name=op.f("idempotency_pkey")),
    )
    op.create_table(
        "need",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column(
            "point",
            Geography(
                geometry_type="POINT",
                srid=4326,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeogFromText",
                name="geography",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("adults", sa.Integer(), nullable=False),
        sa.Column("minors", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), sa.Computed("adults + minors", persisted=True), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("stay", sa.Text(), nullable=False),
        sa.Column("audience", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("requires", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("countries", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("max_km", sa.Integer(), nullable=True),
        sa.Column("divisible", sa.Boolean(), nullable=False),
        sa.Column("teaches", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fruitless", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unmet_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unmet_reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "state in ('open', 'held', 'confirmed', 'referred', 'unmet', 'withdrawn', 'closed')",
            name=op.f("need_state_check"),
        ),
        sa.CheckConstraint("stay in ('transit', 'settling', 'unknown')", name=op.f("need_stay_check")),
        sa.CheckConstraint("urgency in ('vital', 'high', 'normal')", name=op.f("need_urgency_check")),
        sa.CheckConstraint("adults >= 0 and minors >= 0 and adults + minors > 0", name=op.f("need_people_check")),
        sa.CheckConstraint("starts < ends", name=op.f("need_window_check")),
        sa.ForeignKeyConstraint(["category"], ["category.code"], name=op.f("need_category_fkey")),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("need_organization_id_fkey")),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("need_town_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("need_pkey")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("need_deadline_idx", "need", ["deadline"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_index(
        "need_due_idx",
        "need",
        ["tier", "look_at"],
        unique=False,
        postgresql_where=sa.text("state in ('open', 'unmet') and parked_at is null and ended_at is null"),
    )
    op.create_index("need_ends_idx", "need", ["ends"], unique=False, postgresql_where=sa.text("ended_at is null"))
    op.create_index(
        "need_lookalike_idx",
        "need",
        ["organization_id", "town_id", "starts"],
        unique=False,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index("need_organization_id_idx", "need", ["organization_id", "posted_at", "id"], unique=False)
    op.create_index(
        "need_seeking_point_idx",
        "need",
        ["category", "point"],
        unique=False,
        postgresql_using="gist",
        postgresql_where=sa.text("state in ('open', 'unmet')"),
    )
    op.create_table(
        "organization_town",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("organization_town_organization_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("organization_town_town_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", "town_id", name=op.f("organization_town_pkey")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("provides", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("staffing_skill", sa.Text(), nullable=True),
        sa.Column("staffing_people_per_volunteer", sa.Integer(), nullable=True),
        sa.Column("staffing_minimum", sa.Integer(), nullable=True),
        sa.Column("vetted_by", sa.Uuid(), nullable=True),
        sa.Column("vetted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "kind in ('municipal_building', 'association_premises', 'private_home')",
            name=op.f("site_kind_check"),
        ),
        sa.CheckConstraint(
            "visibility in ('public', 'on_confirmation', 'rendezvous')", name=op.f("site_visibility_check")
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("site_organization_id_fkey")),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("site_town_id_fkey")),
        sa.ForeignKeyConstraint(["vetted_by"], ["organization.id"], name=op.f("site_vetted_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("site_pkey")),
    )
    op.create_index("site_organization_id_idx", "site", ["organization_id", "created_at", "id"], unique=False)
    op.create_index(op.f("site_town_id_idx"), "site", ["town_id"], unique=False)
    op.create_table(
        "town_name",
        sa.Column("town_id", sa.Integer(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["town_id"], ["town.id"], name=op.f("town_name_town_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("town_id", "folded", name=op.f("town_name_pkey")),
    )
    op.create_index(
        "town_name_folded_idx",
        "town_name",
        ["folded"],
        unique=False,
        postgresql_ops={"folded": "text_pattern_ops"},
    )
    op.create_table(
        "offer",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("audience", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("provides", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("confirmation", sa.Text(), nullable=False),
        sa.Column("confirm_within_minutes", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.Column("rrule", sa.Text(), nullable=False),
        sa.Column("slot_minutes", sa.Integer(), nullable=True),
        sa.Column("party_max", sa.Integer(), nullable=True),
        sa.Column("nights_max", sa.Integer(), nullable=True),
        sa.Column("arrive_by", sa.Time(), nullable=True),
        sa.Column("release_no_shows", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("teaches", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("verify_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column(
            "point",
            Geography(
                geometry_type="POINT",
                srid=4326,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeogFromText",
                name="geography",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("tie", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("confirmation in ('each', 'standing')", name=op.f("offer_confirmation_check")),
        sa.CheckConstraint("state in ('open', 'paused', 'closed')", name=op.f("offer_state_check")),
        sa.CheckConstraint("capacity >= 0", name=op.f("offer_capacity_check")),
        sa.CheckConstraint("last_day >= first_day", name=op.f("offer_days_check")),
        sa.ForeignKeyConstraint(["category"], ["category.code"], name=op.f("offer_category_fkey")),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("offer_organization_id_fkey")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("offer_site_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("offer_pkey")),
    )
    op.create_index(
        "offer_category_point_idx",
        "offer",
        ["category", "point"],
        unique=False,
        postgresql_using="gist",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("offer_cell_idx", "offer", ["cell"], unique=False)
    op.create_index("offer_organization_id_idx", "offer", ["organization_id", "created_at", "id"], unique=False)
    op.create_index(
        "offer_paused_idx", "offer", ["category"], unique=False, postgresql_where=sa.text("state = 'paused'")
    )
    op.create_index(op.f("offer_site_id_idx"), "offer", ["site_id"], unique=False)
    op.create_index(
        "offer_verified_at_idx",
        "offer",
        ["verified_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "site_location",
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("location", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("site_location_site_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("site_id", name=op.f("site_location_pkey")),
    )
    op.create_table(
        "allocation",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("poster_id", sa.Uuid(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("firm_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_arrival", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("distance_km", sa.Integer(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "state in ('held', 'confirmed', 'arrived', 'completed', 'declined', 'expired', 'released', 'no_show')",
            name=op.f("allocation_state_check"),
        ),
        sa.CheckConstraint("people > 0", name=op.f("allocation_people_check")),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"], name=op.f("allocation_need_id_fkey")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("allocation_offer_id_fkey")),
        sa.ForeignKeyConstraint(["policy_version"], ["policy.version"], name=op.f("allocation_policy_version_fkey")),
        sa.ForeignKeyConstraint(["poster_id"], ["organization.id"], name=op.f("allocation_poster_id_fkey")),
        sa.ForeignKeyConstraint(["provider_id"], ["organization.id"], name=op.f("allocation_provider_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("allocation_pkey")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "allocation_ends_idx",
        "allocation",
        ["ends"],
        unique=False,
        postgresql_where=sa.text("state in ('confirmed', 'arrived')"),
    )
    op.create_index(
        "allocation_held_until_idx",
        "allocation",
        ["held_until"],
        unique=False,
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "allocation_last_arrival_idx",
        "allocation",
        ["last_arrival"],
        unique=False,
        postgresql_where=sa.text("state = 'confirmed'"),
    )
    op.create_index(
        "allocation_live_key",
        "allocation",
        ["need_id", "offer_id"],
        unique=True,
        postgresql_where=sa.text("state in ('held', 'confirmed', 'arrived')"),
    )
    op.create_index("allocation_need_id_idx", "allocation", ["need_id"], unique=False)
    op.create_index("allocation_offer_id_idx", "allocation", ["offer_id", "state"], unique=False)
    op.create_index("allocation_poster_id_idx", "allocation", ["poster_id", "created_at", "id"], unique=False)
    op.create_index("allocation_provider_id_idx", "allocation", ["provider_id", "created_at", "id"], unique=False)
    op.create_table(
        "slot",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_arrival", sa.DateTime(timezone=True), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("0 <= used and used <= capacity", name=op.f("slot_used_check")),
        sa.CheckConstraint("starts < ends and last_arrival <= ends", name=op.f("slot_times_check")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("slot_offer_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("slot_pkey")),
        sa.UniqueConstraint("offer_id", "starts", name=op.f("slot_offer_id_starts_key")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("slot_offer_id_day_idx", "slot", ["offer_id", "day"], unique=False)
    op.create_table(
        "allocation_slot",
        sa.Column("allocation_id", sa.Uuid(), nullable=False),
        sa.Column("slot_id", sa.BigInteger(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Boolean(), nullable=False),
        sa.CheckConstraint("people > 0", name=op.f("allocation_slot_people_check")),
        sa.ForeignKeyConstraint(
            ["allocation_id"],
            ["allocation.id"],
            name=op.f("allocation_slot_allocation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["slot_id"], ["slot.id"], name=op.f("allocation_slot_slot_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("allocation_id", "slot_id", name=op.f("allocation_slot_pkey")),
    )
    op.create_index("allocation_slot_slot_id_idx", "allocation_slot", ["slot_id"], unique=False)
    op.bulk_insert(
        sa.table("category", sa.column("code", sa.Text()), sa.column("coverage", sa.Text())),
        [{"code": code, "coverage": coverage} for code, coverage in CATEGORIES.items()],
    )
    op.bulk_insert(
        sa.table("policy", sa.column("version", sa.Integer()), sa.column("terms", postgresql.JSONB())),
        [{"version": 1, "terms": FIRST_TERMS}],
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index("allocation_slot_slot_id_idx", table_name="allocation_slot")
    op.drop_table("allocation_slot")
    op.drop_index("slot_offer_id_day_idx", table_name="slot")
    op.drop_table("slot")
    op.drop_index("allocation_provider_id_idx", table_name="allocation")
    op.drop_index("allocation_poster_id_idx", table_name="allocation")
    op.drop_index("allocation_offer_id_idx", table_name="allocation")
    op.drop_index("allocation_need_id_idx", table_name="allocation")
    op.drop_index(
        "allocation_live_key",
        table_name="allocation",
        postgresql_where=sa.text("state in ('held', 'confirmed', 'arrived')"),
    )
    op.drop_index(
        "allocation_last_arrival_idx",
        table_name="allocation",
        postgresql_where=sa.text("state = 'confirmed'"),
    )
    op.drop_index("allocation_held_until_idx", table_name="allocation", postgresql_where=sa.text("state = 'held'"))
    op.drop_index(
        "allocation_ends_idx",
        table_name="allocation",
        postgresql_where=sa.text("state in ('confirmed', 'arrived')"),
    )
    op.drop_table("allocation")
    op.drop_table("site_location")
    op.drop_index("offer_verified_at_idx", table_name="offer", postgresql_where=sa.text("state = 'open'"))
    op.drop_index(op.f("offer_site_id_idx"), table_name="offer")
    op.drop_index("offer_paused_idx", table_name="offer", postgresql_where=sa.text("state = 'paused'"))
    op.drop_index("offer_organization_id_idx", table_name="offer")
    op.drop_index("offer_cell_idx", table_name="offer")
    op.drop_index(
        "offer_category_point_idx",
        table_name="offer",
        postgresql_using="gist",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("offer")
    op.drop_index("town_name_folded_idx", table_name="town_name", postgresql_ops={"folded": "text_pattern_ops"})
    op.drop_table("town_name")
    op.drop_index(op.f("site_town_id_idx"), table_name="site")
    op.drop_index("site_organization_id_idx", table_name="site")
    op.drop_table("site")
    op.drop_table("organization_town")
    op.drop_index(
        "need_seeking_point_idx",
        table_name="need",
        postgresql_using="gist",
        postgresql_where=sa.text("state in ('open', 'unmet')"),
    )
    op.drop_index("need_organization_id_idx", table_name="need")
    op.drop_index("need_lookalike_idx", table_name="need", postgresql_where=sa.text("ended_at is null"))
    op.drop_index("need_ends_idx", table_name="need", postgresql_where=sa.text("ended_at is null"))
    op.drop_index(
        "need_due_idx",
        table_name="need",
        postgresql_where=sa.text("state in ('open', 'unmet') and parked_at is null and ended_at is null"),
    )
    op.drop_index("need_deadline_idx", table_name="need", postgresql_where=sa.text("state = 'open'"))
    op.drop_table("need")
    op.drop_table("idempotency")
    op.drop_index(op.f("api_key_organization_id_idx"), table_name="api_key")
    op.drop_table("api_key")
    op.drop_index("town_country_idx", table_name="town")
    op.drop_table("town")
    op.drop_table("policy")
    op.drop_table("organization")
    op.drop_index("event_object_id_idx", table_name="event")
    op.drop_table("event")
    op.drop_table("category")
    op.drop_table("capacity_news")
