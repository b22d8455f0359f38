"""Moving house: which tables go along to another instance and which stay, and how their rows are written and read.

A row is the JSON object that PostgreSQL makes of it, without what follows from the rest: generated columns, and points,
which are the middles of cells. What hangs on the secret of the house stays: no other house could open it. Exact places
are `db.locations`' to write and read.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import Row
from geo.cells import Cell, centroid

__all__ = ["GOES", "STAYS", "NotEmpty", "check_empty", "count", "finish", "forget_seeds", "lines", "put"]

GOES: Final = (
    "category",
    "policy",
    "competence",
    "town",
    "town_name",
    "organization",
    "organization_town",
    "site",
    "offer",
    "slot",
    "slot_staffing",
    "pledge",
    "pledge_turn",
    "shift",
    "pathway",
    "project",
    "need",
    "preference",
    "allocation",
    "allocation_slot",
    "round",
    "pact",
    "pact_version",
    "pact_signature",
    "pact_week",
    "referral",
    "ride",
    "practice",
    "feedback_count",
    "site_mark",
    "daily_figure",
    "figure_period",
    "figure",
)
"""Tables that go along, each after those that it refers to."""

STAYS: Final = {
    "admission": "as the issuer",
    "alembic_version": "the schema of the other house is its own; it must be the same",
    "api_key": "kept as a hash under the secret of this house: keys are issued anew",
    "association_load": "counted again within a minute",
    "audit_entry": "sealed under the secret of this house: `relais audit export`",
    "audit_head": "as the entries",
    "audit_pending": "as the entries",
    "capacity_news": "written anew for every open offer",
    "channel": "its address is sealed with the secret of this house: set up anew",
    "event": "its order is that of this database: who reads the feed begins anew",
    "feed_mark": "as the events",
    "idempotency": "answers of yesterday, under hashes of this house",
    "issuer": "its secret is sealed with the secret of this house: registered anew",
    "notice": "as the channel",
    "notification_choice": "as the channel",
    "session": "kept as a hash under the secret of this house: whoever is signed in signs in there",
    "site_location": "goes along sealed under the passphrase, in a file of its own",
    "tombstone": "hashes under the secret of this house, for backups of this house",
    "town_load": "counted again within a minute",
    "travel_time": "asked anew of the routing engine of the other house",
    "webhook": "its address is sealed, and its secret made, with the secret of this house: set up anew",
    "webhook_delivery": "as the webhook",
}
"""Tables that stay, and why."""

_SEEDED: Final = ("category", "policy", "competence", "figure_period", "town", "town_name")
"""What a new house has before anybody takes part."""
_LEFT_OUT: Final = {"need": {"slip"}, "pathway": {"slip"}, "project": {"slip"}}
"""Columns that stay: a slip is filed under the secret of the house, and filed anew by the API when it starts."""
_USED_TOWNS: Final = """
    select town_id from organization_town union select town_id from site union select town_id from offer
    union select town_id from need
    union select searched_town_id from need where searched_town_id is not null
    union select town_id from pledge union select town_id from daily_figure union select town_id from feedback_count
    union select proposer_town_id from pact union select partner_town_id from pact
    union select town_id from practice
    union select near_town_id from preference where near_town_id is not null
    union select cast(area as int) from figure where area ~ '^[0-9]+$'
"""
_WHICH: Final = {
    "town": f"where id in ({_USED_TOWNS}) or roles <> '{{}}'",
    "town_name": f"where town_id in (select id from town where id in ({_USED_TOWNS}) or roles <> '{{}}')",
}
_AT_ONCE: Final = 1000
# A town that the other house has loaded already keeps its row, and takes its part in the network from this one.
_MEETS: Final = {
    "category": "on conflict (code) do update set coverage = excluded.coverage",
    "town": "on conflict (id) do update set roles = excluded.roles",
    "town_name": "on conflict do nothing",
}


class NotEmpty(Exception):  # noqa: N818 - told to people, not a fault of the program
    """Somebody takes part in the house already."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


async def check_empty(tx: AsyncConnection) -> None:
    """Let nobody join until the transaction ends. Raises `NotEmpty` where there is anything that is somebody's."""
    await tx.execute(text("lock table organization in share row exclusive mode"))
    for table in (*GOES, *STAYS):
        mine = table not in (*_SEEDED, "alembic_version", "feed_mark", "town_load", "association_load")
        if mine and (await tx.execute(text(f"select exists (select from {table})"))).scalar_one():
            raise NotEmpty(table)


async def count(tx: AsyncConnection, table: str) -> int:
    """How many rows of a table go along."""
    return int((await tx.execute(text(f"select count(*) from {table} {_WHICH.get(table, '')}"))).scalar_one())


async def lines(tx: AsyncConnection, table: str) -> AsyncIterator[str]:
    """The rows of a table as JSON, one a line, in the order of its key."""
    key = ", ".join(f'"{column.name}"' for column in Row.metadata.tables[table].primary_key)
    named = ", ".join(f'"{column.name}"' for column in _written(table))
    statement = f"""
        select cast(to_jsonb(r) as text) from (select {named} from {table} {_WHICH.get(table, "")}) r order by {key}
    """
    async with tx.stream(text(statement)) as rows:
        async for row in rows:
            yield row[0]


async def forget_seeds(tx: AsyncConnection) -> None:
    """Take away what a new house has of policies, duties and weeks: those that come were published one by one."""
    for table in ("policy", "competence", "figure_period"):
        await tx.execute(text(f"delete from {table}"))


async def put(tx: AsyncConnection, table: str, rows: Sequence[str]) -> None:
    """Put rows, as `lines` wrote them, into a table. Raises what the database refuses."""
    named = ", ".join(f'"{column.name}"' for column in (*_written(table), *_points(table)))
    statement = text(f"""
        insert into {table} ({named}) overriding system value
        select {named} from jsonb_populate_recordset(cast(null as {table}), cast(:rows as jsonb))
        {_MEETS.get(table, "")}
    """)
    for start in range(0, len(rows), _AT_ONCE):
        some = [_with_point(table, json.loads(row)) for row in rows[start : start + _AT_ONCE]]
        await tx.execute(statement, {"rows": json.dumps(some)})


async def finish(tx: AsyncConnection) -> None:
    """What the house does for itself: numbers go on after the last, and every open offer is looked at."""
    for table in GOES:
        for column in Row.metadata.tables[table].columns:
            if column.identity is not None:
                sequence = f"pg_get_serial_sequence('{table}', '{column.name}')"
                await tx.execute(
                    text(f"select setval({sequence}, max({column.name})) from {table} having max({column.name}) > 0")
                )
    await tx.execute(text("insert into capacity_news (offer_id) select id from offer where state = 'open' order by id"))


def _written(table: str) -> list[Column[Any]]:
    """The columns that are written down."""
    left_out = _LEFT_OUT.get(table, set())
    return [
        column
        for column in Row.metadata.tables[table].columns
        if column.computed is None and column.name not in left_out and column not in _points(table)
    ]


def _points(table: str) -> list[Column[Any]]:
    return [column for column in Row.metadata.tables[table].columns if column.name == "point"]


def _with_point(table: str, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"point": centroid(Cell(row["cell"])).ewkt} if _points(table) else row
