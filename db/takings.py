"""Takings: many places taken in one transaction, each as guarded as one alone (`db.holds`).

All that is touched is locked first, in the house's order, and read as it stands under the locks; then each taking is
weighed against the counters in the order given, and what fits is written together.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import holds
from db.seekers import Seeker
from matching.assign import Candidate, Decision
from matching.policy import Policy

__all__ = ["Taking", "take_all"]


@dataclass(frozen=True, slots=True)
class Taking:
    """So many people of a need, locked by the caller, to be placed in every slot of a candidate."""

    seeker: Seeker
    candidate: Candidate
    people: int
    decision: Decision


_LOCK_OFFERS = text("""
    select id, version from offer
     where id = any(cast(:ids as uuid[])) and state = 'open' order by id for key share
""")
_LOCK_SLOTS = text("""
    select id, offer_id, capacity - used as free, starts, ends, last_arrival
      from slot where id = any(cast(:ids as bigint[])) order by id for update
""")
_PLACE = text("""
    with new as materialized (
        select * from unnest(cast(:ids as uuid[]), cast(:needs as uuid[]), cast(:offers as uuid[]),
                             cast(:posters as uuid[]), cast(:people as int[]), cast(:km as int[]),
                             cast(:minutes as int[]), cast(:tentative as interval[]),
                             cast(:last_arrivals as timestamptz[]), cast(:ends as timestamptz[]),
                             cast(:ways as text[]), cast(:terms as text[]), cast(:rounds as bigint[]))
               as new (id, need_id, offer_id, poster_id, people, km, minutes, tentative, last_arrival, ends, way, terms,
                       round_id)
    ), placed as (
        insert into allocation (id, need_id, offer_id, provider_id, poster_id, people, state, firm_from, held_until,
                                last_arrival, ends, distance_km, travel_minutes, policy_version, way, terms, round_id)
        select new.id, new.need_id, new.offer_id, o.organization_id, new.poster_id, new.people,
               case o.confirmation when 'standing' then 'confirmed' else 'held' end, now() + new.tentative,
               least(now() + new.tentative + make_interval(mins => o.confirm_within_minutes), new.last_arrival),
               new.last_arrival, new.ends, new.km, new.minutes, :policy, new.way, cast(new.terms as jsonb), new.round_id
          from new join offer o on o.id = new.offer_id
        returning id, need_id, provider_id, poster_id, people, state
    ), kept as (
        insert into allocation_slot (allocation_id, slot_id, people, taken)
        select k.id, k.slot_id, k.people, true
          from unnest(cast(:kept_by as uuid[]), cast(:kept as bigint[]), cast(:kept_people as int[]))
               as k (id, slot_id, people)
    ), taken as (
        update slot set used = slot.used + t.people
          from (select slot_id, sum(people) as people
                  from unnest(cast(:kept as bigint[]), cast(:kept_people as int[])) as k (slot_id, people)
                 group by slot_id) t
         where slot.id = t.slot_id
    ), whole as (
        select live.need_id, sum(live.people) as people, bool_or(live.state = 'held') as held
          from (select need_id, people, state from placed
                union all
                select a.need_id, a.people, a.state from allocation a
                 where a.need_id = any(cast(:needs as uuid[]))
                   and a.state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')) live
         group by live.need_id
    ), answered as (
        update need n
           set state = case when whole.people < n.people then n.state when whole.held then 'held' else 'confirmed' end,
               fruitless = 0, failures = 0, version = n.version + 1
          from whole, need before
         where n.id = whole.need_id and before.id = n.id
        returning n.id, n.organization_id, n.state, before.state as before
    )
    insert into event (kind, object_id, organizations, facts)
    select 'allocation.' || state, id, array[provider_id, poster_id], jsonb_build_object('need_id', need_id)
      from placed
    union all
    select 'need.' || state, id, array[organization_id], '{}' from answered where state <> before
""")


async def take_all(tx: AsyncConnection, wanted: Sequence[Taking], policy: Policy) -> list[Taking]:
    """Take what there is, first come first served in the order given: those that got it.

    Who comes too late, or to an offer under other terms, goes without; nobody else is held back by it.
    """
    if not wanted:
        return []
    offers = sorted({taking.candidate.offer_id for taking in wanted})
    open_now = {(row.id, row.version) for row in await tx.execute(_LOCK_OFFERS, {"ids": offers})}
    ids = sorted({slot for taking in wanted for slot in taking.candidate.slots})
    slots = {row.id: row for row in await tx.execute(_LOCK_SLOTS, {"ids": ids})}
    taken: Counter[int] = Counter()
    made: list[Taking] = []
    for taking in wanted:
        candidate = taking.candidate
        known = [slots[slot] for slot in candidate.slots if slot in slots]
        if (
            (candidate.offer_id, candidate.version) in open_now
            and len(known) == len(candidate.slots)
            and all(slot.offer_id == candidate.offer_id for slot in known)
            and all(taken[slot.id] + taking.people <= slot.free for slot in known)
        ):
            taken.update(dict.fromkeys(candidate.slots, taking.people))
            made.append(taking)
    if made:
        await tx.execute(_PLACE, _values(made, slots, policy))
    return made


def _values(
    made: Sequence[Taking], slots: dict[int, Row[tuple[object, ...]]], policy: Policy
) -> dict[str, int | Sequence[UUID] | Sequence[int] | Sequence[timedelta] | Sequence[object]]:
    ids = [uuid4() for _ in made]
    kept = [(own, slot, each.people) for own, each in zip(ids, made, strict=True) for slot in each.candidate.slots]
    nights = [sorted((slots[slot] for slot in each.candidate.slots), key=lambda slot: slot.starts) for each in made]
    return {
        "ids": ids,
        "needs": [each.seeker.need.id for each in made],
        "offers": [each.candidate.offer_id for each in made],
        "posters": [each.seeker.organization_id for each in made],
        "people": [each.people for each in made],
        "km": [each.candidate.distance for each in made],
        "minutes": [each.candidate.minutes for each in made],
        "tentative": [holds.tentative_for(each.seeker, policy) for each in made],
        "last_arrivals": [some[0].last_arrival for some in nights],
        "ends": [max(slot.ends for slot in some) for some in nights],
        "policy": policy.version,
        "ways": [each.decision.way for each in made],
        "terms": [holds.written_terms(each.decision) for each in made],
        "rounds": [each.decision.round_id for each in made],
        "kept_by": [own for own, _, _ in kept],
        "kept": [slot for _, slot, _ in kept],
        "kept_people": [people for _, _, people in kept],
    }
