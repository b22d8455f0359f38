"""Events are read in an order that holds for each object, by each organization, and from where one stopped.

A transaction may have begun before another and change the same object after it. Its event is given the later one's
place, so that behind the oldest transaction that still runs the order of events is that of what happened to an object.
"""

import sqlalchemy as sa
from alembic import op

from db.tables.facts import TransactionId

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Of one object the last event has the highest place. In a function of PL/pgSQL each statement sees what is committed
# now: the event of whoever held the object's lock before is there, also where the statement around it began earlier.
_IN_ORDER = """
    create function event_in_order() returns trigger
        language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    begin
        new.transaction := greatest(
            new.transaction,
            (select e.transaction from event e where e.object_id = new.object_id order by e.id desc limit 1));
        return new;
    end $$
"""


def upgrade() -> None:
    """Keep the order, and make it cheap to read."""
    op.execute(_IN_ORDER)
    op.execute("create trigger event_in_order before insert on event for each row execute function event_in_order()")
    op.create_index("event_transaction_idx", "event", ["transaction", "id"])
    for place in (1, 2, 3):
        op.create_index(
            f"event_organization_{place}_idx",
            "event",
            [sa.text(f"(organizations[{place}])"), "transaction", "id"],
            postgresql_where=sa.text(f"organizations[{place}] is not null"),
        )
    op.create_check_constraint("organizations", "event", "cardinality(organizations) <= 3")
    op.create_table(
        "feed_mark",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transaction", TransactionId(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sa.CheckConstraint("name in ('purged', 'era')", name="name"),
    )
    op.execute("insert into feed_mark values ('purged', '0', 0), ('era', '0', 1)")


def downgrade() -> None:
    """Go back."""
    op.drop_table("feed_mark")
    op.drop_constraint("organizations", "event", type_="check")
    for place in (1, 2, 3):
        op.drop_index(f"event_organization_{place}_idx", "event")
    op.drop_index("event_transaction_idx", "event")
    op.execute("drop trigger event_in_order on event")
    op.execute("drop function event_in_order()")
