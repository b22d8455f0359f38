"""The language of referrals: the answer of a partner town that was asked, and what becomes of it.

Each step locks the need first, then the referral, then the week in which it counts. Where a place is looked for stands
on the need (`cell`, `point`, `searched_town_id`): so everything that searches goes on as it is. Nothing here commits.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, pact_weeks, policies, seekers
from db.pact_weeks import Week
from db.roles import Role, acting_as
from db.tables import Referral as ReferralRow
from db.tables.metadata import columns
from matching.policy import Policy
from matching.posting import NeedTerms
from matching.refusals import Conflict, NotFound
from matching.states import REFERRAL_TRANSITIONS, NeedState, ReferralState
from matching.vocabulary import DeclineReason, ReferralReason

__all__ = [
    "accept",
    "agree",
    "decline",
    "expire",
    "keep_up",
    "leave_for_change",
    "list_overdue",
    "return_home",
    "withdraw",
]


_COLUMNS: Final = columns(ReferralRow, "r")
_ASKED = text("select need_id from referral where id = :id and :organization in (to_id)")
_LOCK = text(f"""
    select {_COLUMNS}, r.answer_by <= clock_timestamp() as unanswered, r.return_by <= clock_timestamp() as searched
      from referral r where r.id = :id for update
""")
_LIVE = text(f"""
    select {_COLUMNS} from referral r
     where r.need_id = :need and r.state in ('offered', 'accepted', 'placed') order by r.id for update
""")
_GO = text("""
    update referral
       set state = :state, reason = :reason, version = version + 1,
           answered_at = case when state = 'offered' and :answered then clock_timestamp() else answered_at end,
           return_by = case when :search then clock_timestamp() + make_interval(mins => :minutes) end,
           ended_at = case when :ended then clock_timestamp() end
     where id = :id
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
# Nights that began were slept there, or kept for them.
_STAYED = text("""
    select exists (select from allocation a
                    where a.need_id = :need
                      and (a.state in ('arrived', 'completed', 'no_show')
                           or (a.state = 'confirmed'
                               and (select min(s.starts) from allocation_slot k join slot s on s.id = k.slot_id
                                     where k.allocation_id = a.id) <= clock_timestamp())))
""")
_MOST = text("""
    select case when p.partner_town_id = :town then v.to_partner_per_week else v.to_proposer_per_week end
      from pact p join pact_version v on v.pact_id = p.id and v.number = :number where p.id = :pact
""")
_RESHAPE = text("""
    update referral set adults = :adults, minors = :minors, starts = :starts, ends = :ends, version = version + 1
     where id = :id
""")
_AWAY = text("select searched_town_id is not null from need where id = :need")
_ENDED: Final = frozenset(state for state, following in REFERRAL_TRANSITIONS.items() if not following)
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
        await _go(tx, row, ReferralState.DECLINED, reason)
        await tx.execute(_ASK_NEXT, {"need": need_id})


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
    for other in (await tx.execute(_LIVE, {"need": row.need_id})).all():
        if other.state == ReferralState.ACCEPTED:
            await _go(tx, other, ReferralState.RETURNED, ReferralReason.PASSED_ON)
    await _go(tx, row, ReferralState.ACCEPTED, minutes=policy.refer_search_minutes)
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
    await _go(tx, row, ReferralState.EXPIRED)
    await tx.execute(_ASK_NEXT, {"need": need_id})
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
    await _go(tx, row, ReferralState.RETURNED, ReferralReason.NOTHING_THERE)
    await _bring_home(tx, need_id)
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
        await _go(tx, row, ReferralState.WITHDRAWN, ReferralReason.PLACED_MEANWHILE)
    elif state is ReferralState.ACCEPTED and placed:
        await _go(tx, row, ReferralState.PLACED)
    elif state is ReferralState.PLACED and need.state == NeedState.REFERRED:
        await _go(tx, row, ReferralState.ACCEPTED, minutes=policy.refer_search_minutes)
    else:
        return False
    return True


async def withdraw(tx: AsyncConnection, need_id: UUID) -> None:
    """The need ends, before its places are given back: the partner is free, unless the people have been there.

    For a need that the caller has locked, as the matcher.
    """
    for row in (await tx.execute(_LIVE, {"need": need_id})).all():
        came = row.state != ReferralState.OFFERED and (await tx.execute(_STAYED, {"need": need_id})).scalar_one()
        if not came:
            await _go(tx, row, ReferralState.WITHDRAWN, ReferralReason.NEED_ENDED)


async def leave_for_change(tx: AsyncConnection, need_id: UUID, terms: NeedTerms, *, has_place: bool) -> bool:
    """A need gets other terms: whether it stays where it is searched, as its people keep a place there.

    Without a place what was asked of a partner is withdrawn, for it was asked other things, and people are looked
    after at home. Else the partner's week must have room for them. For a need that the caller has locked, as the
    matcher. Raises `Conflict`.
    """
    stays = False
    for row in (await tx.execute(_LIVE, {"need": need_id})).all():
        if row.state == ReferralState.OFFERED or not has_place:
            await _go(tx, row, ReferralState.WITHDRAWN, ReferralReason.NEED_CHANGED)
            continue
        stays = True
        more = terms.people.count - row.adults - row.minors
        named = {"pact": row.pact_id, "number": row.number, "town": row.to_town_id}
        most = int((await tx.execute(_MOST, named)).scalar_one())
        if more and not await pact_weeks.resize(tx, _week(row), ReferralState(row.state), more, most):
            raise Conflict("pact_week_is_full", row.state)
        party = {"adults": terms.people.adults, "minors": terms.people.minors}
        await tx.execute(_RESHAPE, party | {"id": row.id, "starts": terms.starts, "ends": terms.ends})
    if not stays and (await tx.execute(_AWAY, {"need": need_id})).scalar_one():
        await _bring_home(tx, need_id)
    return stays


async def _bring_home(tx: AsyncConnection, need_id: UUID) -> None:
    home = (await tx.execute(_BRING_HOME, {"need": need_id})).one()
    if home.state in (NeedState.OPEN, NeedState.UNMET):
        await events.record(tx, f"need.{home.state}", need_id, [home.organization_id])


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


async def _go(
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
    await pact_weeks.step(tx, _week(row), before, to, row.adults + row.minors)
    sides = [row.poster_id, row.from_id, row.to_id]
    await events.record(tx, f"referral.{to}", row.id, sides, pact_id=str(row.pact_id))


def _week(row: Row[tuple[object, ...]]) -> Week:
    values = row._mapping
    return Week(values["pact_id"], values["to_town_id"], values["week"])
