"""Towns that share: pacts, their versions and signatures, who was referred under them, and how many a week.

A week's `people` are those of its live referrals, always; one whose needs are purged keeps its counts.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts, Version, one_of
from matching.states import PactState, ReferralState
from matching.vocabulary import Acceptance, Transport

__all__ = ["Pact", "PactSignature", "PactVersion", "PactWeek", "Referral", "Ride"]


class Pact(Row):
    """Two towns that agreed, or were asked to, each by an organization of its own.

    Who gives notice is `notice_by`; the pact ends at `ends_at`, and `ended_at` is written once it has.
    """

    __tablename__ = "pact"

    id: Mapped[Identity]
    proposer_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    proposer_town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    partner_town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    state: Mapped[str] = mapped_column(server_default=PactState.PROPOSED.value)
    notice_by: Mapped[UUID | None]
    notice_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", PactState), name="state"),
        CheckConstraint("proposer_id <> partner_id", name="parties"),
        CheckConstraint("proposer_town_id <> partner_town_id", name="towns"),
        CheckConstraint("(state = 'ended') = (ended_at is not null)", name="ended"),
        Index("pact_proposer_id_idx", "proposer_id", "created_at", "id"),
        Index("pact_partner_id_idx", "partner_id", "created_at", "id"),
        Index("pact_proposer_town_id_idx", "proposer_town_id"),
        Index("pact_partner_town_id_idx", "partner_town_id"),
    )


class PactVersion(Row):
    """Terms that were proposed, never edited; `agreed_at` is when the second of both signed them."""

    __tablename__ = "pact_version"

    pact_id: Mapped[UUID] = mapped_column(ForeignKey("pact.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    to_partner_per_week: Mapped[int]
    to_proposer_per_week: Mapped[int]
    categories: Mapped[Texts]
    crosses_border: Mapped[bool]
    transport: Mapped[str]
    acceptance: Mapped[str]
    answer_within_minutes: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]
    notice_days: Mapped[int]
    proposed_by: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    proposed_at: Mapped[CreatedAt]
    agreed_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("transport", Transport), name="transport"),
        CheckConstraint(one_of("acceptance", Acceptance), name="acceptance"),
        CheckConstraint("to_partner_per_week >= 0 and to_proposer_per_week >= 0", name="per_week"),
        CheckConstraint("first_day <= last_day", name="days"),
    )


class PactSignature(Row):
    """That an organization signed a version."""

    __tablename__ = "pact_signature"

    pact_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    signed_at: Mapped[CreatedAt]

    __table_args__ = (
        ForeignKeyConstraint(
            ["pact_id", "number"], ["pact_version.pact_id", "pact_version.number"], ondelete="CASCADE"
        ),
    )


class PactWeek(Row):
    """What happened in a week, from Monday on, towards one of the towns of a pact.

    `people` are those who count against the week's limit; the others are referrals, by where they stand now, and the
    people of those that led to a place.
    """

    __tablename__ = "pact_week"

    pact_id: Mapped[UUID] = mapped_column(ForeignKey("pact.id", ondelete="CASCADE"), primary_key=True)
    to_town_id: Mapped[int] = mapped_column(ForeignKey("town.id"), primary_key=True, autoincrement=False)
    week: Mapped[date] = mapped_column(primary_key=True)
    people: Mapped[int] = mapped_column(server_default=text("0"))
    referred: Mapped[int] = mapped_column(server_default=text("0"))
    accepted: Mapped[int] = mapped_column(server_default=text("0"))
    placed: Mapped[int] = mapped_column(server_default=text("0"))
    declined: Mapped[int] = mapped_column(server_default=text("0"))
    expired: Mapped[int] = mapped_column(server_default=text("0"))
    returned: Mapped[int] = mapped_column(server_default=text("0"))
    withdrawn: Mapped[int] = mapped_column(server_default=text("0"))
    people_placed: Mapped[int] = mapped_column(server_default=text("0"))

    __table_args__ = (
        CheckConstraint("people >= 0 and people_placed >= 0", name="people"),
        Index("pact_week_to_town_id_idx", "to_town_id", "week"),
    )


class Ride(Row):
    """A need for `transport` that was posted for people who were referred, by the town that sees to their way."""

    __tablename__ = "ride"

    need_id: Mapped[UUID] = mapped_column(ForeignKey("need.id", ondelete="CASCADE"), primary_key=True)
    referral_id: Mapped[UUID] = mapped_column(ForeignKey("referral.id", ondelete="CASCADE"), unique=True)


class Referral(Row):
    """People of one need passed to a partner town: what that town is shown of them, and where it stands.

    `from_id` and `to_id` signed the pact for the two towns, `poster_id` posted the need. An offered one is to be
    answered until `answer_by`, an accepted one goes home at `return_by`; both are judged by the database's clock.
    `step` is 2 for people who go on from a partner town.
    """

    __tablename__ = "referral"

    id: Mapped[Identity]
    need_id: Mapped[UUID] = mapped_column(ForeignKey("need.id", ondelete="CASCADE"))
    pact_id: Mapped[UUID] = mapped_column(ForeignKey("pact.id"))
    number: Mapped[int]
    poster_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    from_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    from_town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    to_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    to_town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    step: Mapped[int]
    distance_km: Mapped[int]
    week: Mapped[date]
    category: Mapped[str] = mapped_column(ForeignKey("category.code"))
    adults: Mapped[int]
    minors: Mapped[int]
    audience: Mapped[Texts]
    requires: Mapped[Texts]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str | None]
    answer_by: Mapped[datetime]
    return_by: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", ReferralState), name="state"),
        CheckConstraint("adults >= 0 and minors >= 0 and adults + minors > 0", name="people"),
        CheckConstraint("step in (1, 2)", name="step"),
        CheckConstraint("(state in ('offered', 'accepted', 'placed')) = (ended_at is null)", name="ended"),
        Index("referral_need_id_idx", "need_id"),
        Index("referral_offered_key", "need_id", unique=True, postgresql_where=text("state = 'offered'")),
        Index(
            "referral_accepted_key", "need_id", unique=True, postgresql_where=text("state in ('accepted', 'placed')")
        ),
        Index("referral_answer_by_idx", "answer_by", postgresql_where=text("state = 'offered'")),
        Index("referral_return_by_idx", "return_by", postgresql_where=text("state = 'accepted'")),
        Index("referral_pact_id_idx", "pact_id", "week"),
        Index("referral_poster_id_idx", "poster_id", "created_at", "id"),
        Index("referral_from_id_idx", "from_id", "created_at", "id"),
        Index("referral_to_id_idx", "to_id", "created_at", "id"),
    )
