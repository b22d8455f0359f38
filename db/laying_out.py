"""From the feed to webhooks: events are laid out for those that want them, in order, by one worker at a time.

What was confirmed is laid out for channels as well (`db.notices`).

A delivery for each webhook that wants the event, and the place in the feed moved on, in one transaction: none is
passed over, and none is laid out twice.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import feed, notices
from db.feed import FeedEvent, Mark
from matching.refusals import FeedBroken

__all__ = ["lay_out"]


@dataclass(frozen=True, slots=True)
class _Listener:
    id: UUID
    organization_id: UUID
    kinds: frozenset[str]
    objects: frozenset[str]

    def hears(self, event: FeedEvent, organizations: Collection[UUID]) -> bool:
        thing = event.kind.partition(".")[0]
        wanted = not self.kinds or event.kind in self.kinds or thing in self.kinds
        return self.organization_id in organizations and thing in self.objects and wanted


_PLACE = text("""
    select cast(cast(place.transaction as text) as bigint) as transaction, place.event_id as number,
           (select event_id from feed_mark where name = 'webhooks_era') as era
      from feed_mark place where place.name = 'webhooks' for update skip locked
""")
_MOVE_ON = text("""
    update feed_mark
       set transaction = case name when 'webhooks' then cast(cast(:transaction as text) as xid8) else transaction end,
           event_id = case name when 'webhooks' then cast(:number as bigint) else cast(:era as bigint) end
     where name in ('webhooks', 'webhooks_era')
""")
# Who removes one meanwhile is waited for: what is laid out for it would hang in the air.
_LISTENERS = text("""
    select id, organization_id, kinds, objects from webhook
     where state = 'active' and organization_id = any(cast(:organizations as uuid[]))
     order by id for key share
""")
_LAY_OUT = text("""
    insert into webhook_delivery (webhook_id, event_id, kind, object_id, at, facts)
    select webhook_id, event_id, kind, object_id, at, cast(facts as jsonb)
      from unnest(cast(:webhooks as uuid[]), cast(:events as uuid[]), cast(:kinds as text[]), cast(:objects as uuid[]),
                  cast(:ats as timestamptz[]), cast(:facts as text[]))
           with ordinality as new (webhook_id, event_id, kind, object_id, at, facts, turn)
     order by turn
    on conflict (webhook_id, event_id) do nothing
""")
_SAY_BROKEN = text("""
    insert into webhook_delivery (webhook_id, event_id, kind, object_id, at)
    select id, gen_random_uuid(), 'feed.broken', id, now() from webhook where state = 'active' order by id
""")


async def lay_out(tx: AsyncConnection, event_key: bytes, limit: int) -> bool:
    """Lay the next events out for the webhooks that want them, and move on. Whether there is more at once.

    Nothing happens while another worker does it. Where the feed does not go on from the last place (a backup was
    restored, or nobody looked for longer than events are kept), each webhook is told `feed.broken` instead.
    """
    row = (await tx.execute(_PLACE)).one_or_none()
    if row is None:
        return False
    place = Mark(row.era, row.transaction, row.number)
    try:
        page = await feed.read_for_all(tx, place, limit)
    except FeedBroken:
        await tx.execute(_SAY_BROKEN)
        await _move_on(tx, await feed.now(tx))
        return True
    if page.events:
        await _lay_out(tx, page.events, event_key)
        confirmed = [event.object_id for event, _ in page.events if event.kind == "allocation.confirmed"]
        await notices.lay_out_confirmed(tx, confirmed)
        await _move_on(tx, page.next)
    return page.more


async def _lay_out(
    tx: AsyncConnection, happened: Sequence[tuple[FeedEvent, tuple[UUID, ...]]], event_key: bytes
) -> None:
    concerned = sorted({each for _, organizations in happened for each in organizations})
    listeners = [
        _Listener(row.id, row.organization_id, frozenset(row.kinds), frozenset(row.objects))
        for row in await tx.execute(_LISTENERS, {"organizations": concerned})
    ]
    new = [
        (listener.id, event)
        for event, organizations in happened
        for listener in listeners
        if listener.hears(event, organizations)
    ]
    if not new:
        return
    values = {
        "webhooks": [webhook_id for webhook_id, _ in new],
        "events": [event.id(event_key) for _, event in new],
        "kinds": [event.kind for _, event in new],
        "objects": [event.object_id for _, event in new],
        "ats": [event.at for _, event in new],
        "facts": [json.dumps(event.facts) for _, event in new],
    }
    await tx.execute(_LAY_OUT, values)


async def _move_on(tx: AsyncConnection, to: Mark) -> None:
    await tx.execute(_MOVE_ON, {"transaction": str(to.transaction), "number": to.number, "era": to.era})
