"""Markets: the needs of a round, every place that they may take, and what is free there, all of one moment.

The same search as for one need, asked for all of them in one statement. Places that are held tentatively count as
free: who holds them is in the round as well.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, seekers
from db.candidates import Parameter
from db.seekers import InPool
from matching.needs import OfferId
from matching.policy import Policy
from matching.rules import radius

__all__ = ["Market", "Night", "Stall", "read_market"]


@dataclass(frozen=True, slots=True)
class Night:
    """One night of an offer: its slot, and the places free when nobody holds one tentatively."""

    slot_id: int
    free: int


@dataclass(frozen=True, slots=True)
class Stall:
    """What an offer has night by night, under the terms of this version."""

    offer_id: OfferId
    version: int
    tie: int
    nights: Mapping[date, Night]
    town_load: float
    association_load: float


@dataclass(frozen=True, slots=True)
class Market:
    """Needs, offers, and which of them may meet."""

    needs: Sequence[InPool]
    stalls: Sequence[Stall]
    need: npt.NDArray[np.int64]
    """(pairs,) index of the need."""
    stall: npt.NDArray[np.int64]
    """(pairs,) index of the offer."""
    km: npt.NDArray[np.float64]
    """(pairs,) whole kilometres."""


# What is one need's parameter alone becomes its column among many. An offer where somebody holds places tentatively is
# found even when it is full.
_COLUMNS = """
    category text, point text, metres float8, first_day date, last_day date, arrives timestamptz,
    now timestamptz, least int, countries text[], fresh_since timestamptz, alone boolean, audience text[],
    requires text[], teaches text, level text, divisible boolean, people int, nights bigint, turned_down uuid[],
    candidates bigint, priced_since timestamptz
"""
_NAMES = ", ".join(column.split()[0] for column in _COLUMNS.split(","))
_AT_ONCE = 500
"""Questions in one statement: so many are answered well before a statement is cut off."""
_ROOM = "min(s.capacity - s.used) >= k.least"


def _for_many(search: str) -> str:
    asked = re.sub(r":(\w+)", r"k.\1", search)
    if _ROOM not in asked:
        raise AssertionError("the search asks for room in other words than these")
    found = asked.replace(_ROOM, f"({_ROOM} or o.id = any(cast(:held_at as uuid[])))")
    return f"""
        select k.number, c.offers, c.km
          from rows from (jsonb_to_recordset(cast(:asked as jsonb)) as ({_COLUMNS}))
               with ordinality as k ({_NAMES}, number)
          cross join lateral (select array_agg(f.id) as offers, array_agg(f.km) as km from ({found}) f) c
    """


_WALK = text(_for_many(candidates.NIGHTS_WALK))
_DISC = text(_for_many(candidates.NIGHTS_DISC))
_STALLS = text("""
    select o.id, o.version, o.tie, array_agg(s.day order by s.day) as days, array_agg(s.id order by s.day) as slots,
           array_agg(s.capacity - s.used + coalesce(t.people, 0) order by s.day) as free,
           coalesce((select l.load from site h join town_load l using (town_id) where h.id = o.site_id), 0)
               as town_load,
           coalesce((select l.load from association_load l where l.organization_id = o.organization_id), 0)
               as association_load
      from offer o
      join slot s on s.offer_id = o.id and s.day between :first_day and :last_day
      left join (select k.slot_id, sum(k.people) as people
                   from allocation_slot k
                  where k.allocation_id = any(cast(:tentative as uuid[])) and k.taken
                  group by k.slot_id) t on t.slot_id = s.id
     where o.id = any(cast(:offers as uuid[]))
     group by o.id
""")


async def read_market(tx: AsyncConnection, policy: Policy) -> Market:
    """The market as it is now; to be read within one snapshot.

    Needs whose nights have passed, and those that nothing fits, are not in it. Where nobody has looked for a place
    in vain it is empty: what is placed at once as it comes is not moved for kilometres alone.
    """
    waiting = [each for each in await seekers.pool(tx, policy, policy.round_needs) if each.seeker.need.days]
    if not any(each.in_vain for each in waiting):
        waiting = []
    found = await _search(tx, waiting, policy)
    # Whose present place is not to be had any more, because it was paused or changed, is left where they are.
    numbers = [
        number
        for number, places in sorted(found.items())
        if (held := waiting[number].held) is None or held.offer_id in places.offers
    ]
    stalls = await _stalls(tx, waiting, {offer for places in found.values() for offer in places.offers})
    index = {stall.offer_id: number for number, stall in enumerate(stalls)}
    return Market(
        needs=[waiting[number] for number in numbers],
        stalls=stalls,
        need=np.repeat(np.arange(len(numbers)), [len(found[number].offers) for number in numbers]).astype(np.int64),
        stall=np.array([index[offer] for number in numbers for offer in found[number].offers], np.int64),
        km=np.array([km for number in numbers for km in found[number].km], np.float64),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """The offers found for one need, and how far each is."""

    offers: Sequence[OfferId]
    km: Sequence[int]


async def _search(tx: AsyncConnection, waiting: Sequence[InPool], policy: Policy) -> dict[int, _Places]:
    """What fits each need: asked once for all that ask the same, as many do at one door on one evening."""
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(waiting):
        alike[json.dumps(_asked(each, policy), default=str)].append(number)
    held_at = [each.held.offer_id for each in waiting if each.held]
    found: dict[int, _Places] = {}
    questions = list(alike.items())
    for start in range(0, len(questions), _AT_ONCE):
        some = questions[start : start + _AT_ONCE]
        places = await _find(tx, _WALK, [asked for asked, _ in some], held_at)
        # Who found something near is not helped by what lies beyond hundreds of offers that did not fit.
        short = [at for at in range(len(some)) if not places[at].offers]
        fuller = await _find(tx, _DISC, [some[at][0] for at in short], held_at)
        places |= {at: fuller[number] for number, at in enumerate(short)}
        found |= {number: places[at] for at, (_, numbers) in enumerate(some) for number in numbers}
    return {number: places for number, places in found.items() if places.offers}


async def _find(
    tx: AsyncConnection, statement: TextClause, asked: Sequence[str], held_at: Sequence[OfferId]
) -> dict[int, _Places]:
    """By the number of each question, as JSON objects."""
    if not asked:
        return {}
    rows = await tx.execute(statement, {"asked": f"[{','.join(asked)}]", "held_at": held_at})
    return {row.number - 1: _Places(row.offers or (), row.km or ()) for row in rows}


def _asked(each: InPool, policy: Policy) -> dict[str, Parameter]:
    seeker = each.seeker
    values = candidates.parameters(seeker.need, policy, seeker.now, seeker.people_left)
    values["candidates"] = policy.round_candidates
    if each.held is not None:
        reach = min(radius(seeker.need, policy), each.held.distance + policy.move_most_km)
        values["metres"] = reach * 1000 + 499.999
    return values


async def _stalls(tx: AsyncConnection, waiting: Sequence[InPool], offers: Iterable[OfferId]) -> list[Stall]:
    days = [day for each in waiting for day in each.seeker.need.days]
    values = {
        "offers": list(offers),
        "first_day": min(days, default=None),
        "last_day": max(days, default=None),
        "tentative": [each.held.allocation_id for each in waiting if each.held],
    }
    return [
        Stall(
            offer_id=OfferId(row.id),
            version=row.version,
            tie=row.tie,
            nights={day: Night(slot, free) for day, slot, free in zip(row.days, row.slots, row.free, strict=True)},
            town_load=row.town_load,
            association_load=row.association_load,
        )
        for row in await tx.execute(_STALLS, values)
    ]
