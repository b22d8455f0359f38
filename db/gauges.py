"""How the whole house is doing, in figures: read in one bounded statement, for those who watch and for `relais doctor`.

Counts and ages alone: nothing that names an organization, a place or a need.
"""

from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Gauges", "read"]

LATEST_EVENTS: Final = 10_000
"""So many events are looked at for those that no feed may show yet."""
# Only needs that live are counted one by one; what is ended is left to retention.
_READ: Final = text("""
    with live as materialized (
        select state, look_at, parked_at from need
         where state in ('open', 'held', 'referred', 'unmet') and ended_at is null
    ), due as (
        select look_at from live where state <> 'held' and parked_at is null and look_at <= now()
    ), fenced as (
        select at from (select at, transaction from event order by id desc limit :events) newest
         where transaction >= pg_snapshot_xmin(pg_current_snapshot())
    ), told as (
        select count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'parked') as parked,
               min(since) filter (where state = 'waiting') as oldest
          from webhook_delivery
    ), last as (
        select decided_at, seconds, (bound - objective) / nullif(abs(bound), 0) as gap
          from round order by decided_at desc limit 1
    )
    select (select count(*) from due) as needs_due,
           (select extract(epoch from now() - min(look_at)) from due) as oldest_due_seconds,
           (select count(*) from live where state = 'open') as needs_open,
           (select count(*) from live where state = 'held') as needs_held,
           (select count(*) from live where state = 'unmet') as needs_unmet,
           (select count(*) from live where parked_at is not null and state <> 'held') as needs_parked,
           (select count(*) from allocation where state = 'held' and held_until > now()
               and held_until <= now() + interval '10 minutes') as holds_near_deadline,
           (select extract(epoch from now() - min(held_until)) from allocation
             where state = 'held' and held_until <= now()) as oldest_overdue_hold_seconds,
           (select count(*) from capacity_news) as capacity_news,
           (select count(*) from audit_pending) as acts_unlinked,
           (select extract(epoch from now() - min(at)) from audit_pending) as oldest_unlinked_act_seconds,
           (select extract(epoch from now() - min(at)) from fenced) as feed_lag_seconds,
           (select waiting from told) as deliveries_waiting,
           (select parked from told) as deliveries_parked,
           (select extract(epoch from now() - oldest) from told) as oldest_delivery_seconds,
           (select count(*) from notice n join channel c on c.id = n.channel_id
             where n.state in ('waiting', 'sending') and c.state = 'active') as notices_waiting,
           (select count(*) from channel where state = 'paused' and reason = 'failing') as channels_failing,
           (select extract(epoch from now() - decided_at) from last) as last_round_age_seconds,
           (select seconds from last) as last_round_seconds,
           (select gap from last) as last_round_gap
""")


@dataclass(frozen=True, slots=True)
class Gauges:
    """The figures of a moment; ages in seconds, 0 where there is nothing that has one."""

    needs_due: float
    """Needs that the matching is to look at now."""
    oldest_due_seconds: float
    """How long the oldest of them has been due."""
    needs_open: float
    needs_held: float
    needs_unmet: float
    needs_parked: float
    """Needs that the matching gave up on until somebody looks."""
    holds_near_deadline: float
    """Holds that end within ten minutes unless somebody confirms."""
    oldest_overdue_hold_seconds: float
    """How long ago the oldest hold that still stands should have ended."""
    capacity_news: float
    """Word of new places that the worker has not read."""
    acts_unlinked: float
    """Acts that are not linked to their chain of the audit."""
    oldest_unlinked_act_seconds: float
    feed_lag_seconds: float
    """Age of the oldest event that no feed may show yet, because an older transaction still runs."""
    deliveries_waiting: float
    """Events that webhooks have not taken yet."""
    deliveries_parked: float
    """Events that they were told of for three days in vain."""
    oldest_delivery_seconds: float
    notices_waiting: float
    """Notices that wait to be told by a channel, those that quiet hours put off too."""
    channels_failing: float
    """Channels that were paused because nothing arrived by them for days."""
    last_round_age_seconds: float
    last_round_seconds: float
    last_round_gap: float
    """Share of the bound by which the last round's plan may be below the best there is."""


async def read(tx: AsyncConnection) -> Gauges:
    """The figures of now, for whoever sees all rows."""
    row = (await tx.execute(_READ, {"events": LATEST_EVENTS})).one()
    return Gauges(**{each.name: float(getattr(row, each.name) or 0) for each in fields(Gauges)})
