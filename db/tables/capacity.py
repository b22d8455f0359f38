"""What is given: categories, sites, offers and their slots.

A slot's `used` is the one truth about how full it is. Exact places are ciphertext in a table of their own; sites
and offers know their cell.
"""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy import (
    Identity as Serial,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CellColumn, CreatedAt, Identity, PointColumn, Row, Texts, Version, one_of
from matching.states import OfferState
from matching.vocabulary import Confirmation, Coverage, SiteKind, Visibility

__all__ = ["Category", "Offer", "Site", "SiteLocation", "Slot"]


class Category(Row):
    """A kind of help and its coverage rule."""

    __tablename__ = "category"

    code: Mapped[str] = mapped_column(primary_key=True)
    coverage: Mapped[str]

    __table_args__ = (CheckConstraint(one_of("coverage", Coverage), name="coverage"),)


class Site(Row):
    """A physical place owned by one organization, known by its cell."""

    __tablename__ = "site"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"), index=True)
    name: Mapped[str]
    kind: Mapped[str]
    cell: Mapped[CellColumn]
    visibility: Mapped[str]
    provides: Mapped[Texts]
    staffing_skill: Mapped[str | None]
    staffing_people_per_volunteer: Mapped[int | None]
    staffing_minimum: Mapped[int | None]
    vetted_by: Mapped[UUID | None] = mapped_column(ForeignKey("organization.id"))
    vetted_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("kind", SiteKind), name="kind"),
        CheckConstraint(one_of("visibility", Visibility), name="visibility"),
        Index("site_organization_id_idx", "organization_id", "created_at", "id"),
    )


class SiteLocation(Row):
    """Where a site is, as ciphertext under a key that the database does not hold."""

    __tablename__ = "site_location"

    site_id: Mapped[UUID] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    location: Mapped[bytes | None] = mapped_column(LargeBinary)
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    has_address: Mapped[bool] = mapped_column(Computed("address is not null", persisted=True))


class Offer(Row):
    """One kind of help at a site.

    Country, cell and point repeat the site's, so that the search reads one index; the town, and whether anybody may
    know which place it is, so that an offer can be told of to those who may not read its site.
    """

    __tablename__ = "offer"

    id: Mapped[Identity]
    site_id: Mapped[UUID] = mapped_column(ForeignKey("site.id"), index=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    category: Mapped[str] = mapped_column(ForeignKey("category.code"))
    state: Mapped[str] = mapped_column(server_default=OfferState.OPEN.value)
    capacity: Mapped[int]
    audience: Mapped[Texts]
    provides: Mapped[Texts]
    confirmation: Mapped[str]
    confirm_within_minutes: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]
    timezone: Mapped[str]
    opens: Mapped[time]
    closes: Mapped[time]
    rrule: Mapped[str]
    slot_minutes: Mapped[int | None]
    party_max: Mapped[int | None]
    nights_max: Mapped[int | None]
    arrive_by: Mapped[time | None]
    release_no_shows: Mapped[bool] = mapped_column(server_default=text("false"))
    teaches: Mapped[str | None]
    level: Mapped[str | None]
    verified_at: Mapped[CreatedAt]
    verify_asked_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    is_public: Mapped[bool]
    country: Mapped[str]
    cell: Mapped[CellColumn]
    point: Mapped[PointColumn]
    tie: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", OfferState), name="state"),
        CheckConstraint(one_of("confirmation", Confirmation), name="confirmation"),
        CheckConstraint("capacity >= 0", name="capacity"),
        CheckConstraint("last_day >= first_day", name="days"),
        Index(
            "offer_category_point_idx",
            "category",
            "point",
            postgresql_using="gist",
            postgresql_where=text("state = 'open'"),
        ),
        Index("offer_paused_idx", "category", postgresql_where=text("state = 'paused'")),
        Index("offer_cell_idx", "cell"),
        Index("offer_organization_id_idx", "organization_id", "created_at", "id"),
        Index("offer_town_id_idx", "town_id", "created_at", "id"),
        Index("offer_verified_at_idx", "verified_at", postgresql_where=text("state = 'open'")),
        Index("offer_public_idx", "created_at", "id", postgresql_where=text("is_public and state <> 'closed'")),
    )


class Slot(Row):
    """A dated piece of an offer's capacity.

    `last_arrival` is the last instant at which a party is let in. `price` is what one more place here would spare the
    others, in kilometres, as a round of matching found it at `priced_at`. One without an offer was set aside when the
    hours changed: nobody is in it, and past allocations show its times.
    """

    __tablename__ = "slot"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("offer.id", ondelete="CASCADE"))
    day: Mapped[date]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    last_arrival: Mapped[datetime]
    capacity: Mapped[int]
    used: Mapped[int] = mapped_column(server_default=text("0"))
    price: Mapped[float] = mapped_column(REAL, server_default=text("0"))
    priced_at: Mapped[datetime | None]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint("0 <= used and used <= capacity", name="used"),
        CheckConstraint("starts < ends and last_arrival <= ends", name="times"),
        UniqueConstraint("offer_id", "starts"),
        Index("slot_offer_id_day_idx", "offer_id", "day"),
        Index("slot_ends_idx", "ends"),
        {"postgresql_with": {"fillfactor": "80"}},
    )
