"""The offers around a need, whatever their state: what explanations and unmet needs are told from.

Candidates are what may be chosen; this is also what may not. Nothing here locks or changes anything.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from geo.cells import Cell, centroid
from geo.travel import Minutes
from matching.needs import Need, OfferId, language_of
from matching.offers import Crew, Offer, Slot
from matching.policy import Policy
from matching.rules import radius
from matching.schedule import MOST_SLOTS
from matching.states import OfferState
from matching.vocabulary import Audience, Coverage, SiteKind
from matching.windows import Window

__all__ = ["offers_around", "offers_between", "offers_by_id"]

_MOST_SLOTS_TO_CHOOSE_FROM = 48
"""For coverage `any`, of which the first one with room is enough."""
_MOST_BEYOND = 10
_DAY = timedelta(days=1)
_FOREVER = datetime.max.replace(tzinfo=UTC)

# A walk outward along the spatial index, ties at its end included. Offers that have a place for people of this need
# are not around it: it is in them.
_NEAREST_IN_STATE = """
    select o.id, o.tie, o.point <-> cast(:point as geography) as metres
      from offer o
     where o.state = '{state}' and o.category = :category
       and o.id <> all(array(select a.offer_id from allocation a
                              where a.need_id = :need and a.state in ('held', 'confirmed', 'arrived')))
     order by o.point <-> cast(:point as geography)
     fetch first (:limit) rows with ties
"""
_NEAREST = f"""
    select id, tie, metres
      from (select *, row_number() over (partition by metres <= :reach order by metres, tie) as n
              from (({_NEAREST_IN_STATE.format(state="open")})
                     union all
                     ({_NEAREST_IN_STATE.format(state="paused")})) either) ordered
     where metres <= :reach or n <= :beyond
     order by metres, tie
     limit :limit
"""
_NAMED = """
    select o.id, o.tie, o.point <-> cast(:point as geography) as metres
      from offer o where o.id = any(cast(:ids as uuid[]))
"""
_OPEN = """
    select o.id, o.tie, 0 as metres from offer o where o.state = 'open'
"""
# Slots of its own first, then those with room: where only some are read, these are the ones that decide.
_WITH_SLOTS = """
    with chosen as materialized ({chosen})
    select o.id, o.organization_id, h.town_id, o.category, o.state, o.cell, o.country, h.kind,
           h.vetted_at is not null as vetted, o.audience, h.provides || o.provides as provides, o.teaches, o.level,
           o.party_max, o.nights_max, o.verified_at,
           coalesce(t.load, 0) as town_load, coalesce(l.load, 0) as association_load,
           (select w.minutes from travel_time w where w.from_cell = :cell and w.to_cell = o.cell) as minutes,
           (select cast(m.points as float8) / m.parties from site_mark m
             where m.site_id = h.id and m.parties >= :marks_from) as mark,
           s.id as slot, s.day, s.starts, s.ends, s.last_arrival, s.capacity, s.free, s.unstaffed,
           case when s.priced_at > :priced_since then s.price else 0 end as price,
           h.staffing_people_per_volunteer as each, h.staffing_minimum as minimum, s.volunteers
      from chosen
      join offer o on o.id = chosen.id
      join site h on h.id = o.site_id
      left join town_load t on t.town_id = h.town_id
      left join association_load l on l.organization_id = o.organization_id
      left join lateral (
          select s.*, s.capacity - s.used + coalesce(own.people, 0) as free,
                 greatest(g.places - s.capacity, 0) as unstaffed,
                 case when g.slot_id is not null
                      then (select coalesce(sum(f.volunteers), 0) from shift f
                             where f.slot_id = s.id and f.state in ('planned', 'confirmed')) end as volunteers
            from slot s
            left join slot_staffing g on g.slot_id = s.id
            left join lateral (
                select sum(k.people) as people
                  from allocation_slot k join allocation a on a.id = k.allocation_id
                 where k.slot_id = s.id and k.taken and a.need_id = :need
            ) own on true
           where s.offer_id = o.id and s.ends > :after and s.starts < :before
           order by own.people is null, s.capacity - s.used < :people, s.starts
           limit :slots
      ) s on true
     order by chosen.metres, chosen.tie, s.starts
"""
_AROUND = text(_WITH_SLOTS.format(chosen=_NEAREST))
_BY_ID = text(_WITH_SLOTS.format(chosen=_NAMED))
_BETWEEN = text(_WITH_SLOTS.format(chosen=_OPEN))

Parameter = str | int | float | datetime | UUID | list[OfferId]


async def offers_around(tx: AsyncConnection, need: Need, policy: Policy, now: datetime, limit: int = 60) -> list[Offer]:
    """The nearest offers of the need's category in any country, open or paused, nearest first.

    Some beyond its radius are among them, so that it can be said how far the next ones are. Offers that hold
    people of this need now are not.
    """
    asked = {
        "category": need.category,
        "limit": limit,
        "reach": radius(need, policy) * 1000 + 499.999,
        "beyond": _MOST_BEYOND,
    }
    return _offers(await tx.execute(_AROUND, _parameters(need, policy, now) | asked))


async def offers_by_id(
    tx: AsyncConnection, need: Need, ids: Sequence[OfferId], policy: Policy, now: datetime
) -> list[Offer]:
    """These offers, whatever their state, nearest first; places of the need's own people are counted as free."""
    return _offers(await tx.execute(_BY_ID, _parameters(need, policy, now) | {"ids": list(ids)}))


async def offers_between(tx: AsyncConnection, after: datetime, before: datetime) -> list[Offer]:
    """Every open offer, with its slots that end after the one instant and start before the other, none with a price."""
    nobody = {"need": UUID(int=0), "people": 1, "slots": MOST_SLOTS, "priced_since": _FOREVER, "cell": 0}
    return _offers(await tx.execute(_BETWEEN, nobody | {"marks_from": 1, "after": after, "before": before}))


def _parameters(need: Need, policy: Policy, now: datetime) -> dict[str, Parameter]:
    any_will_do = need.coverage is Coverage.ANY
    slack = _DAY if need.coverage is Coverage.EVERY else timedelta(0)
    return {
        "need": need.id,
        "point": centroid(need.cell).ewkt,
        "after": max(need.window.starts - slack, now),
        "before": _FOREVER if need.coverage is Coverage.COURSE else need.window.ends + slack,
        "people": 1 if need.divisible else need.people.count,
        "slots": _MOST_SLOTS_TO_CHOOSE_FROM if any_will_do else MOST_SLOTS,
        "priced_since": policy.prices_since(need.urgency, now),
        "cell": need.cell,
        "marks_from": policy.marks_from_parties,
    }


def _offers(rows: Iterable[Row[tuple[object, ...]]]) -> list[Offer]:
    """Offers in the order of the rows, each with the slots of its rows."""
    return [_offer(list(group)) for _, group in groupby(rows, key=lambda row: row.id)]


def _offer(rows: Sequence[Row[tuple[object, ...]]]) -> Offer:
    row = rows[0]
    return Offer(
        id=OfferId(row.id),
        organization_id=row.organization_id,
        town_id=row.town_id,
        category=row.category,
        state=OfferState(row.state),
        cell=Cell(row.cell),
        country=row.country,
        site_kind=SiteKind(row.kind),
        vetted=row.vetted,
        audience=frozenset(Audience(word) for word in row.audience),
        provides=frozenset(row.provides),
        language=language_of(row.teaches, row.level),
        party_max=row.party_max,
        nights_max=row.nights_max,
        verified_at=row.verified_at,
        slots=_slots(rows),
        town_load=row.town_load,
        association_load=row.association_load,
        minutes=None if row.minutes is None else Minutes(row.minutes),
        mark=row.mark,
    )


def _slots(rows: Iterable[Row[tuple[object, ...]]]) -> tuple[Slot, ...]:
    return tuple(
        Slot(
            row.slot,
            row.day,
            Window(row.starts, row.ends),
            row.last_arrival,
            row.capacity,
            int(row.free),
            row.unstaffed or 0,
            None if row.volunteers is None or row.each is None else Crew(row.each, row.minimum, int(row.volunteers)),
            row.price,
        )
        for row in rows
        if row.slot is not None
    )
