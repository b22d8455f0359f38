"""Daily figures: what is left of needs when they are deleted, as counts without ids.

Counted in the transaction that deletes, so that nothing is counted twice or not at all, whenever a process dies. What
ends after its week was closed for the public figures (`db.publication`) is counted in the first week that is not.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.figures.measures import NEVER
from matching.figures.measures import WAITED as PUBLIC_PARTS

__all__ = ["WAITED", "count_needs", "stop_counting"]

WAITED: Final = (1, 5, 15, 60, 240, 1440)
"""Upper ends, in minutes, of the parts in which the time from posting to the first place is counted; then `more`."""
_PARTS: Final = " ".join(f"when minutes <= {end} then '{end}'" for end in WAITED)
_PUBLIC: Final = " ".join(f"when minutes <= {end} then '{end}'" for end in PUBLIC_PARTS if end.isdigit())
_WEEKS: Final = 7_267_136
"""Number of the advisory lock: shared by who counts, alone for who closes a week."""
_OPEN = text("select pg_advisory_xact_lock_shared(:number)")
_ALONE = text("select pg_advisory_xact_lock(:number)")
# Who stayed: completed, or left early after some nights. People who were moved count once.
_COUNT = text(f"""
    with over as (
        select n.id, n.category, n.town_id, n.people,
               greatest((n.starts at time zone t.timezone)::date, w.open_from) as day,
               n.unmet_at is not null as unmet, n.state = 'withdrawn' as withdrawn, c.coverage,
               coalesce(main.reason, 'unknown') as reason, coalesce(h.host, 'unknown') as host,
               case when h.town_id = n.town_id then 'here' else 'elsewhere' end as place,
               coalesce(d.duties -> t.country -> n.category ->> 'duty', 'unknown') as duty,
               least(n.people, coalesce(stayed.people, 0)) as stayed, coalesce(stayed.nights, 0) as nights,
               coalesce(away.people, 0) as away,
               extract(epoch from first.at - n.posted_at) / 60 as minutes
          from need n
          join town t on t.id = n.town_id
          join category c on c.code = n.category
         cross join (select max(first_day) + 7 as open_from from figure_period where span = 'week') w
         cross join (select duties from competence order by version desc limit 1) d
          left join lateral (
              select key as reason from jsonb_each_text(n.unmet_reasons) where key not like 'pact%'
               order by cast(value as int) desc, key limit 1
          ) main on true
          left join lateral (
              select g.kind as host, o.town_id
                from allocation a join allocation_slot k on k.allocation_id = a.id and k.taken
                join organization g on g.id = a.provider_id
                join offer o on o.id = a.offer_id
               where a.need_id = n.id and a.state in ('completed', 'released')
               group by a.id, g.kind, o.town_id order by sum(k.people) desc, a.id limit 1
          ) h on true
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
    ), ended as (
        select *, case when unmet then people - stayed else 0 end as missing from over
    ), passed_on as (
        select e.day, e.town_id, r.to_town_id, e.category, e.people,
               case when r.state in ('placed', 'declined', 'expired', 'returned') then r.state
                    else 'withdrawn' end as came
          from ended e join referral r on r.need_id = e.id
    ), counted as (
        select day, town_id, category, 'needs' as measure, '' as part, 1 as count from ended
        union all select day, town_id, category, 'people', '', people from ended
        union all select day, town_id, category, 'served', '', stayed from ended
        union all select day, town_id, category, 'served_by', host, stayed from ended
        union all select day, town_id, category, 'served_in', place, stayed from ended
        union all select day, town_id, category, 'nights', '', nights from ended where coverage = 'every'
        union all select day, town_id, category, 'no_show', '', least(people, away) from ended
        union all select day, town_id, category, 'withdrawn', '', 1 from ended where withdrawn
        union all select day, town_id, category, 'waited', case {_PARTS} else 'more' end, 1
                    from ended where minutes is not null
        union all select day, town_id, category, 'waited_people',
                         case when minutes is null then '{NEVER}' {_PUBLIC} else 'more' end, people from ended
        union all select day, town_id, category, 'unmet', reason, 1 from ended where missing > 0
        union all select day, town_id, category, 'unmet_people', '', missing from ended
        union all select day, town_id, category, 'unmet_for', reason, missing from ended
        union all select day, town_id, category, 'unmet_duty', duty, missing from ended
        union all select day, town_id, category, 'other_people', '', people - stayed - missing from ended
        union all select day, town_id, category, 'referred_out', came, people from passed_on
        union all select day, to_town_id, category, 'referred_in', came, people from passed_on
    )
    insert into daily_figure (day, town_id, category, measure, part, count, parties)
    select day, town_id, category, measure, part, sum(count), count(*)
      from counted where count > 0 group by day, town_id, category, measure, part
     order by day, town_id, category, measure, part
    on conflict (day, town_id, category, measure, part)
    do update set count = daily_figure.count + excluded.count, parties = daily_figure.parties + excluded.parties
""")


async def count_needs(tx: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Add these needs to the figures of the day on which each begins, where its town is. The caller deletes them."""
    # In a statement before: what is counted must see the weeks that were closed while it waited.
    await tx.execute(_OPEN, {"number": _WEEKS})
    await tx.execute(_COUNT, {"ids": list(ids)})


async def stop_counting(tx: AsyncConnection) -> None:
    """Until the transaction ends, nobody counts: weeks can be closed."""
    await tx.execute(_ALONE, {"number": _WEEKS})
