"""Tombstones: what was purged stays purged when an older backup is restored.

A tombstone is a keyed hash of an id, so it says nothing to who lacks the secret file. Terms that hang on the dates of a
thing hold in any backup; tombstones are for needs and exact places, whose term begins with something that happened.
"""

import hmac
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import figures
from db.roles import Role, acting_as

__all__ = ["drop_needs", "every", "lower", "name_of", "raise_up", "reapply", "risen"]

_KEEP = text("""
    insert into tombstone (name) select unnest(cast(:names as bytea[])) on conflict (name) do nothing
""")
_LOWER = text("delete from tombstone where name = :name")
_EVERY = text("select name from tombstone order by purged_at, name")
_NEEDS = text("select id from need where id > :after order by id limit :limit")
_LOCK = text("select id from need where id = any(cast(:ids as uuid[])) order by id for update")
_PLACES = text("select site_id from site_location where site_id > :after order by site_id limit :limit")
_BURIED = text("select name from tombstone where name = any(cast(:names as bytea[]))")
_FREE = text("""
    with mine as materialized (
        select k.slot_id, sum(k.people) as people
          from allocation_slot k join allocation a on a.id = k.allocation_id
         where a.need_id = any(cast(:ids as uuid[])) and k.taken
         group by k.slot_id
    ), locked as materialized (
        select s.id from slot s where s.id in (select slot_id from mine) order by s.id for update
    )
    update slot set used = slot.used - mine.people
      from mine, locked where slot.id = mine.slot_id and locked.id = slot.id and slot.ends > now()
""")
_DROP_ALLOCATIONS = text("delete from allocation where need_id = any(cast(:ids as uuid[]))")
_DROP_NEEDS = text("delete from need where id = any(cast(:ids as uuid[]))")
_DROP_PLACES = text("delete from site_location where site_id = any(cast(:ids as uuid[]))")
_AT_ONCE: Final = 1000
_NOTHING: Final = UUID(int=0)


def name_of(kind: str, number: UUID, key: bytes) -> bytes:
    """The keyed hash (HMAC-SHA256) that stands for the id of a `need` or a `place`."""
    return hmac.digest(key, kind.encode() + number.bytes, "sha256")


async def raise_up(tx: AsyncConnection, names: Iterable[bytes]) -> None:
    """Keep tombstones; those that are there stay as they are."""
    await tx.execute(_KEEP, {"names": sorted(names)})


async def lower(tx: AsyncConnection, name: bytes) -> None:
    """What was purged was given again: it is there by right, and no restore or upgrade takes it away."""
    async with acting_as(tx, Role.MATCHER):
        await tx.execute(_LOWER, {"name": name})


async def every(tx: AsyncConnection) -> list[bytes]:
    """All tombstones, oldest first, to be kept beside a backup."""
    return list((await tx.execute(_EVERY)).scalars())


async def reapply(tx: AsyncConnection, key: bytes, brought: frozenset[bytes] = frozenset()) -> int:
    """Delete again what has a tombstone, here or among those brought from elsewhere. How many things.

    A need whose tombstone is here was counted here when it was purged; one that only was brought is counted now, as it
    stood when the backup was made. All in one transaction.
    """
    gone = 0
    async for ids in _in_turn(tx, _NEEDS):
        counted, uncounted = await _dead(tx, "need", ids, key, brought)
        if uncounted:
            await figures.count_needs(tx, uncounted)
        await drop_needs(tx, [*counted, *uncounted])
        gone += len(counted) + len(uncounted)
    async for ids in _in_turn(tx, _PLACES):
        dead = [each for part in await _dead(tx, "place", ids, key, brought) for each in part]
        await tx.execute(_DROP_PLACES, {"ids": dead})
        gone += len(dead)
    await raise_up(tx, brought)
    return gone


async def risen(tx: AsyncConnection, key: bytes, brought: frozenset[bytes] = frozenset()) -> int:
    """How many things are here that have a tombstone, here or among those brought from elsewhere: none, if all is well.

    A place that was given again after it had been purged counts too.
    """
    back = 0
    for kind, statement in (("need", _NEEDS), ("place", _PLACES)):
        async for ids in _in_turn(tx, statement):
            back += sum(map(len, await _dead(tx, kind, ids, key, brought)))
    return back


async def _in_turn(tx: AsyncConnection, statement: TextClause) -> AsyncIterator[Sequence[UUID]]:
    """All ids of a statement, some at a time."""
    after = _NOTHING
    while ids := list((await tx.execute(statement, {"after": after, "limit": _AT_ONCE})).scalars()):
        after = ids[-1]
        yield ids


async def drop_needs(tx: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Delete needs with their allocations; whoever of them still keeps a place to come gives it back."""
    for statement in (_LOCK, _FREE, _DROP_ALLOCATIONS, _DROP_NEEDS):
        await tx.execute(statement, {"ids": list(ids)})


async def _dead(
    tx: AsyncConnection, kind: str, ids: Sequence[UUID], key: bytes, brought: frozenset[bytes]
) -> tuple[list[UUID], list[UUID]]:
    """Of these ids those with a tombstone here, and those with one that was only brought."""
    names = {name_of(kind, each, key): each for each in ids}
    here = set((await tx.execute(_BURIED, {"names": list(names)})).scalars())
    only_brought = [each for name, each in names.items() if name in brought and name not in here]
    return [names[name] for name in names if name in here], only_brought
