"""No place is given twice and none is lost, with 64 clients at the same few slots.

The same load catches a claim that counts first and inserts afterwards.
"""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import claims
from db import holds, seekers
from db.connection import connect, transaction
from db.settings import Settings
from matching.assign import Candidate
from matching.policy import Policy

CLIENTS = 64


@pytest.fixture
async def many(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine with a connection for each client."""
    engine = connect(settings.model_copy(update={"pool_size": CLIENTS}), "test")
    yield engine
    await engine.dispose()


async def load(engine: AsyncEngine, count: int, take: claims.Take) -> tuple[claims.Report, claims.Audit]:
    region = await claims.build_region(engine)
    waiting = await claims.add_needs(engine, count)
    report = await claims.run(engine, region, waiting, clients=CLIENTS, take=take)
    return report, await claims.audit(engine, report)


async def test_no_place_is_given_twice_and_none_is_lost(many: AsyncEngine, *, long: bool) -> None:
    count = 100_000 if long else 4_000
    report, audit = await load(many, count, holds.take)
    assert audit == claims.Audit(0, 0, 0, 0, audit.places_taken), report.acts
    assert report.deadlocks == 0
    assert report.asked == count
    assert report.full > count / 20, "places were scarce"
    assert audit.places_taken > count / 10, "places were given"
    ways = ("confirm", "decline", "release", "withdraw", "expire", "more_or_less", "pause", "resume")
    assert {way for way in ways if not report.acts.get(way)} == set(), "everything happened at least once"


async def test_a_claim_that_counts_and_then_inserts_is_caught(many: AsyncEngine) -> None:
    async with transaction(many) as tx:
        await tx.execute(text("alter table slot drop constraint slot_used_check"))
    _, audit = await load(many, 2_000, count_then_insert)
    assert audit.overbooked > 0


_FREE = text("""
    select min(s.capacity - coalesce((select sum(k.people) from allocation_slot k
                                       where k.slot_id = s.id and k.taken), 0))
      from slot s where s.id = any(cast(:slots as bigint[]))
""")
_PLACE = text("""
    insert into allocation (need_id, offer_id, provider_id, poster_id, people, state, firm_from, held_until,
                            last_arrival, ends, distance_km, policy_version)
    select :need, o.id, o.organization_id, :poster, :people, 'held', now(), now() + interval '1 hour',
           now() + interval '1 day', now() + interval '1 day', 1, :policy
      from offer o where o.id = :offer
    returning id
""")
_KEEP = text("""
    insert into allocation_slot (allocation_id, slot_id, people, taken)
    select :id, slot, :people, true from unnest(cast(:slots as bigint[])) as slot
""")
_COUNT_UP = text("update slot set used = used + :people where id = :slot")


async def count_then_insert(
    tx: AsyncConnection, seeker: seekers.Seeker, candidate: Candidate, people: int, policy: Policy
) -> UUID | None:
    """What a first draft does: look whether there is room, then write."""
    free = (await tx.execute(_FREE, {"slots": list(candidate.slots)})).scalar_one()
    if free < people:
        return None
    values = {
        "need": seeker.need.id,
        "offer": candidate.offer_id,
        "poster": seeker.organization_id,
        "people": people,
        "policy": policy.version,
    }
    allocation_id: UUID = (await tx.execute(_PLACE, values)).scalar_one()
    await tx.execute(_KEEP, {"id": allocation_id, "slots": list(candidate.slots), "people": people})
    for slot in sorted(candidate.slots):
        await tx.execute(_COUNT_UP, {"slot": slot, "people": people})
    await holds.settle(tx, seeker.need.id)
    return allocation_id
