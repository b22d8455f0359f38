"""Who vouches for people who sign in elsewhere, and for which organization somebody is then admitted."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CreatedAt, Identity, Row, Texts

__all__ = ["Admission", "Issuer"]


class Issuer(Row):
    """An issuer of OpenID Connect that the operator registered. The secret that it gave this house is sealed."""

    __tablename__ = "issuer"

    id: Mapped[Identity]
    name: Mapped[str]
    url: Mapped[str]
    client_id: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[Texts]
    also_at: Mapped[Texts]
    pkce: Mapped[bool] = mapped_column(server_default=text("true"))
    asks_again: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[CreatedAt]


class Admission(Row):
    """Whoever shows this value of this claim signs in for this organization; without a claim, whoever the issuer knows.

    Sessions that begin so are those of its key, which nobody can show.
    """

    __tablename__ = "admission"

    id: Mapped[Identity]
    issuer_id: Mapped[UUID] = mapped_column(ForeignKey("issuer.id", ondelete="CASCADE"), index=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), index=True)
    claim: Mapped[str | None]
    value: Mapped[str | None]
    key_prefix: Mapped[str] = mapped_column(ForeignKey("api_key.prefix", ondelete="CASCADE"), unique=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (CheckConstraint("(claim is null) = (value is null)", name="claimed"),)
