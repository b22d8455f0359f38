"""What is laid out for webhooks: claimed, and settled by what came of it.

A claim is a lease in the row: no transaction is open while somebody is spoken to, and what a worker that died had in
hand is claimed again when its lease is over. Of one object a webhook is told in order, one event after the other. A
webhook that fails is tried with one event at a time, by a pause of its own, whatever waits for it.

Locks: the webhook, then its deliveries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events
from db.tables import WebhookDelivery as DeliveryRow
from db.tables.metadata import columns
from db.webhooks import OLD_SIGNS_FOR
from matching.delivering import DisabledFor, Trouble, pause_after

__all__ = ["LEASE", "Claim", "Failure", "claim", "disable_gone", "put_off", "taken"]

LEASE: Final = timedelta(seconds=60)
"""How long who claims a delivery has it; longer than any attempt."""
_EACH: Final = 4
"""Deliveries to one webhook at the same time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery in hand: what to tell, where, and with which secrets it is signed, newest first."""

    id: int
    webhook_id: UUID
    sealed_url: bytes
    generations: tuple[int, ...]
    event_id: UUID
    kind: str
    object_id: UUID
    at: datetime
    facts: Mapping[str, str | int]
    leased_until: datetime
    known_failures: int
    """Failures in a row of the webhook when it was claimed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of a delivery that was not taken: the answer's status, if any, and the pause that it asked for."""

    trouble: Trouble
    answered: int | None = None
    asked: timedelta | None = None


_READY = """
    d.webhook_id = w.id and d.state = 'waiting' and d.try_at <= now()
    and coalesce(d.leased_until <= now(), true)
    and not exists (select from webhook_delivery e
                     where e.webhook_id = d.webhook_id and e.object_id = d.object_id and e.state = 'waiting'
                       and e.id < d.id)
"""
_LOCK_DUE = text(f"""
    select w.id from webhook w
     where w.state = 'active' and w.try_at <= now()
       and exists (select from webhook_delivery d where {_READY})
     order by random() limit :limit for no key update skip locked
""")
# A webhook that fails is tried with what was not tried for the longest time: one event that it never takes must not
# stand for all others.
_CLAIM = text(f"""
    with room as (
        select w.*, case when w.failures > 0 then 1 else {_EACH} end
                    - (select count(*) from webhook_delivery g
                        where g.webhook_id = w.id and g.state = 'waiting' and g.leased_until > now()) as free
          from webhook w where w.id = any(cast(:webhooks as uuid[]))
    ), chosen as (
        (select d.id from room w cross join lateral (
             select d.id from webhook_delivery d where {_READY} order by d.id limit greatest(w.free, 0)) d
          where w.failures = 0)
        union all
        (select d.id from room w cross join lateral (
             select d.id from webhook_delivery d where {_READY}
              order by d.tried_at nulls first, d.id limit greatest(w.free, 0)) d
          where w.failures > 0)
        limit :limit
    )
    update webhook_delivery d set leased_until = now() + cast(:lease as interval)
      from chosen c, webhook w
     where d.id = c.id and w.id = d.webhook_id
    returning {columns(DeliveryRow, "d")}, w.url, w.generation, w.failures as known_failures,
              least(w.generation - 1, greatest(
                  (select count(*) from unnest(w.retired_at) each where each > now() - cast(:signs as interval)),
                  -- Where code of before has rotated it, that is all that is known.
                  case when w.rotated_at > now() - cast(:signs as interval) then 1 else 0 end)) as former
""")
_TAKEN_BY = text("""
    update webhook set succeeded_at = now(), failures = 0, failing_since = null, try_at = now()
     where id = :webhook
       and (failing_since is not null or coalesce(succeeded_at < now() - interval '10 seconds', true))
""")
_TAKEN = text("delete from webhook_delivery where id = :id")
_LOCK = text("""
    select organization_id, state, failures, failing_since from webhook where id = :webhook for no key update
""")
# Those that were parked since it took the last one count as well.
_OTHERS_FAILED = text("""
    select exists (select from webhook_delivery where webhook_id = :webhook and id <> :id and tried_at >= :since)
""")
_GO_ON = text("update webhook set failures = 0, try_at = now() where id = :webhook")
_LOCK_DELIVERY = text("""
    select failures from webhook_delivery
     where id = :id and state = 'waiting' and leased_until = :leased_until for no key update
""")
_REST = text("""
    update webhook set failures = :failures, failing_since = coalesce(failing_since, now()),
                       try_at = greatest(try_at, now() + cast(:pause as interval))
     where id = :webhook
""")
_PUT_OFF = text("""
    update webhook_delivery d
       set attempts = attempts + 1, failures = :failures, tried_at = now(), leased_until = null,
           answered = :answered, trouble = :trouble,
           state = case when :parked then 'parked' else 'waiting' end,
           since = case when :parked then now() else since end,
           try_at = case when cast(:pause as interval) is null then (select try_at from webhook where id = d.webhook_id)
                         else now() + cast(:pause as interval) end
     where id = :id
""")
_DISABLE = text("""
    update webhook set state = 'disabled', reason = :reason, disabled_at = now(), version = version + 1
     where id = :webhook
""")
_PARK = text("""
    update webhook_delivery set state = 'parked', since = now(), leased_until = null
     where webhook_id = :webhook and state = 'waiting'
""")


async def claim(tx: AsyncConnection, limit: int) -> list[Claim]:
    """At most `limit` deliveries that are due, for as long as `LEASE`."""
    webhooks = list((await tx.execute(_LOCK_DUE, {"limit": limit})).scalars())
    if not webhooks:
        return []
    values = {"webhooks": webhooks, "limit": limit, "lease": LEASE, "signs": OLD_SIGNS_FOR}
    return [_claimed(row) for row in await tx.execute(_CLAIM, values)]


async def taken(tx: AsyncConnection, claimed: Claim) -> None:
    """The webhook has it: nothing of the delivery is kept."""
    await tx.execute(_TAKEN_BY, {"webhook": claimed.webhook_id})
    await tx.execute(_TAKEN, {"id": claimed.id})


async def put_off(tx: AsyncConnection, claimed: Claim, failure: Failure, lot: float) -> None:
    """It was not taken: it is tried again by the schedule, or parked; a webhook that takes nothing at all is disabled.

    `lot` is drawn from 0 to 1. What fails while the whole webhook does is not held against the single event; nor is a
    single event, where no other was tried all that time, held against the webhook.
    """
    webhook = (await tx.execute(_LOCK, {"webhook": claimed.webhook_id})).one_or_none()
    held = {"id": claimed.id, "leased_until": claimed.leased_until}
    delivery = (await tx.execute(_LOCK_DELIVERY, held)).one_or_none()
    if webhook is None or delivery is None:
        return
    # Of several that failed side by side the first counts: they say the same.
    first = webhook.failures == claimed.known_failures
    failures = webhook.failures + 1
    rest = pause_after(failures, lot, failure.asked)
    if rest is not None and first:
        await tx.execute(_REST, {"webhook": claimed.webhook_id, "failures": failures, "pause": rest})
    over = rest is None and first
    alone = over and not await _others_failed(tx, claimed, webhook.failing_since)
    own = delivery.failures + (claimed.known_failures == 0)
    pause = pause_after(own, lot, failure.asked) if claimed.known_failures == 0 else None
    values = {
        "id": claimed.id,
        "failures": own,
        "answered": failure.answered,
        "trouble": failure.trouble,
        "parked": alone or (claimed.known_failures == 0 and pause is None),
        "pause": pause,
    }
    await tx.execute(_PUT_OFF, values)
    if alone:
        await tx.execute(_GO_ON, {"webhook": claimed.webhook_id})
    elif over:
        await _disable(tx, webhook, claimed.webhook_id, DisabledFor.FAILING)


async def disable_gone(tx: AsyncConnection, claimed: Claim) -> None:
    """It answered that it is gone: it is told of nothing more until its organization says so."""
    webhook = (await tx.execute(_LOCK, {"webhook": claimed.webhook_id})).one_or_none()
    if webhook is not None:
        await _disable(tx, webhook, claimed.webhook_id, DisabledFor.GONE)


async def _others_failed(tx: AsyncConnection, claimed: Claim, since: datetime) -> bool:
    """Whether others than this one were tried since the webhook took the last."""
    values = {"webhook": claimed.webhook_id, "id": claimed.id, "since": since}
    return bool((await tx.execute(_OTHERS_FAILED, values)).scalar_one())


async def _disable(
    tx: AsyncConnection, webhook: Row[tuple[object, ...]], webhook_id: UUID, reason: DisabledFor
) -> None:
    if webhook.state != "active":
        return
    await tx.execute(_DISABLE, {"webhook": webhook_id, "reason": reason})
    await tx.execute(_PARK, {"webhook": webhook_id})
    await events.record(tx, "webhook.disabled", webhook_id, [webhook.organization_id], reason=reason)


def _claimed(row: Row[tuple[object, ...]]) -> Claim:
    values = row._mapping
    newest = values["generation"]
    return Claim(
        id=values["id"],
        webhook_id=values["webhook_id"],
        sealed_url=values["url"],
        generations=tuple(range(newest, newest - values["former"] - 1, -1)),
        event_id=values["event_id"],
        kind=values["kind"],
        object_id=values["object_id"],
        at=values["at"],
        facts=values["facts"],
        leased_until=values["leased_until"],
        known_failures=values["known_failures"],
    )
