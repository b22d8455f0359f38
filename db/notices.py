"""What is told through channels: laid out when it is so, claimed, and settled by what came of it.

Never twice: a notice is one row for each channel, happening, and allocation or referral, and who claims it says so in a
transaction of its own before a word is sent. Of a worker that dies in between nobody knows whether it told; it is not
told again. Tried again is only what surely did not arrive.

Whether it may be told is asked when it is claimed, by the database's clock: not in the quiet hours of its organization
(a test at any hour), and only what is still true. So what quiet hours put off is told when they end, or never.

Locks: the channel, then its notices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from matching.notifying import (
    APART,
    FAILING_FOR,
    FRESH_FOR,
    LEAD,
    SCHEDULE,
    Fault,
    Happening,
    NoticeState,
    is_of_the_house,
)

__all__ = ["LEASE", "Claim", "claim", "give_up_lost", "lay_out", "lay_out_confirmed", "not_told", "quiet_at", "told"]

LEASE: Final = timedelta(minutes=3)
"""How long who claims a notice may take; longer than any attempt."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One message in hand: it stands for all notices of its kind that the channel waits for."""

    channel_id: UUID
    kind: str
    sealed: bytes
    happening: Happening
    language: str
    notices: tuple[int, ...]


def quiet_at(instant: str) -> str:
    """In SQL, whether a choice `h` has it quiet at an instant; over midnight, and by whatever its clock shows."""
    clock = f"cast({instant} at time zone h.timezone as time)"
    return f"""coalesce(case when h.quiet_from < h.quiet_until
                             then {clock} >= h.quiet_from and {clock} < h.quiet_until
                             else {clock} >= h.quiet_from or {clock} < h.quiet_until end, false)"""


_AWAITS = """
    a.state = 'held' and not a.awaits_people and a.firm_from <= now() and a.held_until > now()
"""
_EXPIRING = f"""{_AWAITS}
    and a.held_until <= now() + cast(:lead as interval)
    and a.held_until - a.firm_from >= 2 * cast(:lead as interval)
"""
_ASKED: Final = "r.state = 'offered' and r.answer_by > now()"
_STILL_TRUE: Final = f"""
    case n.happening
         when 'test' then true
         when 'asked' then exists (select from referral r where r.id = n.referral_id and {_ASKED})
         when 'confirmed' then n.created_at > now() - cast(:fresh as interval)
              and exists (select from allocation a where a.id = n.allocation_id and a.state in ('confirmed', 'arrived'))
         else exists (select from allocation a where a.id = n.allocation_id and {_AWAITS}) end
"""


def _new(happening: str, condition: str) -> str:
    # Who removes a channel meanwhile is waited for: what is laid out for it would hang in the air.
    return f"""
        select channel_id, allocation_id, '{happening}' from (
            select c.id as channel_id, a.id as allocation_id
              from channel c join allocation a on a.provider_id = c.organization_id
             where c.state = 'active' and '{happening}' = any(c.happenings) and {condition}
               and not exists (select from notice n where n.channel_id = c.id and n.happening = '{happening}'
                                  and n.allocation_id = a.id)
               for key share of c) new
    """


_LAY_OUT = text(f"""
    insert into notice (channel_id, allocation_id, happening)
    {_new("awaits", _AWAITS)} union all {_new("expiring", _EXPIRING)}
    on conflict (channel_id, happening, allocation_id) do nothing
""")
_LAY_OUT_ASKED = text(f"""
    insert into notice (channel_id, referral_id, happening)
    select channel_id, referral_id, 'asked' from (
        select c.id as channel_id, r.id as referral_id
          from referral r join channel c on c.organization_id = r.to_id
         where {_ASKED} and c.state = 'active' and 'asked' = any(c.happenings)
           and not exists (select from notice n where n.channel_id = c.id and n.happening = 'asked'
                              and n.referral_id = r.id)
           for key share of c) new
    on conflict do nothing
""")
# Who confirmed it knows; a house whose yes was given beforehand does not.
_LAY_OUT_CONFIRMED = text("""
    insert into notice (channel_id, allocation_id, happening)
    select channel_id, allocation_id, 'confirmed' from (
        select c.id as channel_id, a.id as allocation_id
          from allocation a join offer o on o.id = a.offer_id
          join channel c on c.organization_id = a.poster_id
                            or (c.organization_id = a.provider_id and o.confirmation = 'standing')
         where a.id = any(cast(:allocations as uuid[])) and a.state = 'confirmed'
           and c.state = 'active' and 'confirmed' = any(c.happenings)
           for key share of c) new
    on conflict (channel_id, happening, allocation_id) do nothing
""")
_MAY_BE_TOLD: Final = f"""
    n.state = 'waiting' and n.try_at <= now() and (n.happening = 'test' or not {quiet_at("now()")})
    and not exists (select from notice r
                     where r.channel_id = n.channel_id and r.happening = n.happening and n.happening <> 'test'
                       and r.state in ('told', 'lost') and r.settled_at > now() - cast(:apart as interval))
"""
# One message in hand of each organization: its twenty slow channels must not take every worker's time from others.
_BUSY: Final = """
    exists (select from notice s join channel b on b.id = s.channel_id
             where b.organization_id = c.organization_id and s.state = 'sending')
"""
# Two workers that look at the same moment see none in hand: the advisory lock has the second leave the organization to
# the first, until that is committed; then `_CLAIM` sees it.
_LOCK_DUE = text(f"""
    with due as materialized (
        select distinct on (c.organization_id) c.id, c.organization_id
          from channel c left join notification_choice h on h.organization_id = c.organization_id
         where c.state = 'active' and c.try_at <= now() and not {_BUSY}
           and exists (select from notice n where n.channel_id = c.id and {_MAY_BE_TOLD})
         order by c.organization_id, random()
    ), few as materialized (select * from due order by random() limit :limit)
    select c.id from channel c join few on few.id = c.id
     where pg_try_advisory_xact_lock(hashtext('notices'), hashtext(cast(few.organization_id as text)))
       for no key update of c skip locked
""")
_DROP_PAST = text(f"""
    update notice n set state = 'past', settled_at = now()
     where n.channel_id = any(cast(:channels as uuid[])) and n.state = 'waiting' and n.try_at <= now()
       and not ({_STILL_TRUE})
""")
# One kind of each channel at a time, the one that has waited longest; a second look finds their organizations busy.
_CLAIM = text(f"""
    with chosen as (
        select distinct on (c.id) c.id as channel_id, n.happening
          from channel c left join notification_choice h on h.organization_id = c.organization_id
          join notice n on n.channel_id = c.id
         where c.id = any(cast(:channels as uuid[])) and c.state = 'active' and not {_BUSY} and {_MAY_BE_TOLD}
         order by c.id, n.try_at, n.id
    ), taken as (
        update notice n set state = 'sending', leased_until = now() + cast(:lease as interval)
          from chosen x
         where n.channel_id = x.channel_id and n.happening = x.happening and n.state = 'waiting' and n.try_at <= now()
        returning n.id, n.channel_id, n.happening
    )
    select c.id, c.kind, c.address, t.happening, coalesce(h.language, 'en') as language,
           array_agg(t.id order by t.id) as notices
      from taken t join channel c on c.id = t.channel_id
      left join notification_choice h on h.organization_id = c.organization_id
     group by c.id, t.happening, h.language
""")
GIVE_UP_LOST = text("""
    update notice set state = 'lost', leased_until = null, settled_at = now()
     where state = 'sending' and leased_until <= now()
    returning channel_id, happening
""")
_LOCK = text("select failing_since, failures from channel where id = :channel for no key update")
_TOLD_BY = text("""
    update channel set told_at = now(), failures = 0, failing_since = null, fault = null where id = :channel
""")
_SETTLE_TOLD = text("""
    update notice set state = 'told', leased_until = null, settled_at = now()
     where id = any(cast(:notices as bigint[])) and state in ('sending', 'lost')
""")
# Each by its own failures: a message may stand for a hold that was just made beside one that failed four times.
_SETTLE_NOT_TOLD = text("""
    with tried as (
        select id, (cast(:schedule as interval[]))[failures + 1] as pause from notice
         where id = any(cast(:notices as bigint[])) and state in ('sending', 'lost')
    )
    update notice n set state = case when :unsure then 'lost' when t.pause is null then 'given_up' else 'waiting' end,
                        leased_until = null, settled_at = now(), failures = failures + 1,
                        try_at = now() + coalesce(t.pause, interval '0')
      from tried t where t.id = n.id
    returning n.state, t.pause
""")
_FAILED_BY = text("""
    update channel
       set failures = failures + 1, fault = :fault, try_at = now() + coalesce(cast(:pause as interval), interval '0'),
           failing_since = case when :of_the_house then failing_since else coalesce(failing_since, now()) end
     where id = :channel
""")
_PAUSE = text("""
    update channel set state = 'paused', reason = 'failing', version = version + 1
     where id = :channel and state = 'active' and failing_since <= now() - cast(:failing as interval)
""")


async def lay_out(tx: AsyncConnection) -> None:
    """Write down what there is to tell, once for each channel: holds that wait or run out soon, partners that ask."""
    await tx.execute(_LAY_OUT, {"lead": LEAD})
    await tx.execute(_LAY_OUT_ASKED)


async def lay_out_confirmed(tx: AsyncConnection, allocations: Sequence[UUID]) -> None:
    """The same of allocations that were confirmed."""
    if allocations:
        await tx.execute(_LAY_OUT_CONFIRMED, {"allocations": list(allocations)})


async def claim(tx: AsyncConnection, limit: int) -> list[Claim]:
    """At most `limit` messages that may be told now, one of an organization; they are this worker's, and for ever."""
    apart = {"apart": APART}
    channels = list((await tx.execute(_LOCK_DUE, {"limit": limit} | apart)).scalars())
    if not channels:
        return []
    await tx.execute(_DROP_PAST, {"channels": channels, "fresh": FRESH_FOR})
    rows = await tx.execute(_CLAIM, {"channels": channels, "lease": LEASE} | apart)
    return [
        Claim(row.id, row.kind, row.address, Happening(row.happening), row.language, tuple(row.notices)) for row in rows
    ]


async def give_up_lost(tx: AsyncConnection) -> list[Happening]:
    """Settle what a worker that died had in hand: nobody knows whether it was told. Of what each message was."""
    rows = await tx.execute(GIVE_UP_LOST)
    return [Happening(happening) for _, happening in {(row.channel_id, row.happening) for row in rows}]


async def told(tx: AsyncConnection, claimed: Claim) -> None:
    """The channel took it."""
    await tx.execute(_TOLD_BY, {"channel": claimed.channel_id})
    await tx.execute(_SETTLE_TOLD, {"notices": list(claimed.notices)})


async def not_told(tx: AsyncConnection, claimed: Claim, fault: Fault) -> NoticeState:
    """It did not arrive, or nobody knows: what surely did not is tried again by the schedule.

    How the message ended: `waiting` where any notice of it is tried again. A channel that failed, and by which nothing
    arrived for days, is paused when a notice is given up; not where it is the house that fails.
    """
    await tx.execute(_LOCK, {"channel": claimed.channel_id})
    values = {"notices": list(claimed.notices), "schedule": list(SCHEDULE), "unsure": fault is Fault.UNSURE}
    rows = (await tx.execute(_SETTLE_NOT_TOLD, values)).all()
    ends = {NoticeState(row.state) for row in rows}
    pause = min((row.pause for row in rows if row.state == NoticeState.WAITING), default=None)
    ours = is_of_the_house(claimed.kind, fault)
    failed = {"channel": claimed.channel_id, "fault": fault.value, "pause": pause, "of_the_house": ours}
    await tx.execute(_FAILED_BY, failed)
    if NoticeState.GIVEN_UP in ends and not ours:
        await tx.execute(_PAUSE, {"channel": claimed.channel_id, "failing": FAILING_FOR})
    if NoticeState.WAITING in ends:
        return NoticeState.WAITING
    return NoticeState.GIVEN_UP if NoticeState.GIVEN_UP in ends else NoticeState.LOST
