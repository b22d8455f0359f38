"""Channels are told that a partner town asks: a notice may be of a referral."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_BEFORE = ("'awaits', 'expiring', 'confirmed', 'test'", "(happening = 'test') = (allocation_id is null)")
_AFTER = (
    "'awaits', 'expiring', 'confirmed', 'asked', 'test'",
    "(happening = 'asked') = (referral_id is not null) and (happening in ('asked', 'test')) = (allocation_id is null)",
)


def upgrade() -> None:
    """Expand the schema: whoever runs on writes what both allow."""
    op.add_column("notice", sa.Column("referral_id", sa.Uuid(), nullable=True))
    op.create_foreign_key("notice_referral_id_fkey", "notice", "referral", ["referral_id"], ["id"], ondelete="CASCADE")
    op.create_index(
        "notice_referral_key",
        "notice",
        ["referral_id", "channel_id", "happening"],
        unique=True,
        postgresql_where=sa.text("referral_id is not null"),
    )
    _check(*_AFTER)


def _check(happenings: str, about: str) -> None:
    op.drop_constraint("happening", "notice", type_="check")
    op.create_check_constraint("happening", "notice", f"happening in ({happenings})")
    op.drop_constraint("about", "notice", type_="check")
    op.create_check_constraint("about", "notice", about)


def downgrade() -> None:
    """Go back."""
    op.execute("delete from notice where happening = 'asked'")
    op.execute("update channel set happenings = array_remove(happenings, 'asked')")
    _check(*_BEFORE)
    op.drop_index("notice_referral_key", "notice")
    op.drop_column("notice", "referral_id")
