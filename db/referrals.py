"""The language of referrals: the answer of a partner town that was asked, and what becomes of it.

Each step locks the need first, then the referral, then the week in which it counts. Where a place is looked for stands
on the need (`cell`, `point`, `searched_town_id`): so everything that searches goes on as it is. Nothing here commits.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, policies, seekers
from db.referral_steps import COLUMNS, ask_next, bring_home, go, have_stayed, lock_live
from db.roles import Role, acting_as
from matching.policy import Policy
from matching.refusals import Conflict, NotFound
from matching.states import NeedState, ReferralState
from matching.vocabulary import DeclineReason, ReferralReason

__all__ = [
    "accept",
    "agree",
    "decline",
    "expire",
    "keep_up",
    "list_overdue",
    "return_home",
    "withdraw",
]

_ASKED = text("select need_id from referral where id = :id and :organization in (to_id)")
_LOCK = text(f"""
    select {COLUMNS}, r.answer_by <= clock_timestamp() as unanswered, r.return_by <= clock_timestamp() as searched
      from referral r where r.id = :id for update
""")
_SEND = text("""
    update need n
       set state = 'referred', searched_town_id = t.id, searched_km = :km, cell = t.cell, point = t.point,
           look_at = now(), fruitless = 0, failures = 0, version = n.version + 1,
           refer_at = now() + make_interval(mins => case n.urgency
               when 'vital' then cast(:vital as int) when 'high' then cast(:high as int) else cast(:normal as int) end)
      from town t
     where n.id = :need and t.id = :town and n.state in ('open', 'unmet', 'referred')
       and not exists (select from allocation a
                        where a.need_id = n.id
                          and a.state in ('held', 'confirmed', 'arrived', 'completed', 'no_show'))
    returning n.organization_id
""")
_STATE = text("""
    select state, ends <= clock_timestamp() as over,
           exists (select from allocation a
                    where a.need_id = :need and a.state in ('held', 'confirmed', 'arrived')) as some_are_there
      from need where id = :need
""")
_OVERDUE = {
    ReferralState.EXPIRED: text("""
        select id, need_id from referral where state = 'offered' and answer_by <= now() order by answer_by limit :limit
    """),
    ReferralState.RETURNED: text("""
        select r.id, r.need_id from referral r join need n on n.id = r.need_id
         where r.state = 'accepted' and n.state = 'referred' and (r.return_by <= now() or n.ends <= now())
           and not exists (select from allocation a
                            where a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived'))
         order by r.return_by limit :limit
    """),
    ReferralState.PLACED: text("""
        select r.id, r.need_id from referral r join need n on n.id = r.need_id
         where (r.state in ('offered', 'accepted') and n.state in ('held', 'confirmed', 'closed'))
            or (r.state = 'placed' and n.state = 'referred')
         order by r.id limit :limit
    """),
}
_HAS_A_PLACE: Final = frozenset({NeedState.HELD, NeedState.CONFIRMED, NeedState.CLOSED})


async def accept(tx: AsyncConnection, referral_id: UUID, organization_id: UUID) -> None:
    """The partner takes the people: a place is looked for there at once. Accepting twice changes nothing.

    Raises `NotFound` also for who is not asked; `Conflict` when the answer comes too late, or is not wanted any more.
    """
    need_id = await _asked(tx, referral_id, organization_id)
    async with acting_as(tx, Role.MATCHER):
        await seekers.lock_need(tx, need_id)
        row = await _lock(tx, referral_id)
        state = ReferralState(row.state)
        if state in (ReferralState.ACCEPTED, ReferralState.PLACED):
            return
        _check_waits(row)
        await agree(tx, referral_id, await policies.in_force(tx))


async def decline(tx: AsyncConnection, referral_id: UUID, organization_id: UUID, reason: DeclineReason) -> None:
    """The partner says no: the next one is asked at once. Raises as `accept` does."""
    need_id = await _asked(tx, referral_id, organization_id)
    async with acting_as(tx, Role.MATCHER):
        await seekers.lock_need(tx, need_id)
        row = await _lock(tx, referral_id)
        if row.state == ReferralState.DECLINED:
            return
        _check_waits(row)
        await go(tx, row, ReferralState.DECLINED, reason)
        await ask_next(tx, need_id)


async def agree(tx: AsyncConnection, referral_id: UUID, policy: Policy) -> None:
    """Look for a place around the partner from now on, for a need that the caller has locked, as the matcher.

    Whoever had taken the people before is free of them. Raises `Conflict` where they found a place meanwhile.
    """
    row = await _lock(tx, referral_id)
    delays = policy.refer_after_minutes
    values = {"need": row.need_id, "town": row.to_town_id, "km": row.distance_km}
    sent = await tx.execute(
        _SEND, values | {"vital": delays["vital"], "high": delays["high"], "normal": delays["normal"]}
    )
    poster = sent.scalar_one_or_none()
    if poster is None:
        raise Conflict("referral_is_answered", ReferralState.WITHDRAWN)
    for other in await lock_live(tx, row.need_id):
        # Also one whose place was lost a moment ago and that nobody has looked at since.
        if other.id != row.id and other.state in (ReferralState.ACCEPTED, ReferralState.PLACED):
            await go(tx, other, ReferralState.RETURNED, ReferralReason.PASSED_ON)
    await go(tx, row, ReferralState.ACCEPTED, minutes=policy.refer_search_minutes)
    await events.record(tx, "need.referred", row.need_id, [poster])


async def list_overdue(tx: AsyncConnection, to: ReferralState, limit: int) -> list[tuple[UUID, UUID]]:
    """Referrals (id, need) that seem due to be expired, returned, or brought in line with their need (placed)."""
    return [(row.id, row.need_id) for row in await tx.execute(_OVERDUE[to], {"limit": limit})]


async def expire(tx: AsyncConnection, referral_id: UUID, need_id: UUID) -> bool:
    """End a referral that nobody answered in time; the next partner is asked at once. Whether it was still so."""
    await seekers.lock_need(tx, need_id)
    row = (await tx.execute(_LOCK, {"id": referral_id})).one_or_none()
    if row is None or row.state != ReferralState.OFFERED or not row.unanswered:
        return False
    await go(tx, row, ReferralState.EXPIRED)
    await ask_next(tx, need_id)
    return True


async def return_home(tx: AsyncConnection, referral_id: UUID, need_id: UUID) -> bool:
    """Look after people at home again for whom nothing held at the partner in time. Whether it was still so."""
    await seekers.lock_need(tx, need_id)
    row = (await tx.execute(_LOCK, {"id": referral_id})).one_or_none()
    need = (await tx.execute(_STATE, {"need": need_id})).one_or_none()
    if row is None or need is None or row.state != ReferralState.ACCEPTED or need.state != NeedState.REFERRED:
        return False
    # Of a party that may be spread some have a place: it stays theirs, and the others are looked after there too.
    if need.some_are_there or not (row.searched or need.over):
        return False
    await go(tx, row, ReferralState.RETURNED, ReferralReason.NOTHING_THERE)
    await bring_home(tx, need_id)
    return True


async def keep_up(tx: AsyncConnection, referral_id: UUID, need_id: UUID, policy: Policy) -> bool:
    """Bring a referral in line with its need: its people have a place there, or none any more. Whether it changed."""
    await seekers.lock_need(tx, need_id)
    row = (await tx.execute(_LOCK, {"id": referral_id})).one_or_none()
    need = (await tx.execute(_STATE, {"need": need_id})).one_or_none()
    if row is None or need is None:
        return False
    state, placed = ReferralState(row.state), NeedState(need.state) in _HAS_A_PLACE
    if state is ReferralState.OFFERED and placed:
        await go(tx, row, ReferralState.WITHDRAWN, ReferralReason.PLACED_MEANWHILE)
    elif state is ReferralState.ACCEPTED and placed:
        await go(tx, row, ReferralState.PLACED)
    elif state is ReferralState.PLACED and need.state == NeedState.REFERRED:
        await go(tx, row, ReferralState.ACCEPTED, minutes=policy.refer_search_minutes)
    else:
        return False
    return True


async def withdraw(tx: AsyncConnection, need_id: UUID) -> None:
    """The need ends, before its places are given back: the partner is free, unless the people have been there.

    For a need that the caller has locked, as the matcher.
    """
    for row in await lock_live(tx, need_id):
        came = row.state != ReferralState.OFFERED and await have_stayed(tx, need_id)
        if not came:
            await go(tx, row, ReferralState.WITHDRAWN, ReferralReason.NEED_ENDED)


async def _asked(tx: AsyncConnection, referral_id: UUID, organization_id: UUID) -> UUID:
    found = await tx.execute(_ASKED, {"id": referral_id, "organization": organization_id})
    need_id: UUID | None = found.scalar_one_or_none()
    if need_id is None:
        raise NotFound
    return need_id


async def _lock(tx: AsyncConnection, referral_id: UUID) -> Row[tuple[object, ...]]:
    row = (await tx.execute(_LOCK, {"id": referral_id})).one_or_none()
    if row is None:  # purged while its need was waited for
        raise NotFound
    return row


def _check_waits(row: Row[tuple[object, ...]]) -> None:
    if row.state != ReferralState.OFFERED:
        raise Conflict("referral_is_answered", row.state)
    if row.unanswered:
        raise Conflict("referral_is_answered", ReferralState.EXPIRED)
