"""Webhooks as tests set them up: an organization with one, events for it, and a worker's look until something is so."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from db import events, webhooks
from db.connection import transaction
from db.laying_out import lay_out
from db.roles import Role
from db.settings import Settings
from db.webhook_keys import WebhookKeys
from tests.acting import in_role
from tests.builders import add_organization
from tests.db.acts import Fact, one, rows
from tests.waiting import eventually
from worker.outbound import Outbound
from worker.webhooks import Webhooks

__all__ = ["Hook", "add_hook", "happen", "laid_out", "let_it_be_due", "look_until", "teller", "waiting"]

ALL = frozenset({"need", "allocation", "offer", "site", "pledge", "shift", "webhook"})


@dataclass(frozen=True)
class Hook:
    """A webhook, whose it is, and its secrets by generation."""

    id: UUID
    organization_id: UUID
    keys: WebhookKeys

    def secret(self, generation: int = 1) -> str:
        """One of its secrets."""
        return self.keys.secret(self.id, generation)


async def add_hook(
    engine: AsyncEngine,
    settings: Settings,
    url: str,
    kinds: Iterable[str] = (),
    objects: Iterable[str] = ALL,
    organization_id: UUID | None = None,
) -> Hook:
    """A webhook of an organization, a new one unless told otherwise."""
    hook_id, keys = uuid4(), WebhookKeys.of(settings.keys())
    async with transaction(engine) as tx:
        owner = organization_id or await add_organization(tx)
        await webhooks.add(tx, owner, hook_id, keys.seal(hook_id, url), list(kinds), list(objects))
    return Hook(hook_id, owner, keys)


def teller(engine: AsyncEngine, settings: Settings, outbound: Outbound, side_by_side: int = 20) -> Webhooks:
    """What the worker tells webhooks with."""
    return Webhooks(in_role(engine, Role.MATCHER), settings.keys(), outbound, side_by_side)


async def happen(engine: AsyncEngine, organization_id: UUID, thing: UUID, kind: str = "need.changed") -> None:
    """Something happened to an object that an organization may hear of."""
    async with transaction(engine) as tx:
        await events.record(tx, kind, thing, [organization_id])


async def look_until(tells: Webhooks, so: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Look, as the worker does, until something is so and all that was begun is done."""

    async def look() -> bool:
        await tells.look()
        return so()

    await eventually(look, what, seconds)
    await tells.leave()


async def waiting(engine: AsyncEngine, state: str = "waiting") -> list[Fact]:
    """Deliveries in a state, in order; `pause` is how long until it is tried again."""
    return await rows(
        engine,
        "select d.*, d.try_at - coalesce(d.tried_at, d.since) as pause from webhook_delivery d where state = :state"
        " order by id",
        state=state,
    )


async def laid_out(engine: AsyncEngine, settings: Settings, thing: UUID) -> None:
    """What happened to an object waits for its webhook: whatever ran beside it, in any database, has ended."""

    async def there() -> bool:
        async with transaction(in_role(engine, Role.MATCHER)) as tx:
            await lay_out(tx, settings.keys().of("event"), 500)
        return any(each.object_id == thing for each in await waiting(engine))

    await eventually(there, "it is laid out")


async def let_it_be_due(engine: AsyncEngine) -> timedelta:
    """So much time passes that the webhook is tried again: how much that is, from its last failure."""
    row = await one(engine, "select max(w.try_at - d.tried_at) as pause from webhook w join webhook_delivery d on true")
    await rows(engine, "update webhook set try_at = least(try_at, now())")
    await rows(engine, "update webhook_delivery set try_at = least(try_at, now())")
    pause = row.pause
    return pause if isinstance(pause, timedelta) else timedelta()
