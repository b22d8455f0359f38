"""Changing a need whose people have a place: shortened, lengthened or moved, and the place kept.

A change either keeps every place of the party or is refused whole: nobody loses a bed by asking for one night
more. Who wants another place instead releases this one first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, holds, needs, referred_changes, rides, seekers, surroundings
from db.roles import Role, acting_as
from db.tables import Need as NeedRow
from matching.needs import Need, OfferId, as_posted
from matching.offers import Offer, Slot
from matching.posting import NeedTerms, deadline_of, flaws_of
from matching.refusals import CannotKeepPlace, Conflict, Flaw, Invalid, StaleVersion
from matching.rules import Circumstances, cover, failures
from matching.states import NeedState, OfferState
from matching.vocabulary import Coverage

__all__ = ["change"]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A live allocation and the slots it keeps."""

    id: UUID
    offer_id: OfferId
    provider_id: UUID
    people: int
    slots: frozenset[int]


_LIVE = text("""
    select a.id, a.offer_id, a.provider_id, a.people,
           array(select k.slot_id from allocation_slot k where k.allocation_id = a.id and k.taken) as slots
      from allocation a
     where a.need_id = :id and a.state in ('held', 'confirmed', 'arrived')
     order by a.created_at, a.id
       for update of a
""")
_GONE = text("""
    select coalesce(sum(people), 0) from allocation where need_id = :id and state in ('completed', 'no_show')
""")
_MOVE_PLACES = text("""
    with locked as materialized (
        select s.id, s.used, s.capacity, coalesce(least(g.places, g.staffed), s.capacity) as open,
               case when s.id = any(cast(:slots as bigint[])) then :people else 0 end - coalesce(k.people, 0) as more
          from slot s
          left join allocation_slot k on k.slot_id = s.id and k.allocation_id = :id and k.taken
          left join slot_staffing g on g.slot_id = s.id
         where s.id = any(cast(:slots as bigint[])) or s.id = any(cast(:left as bigint[]))
         order by s.id for update of s
    ), fits as (
        select 1 from locked having bool_and(used + more <= capacity)
    )
    update slot set used = locked.used + locked.more,
                    capacity = least(locked.capacity, greatest(locked.used + locked.more, locked.open))
      from locked, fits
     where slot.id = locked.id
    returning slot.id
""")
_LEAVE = text("""
    delete from allocation_slot
     where allocation_id = :id and slot_id = any(cast(:left as bigint[]))
""")
_ENTER = text("""
    insert into allocation_slot (allocation_id, slot_id, people, taken)
    select :id, slot, :people, true from unnest(cast(:slots as bigint[])) as slot
    on conflict (allocation_id, slot_id) do update set people = excluded.people, taken = true
""")
_RESIZE = text("""
    update allocation set people = :people, last_arrival = :last_arrival, ends = :ends, version = version + 1
     where id = :id
""")
_WHERE = ("cell", "point")
_NEWS = text("""
    insert into capacity_news (offer_id) values (:offer)
""")
# Between the morning and the hour at which the house closes a night is over though its slot is not.
_PASSED = text("""
    select id from slot
     where id = any(cast(:slots as bigint[]))
       and (ends <= clock_timestamp() or (:stays and starts <= clock_timestamp() and ends > :from))
""")


async def change(
    tx: AsyncConnection,
    need_id: UUID,
    organization_id: UUID,
    version: int | None,
    terms: NeedTerms,
) -> None:
    """Give a need new terms (same category and town), keeping every place that its people have.

    Raises `NotFound`, `StaleVersion`, `Invalid`, `Conflict` when the need has ended or a partner's week has no room for
    more people, and `CannotKeepPlace` when a place does not fit the new terms; then nothing is changed.
    """
    before = await needs.lock(tx, need_id, organization_id)
    if version is not None and version != before.version:
        raise StaleVersion(before.version)
    if before.project_id is not None:
        raise Conflict("part_of_project", before.state)
    policy, now, (setting,) = await needs.settings_of(tx, [terms])
    if before.state in (NeedState.WITHDRAWN, NeedState.CLOSED) or before.terms.ends <= now:
        raise Conflict("need_has_ended", before.state)
    if isinstance(setting, Flaw):
        raise Invalid((setting,))
    if before.pathway_id is not None:
        _keep_the_party(before.terms, terms)
    flaws = tuple(
        flaw
        for flaw in flaws_of(terms, setting.coverage, setting.zone, now)
        # A stay that began days ago may still be lengthened.
        if not (flaw.code == "in_the_past" and flaw.at == "/from" and terms.starts == before.terms.starts)
    )
    if flaws:
        raise Invalid(flaws)
    async with acting_as(tx, Role.MATCHER):
        placed = [
            _Placed(row.id, OfferId(row.offer_id), row.provider_id, row.people, frozenset(row.slots))
            for row in await tx.execute(_LIVE, {"id": need_id})
        ]
        columns = needs.columns_of(terms, setting)
        if await referred_changes.leave_for_change(tx, need_id, terms, has_place=bool(placed)):
            # Their place was found, and is kept, around the partner town.
            columns = {name: value for name, value in columns.items() if name not in _WHERE}
        if before.pathway_id is not None and setting.coverage is not Coverage.EVERY:
            # Around its bed.
            columns = {name: value for name, value in columns.items() if name not in _WHERE}
        await tx.execute(
            update(NeedRow).where(NeedRow.id == need_id),
            {
                **columns,
                "deadline": deadline_of(terms, policy, before.posted_at),
                # What was missing for the old terms says nothing about the new ones.
                "unmet_at": None,
                "unmet_reasons": None,
                "version": before.version + 1,
            },
        )
        seeker = await seekers.read_seeker(tx, need_id, policy)
        await _keep(tx, placed, seeker.need, Circumstances(policy, seeker.now), organization_id)
        await events.record(tx, "need.changed", need_id, [organization_id])
        await holds.settle(tx, need_id)
        await rides.follow(tx, need_id, before.terms, terms, change)


def _keep_the_party(before: NeedTerms, terms: NeedTerms) -> None:
    """A pathway is one party's: no step of it may become another's. Raises `Invalid`."""
    parts = {"people": "/people", "audience": "/audience", "divisible": "/divisible"}
    flaws = tuple(
        Flaw(at, "party_of_pathway") for name, at in parts.items() if getattr(terms, name) != getattr(before, name)
    )
    if flaws:
        raise Invalid(flaws)


async def _keep(tx: AsyncConnection, placed: Sequence[_Placed], need: Need, at: Circumstances, poster_id: UUID) -> None:
    gone = int((await tx.execute(_GONE, {"id": need.id})).scalar_one())
    if (gone or len(placed) > 1) and not need.divisible:
        raise Conflict("party_is_spread", NeedState.HELD)
    offers = {
        offer.id: offer
        for offer in await surroundings.offers_by_id(tx, need, [each.offer_id for each in placed], at.policy, at.now)
    }
    too_many = max(sum(each.people for each in placed) + gone - need.people.count, 0)
    # The last place found is the first that a smaller party gives up.
    for each in reversed(placed):
        people = each.people - too_many if need.divisible else need.people.count
        if people < 1:
            raise Conflict("release_a_place_first", NeedState.HELD)
        too_many = 0
        offer = offers[each.offer_id]
        passed = await _passed(tx, each, need)
        kept = {slot.id for slot in _slots_kept(need, offer, each, passed, at)}
        # The offer's own slots: until when one may arrive stays what it was.
        slots = tuple(slot for slot in offer.slots if slot.id in kept)
        await _move_places(tx, each, slots, passed, people)
        await events.record(tx, "allocation.changed", each.id, [each.provider_id, poster_id], need_id=str(need.id))


def _slots_kept(
    need: Need, offer: Offer, placed: _Placed, passed: frozenset[int], at: Circumstances
) -> tuple[Slot, ...]:
    """The slots of the same offer that the changed need takes. Raises `CannotKeepPlace`.

    Who is in stays in: the hour at which the door closes, a pause and an offer grown stale concern newcomers.
    """
    inside = tuple(
        replace(slot, last_arrival=slot.window.ends) if slot.id in placed.slots else slot for slot in offer.slots
    )
    kept = replace(
        offer,
        slots=inside,
        state=OfferState.OPEN,
        verified_at=at.now,
        nights_max=_nights_left(need, offer, placed, passed),
    )
    # What the people said since concerns places to come: this one they have.
    asking = replace(as_posted(need), turned_down=frozenset())
    if need.coverage is not Coverage.EVERY:
        same = replace(kept, slots=tuple(slot for slot in inside if slot.id in placed.slots))
        if not next(failures(asking, same, at), None):
            return cover(asking, same, at.now)
    failure = next(failures(asking, kept, at), None)
    if failure is not None:
        raise CannotKeepPlace(placed.id, failure.rule)
    return cover(asking, kept, at.now)


def _nights_left(need: Need, offer: Offer, placed: _Placed, passed: frozenset[int]) -> int | None:
    """How many nights the offer still gives this party: those it has slept there count.

    `None` where it asks for no night that it does not have: terms that grew stricter since take none away.
    """
    own = {slot.day for slot in offer.slots if slot.id in placed.slots}
    if offer.nights_max is None or own.issuperset(need.days):
        return None
    ahead = {slot.id for slot in offer.slots if slot.day in need.days}
    return offer.nights_max - len(passed - ahead)


async def _move_places(
    tx: AsyncConnection, placed: _Placed, slots: tuple[Slot, ...], passed: frozenset[int], people: int
) -> None:
    taken = [slot.id for slot in slots]
    left = sorted(placed.slots - set(taken) - passed)
    moved = await tx.execute(_MOVE_PLACES, {"id": placed.id, "slots": taken, "left": left, "people": people})
    if moved.first() is None:
        raise CannotKeepPlace(placed.id, "capacity")
    await tx.execute(_LEAVE, {"id": placed.id, "left": left})
    await tx.execute(_ENTER, {"id": placed.id, "slots": taken, "people": people})
    await tx.execute(
        _RESIZE,
        {
            "id": placed.id,
            "people": people,
            "last_arrival": slots[0].last_arrival,
            "ends": max(slot.window.ends for slot in slots),
        },
    )
    if left or people < placed.people:
        await tx.execute(_NEWS, {"offer": placed.offer_id})


async def _passed(tx: AsyncConnection, placed: _Placed, need: Need) -> frozenset[int]:
    """The slots of a placed party that have been, or are being, used: they stay its own whatever is asked now."""
    found = await tx.execute(
        _PASSED,
        {"slots": sorted(placed.slots), "stays": need.coverage is not Coverage.ANY, "from": need.window.starts},
    )
    return frozenset(found.scalars())
