"""Candidates: the nearest feasible offers for one need, by one statement.

The statement asks in SQL what the rules of `matching` ask in Python; a test holds the two against each other. It
walks the spatial index outward from the need's cell and stops when it has found enough, so its cost is that of
the offers that are near, not of those that exist.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import Cell, centroid
from geo.distance import Kilometres
from geo.travel import Minutes, minutes_between
from matching.assign import Candidate
from matching.needs import Need, OfferId, is_alone
from matching.policy import Policy
from matching.preferring import preference_km
from matching.rules import radius
from matching.vocabulary import Coverage

__all__ = [
    "NIGHTS_DISC",
    "NIGHTS_IF_STAFFED",
    "NIGHTS_WALK",
    "SLOTS_IF_STAFFED",
    "STATEMENTS",
    "Parameter",
    "find",
    "parameters",
]

_EVERY_NIGHT = """
    select array_agg(s.id) as slots, min(s.capacity - s.used) as free, min(s.capacity) as capacity,
           sum(s.price) filter (where s.priced_at > :priced_since) as price
      from slot s
     where s.offer_id = o.id and s.day between :first_day and :last_day and s.ends > :now
    having count(*) = :nights and min(s.capacity - s.used) >= :least and min(s.last_arrival) > :arrives
"""
_ONE_SLOT = """
    select array[s.id] as slots, s.capacity - s.used as free, s.capacity as capacity,
           case when s.priced_at > :priced_since then s.price end as price
      from slot s
     where s.offer_id = o.id and s.starts < :ends and s.ends > :arrives and s.last_arrival > :arrives
       and (least(s.ends, :ends) - greatest(s.starts, :arrives)) * 2 >= s.ends - s.starts
       and s.capacity - s.used >= :least
     order by s.starts
     limit 1
"""
_REST_OF_COURSE = """
    select array_agg(s.id) as slots, min(s.capacity - s.used) as free, min(s.capacity) as capacity,
           sum(s.price) filter (where s.priced_at > :priced_since) as price
      from slot s
     where s.offer_id = o.id and s.starts >= :arrives
    having min(s.starts) < :ends and min(s.capacity - s.used) >= :least
"""
# The planner takes a radius for very selective, reads the whole disc and sorts it. Walking outward instead, it reads
# what it needs. Ties at the end of the walk are all taken, so that what is found never depends on storage.
_WALK = """
     order by o.point <-> cast(:point as geography)
     fetch first 512 rows with ties
"""
_DISC = """
       and st_dwithin(o.point, cast(:point as geography), :metres, false)
"""
_NEAREST = """
    select o.id, c.slots, c.free, c.capacity, o.tie, o.version, cast(floor(o.away / 1000 + 0.5) as int) as km{costs}
      from (select o.id, o.site_id, o.organization_id, o.cell, o.tie, o.version, o.provides, o.country, o.verified_at,
                   o.audience, o.teaches, o.level, o.party_max, o.nights_max,
                   o.point <-> cast(:point as geography) as away
              from offer o
             where o.state = 'open' and o.category = :category {reach}) o
      join site h on h.id = o.site_id
      cross join lateral ({coverage}) c
     where o.away <= :metres
       and o.country = any(cast(:countries as text[]))
       and o.verified_at > :fresh_since
       and (h.kind <> 'private_home' or (h.vetted_at is not null and not :alone))
       and (o.audience @> array['anyone'] or o.audience && cast(:audience as text[]))
       and cast(:requires as text[]) <@ (h.provides || o.provides)
       and (cast(:teaches as text) is null
            or (o.teaches = :teaches and (cast(:level as text) is null or o.level = :level)))
       and (o.party_max is null or :divisible or o.party_max >= :people)
       and (o.nights_max is null or o.nights_max >= :nights)
       and o.id <> all(cast(:turned_down as uuid[]))
     order by o.away
     fetch first (:candidates) rows with ties
"""
# Looked up for the few that are answered, not for all that are walked by.
_COSTS = """,
           coalesce(c.price, 0) as price,
           coalesce((select l.load from town_load l where l.town_id = h.town_id), 0) as town_load,
           coalesce((select l.load from association_load l where l.organization_id = o.organization_id), 0)
               as association_load,
           o.cell, h.provides || o.provides as provides,
           (select w.minutes from travel_time w where w.from_cell = :cell and w.to_cell = o.cell) as minutes,
           (select cast(m.points as float8) / m.parties from site_mark m
             where m.site_id = h.id and m.parties >= :marks_from) as mark"""
_COVERAGES = {Coverage.EVERY: _EVERY_NIGHT, Coverage.ANY: _ONE_SLOT, Coverage.COURSE: _REST_OF_COURSE}
STATEMENTS: Mapping[Coverage, TextClause] = {
    rule: text(_NEAREST.format(coverage=sql, reach=_WALK, costs=_COSTS)) for rule, sql in _COVERAGES.items()
}
"""The candidate statement by coverage rule."""
_WHOLE_DISC: Mapping[Coverage, TextClause] = {
    rule: text(_NEAREST.format(coverage=sql, reach=_DISC, costs=_COSTS)) for rule, sql in _COVERAGES.items()
}
"""The same over everything within the radius: for the rare need that the walk found too little for."""

NIGHTS_WALK = _NEAREST.format(coverage=_EVERY_NIGHT, reach=_WALK, costs="")
"""The search for nights as text, for statements that ask it for many needs."""
NIGHTS_DISC = _NEAREST.format(coverage=_EVERY_NIGHT, reach=_DISC, costs="")
"""The same over everything within the radius."""

_EVERY_NIGHT_IF_STAFFED = """
    select array_agg(s.id order by s.day) as slots, min(g.places - s.used) as free, min(g.places) as capacity
      from slot s join slot_staffing g on g.slot_id = s.id
     where s.offer_id = o.id and s.day between :first_day and :last_day and s.ends > :now
    having count(*) = :nights and min(g.places - s.used) >= :least and min(s.last_arrival) > :arrives
"""
_STAFFED_DISC = f"""
       and exists (select from site w where w.id = o.site_id and w.staffing_skill is not null) {_DISC}
"""
NIGHTS_IF_STAFFED = _NEAREST.format(coverage=_EVERY_NIGHT_IF_STAFFED, reach=_STAFFED_DISC, costs="")
"""The offers that could be candidates if their sites had all the volunteers that they ask for."""

_ONE_SLOT_IF_STAFFED = """
    select array[s.id] as slots, g.places - s.used as free, g.places as capacity
      from slot s join slot_staffing g on g.slot_id = s.id
     where s.offer_id = o.id and s.starts < :ends and s.ends > :arrives and s.last_arrival > :arrives
       and (least(s.ends, :ends) - greatest(s.starts, :arrives)) * 2 >= s.ends - s.starts
       and g.places - s.used >= :least
     order by s.starts
     limit 8
"""
SLOTS_IF_STAFFED = _NEAREST.format(coverage=_ONE_SLOT_IF_STAFFED, reach=_STAFFED_DISC, costs="")
"""The same for help of an hour, such as a ride: some slots of each offer, for volunteers may be free for one alone."""

Parameter = str | int | float | bool | date | datetime | None | Sequence[str] | Sequence[OfferId]
"""What one parameter of the statement may be."""


async def find(
    tx: AsyncConnection, need: Need, policy: Policy, now: datetime, *, people: int | None = None
) -> list[Candidate]:
    """The nearest feasible offers, `policy.candidates` and any as far as the last of them, nearest first.

    `people` is how many still want a place, where part of a divisible party already has one. Empty when the
    need's window has passed.
    """
    if need.window.ends <= now or (need.coverage is Coverage.EVERY and not need.days):
        return []
    values = parameters(need, policy, now, people or need.people.count)
    rows = (await tx.execute(STATEMENTS[need.coverage], values)).all()
    if len(rows) < policy.candidates:
        rows = (await tx.execute(_WHOLE_DISC[need.coverage], values)).all()
    return [_candidate(row, need, policy) for row in rows]


def parameters(need: Need, policy: Policy, now: datetime, people: int) -> dict[str, Parameter]:
    """The statement's values for one need."""
    return {
        "category": need.category,
        "point": centroid(need.cell).ewkt,
        # Distances count in whole kilometres, rounded half up.
        "metres": radius(need, policy) * 1000 + 499.999,
        # Nights follow each other without a gap.
        "first_day": need.days[0] if need.days else None,
        "last_day": need.days[-1] if need.days else None,
        "arrives": max(need.window.starts, now),
        "ends": need.window.ends,
        "now": now,
        "least": 1 if need.divisible else people,
        "countries": sorted(need.countries),
        "fresh_since": now - policy.stale_after,
        "alone": is_alone(need),
        "audience": sorted(need.audience - {"anyone"}),
        "requires": sorted(need.requires),
        "teaches": need.language.teaches if need.language else None,
        "level": need.language.level if need.language else None,
        "divisible": need.divisible,
        "people": need.people.count,
        "nights": len(need.days),
        "turned_down": list(need.turned_down),
        "candidates": policy.candidates,
        "priced_since": policy.prices_since(need.urgency, now),
        "cell": need.cell,
        "marks_from": policy.marks_from_parties,
    }


def _candidate(row: Row[tuple[object, ...]], need: Need, policy: Policy) -> Candidate:
    cell = Cell(row.cell)
    return Candidate(
        offer_id=OfferId(row.id),
        slots=tuple(row.slots),
        free=row.free,
        capacity=row.capacity,
        distance=Kilometres(row.km),
        tie=row.tie,
        version=row.version,
        price=row.price,
        town_load=row.town_load,
        association_load=row.association_load,
        minutes=minutes_between(need.cell, cell) if row.minutes is None else Minutes(row.minutes),
        preference=preference_km(need, cell, frozenset(row.provides), policy),
        mark=row.mark,
    )
