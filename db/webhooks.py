"""The language of webhooks as their organizations speak it: add, list, rotate, enable, remove, test, replay.

What happens to them by itself is in `db.deliveries`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.pages import Page, Place, reading
from db.tables import Webhook as WebhookRow
from db.tables import WebhookDelivery as DeliveryRow
from db.tables.metadata import columns
from matching.delivering import DeliveryState, DisabledFor, Trouble, WebhookState
from matching.refusals import Conflict, NotFound

__all__ = [
    "MOST_EACH",
    "MOST_SECRETS",
    "OLD_SIGNS_FOR",
    "DeliveryFacts",
    "WebhookFacts",
    "add",
    "deliveries",
    "enable",
    "page",
    "read",
    "remove",
    "replay",
    "rotate",
    "test",
]

MOST_EACH: Final = 20
"""Webhooks of one organization."""
OLD_SIGNS_FOR: Final = timedelta(hours=24)
"""How long a secret signs as well after it was replaced: a receiver has so long to take the newest."""
MOST_SECRETS: Final = 5
"""Secrets of a webhook that sign at one time."""


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """A webhook as its organization sees it; `sealed_url` opens with `WebhookKeys`."""

    id: UUID
    sealed_url: bytes
    kinds: tuple[str, ...]
    objects: tuple[str, ...]
    state: WebhookState
    reason: DisabledFor | None
    disabled_at: datetime | None
    generation: int
    rotated_at: datetime | None
    succeeded_at: datetime | None
    failing_since: datetime | None
    try_at: datetime | None
    """When it is tried again, where it fails."""
    waiting: int
    parked: int
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """An event that a webhook has not taken yet."""

    event_id: UUID
    kind: str
    object_id: UUID
    at: datetime
    state: DeliveryState
    since: datetime
    try_at: datetime
    attempts: int
    answered: int | None
    trouble: Trouble | None


_LOCK_ORGANIZATION = text("select pg_advisory_xact_lock(hashtext('webhooks'), hashtext(cast(:organization as text)))")
_COUNT = text("select count(*) from webhook where organization_id = :organization")
_ADD = text("""
    insert into webhook (id, organization_id, url, kinds, objects)
    values (:id, :organization, :url, cast(:kinds as text[]), cast(:objects as text[]))
""")
_SELECT = f"""
    select {columns(WebhookRow, "w")},
           (select count(*) from webhook_delivery d where d.webhook_id = w.id and d.state = 'waiting') as waiting,
           (select count(*) from webhook_delivery d where d.webhook_id = w.id and d.state = 'parked') as parked
      from webhook w where w.organization_id = :organization
"""
_READ = text(_SELECT + " and w.id = :id")
_PAGE = text(
    _SELECT
    + """
       and (cast(:after_at as timestamptz) is null or (w.created_at, w.id) > (:after_at, cast(:after_id as uuid)))
     order by w.created_at, w.id limit :limit
"""
)
_OWN = "where id = :id and organization_id = :organization"
_LOCK = text(f"select state from webhook {_OWN} for no key update")
_LOCK_SECRETS = text(f"""
    select (select count(*) from unnest(retired_at) each where each > now() - cast(:signs as interval)) as former
      from webhook {_OWN} for no key update
""")
_REMOVE = text(f"delete from webhook {_OWN} returning id")
_ROTATE = text(f"""
    update webhook
       set generation = generation + 1, rotated_at = now(), version = version + 1,
           retired_at = array(select each from unnest(retired_at) each
                               where each > now() - cast(:signs as interval) order by each) || now()
    {_OWN}
""")
_ENABLE = text(f"""
    update webhook
       set state = 'active', reason = null, disabled_at = null, failures = 0, failing_since = null, try_at = now(),
           version = version + case when state = 'active' then 0 else 1 end
    {_OWN} returning id
""")
_TEST = text("""
    insert into webhook_delivery (webhook_id, event_id, kind, object_id, at)
    select :id, gen_random_uuid(), 'webhook.test', :id, now()
     where not exists (select from webhook_delivery
                        where webhook_id = :id and kind = 'webhook.test' and state = 'waiting')
""")
_DELIVERIES = text(f"""
    select {columns(DeliveryRow, "d")} from webhook_delivery d join webhook w on w.id = d.webhook_id
     where w.organization_id = :organization and w.id = :id
       and (cast(:state as text) is null or d.state = :state)
       and (cast(:after_at as timestamptz) is null or (d.at, d.event_id) > (:after_at, cast(:after_id as uuid)))
     order by d.at, d.event_id limit :limit
""")
_REPLAY = text("""
    update webhook_delivery set state = 'waiting', since = now(), try_at = now(), failures = 0, leased_until = null
     where webhook_id = :id and state = 'parked' and (cast(:event as uuid) is null or event_id = :event)
""")
_KNOWN = text("""
    select d.id from webhook_delivery d join webhook w on w.id = d.webhook_id
     where w.organization_id = :organization and w.id = :id and d.event_id = :event
""")


async def add(
    tx: AsyncConnection,
    organization_id: UUID,
    webhook_id: UUID,
    sealed_url: bytes,
    kinds: Collection[str],
    objects: Collection[str],
) -> None:
    """A new webhook, told of these kinds (all where none is named) about these objects, from about now on.

    Raises `Conflict` where the organization has as many as it may.
    """
    await tx.execute(_LOCK_ORGANIZATION, {"organization": str(organization_id)})
    if (await tx.execute(_COUNT, {"organization": organization_id})).scalar_one() >= MOST_EACH:
        raise Conflict("too_many_webhooks", "full")
    values = {"kinds": sorted(kinds), "objects": sorted(objects)}
    await tx.execute(_ADD, values | {"id": webhook_id, "organization": organization_id, "url": sealed_url})


async def read(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID) -> WebhookFacts:
    """One webhook of this organization. Raises `NotFound`."""
    row = (await tx.execute(_READ, _named(webhook_id, organization_id))).one_or_none()
    if row is None:
        raise NotFound
    return _facts(row)


async def page(tx: AsyncConnection, organization_id: UUID, after: Place | None, limit: int) -> Page[WebhookFacts]:
    """Webhooks of this organization, oldest first."""
    rows = await tx.execute(_PAGE, {"organization": organization_id, **reading(after, limit)})
    return Page.of([_facts(row) for row in rows], limit, lambda each: Place(each.created_at, each.id))


async def remove(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID) -> None:
    """End a webhook, with all that waits for it. Raises `NotFound`."""
    if (await tx.execute(_REMOVE, _named(webhook_id, organization_id))).one_or_none() is None:
        raise NotFound


async def rotate(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID) -> None:
    """Another secret; those that it replaces one after the other sign as well for a while each.

    Raises `NotFound`, and `Conflict` where as many sign already as may.
    """
    values = _named(webhook_id, organization_id) | {"signs": OLD_SIGNS_FOR}
    row = (await tx.execute(_LOCK_SECRETS, values)).one_or_none()
    if row is None:
        raise NotFound
    if row.former + 1 >= MOST_SECRETS:
        raise Conflict("too_many_secrets", "full")
    await tx.execute(_ROTATE, values)


async def enable(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID) -> None:
    """Tell a webhook of events again, and at once where it was waiting to be tried. Raises `NotFound`."""
    if (await tx.execute(_ENABLE, _named(webhook_id, organization_id))).one_or_none() is None:
        raise NotFound


async def test(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID) -> None:
    """Send it an event that means nothing, unless one is on its way. Raises `NotFound`, `Conflict` where disabled."""
    await _lock_active(tx, webhook_id, organization_id)
    await tx.execute(_TEST, {"id": webhook_id})


async def deliveries(
    tx: AsyncConnection,
    webhook_id: UUID,
    organization_id: UUID,
    state: DeliveryState | None,
    after: Place | None,
    limit: int,
) -> Page[DeliveryFacts]:
    """What a webhook has not taken yet, oldest first. Raises `NotFound`."""
    await read(tx, webhook_id, organization_id)
    values = _named(webhook_id, organization_id) | {"state": state, **reading(after, limit)}
    found = [_delivery(row) for row in await tx.execute(_DELIVERIES, values)]
    return Page.of(found, limit, lambda each: Place(each.at, each.event_id))


async def replay(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID, event_id: UUID | None) -> None:
    """Try what was parked again, all of it or one event; what waits is left as it is.

    Raises `NotFound`, also for an event that does not stand there; `Conflict` where the webhook is disabled.
    """
    named = _named(webhook_id, organization_id)
    if event_id is not None and (await tx.execute(_KNOWN, named | {"event": event_id})).one_or_none() is None:
        raise NotFound
    await _lock_active(tx, webhook_id, organization_id)
    await tx.execute(_REPLAY, {"id": webhook_id, "event": event_id})


async def _lock_active(tx: AsyncConnection, webhook_id: UUID, organization_id: UUID) -> None:
    state = (await tx.execute(_LOCK, _named(webhook_id, organization_id))).scalar_one_or_none()
    if state is None:
        raise NotFound
    if state == WebhookState.DISABLED:
        raise Conflict("webhook_disabled", state)


def _named(webhook_id: UUID, organization_id: UUID) -> dict[str, object]:
    return {"id": webhook_id, "organization": organization_id}


def _facts(row: Row[tuple[object, ...]]) -> WebhookFacts:
    values = row._mapping
    return WebhookFacts(
        id=values["id"],
        sealed_url=values["url"],
        kinds=tuple(values["kinds"]),
        objects=tuple(values["objects"]),
        state=WebhookState(values["state"]),
        reason=DisabledFor(values["reason"]) if values["reason"] else None,
        disabled_at=values["disabled_at"],
        generation=values["generation"],
        rotated_at=values["rotated_at"],
        succeeded_at=values["succeeded_at"],
        failing_since=values["failing_since"],
        try_at=values["try_at"] if values["failures"] else None,
        waiting=values["waiting"],
        parked=values["parked"],
        created_at=values["created_at"],
        version=values["version"],
    )


def _delivery(row: Row[tuple[object, ...]]) -> DeliveryFacts:
    values = row._mapping
    return DeliveryFacts(
        event_id=values["event_id"],
        kind=values["kind"],
        object_id=values["object_id"],
        at=values["at"],
        state=DeliveryState(values["state"]),
        since=values["since"],
        try_at=values["try_at"],
        attempts=values["attempts"],
        answered=values["answered"],
        trouble=Trouble(values["trouble"]) if values["trouble"] else None,
    )
