"""What `relais doctor` looks at of what a house does: its processes, the work that is due, and what is kept of it."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from db import audit as chains_of_acts
from db import checkup, gauges
from relais.embedded.postgres import KEEPS_NOTHING
from relais.finding import KEPT, Finding, House, State, to_do

__all__ = ["audit", "backups", "disk", "events", "processes", "replication", "transactions", "work"]

_LATE_SECONDS: Final = 60.0
_LONG_SECONDS: Final = 60.0
_SLOT_BYTES: Final = 1 << 30
_DISK_SHARE: Final = 0.1
_CHAINS: Final = 20


async def processes(house: House) -> Finding | None:
    """API and worker are connected."""
    async with house.reading() as tx:
        counts = {name: await checkup.sessions(tx, f"relais-{name}") for name in ("worker", "api")}
    for name, lost in (("worker", "nobody looks for places"), ("api", "nobody is answered")):
        if not counts[name]:
            return to_do(
                name,
                f"No {name} is connected to this database, so {lost}.",
                KEPT,
                f"Start it (`python -m {name}`); where it runs, its log says what it waits for.",
            )
    return None


async def work(house: House) -> Finding | None:
    """What is due is looked at."""
    async with house.reading() as tx:
        seen = await gauges.read(tx)
    for late, what, safe, what_to_do in (
        (
            seen.oldest_due_seconds > _LATE_SECONDS,
            f"A need that is due has waited for {seen.oldest_due_seconds:.0f} seconds to be looked at.",
            "It is kept, and looked at as soon as a worker does.",
            "See that a worker runs and what its log says; start another one if there is simply much to do.",
        ),
        (
            seen.oldest_overdue_hold_seconds > _LATE_SECONDS,
            f"A hold still stands {seen.oldest_overdue_hold_seconds:.0f} seconds after its deadline.",
            "Nobody can confirm it any more, and its place is not given twice.",
            "See that a worker runs, and why its look `upkeep` breaks.",
        ),
        (
            seen.oldest_unlinked_act_seconds > _LATE_SECONDS,
            f"Acts have waited for {seen.oldest_unlinked_act_seconds:.0f} seconds to be linked to the audit.",
            "They are written down, each in the transaction that did it.",
            "See that a worker runs, and why its look `link` breaks.",
        ),
        (
            seen.needs_parked > 0,
            f"{seen.needs_parked:.0f} needs are parked: looking for a place broke again and again.",
            "The needs are kept, and everybody else is matched.",
            "Find a place for their parties by hand; the worker's log says the kind of the error (`need.look_broke`).",
        ),
        (
            seen.channels_failing > 0,
            f"{seen.channels_failing:.0f} channels are paused, as nothing arrived by them for days.",
            "What waits is in the console and the feed all the same.",
            "See that the mail server takes ours; organizations see which and why in the console.",
        ),
    ):
        if late:
            return to_do("work", what, safe, what_to_do)
    return None


async def transactions(house: House) -> Finding | None:
    """No transaction is open for long."""
    async with house.reading() as tx:
        found = await checkup.long_transactions(tx, _LONG_SECONDS)
    if not found:
        return None
    oldest = next((each for each in found if each.holds_feeds), found[0])
    whose = f"session {oldest.pid} ({oldest.application or 'no name'}, {oldest.state})" if oldest.pid else "prepared"
    holds = "feeds stand still behind it" if oldest.holds_feeds else "nothing is cleaned up behind it"
    return to_do(
        "transactions",
        f"A transaction has been open for {oldest.seconds:.0f} seconds ({whose}): {holds}.",
        "No event is lost; they are told in their order once it ends.",
        f"Where nobody knows it: `select pg_terminate_backend({oldest.pid})`."
        if oldest.pid
        else "See `pg_prepared_xacts`, and end it with `rollback prepared`.",
    )


async def replication(house: House) -> Finding | None:
    """No replica or slot is far behind."""
    async with house.reading() as tx:
        unread = [slot for slot in await checkup.slots(tx) if slot.kept_bytes > _SLOT_BYTES]
        behind = await checkup.lagging_replicas(tx, _LATE_SECONDS)
    if unread:
        return to_do(
            "replication",
            f"The replication slot {unread[0].name} keeps {unread[0].kept_bytes >> 20} MiB of WAL and nobody reads it.",
            "The data; but the disk fills until the server stops.",
            "Start its reader, or drop it: `select pg_drop_replication_slot('…')`.",
        )
    if behind:
        return to_do(
            "replication",
            f"{behind} replicas are more than a minute behind.",
            "The first server has everything; were it lost now, the last minutes would be.",
            "See the replica's disk and network.",
        )
    return None


async def backups(house: House) -> Finding | None:
    """Changes are kept for backups."""
    async with house.reading() as tx:
        seen = await checkup.archiving(tx)
    if seen.command in KEEPS_NOTHING:
        return Finding(
            "backups",
            State.WELL,
            "This server keeps no changes for backups: unless something else backs it up, run `relais backup` "
            "(docs/backup.md).",
        )
    if seen.fails:
        return to_do(
            "backups",
            "The last part of the log of changes could not be kept for backups.",
            "The data; but what happened since then is in no backup, and the disk fills until it is.",
            "See the server's log for why, and whether the folder of the backups has room (docs/backup.md).",
        )
    return None


async def disk(house: House) -> Finding | None:
    """The database's disk has room."""
    async with house.reading() as tx:
        folder = (await checkup.server(tx)).data_folder
    usage = await asyncio.to_thread(_usage, folder) if folder else None
    if usage is None:
        return Finding("disk", State.WELL, "The database's disk cannot be seen from here; see to it there.")
    total, free = usage
    if free > total * _DISK_SHARE:
        return None
    return to_do(
        "disk",
        f"The database's disk has {free >> 20} MiB left, less than a tenth.",
        "What is stored; when it is full the server takes nothing more.",
        "Make room: old backups and logs, WAL that a replication slot keeps, or a larger disk.",
    )


async def events(house: House) -> Finding | None:
    """Events are of this server."""
    async with house.reading() as tx:
        if not await checkup.events_ahead(tx):
            return None
    return to_do(
        "events",
        "Events bear numbers of transactions that this server has not reached: a dump was restored from another one.",
        "The events are there; but feeds and deliveries stand still until the server has counted that far.",
        "Run `relais feed begin-anew`: whoever reads events is told to look anew, and they are read on.",
    )


async def audit(house: House) -> Finding | None:
    """The audit is whole."""
    async with house.reading() as tx:
        key = house.settings.keys().of("audit")
        broken = 0
        for organization in await checkup.chains(tx, _CHAINS):
            broken += any((await chains_of_acts.verify(tx, key, organization)).values())
    if not broken:
        return None
    return to_do(
        "audit",
        f"{broken} of the chains that grew last are broken, or the secret file is not that which sealed them.",
        "Needs and places: the audit is apart from them.",
        "`relais audit verify` says where; put back the right secret file, or find out who wrote to the database.",
    )


def _usage(folder: str) -> tuple[int, int] | None:
    """Bytes of the disk in all and free, where it is a disk of this machine."""
    if not Path(folder).is_dir():
        return None
    usage = shutil.disk_usage(folder)
    return usage.total, usage.free
