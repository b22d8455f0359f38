"""The needs behind a slip's code: one, the steps of a pathway, or the parties of a project."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.been_there import BEEN_THERE
from db.roles import act_for
from matching.refusals import NotFound

__all__ = ["OPEN_AFTER_END", "find"]

OPEN_AFTER_END: Final = timedelta(hours=72)
"""How long a code still opens its slip once the need has ended, for its people to read that and to tell how it was."""

# Whether it has expired stands in the answer: an old code costs the same look as one that never was.
_FIND = text(f"""
    select n.id, n.organization_id, n.category, n.town_id, n.state, n.starts, n.ends, n.minors, n.feedback_given,
           n.ended_at is null as lives, n.project_id,
           party.state as project, party.accepted_plan is not null as accepted_once,
           exists (select from allocation a where a.need_id = n.id and a.state = 'held' and a.awaits_people) as awaits,
           (select near.name from preference w join town near on near.id = w.near_town_id
             where w.need_id = n.id) as near_town,
           t.timezone, t.name as town, clock_timestamp() as now,
           n.ended_at + cast(:open_for as interval) <= clock_timestamp() as over,
           exists (select from allocation a
                    where a.need_id = n.id
                      and {BEEN_THERE}) as had_a_place
      from need n join town t on t.id = n.town_id join category c on c.code = n.category
      left join project party on party.id = n.project_id
     where n.id in (select id from need where slip = :slip
                     union all
                    select s.id from pathway p join need s on s.pathway_id = p.id where p.slip = :slip
                     union all
                    select s.id from project p join need s on s.project_id = p.id where p.slip = :slip)
     order by c.coverage <> 'every', n.step
""")


async def find(tx: AsyncConnection, slip: bytes) -> list[Row[tuple[object, ...]]]:
    """What is filed under this: the bed of a pathway first, parties in their order. Raises `NotFound`.

    From then on who acts is the organization that posted them.
    """
    rows = (await tx.execute(_FIND, {"slip": slip, "open_for": OPEN_AFTER_END})).all()
    found = [row for row in rows if not row.over]
    if not found:
        raise NotFound
    # The people are who their need was posted for: what they may read of a place, its poster may.
    await act_for(tx, found[0].organization_id)
    return found
