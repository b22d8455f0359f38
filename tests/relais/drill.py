"""A house with backups of its own, in which people act while moments are noted down, to be restored one by one."""

import asyncio
import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import feed, needs
from db.connection import connect, transaction
from db.migrations import upgrade
from db.retention import purge
from db.roles import Role
from db.settings import Settings
from db.terms import Terms
from matching.states import AllocationState
from relais.backups.backing_up import back_up
from relais.backups.places import Places
from relais.backups.restoring import Aside
from relais.backups.settings import BackupSettings
from relais.embedded import running_stack
from relais.embedded.choosing import Programs
from relais.embedded.users import server_user
from tests.builders import add_need, add_offer, add_organization
from tests.conftest import ROOT
from tests.db.acts import answer, hold, one, rows
from tests.places import add_towns

__all__ = ["Act", "House", "Told", "evening_of_acts", "programs"]

_NO_REDIS = "redis://127.0.0.1:1/0"
_SIDE_BY_SIDE = 4


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was acknowledged: what should be in the database from `after` on and is not before `before`."""

    before: datetime
    after: datetime
    need: UUID
    allocation: UUID | None = None


@dataclass(slots=True)
class Told:
    """What people were told, the moments that were noted, and what was purged after the last of them."""

    acts: list[Act] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    purged: frozenset[UUID] = frozenset()
    tombstones: frozenset[bytes] = frozenset()
    era: int = 0


@dataclass(frozen=True, slots=True)
class House:
    """A house in a folder of its own: where it has its backups, and its keys."""

    places: Places
    keys: Settings

    @classmethod
    def new(cls, folder: Path) -> "House":
        """One that was never started, with new keys."""
        (folder / "secret").write_bytes(secrets.token_bytes(32))
        (folder / "address-key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
        places = Places(folder / "house", BackupSettings(), programs(), lambda _: None)
        return cls(places, _settings("postgresql+asyncpg://nobody@127.0.0.1/none", folder))

    @property
    def folder(self) -> Path:
        """Where everything of it lies."""
        return self.keys.secret_file.parent

    @contextmanager
    def running(self) -> Iterator[Settings]:
        """Its server, for as long as the block runs."""
        with running_stack(
            self.places.root, tell=print, packages=ROOT / ".relais" / "packages", redis_url=_NO_REDIS
        ) as stack:
            yield _settings(stack.database_url, self.folder)

    @contextmanager
    def restored(self, root: Path) -> Iterator[Settings]:
        """The server of what was restored to `root`."""
        with Aside(root, server_user(root), self.places.programs).running() as server:
            yield _settings(server.url, self.folder)


def programs() -> Programs:
    """The programs of the tests, shared with their own stack."""
    return Programs(ROOT / ".relais" / "packages", print)


async def evening_of_acts(house: House, settings: Settings, seed: int, *, acts: int, moments: int) -> Told:
    """Back up, let people act side by side with moments noted at random among it, then purge some of what was there."""
    engine = connect(settings, "drill")
    told, chance = Told(), Random(seed)  # noqa: S311 - an evening must be the same each time
    await upgrade(engine)
    async with transaction(engine) as tx:
        await add_towns(tx)
        town_hall, poster = await add_organization(tx), await add_organization(tx)
        for _ in range(3):
            await add_offer(tx, town_hall, capacity=acts)
    await back_up(house.places, engine, settings)
    noted = sorted(chance.sample(range(1, acts), moments))
    left = iter(range(acts))

    async def somebody() -> None:
        for number in left:
            if number in noted:
                told.moments.append(await _clock(engine))
            await _act(engine, told, town_hall, poster, chance)

    # Who is there at every moment, and purged after the last.
    await _act(engine, told, town_hall, poster, chance)
    first = told.acts[0].need
    await asyncio.gather(*(somebody() for _ in range(_SIDE_BY_SIDE)))
    told.purged = frozenset({first})
    told.tombstones = await _purge(engine, settings, poster, first)
    await _act(engine, told, town_hall, poster, chance)
    async with transaction(engine) as tx:
        told.era = (await feed.now(tx)).era
    await engine.dispose()
    return told


async def _act(engine: AsyncEngine, told: Told, town_hall: UUID, poster: UUID, chance: Random) -> None:
    before = await _clock(engine)
    async with transaction(engine) as tx:
        need_id = await add_need(tx, poster, people=chance.randint(1, 3), nights=chance.randint(1, 2))
    told.acts.append(Act(before, await _clock(engine), need_id))
    before = await _clock(engine)
    for allocation in await hold(engine, need_id):
        if chance.random() < 0.6:
            await answer(engine, allocation, town_hall, AllocationState.CONFIRMED)
            told.acts.append(Act(before, await _clock(engine), need_id, allocation))
        elif chance.random() < 0.3:
            await answer(engine, allocation, town_hall, AllocationState.DECLINED)


async def _purge(engine: AsyncEngine, settings: Settings, poster: UUID, need_id: UUID) -> frozenset[bytes]:
    """The need ends, its term passes, and it is purged: the tombstones there are."""
    async with transaction(engine) as tx:
        await needs.withdraw(tx, need_id, poster)
    await rows(engine, "update need set ended_at = now() - interval '4 days' where id = :id", id=need_id)
    terms = Terms(**settings.model_dump(include={"database_url", "secret_file", "address_key_file"}))
    matching = connect(settings, "drill", Role.MATCHER)
    await purge(matching, terms)
    await matching.dispose()
    assert not (await one(engine, "select count(*) as n from need where id = :id", id=need_id)).n
    async with transaction(engine) as tx:
        return frozenset((await tx.execute(text("select name from tombstone"))).scalars())


async def _clock(engine: AsyncEngine) -> datetime:
    now: datetime = (await one(engine, "select clock_timestamp() as now")).now
    return now


def _settings(database_url: str, folder: Path) -> Settings:
    return Settings(database_url=database_url, secret_file=folder / "secret", address_key_file=folder / "address-key")
