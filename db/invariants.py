"""What must be true of any moment of the database, asked of the rows themselves: for a restored house and for tests.

Only what stands in the rows is counted here; that the constraints hold, PostgreSQL itself looks after.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["INVARIANTS", "broken"]

_LIVE: Final = "a.state in ('held', 'confirmed', 'arrived')"

INVARIANTS: Final = {
    # Nights that are over keep the count of those who slept, whose allocations are deleted in their time.
    "each counter is the sum of those who have a place": """
        select count(*) from slot s
         where s.ends > now()
           and s.used <> coalesce(
               (select sum(k.people) from allocation_slot k where k.slot_id = s.id and k.taken), 0)
    """,
    "nobody is over the capacity": "select count(*) from slot where used > capacity or used < 0",
    "no party has more places than people": f"""
        select count(*) from need n
         where n.people < (select sum(a.people) from allocation a where a.need_id = n.id and {_LIVE})
    """,
    "no party is in two places on one night": f"""
        select count(*) from (
            select from allocation a
              join allocation_slot k on k.allocation_id = a.id and k.taken
              join need n on n.id = a.need_id
             where {_LIVE} and not n.divisible
             group by a.need_id, k.slot_id having count(*) > 1) as twice
    """,
    "who has ended keeps no place to come": f"""
        select count(*) from allocation a
          join allocation_slot k on k.allocation_id = a.id and k.taken
          join slot s on s.id = k.slot_id and s.ends > now()
         where not {_LIVE} and a.state <> 'completed'
    """,
    "who has a place keeps it": f"""
        select count(*) from allocation a
         where {_LIVE} and not exists (select from allocation_slot k where k.allocation_id = a.id and k.taken)
    """,
    "a need stands where its allocations do": f"""
        select count(*) from need n,
               lateral (select coalesce(sum(a.people), 0) as placed, coalesce(bool_or(a.state = 'held'), false) as held
                          from allocation a
                         where a.need_id = n.id and ({_LIVE} or a.state in ('completed', 'no_show'))) as p
         where (n.state in ('held', 'confirmed') and (p.placed < n.people or p.held <> (n.state = 'held')))
            or (n.state in ('open', 'unmet', 'referred') and p.placed >= n.people)
            or (n.state in ('closed', 'withdrawn') and exists (
                    select from allocation a where a.need_id = n.id and {_LIVE}))
    """,
    "a need that was referred is searched where a town took it": """
        select count(*) from need n
         where n.ended_at is null
           and n.searched_town_id is distinct from (select r.to_town_id from referral r
                                                     where r.need_id = n.id and r.state in ('accepted', 'placed'))
    """,
    # Referrals whose needs were purged are counted there still.
    "a week of a pact counts all who are referred in it": """
        select count(*) from (
            select r.pact_id, r.to_town_id, r.week, sum(r.adults + r.minors) as people from referral r
             where r.state in ('offered', 'accepted', 'placed') group by r.pact_id, r.to_town_id, r.week) as live
          left join pact_week w using (pact_id, to_town_id, week)
         where w.people is null or w.people < live.people
    """,
    "what has ended has its time": """
        select (select count(*) from need
                 where case when ended_at is null then state in ('closed', 'withdrawn')
                            else state not in ('closed', 'withdrawn', 'unmet') end)
             + (select count(*) from allocation
                 where (ended_at is null) <> (state in ('held', 'confirmed', 'arrived')))
    """,
}
"""By name, a statement that counts what breaks it."""


async def broken(tx: AsyncConnection) -> dict[str, int]:
    """The invariants that do not hold, and how many things break each; empty when all is as it must be."""
    found = {name: (await tx.execute(text(statement))).scalar_one() for name, statement in INVARIANTS.items()}
    return {name: int(number) for name, number in found.items() if number}
