"""What staffing is planned from: who waits in vain, the sites that volunteers could open, and the pledges around them.

Read in one snapshot and without locks; the plan is looked at again when it is carried out.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, seekers
from matching.policy import Policy
from matching.staffing import Choice, Crew, Duty, Party, Region, Watch
from matching.vocabulary import Coverage
from matching.windows import Window

__all__ = ["read_region", "take_turn"]

_MOST_PARTIES = 200
_TURN = text("select pg_try_advisory_xact_lock(:number)")
# It waits while a plan is thought out and people are placed elsewhere, and holds nothing but its turn.
_UNHURRIED = text("set local idle_in_transaction_session_timeout = 0")
_STAFFING = 7_267_134
"""Number of the advisory lock of staffing."""
_ANYWHERE = text("select exists (select from slot_staffing g join slot s on s.id = g.slot_id where s.ends > now())")
# `ended_at` is asked in the words of the index of needs that wait.
_WAITING = text("""
    select n.id from need n join category c on c.code = n.category
     where n.state in ('open', 'unmet', 'referred') and n.fruitless > 0 and n.parked_at is null
       and coalesce(n.ended_at, 'infinity') = 'infinity' and n.ends > now() and c.coverage in ('every', 'any')
       and exists (select from offer o join site h on h.id = o.site_id and h.staffing_skill is not null
                    where o.category = n.category and o.state = 'open'
                      and st_dwithin(n.point, o.point, :metres, false))
     order by n.tier, n.posted_at
     limit :limit
""")
_CHOICES = {
    Coverage.EVERY: text(candidates.NIGHTS_IF_STAFFED),
    Coverage.ANY: text(candidates.SLOTS_IF_STAFFED),
}
_WATCHES = text("""
    select s.id, o.site_id, s.starts, s.ends, s.used, g.places, h.staffing_people_per_volunteer as each,
           h.staffing_minimum as minimum,
           coalesce(sure.volunteers, 0) as volunteers
      from slot_staffing g
      join slot s on s.id = g.slot_id
      join offer o on o.id = s.offer_id
      join site h on h.id = o.site_id and h.staffing_skill is not null
      left join lateral (
          select sum(volunteers) as volunteers from shift
           where slot_id = s.id and state in ('planned', 'confirmed') and at_risk_at is null
      ) sure on true
     where s.id = any(cast(:slots as bigint[]))
        or (s.ends > now() and s.used > case when coalesce(sure.volunteers, 0) >= greatest(h.staffing_minimum, 1)
                                            then sure.volunteers * h.staffing_people_per_volunteer else 0 end)
""")
_ABLE = text("""
    select distinct on (s.id, p.id) s.id as slot, p.id as pledge, t.day
      from slot s
      join offer o on o.id = s.offer_id
      join site h on h.id = o.site_id
      join pledge p on p.skill = h.staffing_skill and p.state = 'open'
                   and st_dwithin(p.point, o.point, p.radius_km * 1000 + 499.999, false)
      join pledge_turn t on t.pledge_id = p.id and t.starts <= s.starts and t.ends >= s.ends
     where s.id = any(cast(:slots as bigint[]))
       and not exists (select from shift x where x.pledge_id = p.id and x.slot_id = s.id
                          and (x.state = 'declined'
                               or (x.state in ('planned', 'confirmed') and x.at_risk_at is not null)))
     order by s.id, p.id, t.starts
""")
_CREWS = text("""
    select id, organization_id, headcount, shifts_per_week_max from pledge
     where id = any(cast(:ids as uuid[])) order by id
""")
_DUTIES = text("""
    select pledge_id, starts, ends, day, volunteers from shift
     where pledge_id = any(cast(:ids as uuid[])) and state in ('planned', 'confirmed', 'completed')
       and day between cast(:first as date) - 7 and cast(:last as date) + 7
""")


async def take_turn(tx: AsyncConnection) -> bool:
    """Whether this transaction is the only one that plans shifts, until it ends."""
    await tx.execute(_UNHURRIED)
    return bool((await tx.execute(_TURN, {"number": _STAFFING})).scalar_one())


async def read_region(tx: AsyncConnection, policy: Policy) -> Region:
    """Who waits and could be placed if volunteers came, and slots that have too few for who is in them."""
    if not (await tx.execute(_ANYWHERE)).scalar_one():
        return Region((), {}, (), {})
    near = {"limit": _MOST_PARTIES, "metres": policy.radius_km * 1000 + 499.999}
    waiting = (await tx.execute(_WAITING, near)).scalars().all()
    parties = [await _party(tx, need_id, policy) for need_id in waiting]
    asked = {slot for party in parties for choice in party.choices for slot in choice.slots}
    watches = {
        row.id: Watch(
            slot=row.id,
            site=row.site_id,
            window=Window(row.starts, row.ends),
            used=row.used,
            places=row.places,
            volunteers=int(row.volunteers),
            each=row.each,
            minimum=row.minimum,
        )
        for row in await tx.execute(_WATCHES, {"slots": sorted(asked)})
    }
    able: defaultdict[int, list[tuple[UUID, date]]] = defaultdict(list)
    for row in await tx.execute(_ABLE, {"slots": sorted(watches)}):
        able[row.slot].append((row.pledge, row.day))
    called = [pair for each in able.values() for pair in each]
    crews = await _crews(tx, {pledge for pledge, _ in called}, [day for _, day in called])
    number = {crew.pledge: position for position, crew in enumerate(crews)}
    return Region(
        parties=tuple(party for party in parties if party.choices),
        watches=watches,
        crews=crews,
        able={slot: [(number[pledge], day) for pledge, day in each] for slot, each in able.items()},
    )


async def _party(tx: AsyncConnection, need_id: UUID, policy: Policy) -> Party:
    seeker = await seekers.read_seeker(tx, need_id, policy)
    need = seeker.need
    if need.window.ends <= seeker.now or (need.coverage is Coverage.EVERY and not need.days):
        return Party(seeker.people_left, need.urgency.tier, ())
    values = candidates.parameters(need, policy, seeker.now, seeker.people_left) | {"least": seeker.people_left}
    rows = (await tx.execute(_CHOICES[need.coverage], values)).all()
    choices = tuple(Choice(tuple(row.slots), row.km) for row in rows)
    return Party(seeker.people_left, need.urgency.tier, choices)


async def _crews(tx: AsyncConnection, pledges: Collection[UUID], days: Sequence[date]) -> tuple[Crew, ...]:
    if not pledges:
        return ()
    duties: defaultdict[UUID, list[Duty]] = defaultdict(list)
    values = {"ids": list(pledges), "first": min(days), "last": max(days)}
    for row in await tx.execute(_DUTIES, values):
        duties[row.pledge_id].append(Duty(Window(row.starts, row.ends), row.day, row.volunteers))
    return tuple(
        Crew(row.id, row.organization_id, row.headcount, row.shifts_per_week_max, tuple(duties[row.id]))
        for row in await tx.execute(_CREWS, {"ids": list(pledges)})
    )
