"""Channels as tests set them up: an organization with one, holds that await its word, and a worker's look."""

from collections.abc import Iterable
from uuid import UUID, uuid4

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from db import channels
from db.connection import transaction
from db.roles import Role
from db.sealing import Sealing
from db.settings import Settings
from matching.notifying import CHOSEN, Happening, kind_of_address
from matching.vocabulary import OrganizationKind
from tests.acting import in_role
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import Fact, hold, rows
from tests.waiting import eventually
from worker.mail import MailServer
from worker.notices import Notices, Tellers

__all__ = ["ADDRESS", "URL", "add_channel", "all_notices", "be_due", "held", "look_until_settled", "noticer"]

ADDRESS = "night@town-hall.example.org"
URL = "https://relais.example.org/console"


def noticer(
    engine: AsyncEngine, settings: Settings, server: MailServer | None, registry: CollectorRegistry | None = None
) -> Notices:
    """What the worker tells channels with."""
    sealing = Sealing(settings.keys().of("channel-address"))
    tellers = Tellers(server, frozenset(), URL)
    return Notices(in_role(engine, Role.MATCHER), sealing, tellers, registry or CollectorRegistry())


async def add_channel(
    engine: AsyncEngine,
    settings: Settings,
    organization_id: UUID,
    address: str = ADDRESS,
    happenings: Iterable[Happening] = CHOSEN,
) -> UUID:
    """A channel of an organization."""
    channel_id = uuid4()
    sealed = Sealing(settings.keys().of("channel-address")).seal(channel_id, address)
    async with transaction(engine) as tx:
        kind = kind_of_address(address) or "unknown"
        await channels.add(tx, organization_id, channel_id, kind, sealed, list(happenings))
    return channel_id


async def held(engine: AsyncEngine, holds: int = 1, people: int = 1) -> tuple[UUID, UUID, list[UUID]]:
    """Holds that await a word: whose it is, who posted, and the allocations."""
    async with transaction(engine) as tx:
        provider = await add_organization(tx)
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
        await add_offer(tx, provider, capacity=50)
        parties = [await add_need(tx, poster, people=people) for _ in range(holds)]
    made = [allocation for party in parties for allocation in await hold(engine, party)]
    assert len(made) == holds
    return provider, poster, made


async def all_notices(engine: AsyncEngine) -> list[Fact]:
    """Everything that was laid out, in order; `pause` is until when it waits."""
    return await rows(engine, "select *, try_at - coalesce(settled_at, created_at) as pause from notice order by id")


async def look_until_settled(engine: AsyncEngine, tells: Notices) -> list[Fact]:
    """Look, as the worker does, until nothing is in hand: then what there is."""
    await tells.look()

    async def still() -> bool:
        return all(each.state != "sending" for each in await all_notices(engine))

    await eventually(still, "what was begun has ended")
    await tells.leave()
    return await all_notices(engine)


async def be_due(engine: AsyncEngine) -> None:
    """What waits for another try may have it now."""
    await rows(engine, "update notice set try_at = now()")
    await rows(engine, "update channel set try_at = now()")
