"""Towns share under pacts: what they agreed on, who was referred, and how many a week."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_NONE = sa.text("'{}'")
_ID = sa.text("gen_random_uuid()")


def _moment(name: str, *, now: bool = False, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=_NOW if now else None, nullable=nullable)


def _count(name: str, *, zero: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), server_default="0" if zero else None, nullable=False)


def _words(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False)


def _of(table: str, column: str, whose: str, *, cascade: bool = False) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [whose], name=f"{table}_{column}_fkey", ondelete="CASCADE" if cascade else None
    )


def upgrade() -> None:
    """Expand the schema; whoever was looked for a place before is looked at once more as before."""
    _add_pacts()
    _add_versions()
    _add_weeks()
    _add_referrals()
    # No foreign key: the town is that of a pact, which has one.
    op.add_column("need", sa.Column("searched_town_id", sa.Integer(), nullable=True))
    op.add_column("need", sa.Column("searched_km", sa.Integer(), nullable=True))
    op.add_column("need", _moment("refer_at", nullable=True))


def _add_pacts() -> None:
    op.create_table(
        "pact",
        sa.Column("id", sa.Uuid(), server_default=_ID, nullable=False),
        sa.Column("proposer_id", sa.Uuid(), nullable=False),
        sa.Column("proposer_town_id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("partner_town_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="proposed", nullable=False),
        sa.Column("notice_by", sa.Uuid(), nullable=True),
        _moment("notice_at", nullable=True),
        _moment("ends_at", nullable=True),
        _moment("ended_at", nullable=True),
        _moment("created_at", now=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pact_pkey"),
        _of("pact", "proposer_id", "organization.id"),
        _of("pact", "proposer_town_id", "town.id"),
        _of("pact", "partner_id", "organization.id"),
        _of("pact", "partner_town_id", "town.id"),
        sa.CheckConstraint("state in ('proposed', 'signed', 'ended')", name="state"),
        sa.CheckConstraint("proposer_id <> partner_id", name="parties"),
        sa.CheckConstraint("proposer_town_id <> partner_town_id", name="towns"),
        sa.CheckConstraint("(state = 'ended') = (ended_at is not null)", name="ended"),
    )
    for side in ("proposer", "partner"):
        op.create_index(f"pact_{side}_id_idx", "pact", [f"{side}_id", "created_at", "id"])
        op.create_index(f"pact_{side}_town_id_idx", "pact", [f"{side}_town_id"])


def _add_versions() -> None:
    op.create_table(
        "pact_version",
        sa.Column("pact_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _count("to_partner_per_week"),
        _count("to_proposer_per_week"),
        _words("categories"),
        sa.Column("crosses_border", sa.Boolean(), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("acceptance", sa.Text(), nullable=False),
        _count("answer_within_minutes"),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        _count("notice_days"),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        _moment("proposed_at", now=True),
        _moment("agreed_at", nullable=True),
        sa.PrimaryKeyConstraint("pact_id", "number", name="pact_version_pkey"),
        _of("pact_version", "pact_id", "pact.id", cascade=True),
        _of("pact_version", "proposed_by", "organization.id"),
        sa.CheckConstraint("transport in ('referring', 'receiving', 'people')", name="transport"),
        sa.CheckConstraint("acceptance in ('standing', 'each')", name="acceptance"),
        sa.CheckConstraint("to_partner_per_week >= 0 and to_proposer_per_week >= 0", name="per_week"),
        sa.CheckConstraint("first_day <= last_day", name="days"),
    )
    op.create_table(
        "pact_signature",
        sa.Column("pact_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        _moment("signed_at", now=True),
        sa.PrimaryKeyConstraint("pact_id", "number", "organization_id", name="pact_signature_pkey"),
        sa.ForeignKeyConstraint(
            ["pact_id", "number"],
            ["pact_version.pact_id", "pact_version.number"],
            name="pact_signature_pact_id_number_fkey",
            ondelete="CASCADE",
        ),
        _of("pact_signature", "organization_id", "organization.id"),
    )


def _add_weeks() -> None:
    counts = ("people", "referred", "accepted", "placed", "declined", "expired", "returned", "withdrawn")
    op.create_table(
        "pact_week",
        sa.Column("pact_id", sa.Uuid(), nullable=False),
        sa.Column("to_town_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        *(_count(name, zero=True) for name in (*counts, "people_placed")),
        sa.PrimaryKeyConstraint("pact_id", "to_town_id", "week", name="pact_week_pkey"),
        _of("pact_week", "pact_id", "pact.id", cascade=True),
        _of("pact_week", "to_town_id", "town.id"),
        sa.CheckConstraint("people >= 0 and people_placed >= 0", name="people"),
    )
    op.create_index("pact_week_to_town_id_idx", "pact_week", ["to_town_id", "week"])


def _add_referrals() -> None:
    op.create_table(
        "referral",
        sa.Column("id", sa.Uuid(), server_default=_ID, nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=False),
        sa.Column("pact_id", sa.Uuid(), nullable=False),
        _count("number"),
        sa.Column("poster_id", sa.Uuid(), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("from_town_id", sa.Integer(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("to_town_id", sa.Integer(), nullable=False),
        _count("step"),
        _count("distance_km"),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        _count("adults"),
        _count("minors"),
        _words("audience"),
        _words("requires"),
        _moment("starts"),
        _moment("ends"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        _moment("answer_by"),
        _moment("return_by", nullable=True),
        _moment("answered_at", nullable=True),
        _moment("ended_at", nullable=True),
        _moment("created_at", now=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name="referral_pkey"),
        _of("referral", "need_id", "need.id", cascade=True),
        _of("referral", "pact_id", "pact.id"),
        _of("referral", "poster_id", "organization.id"),
        _of("referral", "from_id", "organization.id"),
        _of("referral", "from_town_id", "town.id"),
        _of("referral", "to_id", "organization.id"),
        _of("referral", "to_town_id", "town.id"),
        _of("referral", "category", "category.code"),
        sa.CheckConstraint(
            "state in ('offered', 'accepted', 'placed', 'declined', 'expired', 'returned', 'withdrawn')", name="state"
        ),
        sa.CheckConstraint("adults >= 0 and minors >= 0 and adults + minors > 0", name="people"),
        sa.CheckConstraint("step in (1, 2)", name="step"),
        sa.CheckConstraint("(state in ('offered', 'accepted', 'placed')) = (ended_at is null)", name="ended"),
    )
    offered, accepted = sa.text("state = 'offered'"), sa.text("state = 'accepted'")
    live = sa.text("state in ('accepted', 'placed')")
    op.create_index("referral_need_id_idx", "referral", ["need_id"])
    op.create_index("referral_offered_key", "referral", ["need_id"], unique=True, postgresql_where=offered)
    op.create_index("referral_accepted_key", "referral", ["need_id"], unique=True, postgresql_where=live)
    op.create_index("referral_answer_by_idx", "referral", ["answer_by"], postgresql_where=offered)
    op.create_index("referral_return_by_idx", "referral", ["return_by"], postgresql_where=accepted)
    op.create_index("referral_pact_id_idx", "referral", ["pact_id", "week"])
    for side in ("poster", "from", "to"):
        op.create_index(f"referral_{side}_id_idx", "referral", [f"{side}_id", "created_at", "id"])


def downgrade() -> None:
    """Go back; whoever was searched for a place elsewhere is open again at home."""
    op.execute("""
        update need set state = 'open', cell = t.cell, point = t.point
          from town t where t.id = need.town_id and need.searched_town_id is not null and need.state = 'referred'
    """)
    for name in ("refer_at", "searched_km", "searched_town_id"):
        op.drop_column("need", name)
    for table in ("referral", "pact_week", "pact_signature", "pact_version", "pact"):
        op.drop_table(table)
