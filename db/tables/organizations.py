"""Organizations, the towns they work in, their keys and who is signed in with one (hashed)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts, Version, one_of
from matching.vocabulary import OrganizationKind

__all__ = ["ApiKey", "Organization", "OrganizationTown", "Session"]


class Organization(Row):
    """A coordination, an association or a municipality."""

    __tablename__ = "organization"

    id: Mapped[Identity]
    kind: Mapped[str]
    name: Mapped[str]
    self_organized: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[CreatedAt]
    version: Mapped[Version]

    __table_args__ = (CheckConstraint(one_of("kind", OrganizationKind), name="kind"),)


class OrganizationTown(Row):
    """A town in which an organization works."""

    __tablename__ = "organization_town"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True)
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"), primary_key=True)


class ApiKey(Row):
    """A key of an organization: its public prefix, and a keyed hash of its secret."""

    __tablename__ = "api_key"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), index=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[Texts]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Session(Row):
    """A browser that is signed in with a key: a keyed hash of what its cookie holds. Gone once it is signed out."""

    __tablename__ = "session"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), index=True)
    key_prefix: Mapped[str] = mapped_column(ForeignKey("api_key.prefix", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    made_at: Mapped[CreatedAt]
    last_used_at: Mapped[CreatedAt]
    ends_at: Mapped[datetime]
