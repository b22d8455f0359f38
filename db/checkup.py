"""Looking over a house that runs: what `relais doctor` asks the database. It reads, and changes nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = [
    "Archiving",
    "LongTransaction",
    "Server",
    "Slot",
    "archiving",
    "chains",
    "events_ahead",
    "lagging_replicas",
    "long_transactions",
    "offsets",
    "server",
    "sessions",
    "slots",
]


@dataclass(frozen=True, slots=True)
class Server:
    """What kind of server it is, and what time it has."""

    number: int
    """As in `server_version_num`: 150004 is 15.4."""
    postgis: str | None
    now: datetime
    data_folder: str | None
    """Where its files are, where this user may know."""


@dataclass(frozen=True, slots=True)
class LongTransaction:
    """A transaction that has been open for long; `holds_feeds` where nothing after it may be shown in a feed."""

    pid: int | None
    """None where it was prepared and belongs to no session."""
    application: str
    state: str
    seconds: float
    holds_feeds: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot that nobody reads, and the bytes of the log of changes that are kept for it."""

    name: str
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class Archiving:
    """What the log of changes is given to, and whether the last part of it could not be."""

    command: str
    fails: bool


_SERVER: Final = text("""
    select cast(current_setting('server_version_num') as int) as number,
           (select extversion from pg_extension where extname = 'postgis') as postgis,
           clock_timestamp() as now,
           (select setting from pg_settings where name = 'data_directory') as data_folder
""")
_OFFSETS: Final = text("""
    select cast(extract(epoch from (moment at time zone 'UTC') - (moment at time zone :zone)) as int)
      from unnest(cast(:moments as timestamptz[])) with ordinality as asked (moment, place) order by place
""")
_SESSIONS: Final = text("""
    select count(*) from pg_stat_activity where datname = current_database() and application_name = :name
""")
_LONG: Final = text("""
    select pid, coalesce(application_name, '') as application, coalesce(state, '') as state,
           extract(epoch from clock_timestamp() - xact_start) as seconds, backend_xid is not null as holds_feeds
      from pg_stat_activity
     where xact_start < clock_timestamp() - make_interval(secs => :seconds)
       and pid <> pg_backend_pid() and backend_type = 'client backend'
    union all
    select null, '', 'prepared', extract(epoch from clock_timestamp() - prepared), true
      from pg_prepared_xacts where prepared < clock_timestamp() - make_interval(secs => :seconds)
     order by seconds desc limit 20
""")
_SLOTS: Final = text("""
    select slot_name as name, cast(pg_wal_lsn_diff(
               case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn
           ) as bigint) as kept_bytes
      from pg_replication_slots where not active and restart_lsn is not null
""")
_REPLICAS: Final = text("""
    select count(*) from pg_stat_replication where replay_lag > make_interval(secs => :seconds)
""")
_AHEAD: Final = text("""
    select exists (select from event where transaction >= pg_snapshot_xmax(pg_current_snapshot()))
""")
_ARCHIVING: Final = text("""
    select coalesce(nullif(current_setting('archive_library', true), ''), current_setting('archive_command'))
               as command,
           coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) as fails
      from pg_stat_archiver
""")
_CHAINS: Final = text("select organization_id from audit_head order by at desc limit :limit")


async def server(tx: AsyncConnection) -> Server:
    """The server."""
    row = (await tx.execute(_SERVER)).one()
    return Server(row.number, row.postgis, row.now, row.data_folder)


async def offsets(tx: AsyncConnection, zone: str, moments: list[datetime]) -> list[int]:
    """Seconds by which UTC differs from a zone's clock at these moments, as the database has it."""
    return [int(value) for value in (await tx.execute(_OFFSETS, {"zone": zone, "moments": moments})).scalars()]


async def sessions(tx: AsyncConnection, name: str) -> int:
    """How many connections a kind of process has; 0 also where this user may not see them."""
    return int((await tx.execute(_SESSIONS, {"name": name})).scalar_one())


async def long_transactions(tx: AsyncConnection, seconds: float) -> list[LongTransaction]:
    """Transactions that have been open for longer than this, the oldest first."""
    return [
        LongTransaction(row.pid, row.application, row.state, float(row.seconds), row.holds_feeds)
        for row in await tx.execute(_LONG, {"seconds": seconds})
    ]


async def slots(tx: AsyncConnection) -> list[Slot]:
    """Replication slots that nobody reads."""
    return [Slot(row.name, int(row.kept_bytes)) for row in await tx.execute(_SLOTS)]


async def lagging_replicas(tx: AsyncConnection, seconds: float) -> int:
    """How many replicas are this far behind."""
    return int((await tx.execute(_REPLICAS, {"seconds": seconds})).scalar_one())


async def archiving(tx: AsyncConnection) -> Archiving:
    """How the log of changes is kept."""
    row = (await tx.execute(_ARCHIVING)).one()
    return Archiving(row.command, row.fails)


async def events_ahead(tx: AsyncConnection) -> bool:
    """Whether there are events of transactions that this server has not begun: they came from another one."""
    return bool((await tx.execute(_AHEAD)).scalar_one())


async def chains(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Organizations whose chain of the audit grew last."""
    return list((await tx.execute(_CHAINS, {"limit": limit})).scalars())
