"""Loads: which towns and associations carry far more than others tonight, counted once a minute and never per need.

Few ever do, so the tables are small and a search looks into them for next to nothing.

The statement counts in SQL what `matching.fairness` says in Python; a test holds the two against each other.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.fairness import FEWEST_INHABITANTS
from matching.policy import Policy

__all__ = ["GOOD_FOR", "count_loads"]

GOOD_FOR = 55.0
"""Seconds that a count is good for: a minute, of which who looks every few seconds may miss some."""
_LOADS = 7_267_135
"""Number of the advisory lock of those who count."""
_TURN = text("""
    select pg_try_advisory_xact_lock(:number)
       and not exists (select from town_load where counted_at > now() - make_interval(secs => :seconds))
       and not exists (select from association_load where counted_at > now() - make_interval(secs => :seconds))
""")
# A night belongs to the evening on which it begins, until nine in the morning.
_COUNT = text("""
    with houses as materialized (
        select h.town_id, h.organization_id, sum(s.used) as used, sum(s.capacity) as capacity
          from offer o
          join category c on c.code = o.category and c.coverage = 'every'
          join site h on h.id = o.site_id
          join slot s on s.offer_id = o.id
                     and s.day = cast((now() at time zone o.timezone) - interval '9 hours' as date)
         where o.state <> 'closed'
         group by h.town_id, h.organization_id
    ), towns as (
        select t.id, sum(a.used) as people, greatest(max(t.population), :fewest) / 1000.0 as thousands
          from houses a join town t on t.id = a.town_id
         group by t.id
    ), town_loads as (
        select id, round(people / thousands / (sum(people) over () / sum(thousands) over ()), 2) as load, people
          from towns where (select sum(people) from towns) > 0
    ), whole as (
        select sum(used) / nullif(sum(capacity), 0) as share from houses
    ), association_loads as (
        select g.id, round(sum(a.used) / sum(a.capacity) / w.share, 2) as load
          from houses a join organization g on g.id = a.organization_id and g.kind = 'association'
         cross join whole w
         group by g.id, w.share
        having sum(a.used) >= :from_people
    ), heavy_towns as (
        select id, load from town_loads where people >= :from_people and load > :town_times
    ), heavy_associations as (
        select id, load from association_loads where load > :association_times
    ), lighter_towns as (
        delete from town_load l
         where not exists (select from heavy_towns n where n.id = l.town_id)
    ), lighter_associations as (
        delete from association_load l
         where not exists (select from heavy_associations n where n.id = l.organization_id)
    ), association_loads_now as (
        insert into association_load as l (organization_id, load, counted_at)
        select id, load, now() from heavy_associations order by id
        on conflict (organization_id) do update set load = excluded.load, counted_at = excluded.counted_at
    )
    insert into town_load as l (town_id, load, counted_at)
    select id, load, now() from heavy_towns order by id
    on conflict (town_id) do update set load = excluded.load, counted_at = excluded.counted_at
""")


async def count_loads(tx: AsyncConnection, policy: Policy, *, good_for: float = GOOD_FOR) -> bool:
    """Count anew, unless that was done in the last so many seconds or another worker is at it. Whether it was done."""
    if not (await tx.execute(_TURN, {"number": _LOADS, "seconds": good_for})).scalar_one():
        return False
    asked = {
        "fewest": FEWEST_INHABITANTS,
        "from_people": policy.fair_from_people,
        "town_times": policy.town_load_times,
        "association_times": policy.association_load_times,
    }
    await tx.execute(_COUNT, asked)
    return True
