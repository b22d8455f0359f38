"""Needs that change while a partner town is asked for them, or has a place for them: what becomes of the referral.

The caller has locked the need, and acts as the matcher. Nothing here commits.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import pact_weeks
from db.pact_weeks import MONDAY
from db.referral_steps import COLUMNS, ask_next, bring_home, go, have_stayed, lock_live, week_of
from matching.posting import NeedTerms
from matching.refusals import Conflict
from matching.states import ReferralState
from matching.vocabulary import ReferralReason

__all__ = ["come_home", "leave_for_change", "list_too_far"]

# Whose way from home to the partner is farther than they go, and of whom nobody has a place.
_TOO_FAR: Final = """
    select r.id, r.need_id
      from referral r join need n on n.id = r.need_id left join preference w on w.need_id = n.id
     where r.state in ('offered', 'accepted', 'placed') and n.state in ('open', 'unmet', 'referred')
       and r.distance_km > least(n.max_km, w.most_km)
       and not exists (select from allocation a
                        where a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived'))
"""
_LIST_TOO_FAR = text(f"{_TOO_FAR} order by r.id limit :limit")
_TOO_FAR_OF = text(
    f"select {COLUMNS} from referral r where r.need_id = :need and r.id in "
    f"(select id from ({_TOO_FAR}) far) order by r.id for update"
)
_TERMS = text(f"""
    select case when p.partner_town_id = :town then v.to_partner_per_week else v.to_proposer_per_week end as most,
           {MONDAY} as monday
      from pact p
      join town home on home.id = p.proposer_town_id
      join pact_version v on v.pact_id = p.id and v.number = :number
     where p.id = :pact
""")
_RESHAPE = text("""
    update referral
       set adults = :adults, minors = :minors, audience = cast(:audience as text[]),
           requires = cast(:requires as text[]), starts = :starts, ends = :ends, week = :week, version = version + 1
     where id = :id
""")
_AWAY = text("select searched_town_id is not null from need where id = :need")


async def leave_for_change(tx: AsyncConnection, need_id: UUID, terms: NeedTerms, *, has_place: bool) -> bool:
    """A need gets other terms: whether it stays where it is searched, as its people keep a place there.

    Without a place what was asked of a partner is withdrawn, for it was asked other things, and people are looked
    after at home; but for those some of whom have stayed there. Else the week in which they come must have room for
    them; it is the old one where nights have begun. For a need that the caller has locked, as the matcher. Raises
    `Conflict`.
    """
    stays = False
    remains = has_place or await have_stayed(tx, need_id)
    for row in await lock_live(tx, need_id):
        if row.state == ReferralState.OFFERED or not remains:
            await go(tx, row, ReferralState.WITHDRAWN, ReferralReason.NEED_CHANGED)
            continue
        stays = True
        await _carry(tx, row, terms)
    if not stays and (await tx.execute(_AWAY, {"need": need_id})).scalar_one():
        await bring_home(tx, need_id)
    return stays


async def list_too_far(tx: AsyncConnection, limit: int) -> Sequence[UUID]:
    """Needs that were passed, or are offered, to a town to which their people do not go any more."""
    return sorted({row.need_id for row in await tx.execute(_LIST_TOO_FAR, {"limit": limit})})


async def come_home(tx: AsyncConnection, need_id: UUID) -> bool:
    """End what asks a town to which the people do not go any more; they are looked after at home. Whether anything was.

    Who has a place keeps it, and who has stayed there is looked after there. For a need that the caller has locked, as
    the matcher.
    """
    stayed = await have_stayed(tx, need_id)
    far = [
        row
        for row in await tx.execute(_TOO_FAR_OF, {"need": need_id})
        if row.state == ReferralState.OFFERED or not stayed
    ]
    for row in far:
        await go(tx, row, ReferralState.WITHDRAWN, ReferralReason.NEED_CHANGED)
        if row.state != ReferralState.OFFERED:
            await bring_home(tx, need_id)
    if far:
        await ask_next(tx, need_id)
    return bool(far)


async def _carry(tx: AsyncConnection, row: Row[tuple[object, ...]], terms: NeedTerms) -> None:
    """Count a party in its week as its terms are now, and show them to the partner. Raises `Conflict`."""
    named = {"pact": row.pact_id, "number": row.number, "town": row.to_town_id, "starts": terms.starts}
    pact = (await tx.execute(_TERMS, named)).one()
    before, after = row.adults + row.minors, terms.people.count
    moves = terms.starts != row.starts and not await have_stayed(tx, row.need_id)
    monday = pact.monday if moves else row.week
    state = ReferralState(row.state)
    if monday != row.week:
        fits = await pact_weeks.move(tx, week_of(row), monday, state, (before, after), pact.most)
    else:
        fits = before == after or await pact_weeks.resize(tx, week_of(row), state, after - before, pact.most)
    if not fits:
        raise Conflict("pact_week_is_full", row.state)
    await tx.execute(
        _RESHAPE,
        {
            "id": row.id,
            "adults": terms.people.adults,
            "minors": terms.people.minors,
            "audience": sorted(terms.audience),
            "requires": sorted(terms.requires),
            "starts": terms.starts,
            "ends": terms.ends,
            "week": monday,
        },
    )
