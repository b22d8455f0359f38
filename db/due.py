"""What is due: the worker's list of work, which is a query and nothing else.

Each `list_…` names what seems due; the act on each looks again under its lock, so that many workers may work
from the same list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from db.policies import policy_of
from matching.policy import Policy
from matching.states import AllocationState

__all__ = [
    "LOOK",
    "Look",
    "add_failure",
    "ask_to_verify",
    "end_seeking",
    "list_allocations",
    "list_overdue_needs",
    "list_unserved",
    "look",
    "postpone",
    "record_unmet",
    "wake_needs",
]


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the needs found."""

    needs: tuple[UUID, ...]
    """To find a place for, the most urgent first, then who has waited longest."""
    tiers: tuple[int, ...]
    """How urgent each of them is; 0 is `vital`."""
    pathways: Mapping[UUID, UUID]
    """Of those that are steps, the pathway of each."""
    policy: Policy
    news: bool
    """Whether places appeared that needs around them have not been told of."""


# One round trip for a look that mostly finds one need or none. `ended_at` is asked in the words of the index of due
# needs, which alone is to be walked; the few that were referred are found by their referrals.
LOOK = text("""
    select exists (select from capacity_news) as news, p.version, p.terms,
           coalesce(due.needs, '{}') as needs, coalesce(due.tiers, '{}') as tiers,
           coalesce(due.pathways, '{}') as pathways
      from policy p,
           (select array_agg(id) as needs, array_agg(tier) as tiers, array_agg(pathway_id) as pathways
              from ((select id, tier, look_at, posted_at, pathway_id from need
                      where state in ('open', 'unmet') and parked_at is null
                        and coalesce(ended_at, 'infinity') = 'infinity' and look_at <= now() and project_id is null
                      order by tier, look_at, posted_at
                      limit :limit)
                    union all
                    (select n.id, n.tier, n.look_at, n.posted_at, n.pathway_id
                       from referral r join need n on n.id = r.need_id
                      where r.state in ('accepted', 'placed') and n.state = 'referred' and n.parked_at is null
                        and n.look_at <= now()
                      order by n.tier, n.look_at, n.posted_at
                      limit :limit)
                    order by tier, look_at, posted_at
                    limit :limit) listed) due
     order by p.version desc
     limit 1
""")
"""What there is to do for needs: `limit` of those that are due."""
_OVERDUE_NEEDS = text("select id from need where state = 'open' and deadline <= now() order by deadline limit :limit")
_ALLOCATIONS = {
    AllocationState.EXPIRED: text("""
        select id, need_id from allocation where state = 'held' and held_until <= now()
         order by held_until limit :limit
    """),
    AllocationState.NO_SHOW: text("""
        select a.id, a.need_id from allocation a join offer o on o.id = a.offer_id
         where a.state = 'confirmed' and a.last_arrival <= now() and o.release_no_shows
         order by a.last_arrival limit :limit
    """),
    AllocationState.COMPLETED: text("""
        select id, need_id from allocation where state in ('confirmed', 'arrived') and ends <= now()
         order by ends limit :limit
    """),
}
# One longer stay in several such slots stands in the list once for each; the act on it looks again.
_UNSERVED = text("""
    select k.slot_id, a.id, a.need_id
      from slot_staffing g
      join slot s on s.id = g.slot_id and s.used > greatest(g.staffed, g.kept) and s.ends > now()
      join allocation_slot k on k.slot_id = s.id and k.taken
      join allocation a on a.id = k.allocation_id and a.state in ('held', 'confirmed')
      join need n on n.id = a.need_id
     order by n.tier desc, a.created_at desc, a.id
     limit :limit
""")
_POSTPONE = text("""
    update need
       set look_at = now() + make_interval(secs => least(10 * power(2, fruitless), 300)),
           fruitless = least(fruitless + 1, 10), failures = 0
     where id = :id
""")
_ADD_FAILURE = text("""
    update need
       set failures = failures + 1, look_at = now() + make_interval(secs => least(2 * power(2, failures), 60)),
           parked_at = case when failures + 1 >= :most then now() end
     where id = :id
    returning parked_at is not null as parked
""")
_RECORD_UNMET = text("""
    update need
       set state = 'unmet', unmet_at = now(), unmet_reasons = cast(:reasons as jsonb), version = version + 1
     where id = :id and state = 'open' and deadline <= clock_timestamp()
    returning organization_id
""")
_END_SEEKING = text("""
    update need set ended_at = now(), version = version + 1
     where id in (select id from need where ended_at is null and ends <= now() and state = 'unmet'
                     and not exists (select from allocation a where a.need_id = need.id
                                        and a.state in ('held', 'confirmed', 'arrived'))
                   order by id limit :limit for update skip locked)
    returning id, organization_id
""")
_WAKE = text("""
    with news as (
        delete from capacity_news
         where id in (select id from capacity_news order by id limit :limit for update skip locked)
        returning offer_id
    ), around as (
        select distinct n.id
          from offer o
          join need n on n.category = o.category and st_dwithin(n.point, o.point, :metres, false)
         where o.id in (select offer_id from news) and o.state = 'open'
           and n.state in ('open', 'unmet') and n.ended_at is null
         union
        select n.id
          from referral r
          join need n on n.id = r.need_id and n.state = 'referred'
          join offer o on n.category = o.category and st_dwithin(n.point, o.point, :metres, false)
         where r.state in ('accepted', 'placed') and o.id in (select offer_id from news) and o.state = 'open'
    ), woken as (
        select id from need where id in (select id from around) order by id for update
    )
    update need set look_at = now(), fruitless = 0 from woken where need.id = woken.id
    returning need.id
""")
_VERIFY = text("""
    update offer set verify_asked_at = now()
     where id in (select id from offer
                   where state = 'open' and verified_at < now() - make_interval(days => :days)
                     and verify_asked_at is null and last_day >= current_date
                   order by id limit :limit for update skip locked)
    returning id, organization_id
""")


async def look(tx: AsyncConnection, limit: int) -> Look:
    """What there is to do for needs, under the policy in force."""
    row = (await tx.execute(LOOK, {"limit": limit})).one()
    pathways = {need: pathway for need, pathway in zip(row.needs, row.pathways, strict=True) if pathway is not None}
    return Look(tuple(row.needs), tuple(row.tiers), pathways, policy_of(row.version, row.terms), news=row.news)


async def list_overdue_needs(tx: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Open needs whose deadline has passed."""
    return (await tx.execute(_OVERDUE_NEEDS, {"limit": limit})).scalars().all()


async def list_allocations(tx: AsyncConnection, to: AllocationState, limit: int) -> list[tuple[UUID, UUID]]:
    """Allocations (id, need) that time alone moves to a state: expired, no-show or completed."""
    return [(row.id, row.need_id) for row in await tx.execute(_ALLOCATIONS[to], {"limit": limit})]


async def list_unserved(tx: AsyncConnection, limit: int) -> list[tuple[int, UUID, UUID]]:
    """Places (slot, allocation, need) in slots with fewer volunteers than their people need.

    The least urgent come first, and of those who came last.
    """
    return [(row.slot_id, row.id, row.need_id) for row in await tx.execute(_UNSERVED, {"limit": limit})]


async def postpone(tx: AsyncConnection, need_id: UUID) -> None:
    """Nothing fits now: look again in ten seconds, then ever less often up to five minutes.

    Places that appear wake the need at once; this is for what changes by time alone.
    """
    await tx.execute(_POSTPONE, {"id": need_id})


async def add_failure(tx: AsyncConnection, need_id: UUID, most: int) -> bool:
    """Count a look that broke; after `most` in a row the need is parked for somebody to see. Whether it is."""
    row = (await tx.execute(_ADD_FAILURE, {"id": need_id, "most": most})).one_or_none()
    return row is not None and bool(row.parked)


async def record_unmet(tx: AsyncConnection, need_id: UUID, reasons: str) -> bool:
    """Record that a need stayed without a place, with its reasons (JSON). Whether it was still so."""
    row = (await tx.execute(_RECORD_UNMET, {"id": need_id, "reasons": reasons})).one_or_none()
    if row is None:
        return False
    await events.record(tx, "need.unmet", need_id, [row.organization_id])
    return True


async def end_seeking(tx: AsyncConnection, limit: int) -> int:
    """Stop looking for needs whose time is over; they stay unmet, as evidence. How many."""
    rows = (await tx.execute(_END_SEEKING, {"limit": limit})).all()
    for row in rows:
        await events.record(tx, "need.ended", row.id, [row.organization_id])
    return len(rows)


async def wake_needs(tx: AsyncConnection, policy: Policy, limit: int) -> int:
    """Make needs around freed or new places due at once. How many."""
    rows = await tx.execute(_WAKE, {"limit": limit, "metres": policy.radius_km * 1000 + 499.999})
    return len(rows.all())


async def ask_to_verify(tx: AsyncConnection, policy: Policy, limit: int) -> int:
    """Ask providers whether offers that nobody confirmed or used for long are still true. How many."""
    rows = (await tx.execute(_VERIFY, {"days": policy.verify_after_days, "limit": limit})).all()
    for row in rows:
        await events.record(tx, "offer.verify_due", row.id, [row.organization_id])
    return len(rows)
