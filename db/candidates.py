"""Candidates: the nearest feasible offers for one need, by one statement.

The statement asks in SQL what the rules of `matching` ask in Python; a test holds the two against each other. It
walks the spatial index outward from the need's cell, so its cost is that of the offers that are near, not of
those that exist.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import centroid
from geo.distance import Kilometres
from matching.assign import Candidate
from matching.needs import Need, OfferId, is_alone
from matching.policy import Policy
from matching.rules import radius
from matching.vocabulary import Coverage

__all__ = ["STATEMENTS", "find", "parameters"]

_EVERY_NIGHT = """
    select array_agg(s.id order by s.starts) as slots, min(s.capacity - s.used) as free,
           min(s.capacity) as capacity
      from slot s
     where s.offer_id = o.id and s.day = any(cast(:days as date[])) and s.ends > :now
    having count(*) = cardinality(cast(:days as date[])) and min(s.capacity - s.used) >= :least
       and (array_agg(s.last_arrival order by s.starts))[1] > :arrives
"""
_ONE_SLOT = """
    select array[s.id] as slots, s.capacity - s.used as free, s.capacity as capacity
      from slot s
     where s.offer_id = o.id and s.starts < :ends and s.ends > :arrives and s.last_arrival > :arrives
       and (least(s.ends, :ends) - greatest(s.starts, :arrives)) * 2 >= s.ends - s.starts
       and s.capacity - s.used >= :least
     order by s.starts
     limit 1
"""
_REST_OF_COURSE = """
    select array_agg(s.id order by s.starts) as slots, min(s.capacity - s.used) as free,
           min(s.capacity) as capacity
      from slot s
     where s.offer_id = o.id and s.starts >= :arrives
    having min(s.starts) < :ends and min(s.capacity - s.used) >= :least
"""
_NEAREST = """
    select o.id, c.slots, c.free, c.capacity, o.tie,
           cast(floor(st_distance(o.point, cast(:point as geography), false) / 1000 + 0.5) as int) as km
      from offer o
      join site h on h.id = o.site_id
      cross join lateral ({coverage}) c
     where o.state = 'open' and o.category = :category
       and st_dwithin(o.point, cast(:point as geography), :metres, false)
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
     order by o.point <-> cast(:point as geography), o.tie
     limit :candidates
"""
STATEMENTS: Mapping[Coverage, TextClause] = {
    Coverage.EVERY: text(_NEAREST.format(coverage=_EVERY_NIGHT)),
    Coverage.ANY: text(_NEAREST.format(coverage=_ONE_SLOT)),
    Coverage.COURSE: text(_NEAREST.format(coverage=_REST_OF_COURSE)),
}
"""The candidate statement by coverage rule."""

Parameter = str | int | float | bool | datetime | None | list[str] | object


async def find(
    tx: AsyncConnection, need: Need, policy: Policy, now: datetime, *, people: int | None = None
) -> list[Candidate]:
    """The nearest feasible offers, at most `policy.candidates`, in no order that matters.

    `people` is how many still want a place, where part of a divisible party already has one. Empty when the
    need's window has passed.
    """
    if need.window.ends <= now or (need.coverage is Coverage.EVERY and not need.days):
        return []
    rows = await tx.execute(STATEMENTS[need.coverage], parameters(need, policy, now, people or need.people.count))
    return [_candidate(row) for row in rows]


def parameters(need: Need, policy: Policy, now: datetime, people: int) -> dict[str, Parameter]:
    """The statement's values for one need."""
    place = centroid(need.cell)
    return {
        "category": need.category,
        "point": f"SRID=4326;POINT({place.longitude!r} {place.latitude!r})",
        # Distances count in whole kilometres, rounded half up.
        "metres": radius(need, policy) * 1000 + 499.999,
        "days": list(need.days),
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
    }


def _candidate(row: Row[tuple[object, ...]]) -> Candidate:
    return Candidate(OfferId(row.id), tuple(row.slots), row.free, row.capacity, Kilometres(row.km), row.tie)
