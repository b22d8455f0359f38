"""The judge: what was acknowledged, by the history, against what the database holds, by plain SQL of its own.

It knows nothing of the service but its tables and events, and has its own copy of what may follow what. It names what
is wrong in sentences; a house where all is well has none.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import asyncpg

from tests.faults.history import Call, read_history
from tests.faults.house import House

__all__ = ["check", "judged", "overdue"]

_DONE = {
    "confirm": "confirmed",
    "decline": "declined",
    "arrive": "arrived",
    "release": "released",
    "pause": "paused",
    "resume": "resumed",
    "withdraw": "withdrawn",
}
_ALLOCATION = {
    None: {"held", "confirmed"},
    "held": {"confirmed", "declined", "expired", "released"},
    "confirmed": {"arrived", "declined", "released", "no_show", "completed"},
    "arrived": {"completed", "released"},
}
_NEED = {
    None: {"posted"},
    "posted": {"held", "confirmed", "unmet", "withdrawn", "closed"},
    "open": {"held", "confirmed", "unmet", "withdrawn", "closed"},
    "held": {"open", "confirmed", "unmet", "withdrawn"},
    "confirmed": {"open", "held", "unmet", "withdrawn", "closed"},
    "unmet": {"open", "held", "confirmed", "withdrawn", "closed"},
}
_OFFER = {None: {"paused"}, "paused": {"resumed"}, "resumed": {"paused"}}
_EDGES = {"allocation": _ALLOCATION, "need": _NEED, "offer": _OFFER}
Chains = Mapping[UUID, Sequence[str]]


async def check(connection: asyncpg.Connection, calls: Sequence[Call]) -> list[str]:
    """What is wrong with what a database holds, after these calls and no others."""
    chains = {kind: await _chains(connection, kind, edges) for kind, edges in _EDGES.items()}
    return [
        *_answers(calls),
        *[each async for each in _needs(connection, calls)],
        *[each async for each in _kept_answers(connection, calls)],
        *_unlawful(chains),
        *[each async for each in _untold(connection, chains)],
        *_unreflected(calls, chains),
        *[each async for each in _slots(connection, calls)],
        *[each async for each in _audit(connection, calls)],
        *[f"{what}: {row['id']}" for what, asked in _NEVER.items() for row in await connection.fetch(asked)],
    ]


async def judged(house: House, path: Path) -> list[str]:
    """What is wrong with a house, by the file of its history."""
    connection = await house.look()
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found = await check(connection, read_history(path))
    finally:
        await connection.close()
    if found:
        print(*_errors(house), sep="\n")
    return found


def _errors(house: House) -> Iterator[str]:
    """What the house itself called an error, for who reads why it was found wanting."""
    for log in sorted(house.log.glob("*.log")):
        yield from (f"{log.name}: {line}" for line in log.read_text().splitlines() if '"level": "error"' in line)


async def overdue(connection: asyncpg.Connection, since: datetime) -> int:
    """Needs that were to be looked at by this moment, and were not since."""
    return int(await connection.fetchval(_OVERDUE, since))


def _answers(calls: Iterable[Call]) -> Iterator[str]:
    """Whatever happens, an answer is true, a refusal, or says that the service is away."""
    for call in calls:
        for attempt in call.attempts:
            status = attempt.status
            if status is not None and status >= 500 and (status != 503 or "type" not in attempt.answer):
                yield f"answered with {status}, not a problem that says to come again: {call.act} ({call.number})"


async def _needs(connection: asyncpg.Connection, calls: Sequence[Call]) -> AsyncIterator[str]:
    """Each need that was acknowledged is there, and none is there twice."""
    posts = [call for call in calls if call.act == "post"]
    told = Counter(call.object_id for call in posts if call.acknowledged)
    found = {row["id"] for row in await connection.fetch("select id from need")}
    for need_id in told.keys() - found:
        yield f"an acknowledged need is lost: {need_id}"
    for need_id in (each for each, times in told.items() if times > 1):
        yield f"two calls were told of one need: {need_id}"
    unknown = sum(not call.known for call in posts)
    if len(found) > len(told) + unknown:
        yield f"needs were posted twice: {len(found)} of {len(told)} acknowledged and {unknown} unknown"


async def _kept_answers(connection: asyncpg.Connection, calls: Sequence[Call]) -> AsyncIterator[str]:
    """The answer to each acknowledged call under a key is kept, for whoever asks again."""
    keyed = [call for call in calls if call.key]
    told, unknown = sum(call.acknowledged for call in keyed), sum(not call.known for call in keyed)
    kept = await connection.fetchval("select count(*) from idempotency")
    if not told <= kept <= told + unknown:
        yield f"answers are kept for {kept} calls, not for {told} acknowledged and at most {unknown} unknown"


def _unlawful(chains: Mapping[str, Chains]) -> Iterator[str]:
    for kind, found in chains.items():
        for object_id, states in found.items():
            for before, after in pairwise((None, *states)):
                if after not in _EDGES[kind].get(before, set()):
                    yield f"{kind} {object_id} went from {before} to {after}: {', '.join(states)}"


async def _untold(connection: asyncpg.Connection, chains: Mapping[str, Chains]) -> AsyncIterator[str]:
    """An object is in the state that its last event says."""
    for kind, of_first in (("allocation", None), ("need", {"posted": "open"}), ("offer", {"resumed": "open"})):
        words = of_first or {}
        for row in await connection.fetch(f"select id, state from {kind}"):
            states = chains[kind].get(row["id"], ())
            told = words.get(states[-1], states[-1]) if states else "open" if kind == "offer" else "nothing"
            if told != row["state"]:
                yield f"{kind} {row['id']} is {row['state']}, and its events end with {told}"


def _unreflected(calls: Iterable[Call], chains: Mapping[str, Chains]) -> Iterator[str]:
    """What was acknowledged was done; what may be done but once was done once."""
    asked = defaultdict(list)
    for call in calls:
        if call.act in _DONE:
            asked[call.object_id, call.act].append(call)
    for (object_id, act), made in asked.items():
        kind = {"pause": "offer", "resume": "offer", "withdraw": "need"}.get(act, "allocation")
        done = sum(state == _DONE[act] for state in chains[kind].get(object_id, ()))
        told = sum(call.acknowledged for call in made)
        least = told if kind == "offer" else min(told, 1)
        if done < least:
            yield f"an acknowledged act is lost: {act} of {kind} {object_id}"
        if kind == "offer" and done > told + sum(not call.known for call in made):
            yield f"an act was done twice: {act} of {kind} {object_id}"


async def _slots(connection: asyncpg.Connection, calls: Iterable[Call]) -> AsyncIterator[str]:
    """Counters are the sum of what was taken, never over what there is; a capacity is what was last acknowledged."""
    for row in await connection.fetch(_COUNTED):
        yield f"slot {row['id']} counts {row['used']} of {row['capacity']}, and {row['taken']} are taken"
    versions: dict[int, int] = {}
    for call in calls:
        if call.act == "capacity" and call.acknowledged:
            slot = int(call.answer["id"])
            versions[slot] = max(versions.get(slot, 0), int(call.answer["version"]))
    for row in await connection.fetch("select id, version from slot where id = any($1::bigint[])", list(versions)):
        if row["version"] < versions[row["id"]]:
            yield f"an acknowledged capacity is lost: slot {row['id']}"


async def _audit(connection: asyncpg.Connection, calls: Iterable[Call]) -> AsyncIterator[str]:
    """Each need was posted by one act in the audit."""
    written = Counter({row["object"]: row["times"] for row in await connection.fetch(_AUDITED)})
    for call in calls:
        if call.act == "post" and call.acknowledged and written[call.object_id] != 1:
            yield f"the audit has {written[call.object_id]} acts for one need: {call.object_id}"


async def _chains(connection: asyncpg.Connection, kind: str, edges: Mapping[str | None, set[str]]) -> Chains:
    """The states of each object, in the order of its events."""
    known = {f"{kind}.{word}" for word in set().union(*edges.values()) | {word for word in edges if word}}
    rows = await connection.fetch(
        "select object_id, kind from event where kind = any($1::text[]) order by object_id, id", sorted(known)
    )
    chains: dict[UUID, list[str]] = defaultdict(list)
    for row in rows:
        chains[row["object_id"]].append(row["kind"].partition(".")[2])
    return chains


_OVERDUE = """
    select count(*) from need
     where state in ('open', 'unmet') and parked_at is null and ended_at is null
       and look_at <= $1
"""
_COUNTED = """
    select * from (
        select s.id, s.used, s.capacity,
               coalesce((select sum(k.people) from allocation_slot k where k.slot_id = s.id and k.taken), 0) as taken
          from slot s) counted
     where used <> taken or used < 0 or used > capacity
"""
_AUDITED = """
    select object, count(*) as times
      from (select unnest(objects) as object from audit_entry where act = 'POST /v1/needs'
            union all
            select unnest(objects) from audit_pending where act = 'POST /v1/needs') acts
     group by object
"""
_NEVER = {
    "a party has more places than people": """
        select n.id from need n
         where n.people < (select coalesce(sum(a.people), 0) from allocation a
                            where a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived'))
    """,
    "a need's state is not that of its places": """
        select id from (
            select n.*, (select coalesce(sum(a.people), 0) from allocation a where a.need_id = n.id
                            and a.state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')) as placed,
                   exists (select from allocation a where a.need_id = n.id and a.state = 'held') as held,
                   exists (select from allocation a where a.need_id = n.id
                              and a.state in ('held', 'confirmed', 'arrived')) as live
              from need n) n
         where not case state when 'open' then placed < people and ended_at is null
                              when 'unmet' then placed < people
                              when 'held' then placed = people and held
                              when 'confirmed' then placed = people and not held and live
                              when 'withdrawn' then not live and ended_at is not null
                              when 'closed' then not live and ended_at is not null
                              else false end
    """,
    "a place is taken by what is over, or not by what is live": """
        select distinct a.id from allocation a join allocation_slot k on k.allocation_id = a.id
                                                join slot s on s.id = k.slot_id
         where k.taken and s.ends > a.ended_at
            or not k.taken and a.state in ('held', 'confirmed', 'arrived')
    """,
    "an allocation holds no slot": """
        select a.id from allocation a where not exists (select from allocation_slot k where k.allocation_id = a.id)
    """,
    "a need is looked at no more": "select id from need where parked_at is not null",
    "a need has stayed unmet without reasons": "select id from need where state = 'unmet' and unmet_reasons is null",
    "a hold goes on beyond its time": """
        select id from allocation where state = 'held' and held_until < now() - interval '2 minutes'
    """,
    "an open need is beyond its deadline": """
        select id from need where state = 'open' and deadline < now() - interval '2 minutes'
    """,
}
