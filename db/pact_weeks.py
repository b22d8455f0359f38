"""Weeks of a pact: how many people may still come in one, and what the two towns did for each other.

A place in a week is taken by one guarded update, as a place in a slot is: never counted first and inserted then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.states import ReferralState

__all__ = ["MONDAY", "WEEKS_SHOWN", "Week", "WeekFacts", "last_weeks", "move", "resize", "step", "take", "this_week"]

MONDAY: Final = """
    cast(date_trunc('week', greatest(cast(:starts as timestamptz), now()) at time zone home.timezone) as date)
"""
"""The Monday of the week in which people count who come at `:starts`; `home` is the town that proposed the pact."""

WEEKS_SHOWN: Final = 8
"""Weeks of the past that a pact shows beside this one and those to come."""


@dataclass(frozen=True, slots=True)
class Week:
    """A week, by its Monday, towards one of the towns of a pact."""

    pact_id: UUID
    to_town_id: int
    monday: date


@dataclass(frozen=True, slots=True)
class WeekFacts:
    """What happened in it: `people` count against the limit, the others are referrals by where they stand."""

    to_town_id: int
    monday: date
    people: int
    people_placed: int
    referred: int
    accepted: int
    placed: int
    declined: int
    expired: int
    returned: int
    withdrawn: int


_NAMES: Final = (
    *("people", "people_placed", "referred", "accepted", "placed", "declined", "expired", "returned", "withdrawn"),
)
_OF = "where pact_id = :pact and to_town_id = :town and week = :week"
_OPEN = text("""
    insert into pact_week (pact_id, to_town_id, week) values (:pact, :town, :week) on conflict do nothing
""")
_TAKE = text(f"""
    update pact_week set people = people + :people, referred = referred + 1
     {_OF} and people + :people <= :most returning people
""")
_RESIZE = text(f"""
    update pact_week
       set people = people + :more, people_placed = people_placed + case when :placed then :more else 0 end
     {_OF} and (:more <= 0 or people + :more <= :most) returning people
""")
_BOTH = text("""
    select week from pact_week where pact_id = :pact and to_town_id = :town and week in (:week, :monday)
     order by week for update
""")
_LEAVE = """
    update pact_week
       set people = people - :before, people_placed = people_placed - :placed_before, referred = referred - 1,
           {state} = {state} - 1
     where pact_id = :pact and to_town_id = :town and week = :week
"""
_ENTER = """
    update pact_week
       set people = people + :after, people_placed = people_placed + :placed_after, referred = referred + 1,
           {state} = {state} + 1
     where pact_id = :pact and to_town_id = :town and week = :monday and people + :after <= :most
    returning people
"""
_COUNTED: Final = frozenset(ReferralState) - {ReferralState.OFFERED}
_LIVE: Final = frozenset({ReferralState.OFFERED, ReferralState.ACCEPTED, ReferralState.PLACED})
_READ = text(f"""
    select to_town_id, week, {", ".join(_NAMES)} from pact_week
     where pact_id = :pact and week >= current_date - cast(:days as int) order by week desc, to_town_id limit 200
""")
_NOW = text("""
    select w.pact_id, w.to_town_id, w.people
      from pact_week w join pact p on p.id = w.pact_id join town home on home.id = p.proposer_town_id
     where w.pact_id = any(cast(:pacts as uuid[]))
       and w.week = cast(date_trunc('week', now() at time zone home.timezone) as date)
""")


async def take(tx: AsyncConnection, week: Week, people: int, most: int) -> bool:
    """Count so many people more, unless there would be more than `most`. Whether it was done."""
    values = {"pact": week.pact_id, "town": week.to_town_id, "week": week.monday}
    await tx.execute(_OPEN, values)
    return (await tx.execute(_TAKE, values | {"people": people, "most": most})).one_or_none() is not None


async def resize(tx: AsyncConnection, week: Week, state: ReferralState, more: int, most: int) -> bool:
    """Count a party that grew by so many, or became smaller, where the week has room for it. Whether it was done."""
    values = {"pact": week.pact_id, "town": week.to_town_id, "week": week.monday}
    values |= {"more": more, "most": most, "placed": state is ReferralState.PLACED}
    return (await tx.execute(_RESIZE, values)).one_or_none() is not None


async def move(
    tx: AsyncConnection, week: Week, to_monday: date, state: ReferralState, people: tuple[int, int], most: int
) -> bool:
    """Count an accepted or placed party in another week, where that has room for it. Whether it was done.

    `people` are so many in the week that it leaves, and in the one it goes to: it may have grown meanwhile.
    """
    before, after = people
    placed = state is ReferralState.PLACED
    values = {"pact": week.pact_id, "town": week.to_town_id, "week": week.monday, "monday": to_monday, "most": most}
    values |= {"before": before, "placed_before": before * placed, "after": after, "placed_after": after * placed}
    await tx.execute(_OPEN, values | {"week": to_monday})
    # In the order of their days: two parties that change places wait for each other, and never in a ring.
    await tx.execute(_BOTH, values)
    # The word is a state, and nothing that anybody sent.
    if (await tx.execute(text(_ENTER.format(state=state)), values)).one_or_none() is None:
        return False
    await tx.execute(text(_LEAVE.format(state=state)), values)
    return True


async def step(tx: AsyncConnection, week: Week, before: ReferralState, after: ReferralState, people: int) -> None:
    """Count that a referral went from one state to another; who counts no more leaves room for others."""
    changes = []
    if before in _COUNTED:
        changes.append(f"{before} = {before} - 1")
    if after in _COUNTED:
        changes.append(f"{after} = {after} + 1")
    if ReferralState.PLACED in (before, after):
        changes.append(f"people_placed = people_placed {'-' if before is ReferralState.PLACED else '+'} :people")
    if after not in _LIVE:
        changes.append("people = people - :people")
    values = {"pact": week.pact_id, "town": week.to_town_id, "week": week.monday, "people": people}
    # The words are states, and nothing that anybody sent.
    await tx.execute(text(f"update pact_week set {', '.join(changes)} {_OF}"), values)


async def last_weeks(tx: AsyncConnection, pact_id: UUID) -> list[WeekFacts]:
    """The weeks of a pact that the caller may read, newest first; some of the past, this one, and those to come."""
    rows = await tx.execute(_READ, {"pact": pact_id, "days": 7 * (WEEKS_SHOWN + 1)})
    return [WeekFacts(row.to_town_id, row.week, *(getattr(row, name) for name in _NAMES)) for row in rows]


async def this_week(tx: AsyncConnection, pact_ids: Sequence[UUID]) -> dict[tuple[UUID, int], int]:
    """People who count this week, by pact and the town that takes them; where none did yet, it is left out."""
    rows = await tx.execute(_NOW, {"pacts": list(pact_ids)})
    return {(row.pact_id, row.to_town_id): row.people for row in rows}
