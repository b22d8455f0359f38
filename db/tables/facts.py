"""Facts and their guards: events, answers, feedback counted, published policies, ways asked for, news of capacity."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Uuid, text
from sqlalchemy import Identity as Serial
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from db.tables.metadata import CellColumn, CreatedAt, Row, one_of
from matching.vocabulary import RATINGS, FeedbackWord

__all__ = [
    "AssociationLoad",
    "CapacityNews",
    "Event",
    "FeedMark",
    "FeedbackCount",
    "Idempotency",
    "Policy",
    "Round",
    "SiteMark",
    "TownLoad",
    "TravelTime",
]


class TransactionId(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id: feeds read behind the oldest one still running."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The column's type in DDL."""
        return "xid8"


ischema_names["xid8"] = TransactionId
"""So that a migrated table is read back as what it is."""


class Event(Row):
    """One fact, appended in the transaction that made it true. Ids and states only: never a place or people.

    `transaction` is its own, or that of a later one which changed the same object before it: a trigger sees to that.
    """

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    transaction: Mapped[str] = mapped_column(TransactionId(), server_default=text("pg_current_xact_id()"))
    at: Mapped[CreatedAt]
    kind: Mapped[str]
    object_id: Mapped[UUID]
    organizations: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    facts: Mapped[dict[str, str | int]] = mapped_column(JSONB, server_default=text("'{}'"))

    __table_args__ = (
        Index("event_object_id_idx", "object_id", "id"),
        Index("event_transaction_idx", "transaction", "id"),
        *(
            Index(
                f"event_organization_{place}_idx",
                text(f"(organizations[{place}])"),
                "transaction",
                "id",
                postgresql_where=text(f"organizations[{place}] is not null"),
            )
            for place in (1, 2, 3)
        ),
        CheckConstraint("cardinality(organizations) <= 3", name="organizations"),
    )


class FeedMark(Row):
    """`purged`: the last event that was deleted for its age. `era`: how often the feed began anew, in `event_id`.

    `webhooks`: up to where events were laid out for webhooks; `webhooks_era`: the era of that place, in `event_id`.
    """

    __tablename__ = "feed_mark"

    name: Mapped[str] = mapped_column(primary_key=True)
    transaction: Mapped[str] = mapped_column(TransactionId())
    event_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint(one_of("name", ["purged", "era", "webhooks", "webhooks_era"]), name="name"),)


class Idempotency(Row):
    """The answer that was given to a request with an `Idempotency-Key`, without any slip code.

    `key` and `fingerprint` are keyed hashes: neither says what was sent.
    """

    __tablename__ = "idempotency"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    answered_at: Mapped[CreatedAt]

    __table_args__ = (Index("idempotency_answered_at_idx", "answered_at"),)


class Policy(Row):
    """A published version of the policy; the newest is in force."""

    __tablename__ = "policy"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    terms: Mapped[dict[str, int | dict[str, int]]] = mapped_column(JSONB)
    published_at: Mapped[CreatedAt]


class Round(Row):
    """One round of the matching: what it decided over, what came of it, and how good its plan was proved to be.

    `needs`, `offers` and `pairs` are what was weighed; `placed`, `moved` and `lost` are parties: placed anew, moved to
    something better, and planned but overtaken. `bound` is above the objective of any plan. `territory` is the number
    of the part of the land that was decided.
    """

    __tablename__ = "round"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    decided_at: Mapped[CreatedAt]
    territory: Mapped[int | None] = mapped_column(BigInteger)
    policy_version: Mapped[int] = mapped_column(ForeignKey("policy.version"))
    needs: Mapped[int]
    offers: Mapped[int]
    pairs: Mapped[int]
    placed: Mapped[int]
    moved: Mapped[int]
    lost: Mapped[int]
    objective: Mapped[float]
    bound: Mapped[float]
    method: Mapped[str]
    seconds: Mapped[float]

    __table_args__ = (
        Index("round_decided_at_idx", "decided_at"),
        Index("round_territory_idx", "territory", "decided_at"),
    )


class FeedbackCount(Row):
    """How often a word was said on a day about help of a kind that was asked for in a town. No need, no offer, no hour.

    `word` is one of the feedback's words, or `rated_1` to `rated_5`.
    """

    __tablename__ = "feedback_count"

    day: Mapped[date] = mapped_column(primary_key=True)
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"), primary_key=True, autoincrement=False)
    category: Mapped[str] = mapped_column(ForeignKey("category.code"), primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
    times: Mapped[int]

    __table_args__ = (
        CheckConstraint(one_of("word", [*RATINGS, *FeedbackWord]), name="word"),
        CheckConstraint("times > 0", name="times"),
    )


class SiteMark(Row):
    """How many parties gave a site marks, and the sum of those (1 to 5 each). No need, no day, no words."""

    __tablename__ = "site_mark"

    site_id: Mapped[UUID] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    parties: Mapped[int]
    points: Mapped[int]

    __table_args__ = (CheckConstraint("parties > 0 and points between parties and 5 * parties", name="points"),)


class TravelTime(Row):
    """How long the way by road from one cell to another takes, as the routing engine said; no minutes: there is none.

    Where there is no row, it is estimated (`geo.travel`).
    """

    __tablename__ = "travel_time"

    from_cell: Mapped[CellColumn] = mapped_column(primary_key=True)
    to_cell: Mapped[CellColumn] = mapped_column(primary_key=True)
    minutes: Mapped[int | None]
    asked_at: Mapped[CreatedAt]

    __table_args__ = (CheckConstraint("minutes >= 0", name="minutes"),)


class TownLoad(Row):
    """People placed tonight in a town per 1,000 inhabitants, in times the network's; counted again every minute."""

    __tablename__ = "town_load"

    town_id: Mapped[int] = mapped_column(
        ForeignKey("town.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    load: Mapped[float]
    counted_at: Mapped[datetime]


class AssociationLoad(Row):
    """The share of an association's places taken tonight, in times the network's; counted again every minute."""

    __tablename__ = "association_load"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True)
    load: Mapped[float]
    counted_at: Mapped[datetime]


class CapacityNews(Row):
    """Places appeared at an offer: needs around it are to be looked at again.

    A row of its own, not an update of those needs: who frees a place holds locks on slots, who matches holds a
    lock on a need and waits for slots, and the two must never wait for each other. No foreign key either: its
    check would lock the offer after the slots, against the order of locks.
    """

    __tablename__ = "capacity_news"

    id: Mapped[int] = mapped_column(BigInteger, Serial(always=True), primary_key=True)
    offer_id: Mapped[UUID]
