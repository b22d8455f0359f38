"""Daily figures: what is left of needs when they are deleted, as counts without ids.

Counted in the transaction that deletes, so that nothing is counted twice or not at all, whenever a process dies.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["WAITED", "count_needs"]

WAITED: Final = (1, 5, 15, 60, 240, 1440)
"""Upper ends, in minutes, of the parts in which the time from posting to the first place is counted; then `more`."""
_PARTS: Final = " ".join(f"when minutes <= {end} then '{end}'" for end in WAITED)
# Who stayed: completed, or left early after some nights. People who were moved count once.
_COUNT = text(f"""
    with over as (
        select n.id, n.category, n.town_id, (n.starts at time zone t.timezone)::date as day, n.people, n.unmet_reasons,
               n.unmet_at is not null as unmet, n.state = 'withdrawn' as withdrawn, c.coverage,
               coalesce(stayed.people, 0) as stayed, coalesce(stayed.nights, 0) as nights,
               coalesce(away.people, 0) as away,
               extract(epoch from first.at - n.posted_at) / 60 as minutes
          from need n
          join town t on t.id = n.town_id
          join category c on c.code = n.category
          left join lateral (
              select sum(each.people) as people, sum(each.nights) as nights from (
                  select a.people, sum(k.people) as nights
                    from allocation a join allocation_slot k on k.allocation_id = a.id and k.taken
                   where a.need_id = n.id and a.state in ('completed', 'released')
                   group by a.id
              ) each
          ) stayed on true
          left join lateral (
              select sum(a.people) as people from allocation a where a.need_id = n.id and a.state = 'no_show'
          ) away on true
          left join lateral (select min(a.created_at) as at from allocation a where a.need_id = n.id) first on true
         where n.id = any(cast(:ids as uuid[]))
    ), counted as (
        select day, town_id, category, 'needs' as measure, '' as part, 1 as count from over
        union all select day, town_id, category, 'people', '', people from over
        union all select day, town_id, category, 'served', '', least(people, stayed) from over
        union all select day, town_id, category, 'nights', '', nights from over where coverage = 'every'
        union all select day, town_id, category, 'no_show', '', least(people, away) from over
        union all select day, town_id, category, 'withdrawn', '', 1 from over where withdrawn
        union all select day, town_id, category, 'waited', case {_PARTS} else 'more' end, 1
                    from over where minutes is not null
        union all select day, town_id, category, 'unmet', coalesce(main.reason, 'unknown'), 1
                    from over left join lateral (
                        select key as reason from jsonb_each_text(unmet_reasons)
                         order by cast(value as int) desc, key limit 1
                    ) main on true
                   where unmet and stayed < people
        union all select day, town_id, category, 'unmet_people', '', people - least(people, stayed)
                    from over where unmet
    )
    insert into daily_figure (day, town_id, category, measure, part, count)
    select day, town_id, category, measure, part, sum(count)
      from counted group by day, town_id, category, measure, part having sum(count) > 0
     order by day, town_id, category, measure, part
    on conflict (day, town_id, category, measure, part) do update set count = daily_figure.count + excluded.count
""")


async def count_needs(tx: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Add these needs to the figures of the day on which each begins, where its town is. The caller deletes them."""
    await tx.execute(_COUNT, {"ids": list(ids)})
