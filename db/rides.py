"""Rides: the way of people who were referred, where their pact says that a town sees to it.

Once a place is held in the partner town, a need for `transport` is posted for the town that sees to the way, and goes
with the referral: it is matched as any other, with the offers and the volunteer drivers that there are. When the stay
changes the ride does too. Nothing here commits.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import needs, seekers
from db.needs import NeedFacts
from matching.posting import NeedTerms
from matching.refusals import CannotKeepPlace, Conflict, Invalid
from matching.states import NeedState
from matching.vocabulary import Stay, Transport

__all__ = ["Change", "Over", "end", "follow", "list_over", "list_wanted", "post"]

Change = Callable[[AsyncConnection, UUID, UUID, int | None, NeedTerms], Awaitable[None]]
"""`db.stays.change`, which asks for this module: so it is given."""

_AHEAD: Final = timedelta(hours=6)
"""How long before people are expected a ride may begin, and how long after."""
_CATEGORY: Final = "transport"
_RIDES_ALONG: Final = frozenset({"step_free"})
"""What is required of the place and of the way there alike."""
_WINDOW: Final = frozenset({"starts", "ends"})
_WANTED: Final = """
    select r.id from referral r join pact_version v on v.pact_id = r.pact_id and v.number = r.number
     where r.state = 'placed' and v.transport <> 'people' and r.ends > now() and r.category <> 'transport'
       and not exists (select from ride where ride.referral_id = r.id)
"""
_LIST_WANTED = text(f"{_WANTED} order by r.created_at, r.id limit :limit")
_LOCK = text("select need_id from referral where id = :id")
_FOR = text(f"""
    select {", ".join(f"n.{name}" for name in needs.COLUMNS)}, r.from_id, r.to_id, r.from_town_id, v.transport,
           clock_timestamp() as now
      from referral r
      join pact_version v on v.pact_id = r.pact_id and v.number = r.number
      join need n on n.id = r.need_id
     where r.id = :id and r.id in ({_WANTED})
       for update of r
""")
_OF_STAY = text("""
    select ride.need_id, m.organization_id, r.from_town_id, clock_timestamp() as now
      from ride
      join referral r on r.id = ride.referral_id and r.ended_at is null
      join need m on m.id = ride.need_id
     where r.need_id = :need
""")
_INSTEAD = text("update ride set need_id = :instead where need_id = :need")
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
    stay = needs.facts_of(row._mapping).terms
    (posted,) = await needs.add(tx, organization, [_terms(stay, row.from_town_id, row.now)])
    await tx.execute(_KEEP, {"need": posted.need.id, "referral": referral_id})
    return posted.need.id


async def follow(tx: AsyncConnection, need_id: UUID, before: NeedTerms, after: NeedTerms, change: Change) -> None:
    """Change the ride of a stay as far as the stay changed.

    Seats that do not fit any more are given back, and the ride is sought anew. One that its town has withdrawn stays
    so, for somebody else sees to the way; so does one that is over, unless they come at another time now. For a need
    that the caller has locked, as the matcher.
    """
    row = (await tx.execute(_OF_STAY, {"need": need_id})).one_or_none()
    if row is None:
        return
    changes = _changes(_terms(before, row.from_town_id, row.now), _terms(after, row.from_town_id, row.now))
    if not changes:
        return
    ride = await needs.lock(tx, row.need_id, row.organization_id)
    is_over = ride.state is NeedState.CLOSED or ride.terms.ends <= row.now
    if ride.state is NeedState.WITHDRAWN or (is_over and before.starts == after.starts):
        return
    wanted = replace(ride.terms, **changes)
    if is_over or not await _keeps_its_seats(tx, ride, wanted, change):
        await _seek_anew(tx, ride, wanted)


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


async def _keeps_its_seats(tx: AsyncConnection, ride: NeedFacts, wanted: NeedTerms, change: Change) -> bool:
    try:
        async with tx.begin_nested():
            await change(tx, ride.id, ride.organization_id, None, wanted)
    except (CannotKeepPlace, Conflict, Invalid):
        return False
    return True


async def _seek_anew(tx: AsyncConnection, ride: NeedFacts, wanted: NeedTerms) -> None:
    # A way that nobody can ask for any more, as its time is over, keeps no stay from being changed.
    with suppress(Invalid):
        async with tx.begin_nested():
            with suppress(Conflict):  # it ended by itself
                await needs.end(tx, ride)
            (posted,) = await needs.add(tx, ride.organization_id, [wanted])
            await tx.execute(_INSTEAD, {"need": ride.id, "instead": posted.need.id})


def _changes(before: NeedTerms, after: NeedTerms) -> dict[str, Any]:
    """What is not the same any more, by field; of a window that moved both ends."""
    names = {each.name for each in fields(NeedTerms) if getattr(before, each.name) != getattr(after, each.name)}
    if names & _WINDOW:
        names |= _WINDOW
    return {name: getattr(after, name) for name in names}


def _terms(stay: NeedTerms, from_town_id: int, now: datetime) -> NeedTerms:
    """All of the party together, from the town where they are, around the hour at which they are expected."""
    expected = max(stay.starts, now)
    return NeedTerms(
        category=_CATEGORY,
        town_id=from_town_id,
        people=stay.people,
        starts=max(expected - _AHEAD, now),
        ends=min(expected + _AHEAD, stay.ends),
        urgency=stay.urgency,
        stay=Stay.TRANSIT,
        audience=stay.audience,
        requires=stay.requires & _RIDES_ALONG,
        countries=stay.countries,
        max_km=None,
        divisible=False,
        language=None,
    )
