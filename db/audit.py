"""The audit: each act of an organization written down in its transaction, and linked to its chain right after.

Linking in the act's own transaction would keep the head's lock over the commit's write to the disk: acts of one
organization would wait for each other there. So who acts only adds a row, and the worker links what is committed, many
at a time. Nothing can be linked twice or forgotten: row, link and head change in one transaction.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final
from uuid import UUID

from sqlalchemy import Row, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.chains import START, Anchor, Entry, Flaw, Head, broken, link, seal_of
from db.tables import AuditEntry

__all__ = [
    "Actor",
    "Compared",
    "append",
    "compare",
    "heads",
    "link_pending",
    "organizations_with_old_entries",
    "prune",
    "verify",
]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an organization, in a role and with a scope; never a person."""

    organization_id: UUID
    role: str
    scope: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What an exported head says about the chain as it is now."""

    flaws: tuple[Flaw, ...]
    too_old: tuple[UUID, ...]
    """Organizations whose exported head was pruned since: it can say nothing any more."""


_APPEND = text("""
    insert into audit_pending (organization_id, role, scope, act, objects)
    values (:organization, :role, :scope, :act, cast(:objects as uuid[]))
""")
_WAITING = text("select organization_id from audit_pending order by id limit 1")
_BEGIN = text("""
    insert into audit_head (organization_id, number, hash, at) values (:organization, 0, :start, now())
    on conflict (organization_id) do nothing
""")
_HEAD = text("select number, hash from audit_head where organization_id = :organization for update")
_TAKE = text("""
    delete from audit_pending
     where id in (select id from audit_pending where organization_id = :organization order by id limit :limit)
    returning id, at, role, scope, act, objects
""")
_MOVE_HEAD = text("""
    update audit_head set number = :number, hash = :hash, at = now() where organization_id = :organization
""")
_HEADS = text("""
    select organization_id, number, hash, pruned_number, pruned_hash, pruned_seal from audit_head
     where cast(:organization as uuid) is null or organization_id = :organization
     order by organization_id
""")
_ORPHANS = text("""
    select distinct organization_id from audit_entry e
     where (cast(:organization as uuid) is null or organization_id = :organization)
       and not exists (select from audit_head h where h.organization_id = e.organization_id)
""")
_ENTRIES = text("""
    select organization_id, number, at, role, scope, act, objects, hash from audit_entry
     where organization_id = :organization and number > :after order by number limit :limit
""")
_FIND = text("select hash from audit_entry where organization_id = :organization and number = :number")
_WITH_OLD = text("""
    select h.organization_id
      from audit_head h
      join lateral (select at from audit_entry e where e.organization_id = h.organization_id
                     order by number limit 1) oldest on oldest.at < now() - make_interval(hours => :hours)
""")
_LOCK_HEAD = text("""
    select pruned_number, pruned_hash, pruned_seal from audit_head where organization_id = :organization
       for update skip locked
""")
_OLDEST = text("""
    select organization_id, number, at, role, scope, act, objects, hash,
           at < now() - make_interval(hours => :hours) as old
      from audit_entry where organization_id = :organization order by number limit :limit
""")
_DROP = text("delete from audit_entry where organization_id = :organization and number <= :number")
_ANCHOR = text("""
    update audit_head set pruned_number = :number, pruned_hash = :hash, pruned_seal = :seal
     where organization_id = :organization
""")
_PAGE: Final = 1000


async def append(tx: AsyncConnection, who: Actor, act: str, objects: Sequence[UUID]) -> None:
    """Write an act down in its own transaction, to be linked when it is committed."""
    await tx.execute(
        _APPEND,
        {
            "organization": who.organization_id,
            "role": who.role,
            "scope": who.scope,
            "act": act,
            "objects": list(objects),
        },
    )


async def link_pending(tx: AsyncConnection, limit: int) -> int:
    """Link acts of the organization whose act waits longest. How many; 0 when none waits.

    The head is locked before what waits is taken, so that of two who link at once the second goes on where the first
    ended.
    """
    organization_id = (await tx.execute(_WAITING)).scalar_one_or_none()
    if organization_id is None:
        return 0
    await tx.execute(_BEGIN, {"organization": organization_id, "start": START})
    head = (await tx.execute(_HEAD, {"organization": organization_id})).one()
    waiting = (await tx.execute(_TAKE, {"organization": organization_id, "limit": limit})).all()
    number, previous = head.number, bytes(head.hash)
    rows: list[dict[str, object]] = []
    for row in sorted(waiting, key=lambda row: row.id):
        number += 1
        entry = Entry(organization_id, number, row.at, row.role, row.scope, row.act, tuple(row.objects), b"")
        previous = link(previous, entry)
        rows.append({name: getattr(entry, name) for name in Entry.__slots__} | {"hash": previous})
    if rows:
        await tx.execute(insert(AuditEntry), [row | {"objects": list(row["objects"])} for row in rows])  # type: ignore[call-overload]
        await tx.execute(_MOVE_HEAD, {"organization": organization_id, "number": number, "hash": previous})
    return len(rows)


async def heads(tx: AsyncConnection, organization_id: UUID | None = None) -> list[Head]:
    """The newest link of each chain, or of one."""
    rows = await tx.execute(_HEADS, {"organization": organization_id})
    return [Head(row.organization_id, row.number, row.hash) for row in rows]


async def verify(tx: AsyncConnection, key: bytes, organization_id: UUID | None = None) -> dict[UUID, list[Flaw]]:
    """What is wrong with each chain, or with one; read in one snapshot."""
    found: dict[UUID, list[Flaw]] = {}
    for row in (await tx.execute(_HEADS, {"organization": organization_id})).all():
        anchor = Anchor(row.pruned_number, row.pruned_hash or START, row.pruned_seal)
        entries = [entry async for entry in _entries(tx, row.organization_id)]
        head = Head(row.organization_id, row.number, row.hash)
        found[row.organization_id] = broken(row.organization_id, anchor, entries, head, key)
    for orphan in (await tx.execute(_ORPHANS, {"organization": organization_id})).scalars().all():
        found[orphan] = [Flaw(orphan, 0, "head_missing")]
    return found


async def compare(tx: AsyncConnection, exported: Sequence[Head]) -> Compared:
    """Hold heads that were kept elsewhere against the chains: what they lack or say otherwise was cut or rewritten."""
    rows = {row.organization_id: row for row in await tx.execute(_HEADS, {"organization": None})}
    flaws: list[Flaw] = []
    too_old: list[UUID] = []
    for head in exported:
        row = rows.get(head.organization_id)
        if row is None or row.number < head.number:
            flaws.append(Flaw(head.organization_id, head.number, "cut_off"))
        elif head.number < row.pruned_number:
            too_old.append(head.organization_id)
        elif await _link_at(tx, head, row.pruned_number, row.pruned_hash) != head.hash:
            flaws.append(Flaw(head.organization_id, head.number, "rewritten"))
    return Compared(tuple(flaws), tuple(too_old))


async def organizations_with_old_entries(tx: AsyncConnection, hours: int) -> list[UUID]:
    """Organizations whose oldest entry is older than this."""
    return list((await tx.execute(_WITH_OLD, {"hours": hours})).scalars())


async def prune(tx: AsyncConnection, organization_id: UUID, hours: int, key: bytes, limit: int) -> int:
    """Delete the oldest entries past their term and seal the last of them. How many; 0 when the chain is in use.

    A chain that is broken there loses them too, but gets no seal: it is told as broken from then on.
    """
    head = (await tx.execute(_LOCK_HEAD, {"organization": organization_id})).one_or_none()
    if head is None:
        return 0
    anchor = Anchor(head.pruned_number, head.pruned_hash or START, head.pruned_seal)
    values = {"organization": organization_id, "hours": hours, "limit": limit}
    rows = list(takewhile(lambda row: row.old, (await tx.execute(_OLDEST, values)).all()))
    if not rows:
        return 0
    entries = [_entry(row) for row in rows]
    last = Head(organization_id, entries[-1].number, entries[-1].hash)
    sound = not broken(organization_id, anchor, entries, last, key)
    await tx.execute(_DROP, {"organization": organization_id, "number": last.number})
    seal = seal_of(last, key) if sound else None
    await tx.execute(_ANCHOR, {"organization": organization_id, "number": last.number, "hash": last.hash, "seal": seal})
    return len(rows)


async def _link_at(tx: AsyncConnection, head: Head, pruned_number: int, pruned_hash: bytes | None) -> bytes | None:
    if head.number == pruned_number:
        return pruned_hash or START
    values = {"organization": head.organization_id, "number": head.number}
    found: bytes | None = (await tx.execute(_FIND, values)).scalar_one_or_none()
    return found


async def _entries(tx: AsyncConnection, organization_id: UUID) -> AsyncIterator[Entry]:
    after = -1
    while True:
        values = {"organization": organization_id, "after": after, "limit": _PAGE}
        rows = (await tx.execute(_ENTRIES, values)).all()
        for row in rows:
            yield _entry(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1].number


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    values = row._mapping
    return Entry(
        organization_id=values["organization_id"],
        number=values["number"],
        at=values["at"],
        role=values["role"],
        scope=values["scope"],
        act=values["act"],
        objects=tuple(values["objects"]),
        hash=values["hash"],
    )
