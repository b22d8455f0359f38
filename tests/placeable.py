"""An independent checker: plain SQL over the tables, nothing of the search, of whom free places could still take.

And an audit of what was placed: counters against allocations, and every allocation against every rule of its offer.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction

__all__ = ["BROKEN", "broken_rules", "still_placeable"]

# Nights are those whose evening lies in the window; towns and windows of the tests are Paris' own.
_FITS = """
      from need n
      join offer o on o.category = n.category and o.country = any(n.countries)
      join site h on h.id = o.site_id
      cross join lateral (
          select date(n.starts at time zone 'Europe/Paris') as first,
                 date(n.ends at time zone 'Europe/Paris') - 1 as last) w
     where {which}
       and round(cast(st_distance(n.point, o.point, false) / 1000 as numeric)) <= least(50, coalesce(n.max_km, 50))
       and o.verified_at > now() - interval '21 days'
       and (h.kind <> 'private_home' or (h.vetted_at is not null and n.adults > 0
                                         and not 'unaccompanied_minors' = any(n.audience)))
       and ('anyone' = any(o.audience) or o.audience && n.audience)
       and not exists (select from unnest(n.requires) as wish
                        where not wish = any(o.provides) and not wish = any(h.provides))
       and coalesce(o.party_max, n.people) >= n.people
       and coalesce(o.nights_max, 365) > w.last - w.first
"""
_WITHOUT_A_PLACE = text("select id from need where state in ('open', 'unmet') order by id")
_AT_ONCE = 500
"""Needs that one statement looks at: each has a time limit."""
_PLACEABLE = text(f"""
    select n.id {_FITS.format(which="n.id = any(:needs) and n.state in ('open', 'unmet') and o.state = 'open'")}
       and not exists (select from allocation a where a.need_id = n.id and a.offer_id = o.id
                          and a.state in ('declined', 'expired', 'no_show'))
       and not exists (select from generate_series(w.first, w.last, interval '1 day') as night
                        where not exists (select from slot s where s.offer_id = o.id and s.day = date(night)
                                             and s.capacity - s.used >= n.people and s.last_arrival > n.starts))
""")
BROKEN = {
    "overbooked": "select id from slot where used > capacity",
    "miscounted": """
        select s.id from slot s
         where s.used <> coalesce((select sum(a.people)
                                     from allocation_slot k join allocation a on a.id = k.allocation_id
                                    where k.slot_id = s.id and k.taken
                                      and a.state in ('held', 'confirmed', 'arrived')), 0)
    """,
    "split or doubled": """
        select need_id from allocation a join need n on n.id = a.need_id where a.state in ('held', 'confirmed')
         group by need_id, n.people having count(*) <> 1 or sum(a.people) <> n.people
    """,
    "not every night": """
        select a.id from allocation a join need n on n.id = a.need_id
          left join allocation_slot k on k.allocation_id = a.id and k.taken
          left join slot s on s.id = k.slot_id and s.offer_id = a.offer_id and k.people = n.people
         where a.state in ('held', 'confirmed')
         group by a.id, n.starts, n.ends
        having count(distinct s.day) <> date(n.ends at time zone 'Europe/Paris')
                                        - date(n.starts at time zone 'Europe/Paris')
            or min(s.day) <> date(n.starts at time zone 'Europe/Paris')
    """,
    "against a rule": f"""
        select a.id from allocation a where a.state in ('held', 'confirmed')
         and not exists (select {_FITS.format(which="n.id = a.need_id and o.id = a.offer_id")})
    """,
    "state": """
        select n.id from need n
         where (n.state in ('held', 'confirmed'))
            <> exists (select from allocation a where a.need_id = n.id and a.state in ('held', 'confirmed'))
    """,
}
"""What must find nothing, by what it would be."""


async def still_placeable(engine: AsyncEngine) -> set[UUID]:
    """Needs without a place that some offer could take as it is."""
    found: set[UUID] = set()
    async with transaction(engine) as tx:
        needs = list((await tx.execute(_WITHOUT_A_PLACE)).scalars())
        for first in range(0, len(needs), _AT_ONCE):
            some = needs[first : first + _AT_ONCE]
            found.update((await tx.execute(_PLACEABLE, {"needs": some})).scalars())
    return found


async def broken_rules(engine: AsyncEngine) -> dict[str, int]:
    """How often each thing that must never be is."""
    found = {}
    async with transaction(engine) as tx:
        for name, statement in BROKEN.items():
            if count := len((await tx.execute(text(statement))).all()):
                found[name] = count
    return found
