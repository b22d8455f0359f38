"""Rides: the way of people who were referred, where their pact says that a town sees to it.

Once a place is held in the partner town, a need for `transport` is posted for the town that sees to the way, and goes
with the referral: it is matched as any other, with the offers and the volunteer drivers that there are. Nothing here
commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import needs, seekers
from matching.needs import People
from matching.posting import NeedTerms
from matching.refusals import Conflict
from matching.vocabulary import Audience, Stay, Transport, Urgency

__all__ = ["Over", "end", "list_over", "list_wanted", "post"]

_AHEAD: Final = timedelta(hours=6)
"""How long before people are expected a ride may begin, and how long after."""
_CATEGORY: Final = "transport"
_RIDES_ALONG: Final = frozenset({"step_free"})
"""What is required of the place and of the way there alike."""
_WANTED: Final = """
    select r.id from referral r join pact_version v on v.pact_id = r.pact_id and v.number = r.number
     where r.state = 'placed' and v.transport <> 'people' and r.ends > now() and r.category <> 'transport'
       and not exists (select from ride where ride.referral_id = r.id)
"""
_LIST_WANTED = text(f"{_WANTED} order by r.created_at, r.id limit :limit")
_LOCK = text("select need_id from referral where id = :id")
_FOR = text(f"""
    select r.from_id, r.to_id, r.from_town_id, r.adults, r.minors, r.audience, r.requires, r.starts, r.ends,
           v.transport, n.urgency, n.countries, clock_timestamp() as now
      from referral r
      join pact_version v on v.pact_id = r.pact_id and v.number = r.number
      join need n on n.id = r.need_id
     where r.id = :id and r.id in ({_WANTED})
       for update of r
""")
_KEEP = text("insert into ride (need_id, referral_id) values (:need, :referral)")
_LIST_OVER = text("""
    select ride.need_id, n.organization_id
      from ride join referral r on r.id = ride.referral_id join need n on n.id = ride.need_id
     where n.ended_at is null and r.ended_at is not null
     order by ride.need_id limit :limit
""")


@dataclass(frozen=True, slots=True)
class Over:
    """A ride whose people are not referred any more, and whose need it is."""

    need_id: UUID
    organization_id: UUID


async def list_wanted(tx: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Referrals whose people have a place, whose pact says that a town sees to the way, and that have no ride yet."""
    return (await tx.execute(_LIST_WANTED, {"limit": limit})).scalars().all()


async def post(tx: AsyncConnection, referral_id: UUID) -> UUID | None:
    """Post the ride of a referral as a need of the town that sees to the way: which; `None` when it is not wanted."""
    need_id = (await tx.execute(_LOCK, {"id": referral_id})).scalar_one_or_none()
    if need_id is None:
        return None
    await seekers.lock_need(tx, need_id)
    row = (await tx.execute(_FOR, {"id": referral_id})).one_or_none()
    if row is None:
        return None
    organization = row.from_id if row.transport == Transport.REFERRING else row.to_id
    (posted,) = await needs.add(tx, organization, [_terms(row)])
    await tx.execute(_KEEP, {"need": posted.need.id, "referral": referral_id})
    return posted.need.id


async def list_over(tx: AsyncConnection, limit: int) -> list[Over]:
    """Rides that nobody needs any more: the referral went home, or ended."""
    return [Over(row.need_id, row.organization_id) for row in await tx.execute(_LIST_OVER, {"limit": limit})]


async def end(tx: AsyncConnection, over: Over) -> bool:
    """Withdraw a ride, and give its seats back. Whether it had not ended by itself."""
    try:
        await needs.withdraw(tx, over.need_id, over.organization_id)
    except Conflict:
        return False
    return True


def _terms(row: Row[tuple[object, ...]]) -> NeedTerms:
    """All of the party together, from the town where they are, around the hour at which they are expected."""
    there = row._mapping
    expected: datetime = max(there["starts"], there["now"])
    return NeedTerms(
        category=_CATEGORY,
        town_id=there["from_town_id"],
        people=People(there["adults"], there["minors"]),
        starts=max(expected - _AHEAD, there["now"]),
        ends=min(expected + _AHEAD, there["ends"]),
        urgency=Urgency(there["urgency"]),
        stay=Stay.TRANSIT,
        audience=frozenset(map(Audience, there["audience"])),
        requires=frozenset(there["requires"]) & _RIDES_ALONG,
        countries=frozenset(there["countries"]),
        max_km=None,
        divisible=False,
        language=None,
    )
