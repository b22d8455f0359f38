"""The steps of a referral: its state, its week and the event move together, for a need that the caller has locked.

What is done with them is `db.referrals`' and `db.referred_changes`'. As the matcher; nothing here commits.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, pact_weeks
from db.been_there import BEEN_THERE
from db.pact_weeks import Week
from db.tables import Referral as ReferralRow
from db.tables.metadata import columns
from matching.states import REFERRAL_TRANSITIONS, NeedState, ReferralState

__all__ = ["COLUMNS", "ask_next", "bring_home", "go", "have_stayed", "lock_live", "week_of"]

COLUMNS: Final = columns(ReferralRow, "r")
"""What `go` asks of a row of `referral r`."""
_LIVE = text(f"""
    select {COLUMNS} from referral r
     where r.need_id = :need and r.state in ('offered', 'accepted', 'placed')
     order by r.pact_id, r.to_town_id, r.week, r.id for update
""")
_GO = text("""
    update referral
       set state = :state, reason = :reason, version = version + 1,
           answered_at = case when state = 'offered' and :answered then clock_timestamp() else answered_at end,
           return_by = case when :search then clock_timestamp() + make_interval(mins => :minutes) end,
           ended_at = case when :ended then clock_timestamp() end
     where id = :id
""")
_BRING_HOME = text("""
    update need n
       set state = case when n.state <> 'referred' then n.state when n.unmet_at is null then 'open' else 'unmet' end,
           searched_town_id = null, searched_km = null, cell = t.cell, point = t.point,
           look_at = now(), fruitless = 0, refer_at = now(), version = n.version + 1
      from town t
     where n.id = :need and t.id = n.town_id
    returning n.organization_id, n.state
""")
_ASK_NEXT = text("update need set refer_at = now() where id = :need and ended_at is null")
_STAYED = text(f"""
    select exists (select from allocation a
                    where a.need_id = :need
                      and {BEEN_THERE})
""")
_ENDED: Final = frozenset(state for state, following in REFERRAL_TRANSITIONS.items() if not following)


async def lock_live(tx: AsyncConnection, need_id: UUID) -> Sequence[Row[tuple[object, ...]]]:
    """The referrals of a need that did not end, locked."""
    return (await tx.execute(_LIVE, {"need": need_id})).all()


async def have_stayed(tx: AsyncConnection, need_id: UUID) -> bool:
    """Whether people of a need have been in their place, or it was kept for them for a night that began."""
    return bool((await tx.execute(_STAYED, {"need": need_id})).scalar_one())


async def ask_next(tx: AsyncConnection, need_id: UUID) -> None:
    """Pacts are tried again at once, while the need lives."""
    await tx.execute(_ASK_NEXT, {"need": need_id})


async def bring_home(tx: AsyncConnection, need_id: UUID) -> None:
    """Look after people at home again; what was asked of a partner has ended."""
    home = (await tx.execute(_BRING_HOME, {"need": need_id})).one()
    if home.state in (NeedState.OPEN, NeedState.UNMET):
        await events.record(tx, f"need.{home.state}", need_id, [home.organization_id])


async def go(
    tx: AsyncConnection,
    row: Row[tuple[object, ...]],
    to: ReferralState,
    reason: str | None = None,
    *,
    minutes: int = 0,
) -> None:
    """Move a locked referral: its state, its week and the event, together. `minutes` is how long a place is sought."""
    before = ReferralState(row.state)
    values = {
        "id": row.id,
        "state": to,
        "reason": reason,
        "answered": to in (ReferralState.ACCEPTED, ReferralState.DECLINED),
        "search": to is ReferralState.ACCEPTED,
        "minutes": minutes,
        "ended": to in _ENDED,
    }
    await tx.execute(_GO, values)
    await pact_weeks.step(tx, week_of(row), before, to, row.adults + row.minors)
    sides = [row.poster_id, row.from_id, row.to_id]
    await events.record(tx, f"referral.{to}", row.id, sides, pact_id=str(row.pact_id))


def week_of(row: Row[tuple[object, ...]]) -> Week:
    """The week in which a referral counts."""
    values = row._mapping
    return Week(values["pact_id"], values["to_town_id"], values["week"])
