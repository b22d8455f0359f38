"""Organizations, the towns they work in, and their keys (hashed)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts, Version, one_of
from matching.vocabulary import OrganizationKind

__all__ = ["ApiKey", "Organization", "OrganizationTown"]


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
