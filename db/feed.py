"""The feed: events in an order that holds for each object, read from where one stopped, with none left out.

A serial number is drawn before its transaction commits: who reads by it alone passes over what commits late. So a place
in the feed is (transaction, number), and only what lies behind the oldest transaction that still runs is read. A
transaction may change an object after one that began later: `event_in_order`, a trigger, gives its event that one's
place (migration 0015 says why this is enough).

Transaction ids go on over `pg_upgrade` and with a physical backup. After a restore to an earlier moment some come
again: `begin_anew` ends what was read before.
"""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.refusals import FeedBroken

__all__ = ["FeedEvent", "FeedPage", "Mark", "begin_anew", "heard_since", "now", "read", "read_for_all"]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the feed: everything up to it was read. `era` grows when the feed begins anew."""

    era: int
    transaction: int
    number: int


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """A fact as organizations hear of it. `mark` is its place."""

    mark: Mark
    kind: str
    object_id: UUID
    at: datetime
    facts: dict[str, str | int]

    def id(self, key: bytes) -> UUID:
        """The same for everybody who hears of it, however often: a keyed hash, which gives no number away.

        A number may come again after a restore; the whole fact does not.
        """
        told = f"{self.mark.transaction} {self.mark.number} {self.kind} {self.object_id} {self.at.isoformat()}"
        return UUID(bytes=hmac.digest(key, told.encode(), "sha256")[:16], version=4)


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events in order, the place up to which all was read, and whether there is more behind it already."""

    events: tuple[FeedEvent, ...]
    next: Mark
    more: bool


@dataclass(frozen=True, slots=True)
class WholePage:
    """The same across organizations: each event with those that may hear of it. `next` is the last one's place."""

    events: tuple[tuple[FeedEvent, tuple[UUID, ...]], ...]
    next: Mark
    more: bool


_PLACES: Final = (1, 2, 3)
"""Places in an event's list of organizations; each has its index."""
_NUMBER = "cast(cast({} as text) as bigint)"
_NOW = text(f"""
    select {_NUMBER.format("fence")} as fence, {_NUMBER.format("purged_transaction")} as purged_transaction,
           purged_number, era
      from feed_standing()
""")
_HEARD = " union all ".join(
    f"""
    (select id, transaction, kind, object_id, at, facts from event
      where organizations[{place}] = :organization
        and (transaction, id) > (cast(cast(:transaction as text) as xid8), :number)
        and transaction < cast(cast(:fence as text) as xid8)
        and split_part(kind, '.', 1) = any(cast(:objects as text[]))
      order by transaction, id limit :limit)"""
    for place in _PLACES
)
_READ = text(f"""
    select id, {_NUMBER.format("transaction")} as transaction, kind, object_id, at, facts
      from ({_HEARD}) heard order by heard.transaction, id limit :limit
""")
_HEARD_SINCE = text("""
    select distinct unnest(organizations) from event
     where (transaction, id) > (cast(cast(:transaction as text) as xid8), :number)
       and transaction < cast(cast(:fence as text) as xid8)
""")
_READ_FOR_ALL = text(f"""
    select id, {_NUMBER.format("transaction")} as transaction, kind, object_id, at, facts, organizations
      from event
     where (transaction, id) > (cast(cast(:transaction as text) as xid8), :number)
       and transaction < cast(cast(:fence as text) as xid8)
     order by event.transaction, id limit :limit
""")
# What was restored from a dump without its transaction ids lies behind everything that is still to come.
_BEGIN_ANEW = text("""
    with behind as (
        update event set transaction = '3' where transaction >= pg_snapshot_xmax(pg_current_snapshot())
    )
    update feed_mark set event_id = event_id + 1 where name = 'era'
""")


async def now(tx: AsyncConnection) -> Mark:
    """The place behind everything that may be read at this moment."""
    standing = (await tx.execute(_NOW)).one()
    return Mark(standing.era, standing.fence, 0)


async def read(
    tx: AsyncConnection, organization_id: UUID, after: Mark | None, objects: Collection[str], limit: int
) -> FeedPage:
    """At most `limit` events that an organization may hear of, about these kinds of object.

    Without a place, from the oldest that is kept. Raises `FeedBroken` where events behind `after` are not kept any
    more, or the database was restored since.
    """
    standing = (await tx.execute(_NOW)).one()
    fence = Mark(standing.era, standing.fence, 0)
    if after is None:
        after = Mark(standing.era, 0, 0)
    elif not _goes_on(standing, after):
        raise FeedBroken
    rows = (
        await tx.execute(
            _READ,
            {
                "organization": organization_id,
                **_between(after, standing.fence),
                "objects": sorted(objects),
                "limit": limit + 1,
            },
        )
    ).all()
    events = tuple(_event(row, standing.era) for row in rows[:limit])
    more = len(rows) > limit
    return FeedPage(events, events[-1].mark if more else fence, more)


async def read_for_all(tx: AsyncConnection, after: Mark, limit: int) -> WholePage:
    """At most `limit` events, whoever may hear of them. Raises `FeedBroken` as `read` does.

    Asked across organizations: as the matcher.
    """
    standing = (await tx.execute(_NOW)).one()
    if not _goes_on(standing, after):
        raise FeedBroken
    rows = (await tx.execute(_READ_FOR_ALL, {**_between(after, standing.fence), "limit": limit + 1})).all()
    events = tuple((_event(row, standing.era), tuple(row.organizations)) for row in rows[:limit])
    return WholePage(events, events[-1][0].mark if events else after, len(rows) > limit)


async def heard_since(tx: AsyncConnection, after: Mark) -> tuple[frozenset[UUID], Mark]:
    """The organizations that may hear of something behind this place, and the place up to which that is so.

    Asked across organizations: as the matcher.
    """
    fence = await now(tx)
    if after.era != fence.era:
        return frozenset(), fence
    return frozenset((await tx.execute(_HEARD_SINCE, _between(after, fence.transaction))).scalars()), fence


async def begin_anew(tx: AsyncConnection) -> None:
    """After a restore: whoever read before is told to look anew, and what is kept can be read from its beginning."""
    await tx.execute(_BEGIN_ANEW)


def _between(after: Mark, fence: int) -> dict[str, str | int]:
    """The values of a statement that reads behind a place and before the fence."""
    return {"transaction": str(after.transaction), "number": after.number, "fence": str(fence)}


def _goes_on(standing: Row[tuple[object, ...]], after: Mark) -> bool:
    purged = Mark(standing.era, standing.purged_transaction, standing.purged_number)
    return purged <= after <= Mark(standing.era, standing.fence, 0)


def _event(row: Row[tuple[object, ...]], era: int) -> FeedEvent:
    return FeedEvent(Mark(era, row.transaction, row.id), row.kind, row.object_id, row.at, row.facts)
