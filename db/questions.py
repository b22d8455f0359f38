"""The question to volunteers, "still coming?": asked a day before and again some hours before, by the database's clock.

Who does not answer is at risk: their shift counts on, so that nobody is moved by silence, and the next plan looks for
others beside them. Only volunteers who never said yes are let go, when little time is left.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, staffing

__all__ = ["ask", "let_go_the_silent", "mark_at_risk"]

DAY_BEFORE: Final = timedelta(hours=24)
HOURS_BEFORE: Final = timedelta(hours=6)
LAST_CALL: Final = timedelta(hours=2)
"""Before its start, a shift that was never confirmed is let go."""
_PATIENCE: Final = {"day_patience": timedelta(hours=12), "patience": timedelta(hours=1)}
_LAST_WORD: Final = timedelta(minutes=30)
"""How long a shift is at risk before it is let go, at least: others are looked for in between."""

_SIDES = """
      from pledge p, site h
     where p.id = shift.pledge_id and h.id = shift.site_id and shift.id in ({which})
    returning shift.id, p.organization_id as pledged_by, h.organization_id as site_of
"""
# Who is called later than a question would have come was asked by being called.
_ASK = text(
    """
    update shift set asked = case when starts - cast(:hours_before as interval) <= now() then 2 else 1 end,
                     asked_at = now(), version = shift.version + 1
"""
    + _SIDES.format(
        which="""
        select id from shift
         where state in ('planned', 'confirmed') and starts > now()
           and ((asked < 1 and starts - cast(:day_before as interval) between created_at and now())
                or (asked < 2 and starts - cast(:hours_before as interval) between created_at and now()))
         order by starts, id limit :limit for update skip locked
    """
    )
)
_AT_RISK = text(
    """
    update shift set at_risk_at = now(), version = shift.version + 1
"""
    + _SIDES.format(
        which="""
        select id from shift
         where state in ('planned', 'confirmed') and starts > now() and at_risk_at is null
           and case asked
               when 0 then state = 'planned' and created_at > starts - cast(:hours_before as interval)
                           and created_at + cast(:patience as interval) <= now()
               when 1 then coalesce(answered_at < asked_at, true)
                           and asked_at + cast(:day_patience as interval) <= now()
               else coalesce(answered_at < asked_at, true) and asked_at + cast(:patience as interval) <= now() end
         order by starts, id limit :limit for update skip locked
    """
    )
)
_SILENT = """
    state = 'planned' and starts > now() and starts - cast(:last_call as interval) <= now()
    and at_risk_at + cast(:last_word as interval) <= now()
"""
_SLOTS_OF_SILENT = text(
    f"select distinct slot_id from shift where slot_id is not null and {_SILENT} order by slot_id limit :limit"
)
_LOCK_SLOTS = text("select id from slot where id = any(cast(:slots as bigint[])) order by id for update")
_LET_GO = text(
    "update shift set state = 'declined', reason = 'no_answer', version = shift.version + 1"
    + _SIDES.format(
        which=f"select id from shift where slot_id = any(cast(:slots as bigint[])) and {_SILENT} for update"
    )
)


async def ask(tx: AsyncConnection, limit: int) -> int:
    """Ask volunteers of shifts that begin in a day, or in some hours, whether they still come. How many."""
    values = {"day_before": DAY_BEFORE, "hours_before": HOURS_BEFORE, "limit": limit}
    return await _tell(tx, "shift.answer_due", list(await tx.execute(_ASK, values)))


async def mark_at_risk(tx: AsyncConnection, limit: int) -> int:
    """Write down whose volunteers did not answer in time: others are looked for beside them. How many."""
    values = {"hours_before": HOURS_BEFORE, **_PATIENCE, "limit": limit}
    return await _tell(tx, "shift.at_risk", list(await tx.execute(_AT_RISK, values)))


async def let_go_the_silent(tx: AsyncConnection, limit: int) -> int:
    """End shifts that nobody ever confirmed and that begin soon: others, or other places, are to be found. How many."""
    values = {"last_call": LAST_CALL, "last_word": _LAST_WORD}
    slots = list((await tx.execute(_SLOTS_OF_SILENT, values | {"limit": limit})).scalars())
    if not slots:
        return 0
    await tx.execute(_LOCK_SLOTS, {"slots": slots})
    let_go = await _tell(tx, "shift.declined", list(await tx.execute(_LET_GO, values | {"slots": slots})))
    await staffing.recount(tx, slots)
    return let_go


async def _tell(tx: AsyncConnection, kind: str, told: list[Row[tuple[object, ...]]]) -> int:
    for row in told:
        await events.record(tx, kind, row.id, [row.pledged_by, row.site_of])
    return len(told)
