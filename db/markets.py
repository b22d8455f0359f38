"""Markets: the needs of a round, the offers around them and what is free there night by night, all of one moment.

One statement brings the offers; which need may take which is `matching.pairing`'s to say. Places that are held
tentatively count as free: who holds them is in the round as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

import h3
import numpy as np
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import seekers
from db.seekers import InPool
from geo.cells import Cell, Point, cell_text, centroid
from geo.distance import Kilometres, great_circle
from geo.travel import Minutes
from matching.engine.problem import Floats, Integers
from matching.needs import OfferId
from matching.pairing import ANY_NUMBER, Kind, Pairs, Stalls, Wish
from matching.policy import Policy
from matching.preferring import Routed
from matching.rules import radius
from matching.vocabulary import SiteKind

__all__ = ["Market", "Terms", "met", "read_market"]

_REGION = 2
"""H3 resolution (three hundred kilometres across) of the regions in which doors are looked around together."""


@dataclass(frozen=True, slots=True)
class Terms:
    """An offer under the terms of this version."""

    offer_id: OfferId
    version: int
    tie: int
    town_load: float
    association_load: float


@dataclass(frozen=True, slots=True)
class Market:
    """Needs (n), and offers (m) around them with their nights (h) from the first that anybody asks for."""

    needs: Sequence[InPool]
    wishes: Sequence[Wish]
    """(n,) what each asks for, in numbers of this market."""
    terms: Sequence[Terms]
    """(m,)"""
    stalls: Stalls
    """(m,) what is free when nobody holds a place tentatively."""
    slots: Integers
    """(m, h) ids; 0 where the offer has no slot that night."""
    prices: Floats
    """(m, h) what the last round left on them, in kilometres."""
    held: Sequence[int | None]
    """(n,) the offer, by index, where a need holds places tentatively."""
    routed: Routed = field(default_factory=dict)
    """Minutes of the ways between its doors and its places, as far as a routing engine told them."""


# The regions overlap, and an offer may stand in several; what lies beyond a need's own reach is left to the pairing.
_OFFERS = text("""
    with region as materialized (
        select category, cast(point as geography) as point, metres
          from unnest(cast(:categories as text[]), cast(:points as text[]), cast(:metres as float8[]))
               as asked (category, point, metres)
    ), around as materialized (
        select distinct a.id
          from region
          join offer a on a.state = 'open' and a.category = region.category
                      and st_dwithin(a.point, region.point, region.metres, false)
    ), offers as materialized (
        select row_number() over () - 1 as number, o.id, o.version, o.tie, o.cell,
               coalesce(o.party_max, :any_number) as party_max, coalesce(o.nights_max, :any_number) as nights_max,
               coalesce((select l.load from town_load l where l.town_id = h.town_id), 0) as town_load,
               coalesce((select l.load from association_load l where l.organization_id = o.organization_id), 0)
                   as association_load,
               concat_ws('|', o.category, o.country, h.kind, array_to_string(o.audience, ','),
                         array_to_string(h.provides || o.provides, ',')) as words
          from around join offer o using (id) join site h on h.id = o.site_id
         where o.country = any(cast(:countries as text[])) and o.verified_at > :fresh_since
           and (h.kind <> 'private_home' or h.vetted_at is not null)
    ), nights as materialized (
        select o.number, s.day - cast(:first_day as date) as night, s.id,
               s.capacity - s.used + coalesce(t.people, 0) as free, s.price,
               cast(extract(epoch from s.last_arrival) as float8) as last_arrival
          from offers o
          join slot s on s.offer_id = o.id and s.day between :first_day and :last_day and s.ends > :now
          left join (select k.slot_id, sum(k.people) as people
                       from allocation_slot k
                      where k.allocation_id = any(cast(:tentative as uuid[])) and k.taken
                      group by k.slot_id) t on t.slot_id = s.id
    )
    select *
      from (select array_agg(number) as numbers, array_agg(id) as ids, array_agg(version) as versions,
                   array_agg(tie) as ties, array_agg(cell) as cells, array_agg(party_max) as party_max,
                   array_agg(nights_max) as nights_max, array_agg(words) as words,
                   array_agg(town_load) as town_loads, array_agg(association_load) as association_loads
              from offers) o,
           (select array_agg(number) as at, array_agg(night) as nights, array_agg(id) as slots,
                   array_agg(cast(free as int)) as free, array_agg(last_arrival) as last_arrivals,
                   array_agg(price) as prices
              from nights) n
""")


_WAYS = text("""
    select from_cell, to_cell, minutes from travel_time
     where from_cell = any(cast(:doors as bigint[])) and to_cell = any(cast(:places as bigint[]))
       and minutes is not null
""")


async def read_market(tx: AsyncConnection, policy: Policy, cells: Collection[Cell] | None = None) -> Market | None:
    """The market as it is now, of the needs that stand in these cells or anywhere; to be read within one snapshot.

    `None` where nobody has looked for a place in vain: what is placed at once as it comes is not moved for kilometres
    alone. Needs whose nights have passed are not in it.
    """
    waiting = [each for each in await seekers.pool(tx, policy, policy.round_needs, cells) if each.seeker.need.days]
    if not any(each.in_vain for each in waiting):
        return None
    days = [day for each in waiting for day in (each.seeker.need.days[0], each.seeker.need.days[-1])]
    first, last, now = min(days), max(days), waiting[0].seeker.now
    values = {
        **_regions(waiting, policy),
        "any_number": ANY_NUMBER,
        "countries": sorted({country for each in waiting for country in each.seeker.need.countries}),
        "fresh_since": now - policy.stale_after,
        "first_day": first,
        "last_day": last,
        "now": now,
        "tentative": [each.held.allocation_id for each in waiting if each.held],
    }
    row = (await tx.execute(_OFFERS, values)).one()
    told = (row.ids, row.versions, row.ties, row.town_loads, row.association_loads)
    terms = [Terms(*each) for each in zip(*(column or () for column in told), strict=True)]
    index = {each.offer_id: number for number, each in enumerate(terms)}
    nights = (last - first).days + 1
    order = np.zeros(len(terms), np.int64)
    order[_whole(row.numbers)] = np.arange(len(terms))
    night = (order[_whole(row.at)], _whole(row.nights))
    shape = (len(terms), nights)
    return Market(
        needs=waiting,
        wishes=[_wish(each, policy, index, first) for each in waiting],
        terms=terms,
        stalls=_stalls(row, night, shape),
        slots=_spread(night, _whole(row.slots), np.zeros(shape, np.int64)),
        prices=_spread(night, np.array(row.prices or (), np.float64), np.zeros(shape, np.float64)),
        held=[index.get(each.held.offer_id) if each.held else None for each in waiting],
        routed=await _ways(tx, waiting, row.cells or ()),
    )


def met(market: Market, pairs: Pairs) -> tuple[Market, Pairs]:
    """The market without needs that nothing fits and offers that nobody may take, and the pairs in its numbers.

    Whose present place is not to be had any more, because it was paused or changed, is left where they are too.
    """
    home = np.array([-1 if at is None else at for at in market.held], np.int64)
    in_it = np.zeros(len(market.needs), np.bool_)
    in_it[pairs.need[(home[pairs.need] == pairs.offer) | (home[pairs.need] < 0)]] = True
    in_it &= np.array([each.held is None or at is not None for each, at in zip(market.needs, market.held, strict=True)])
    free = market.stalls.free.copy()
    for stays in np.flatnonzero(~in_it).tolist():
        wish, at = market.wishes[stays], market.held[stays]
        if at is not None:
            free[at, wish.first_night : wish.last_night + 1] -= wish.people
    kept = in_it[pairs.need]
    needs, offers = np.flatnonzero(in_it).tolist(), np.unique(pairs.offer[kept])
    number: Integers = np.full(len(market.terms), -1, np.int64)
    number[offers] = np.arange(len(offers))
    held = [market.held[at] for at in needs]
    return Market(
        needs=[market.needs[at] for at in needs],
        wishes=[market.wishes[at] for at in needs],
        terms=[market.terms[at] for at in offers.tolist()],
        stalls=replace(
            market.stalls,
            kind=market.stalls.kind[offers],
            cell=market.stalls.cell[offers],
            party_max=market.stalls.party_max[offers],
            nights_max=market.stalls.nights_max[offers],
            free=free[offers],
            last_arrival=market.stalls.last_arrival[offers],
        ),
        slots=market.slots[offers],
        prices=market.prices[offers],
        held=[None if at is None else int(number[at]) for at in held],
        routed=market.routed,
    ), Pairs(np.searchsorted(needs, pairs.need[kept]), number[pairs.offer[kept]], pairs.km[kept])


async def _ways(tx: AsyncConnection, waiting: Sequence[InPool], places: Sequence[int]) -> Routed:
    doors = sorted({each.seeker.need.cell for each in waiting})
    rows = await tx.execute(_WAYS, {"doors": doors, "places": sorted(set(places))})
    return {(Cell(row.from_cell), Cell(row.to_cell)): Minutes(row.minutes) for row in rows}


def _stalls(row: Row[tuple[object, ...]], night: tuple[Integers, Integers], shape: tuple[int, int]) -> Stalls:
    kinds: dict[str, int] = {}
    kind = [kinds.setdefault(words, len(kinds)) for words in row.words or ()]
    return Stalls(
        kinds=[_kind(words) for words in kinds],
        kind=_whole(kind),
        cell=_whole(row.cells),
        party_max=_whole(row.party_max),
        nights_max=_whole(row.nights_max),
        free=_spread(night, _whole(row.free), np.full(shape, -1, np.int64)),
        last_arrival=_spread(night, np.array(row.last_arrivals or (), np.float64), np.zeros(shape, np.float64)),
    )


Numbers = TypeVar("Numbers", Integers, Floats)


def _spread(night: tuple[Integers, Integers], values: Numbers, over: Numbers) -> Numbers:
    """Values by offer and night."""
    over[night] = values
    return over


def _whole(values: Sequence[int] | None) -> Integers:
    return np.array(values or (), np.int64)


def _kind(words: str) -> Kind:
    category, country, site_kind, audience, provides = words.split("|")
    return Kind(category, country, SiteKind(site_kind), frozenset(audience.split(",")), frozenset(provides.split(",")))


def _wish(each: InPool, policy: Policy, index: dict[OfferId, int], first: date) -> Wish:
    seeker, need = each.seeker, each.seeker.need
    reach = radius(need, policy)
    if each.held is not None:
        reach = Kilometres(min(reach, each.held.distance + policy.move_most_km))
    return Wish(
        need=need,
        people=seeker.people_left,
        reach=reach,
        arrives=max(need.window.starts, seeker.now).timestamp(),
        first_night=(need.days[0] - first).days,
        last_night=(need.days[-1] - first).days,
        not_at=[index[offer] for offer in need.turned_down if offer in index],
    )


def _regions(waiting: Sequence[InPool], policy: Policy) -> dict[str, list[str] | list[float]]:
    """Discs that hold all that is in anybody's reach: one for the doors of a category in a region."""
    doors: dict[tuple[str, str], dict[Cell, Kilometres]] = {}
    for each in waiting:
        need = each.seeker.need
        region = doors.setdefault((need.category, h3.cell_to_parent(cell_text(need.cell), _REGION)), {})
        region[need.cell] = max(region.get(need.cell, Kilometres(0)), radius(need, policy))
    middles, metres = [], []
    for region in doors.values():
        points = [centroid(cell) for cell in region]
        middle = Point(
            sum(point.longitude for point in points) / len(points),
            sum(point.latitude for point in points) / len(points),
        )
        middles.append(middle.ewkt)
        metres.append(1000 * max(great_circle(middle, centroid(cell)) + km + 1 for cell, km in region.items()))
    return {"categories": [category for category, _ in doors], "points": middles, "metres": metres}
