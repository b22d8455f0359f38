"""Holds: taking places for a need, and giving them back.

Locks are taken in one order everywhere: the need, then the offer, then slots by id. So two acts can wait for each
other but never deadlock, and a slot's counter decides who gets the last place. Nothing here commits.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, events
from db.seekers import Seeker
from matching.assign import Candidate, Decision, Way, cost_of, ranked
from matching.policy import Policy
from matching.states import NeedState
from matching.vocabulary import MoveReason

__all__ = [
    "Held",
    "free_places",
    "hold_best_places",
    "leave_tentative",
    "lock_places",
    "settle",
    "take",
    "tentative_for",
    "written_terms",
]


@dataclass(frozen=True, slots=True)
class Held:
    """What a look achieved: the allocations made, and how many people still lack a place."""

    allocations: tuple[UUID, ...]
    left: int


_SEARCHES = 3
"""How often one look searches again when what it found slipped away."""
# Both sides of the CHECK come from the locked row: PostgreSQL holds it against the snapshot's version of a row before
# it finds the newer one, and a place that was freed or added meanwhile would seem to be given twice.
_TAKE = text("""
    with offered as materialized (
        select id, organization_id, confirmation, confirm_within_minutes from offer
         where id = :offer and state = 'open' and version = :version for key share
    ), wanted as materialized (
        select s.id, s.used, s.capacity, s.last_arrival, s.starts, s.ends
          from slot s, offered
         where s.id = any(cast(:slots as bigint[])) and s.offer_id = offered.id
         order by s.id for update of s
    ), fits as materialized (
        select (array_agg(last_arrival order by starts))[1] as last_arrival, max(ends) as ends
          from wanted
        having count(*) = cardinality(cast(:slots as bigint[])) and bool_and(used + :people <= capacity)
    ), taken as (
        update slot set used = wanted.used + :people, capacity = wanted.capacity
          from fits, wanted
         where slot.id = wanted.id
        returning slot.id
    ), placed as (
        insert into allocation (need_id, offer_id, provider_id, poster_id, people, state, awaits_people, firm_from,
                                held_until, last_arrival, ends, distance_km, travel_minutes, policy_version, way, terms,
                                round_id)
        select :need, o.id, o.organization_id, :poster, :people,
               case when o.confirmation = 'standing' and not :awaits then 'confirmed' else 'held' end,
               :awaits, now() + cast(:tentative as interval),
               least(now() + cast(:tentative as interval) + make_interval(mins => o.confirm_within_minutes),
                     f.last_arrival),
               f.last_arrival, f.ends, :km,
               -- Around a partner town nobody knows how long it takes from where they are.
               (select cast(:minutes as int) from need n where n.id = :need and n.searched_town_id is null),
               :policy, :way, cast(:terms as jsonb), :round_id
          from offered o, fits f
        returning id, provider_id, state
    ), kept as (
        insert into allocation_slot (allocation_id, slot_id, people, taken)
        select placed.id, taken.id, :people, true from placed, taken
    ), others as (
        select coalesce(sum(people), 0) as people, coalesce(bool_or(state = 'held'), false) as held
          from allocation
         where need_id = :need and state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')
    ), answered as (
        update need n
           set state = case when others.people + :people < n.people then n.state
                            when others.held or placed.state = 'held' then 'held' else 'confirmed' end,
               fruitless = 0, failures = 0, version = n.version + 1
          from placed, others
         where n.id = :need
        returning n.state
    ), told as (
        insert into event (kind, object_id, organizations, facts)
        select 'allocation.' || state, id, array[provider_id, cast(:poster as uuid)],
               jsonb_build_object('need_id', cast(:need as uuid))
          from placed
        union all
        select 'need.' || answered.state, before.id, array[cast(:poster as uuid)], '{}'
          from answered, need before
         where before.id = :need and before.state <> answered.state
    )
    select id, state from placed
""")

_LOCK_OFFERS = text("select id from offer where id = any(cast(:ids as uuid[])) order by id for key share")
_LOCK_SLOTS = text("""
    select id from slot
     where id = any(cast(:ids as bigint[])
                    || array(select slot_id from allocation_slot
                              where allocation_id = any(cast(:allocations as uuid[]))))
     order by id for update
""")
_LEAVE = text("""
    update allocation
       set state = 'released', reason = :reason, ended_at = clock_timestamp(), version = version + 1
     where id = :id and state = 'held' and firm_from > clock_timestamp()
    returning provider_id, poster_id, firm_from - now() as tentative
""")
_SETTLE = text("""
    update need n
       set state = case when placed.people < n.people and n.searched_town_id is not null then 'referred'
                        when placed.people < n.people and n.unmet_at is not null then 'unmet'
                        when placed.people < n.people then 'open'
                        when placed.held then 'held'
                        when placed.firm then 'confirmed'
                        else 'closed' end,
           ended_at = case when placed.people >= n.people and not placed.held and not placed.firm then now() end,
           look_at = now(), fruitless = 0, version = n.version + 1
      from (select coalesce(sum(people), 0) as people,
                   coalesce(bool_or(state = 'held'), false) as held,
                   coalesce(bool_or(state in ('confirmed', 'arrived')), false) as firm
              from allocation
             where need_id = :id and state in ('held', 'confirmed', 'arrived', 'completed', 'no_show')) placed
         , (select state from need where id = :id) before
     where n.id = :id and n.state in ('open', 'held', 'confirmed', 'referred', 'unmet')
    returning n.organization_id, n.state, before.state as before
""")

# Where volunteers declined, nobody new comes in the place of who leaves.
_FREE = text("""
    with mine as materialized (
        select k.allocation_id, k.slot_id, k.people, s.offer_id, s.ends
          from allocation_slot k join slot s on s.id = k.slot_id
         where k.allocation_id = :id and k.taken and (:whole or s.ends > clock_timestamp())
         order by s.id for update of s
    ), freed as (
        update slot
           set used = slot.used - mine.people,
               capacity = least(slot.capacity, greatest(slot.used - mine.people,
                                                        coalesce(least(g.places, g.staffed), slot.capacity)))
          from mine left join slot_staffing g on g.slot_id = mine.slot_id
         where slot.id = mine.slot_id
    ), let_go as (
        update allocation_slot k set taken = false from mine
         where k.allocation_id = mine.allocation_id and k.slot_id = mine.slot_id
    )
    insert into capacity_news (offer_id) select distinct offer_id from mine where ends > now()
""")


async def hold_best_places(tx: AsyncConnection, seeker: Seeker, policy: Policy) -> Held:
    """Hold the best feasible place for a claimed need.

    Candidates are tried from best to worst: who lost a race for the last place goes on to the next. A divisible
    need takes as many as each offer has until all its people are placed. Where an offer slipped away meanwhile and
    nothing else was left, what there is now is searched again.
    """
    need, left = seeker.need, seeker.people_left
    made: list[UUID] = []
    for _ in range(_SEARCHES):
        slipped = False
        for candidate in ranked(await candidates.find(tx, need, policy, seeker.now, people=left), policy):
            people = min(left, candidate.free)
            placed = await take(tx, seeker, candidate, people, policy)
            if placed is None:
                slipped = True
                continue
            made.append(placed)
            left -= people
            if left == 0:
                break
            need = replace(need, turned_down=need.turned_down | {candidate.offer_id})
        if left == 0 or not slipped:
            break
    return Held(tuple(made), left)


async def take(
    tx: AsyncConnection,
    seeker: Seeker,
    candidate: Candidate,
    people: int,
    policy: Policy,
    tentative: timedelta | None = None,
    decision: Decision | None = None,
    *,
    awaits: bool = False,
) -> UUID | None:
    """Take places in every slot of a candidate at once, or none: the allocation, or `None` when full or changed.

    `tentative` is how long the hold may still be improved, where the policy's time for it began earlier;
    `decision` is why this place, where it was not chosen at once. One that `awaits` the people's own answer is on hold
    even where its provider has agreed beforehand.

    One statement: slots are locked in key order, counted after the lock, and taken together with the
    allocation, the need's new state and the event.
    """
    decided = decision or Decision(Way.AT_ONCE, cost_of(candidate, policy))
    row = (
        await tx.execute(
            _TAKE,
            {
                "offer": candidate.offer_id,
                "version": candidate.version,
                "slots": list(candidate.slots),
                "people": people,
                "need": seeker.need.id,
                "poster": seeker.organization_id,
                "tentative": tentative_for(seeker, policy) if tentative is None else tentative,
                "km": candidate.distance,
                "minutes": candidate.minutes,
                "policy": policy.version,
                "way": decided.way,
                "terms": written_terms(decided),
                "round_id": decided.round_id,
                "awaits": awaits,
            },
        )
    ).one_or_none()
    return None if row is None else row.id


async def lock_places(
    tx: AsyncConnection, offers: Iterable[UUID], slots: Iterable[int], allocations: Iterable[UUID] = ()
) -> None:
    """Lock offers, then slots and those of allocations that are to be left: before several places change hands."""
    await tx.execute(_LOCK_OFFERS, {"ids": sorted(set(offers))})
    await tx.execute(_LOCK_SLOTS, {"ids": sorted(set(slots)), "allocations": list(allocations)})


async def leave_tentative(tx: AsyncConnection, allocation_id: UUID, need_id: UUID) -> timedelta | None:
    """End a tentative hold for a better place: how long it would have stayed one; `None` where it is firm by now."""
    row = (await tx.execute(_LEAVE, {"id": allocation_id, "reason": MoveReason.BETTER_PLACE})).one_or_none()
    if row is None:
        return None
    await free_places(tx, allocation_id, whole=True)
    sides = (row.provider_id, row.poster_id)
    await events.record(tx, "allocation.released", allocation_id, sides, need_id=str(need_id))
    left: timedelta = row.tentative
    return left


def tentative_for(seeker: Seeker, policy: Policy) -> timedelta:
    """How long a hold for this need may be improved before its provider is asked."""
    return policy.tentative_for(seeker.need.urgency, seeker.need.window.starts - seeker.now)


def written_terms(decision: Decision) -> str:
    """What a place cost when it was decided, as it is stored: kilometres by term, to a tenth.

    Time and preferences only where they cost something: code from before there were these reads it too.
    """
    cost = asdict(decision.cost)
    return json.dumps({name: round(km, 1) for name, km in cost.items() if km or name not in ("time", "preference")})


async def free_places(tx: AsyncConnection, allocation_id: UUID, *, whole: bool) -> None:
    """Give an allocation's places back and leave word that there is room.

    `whole`: all its slots, as if it had never been; else those that have not ended, for nights already slept
    stay used.
    """
    await tx.execute(_FREE, {"id": allocation_id, "whole": whole})


async def settle(tx: AsyncConnection, need_id: UUID) -> NeedState | None:
    """Bring a need's state in line with its allocations; due at once when somebody lacks a place.

    A need whose people have all come and gone, or did not come, is closed. `None` when it had ended before.
    """
    row = (await tx.execute(_SETTLE, {"id": need_id})).one_or_none()
    if row is None:
        return None
    if row.state != row.before:
        await events.record(tx, f"need.{row.state}", need_id, [row.organization_id])
    return NeedState(row.state)
