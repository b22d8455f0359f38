"""Several workers on one backlog: each looks at other needs, and none is left out."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import seekers
from db.bell import Bell
from db.connection import transaction
from db.roles import Role
from db.seekers import Seeker
from db.settings import Settings
from matching.policy import Policy
from matching.vocabulary import OrganizationKind
from tests.acting import in_role
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import one
from worker.matching_round import AT_ONCE, look_for_places

_NEEDS = 250
_WORKERS = 3


class Claims:
    """Counts claims of needs that were another worker's."""

    def __init__(self) -> None:
        self.in_vain = 0
        self._claim = seekers.claim

    async def claim(self, tx: AsyncConnection, need_id: UUID, policy: Policy) -> Seeker | None:
        """The claim itself."""
        claimed = await self._claim(tx, need_id, policy)
        self.in_vain += claimed is None
        return claimed


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Claims:
    claims = Claims()
    monkeypatch.setattr(seekers, "claim", claims.claim)
    return claims


async def test_workers_do_not_walk_behind_each_other(engine: AsyncEngine, settings: Settings, claims: Claims) -> None:
    await _backlog(engine)
    await _work_off(engine, settings)
    print(f"{claims.in_vain} claims in vain, {_NEEDS} needs")
    assert claims.in_vain < _NEEDS / 2


async def test_without_going_on_elsewhere_each_would_try_what_the_others_have(
    engine: AsyncEngine, settings: Settings, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    monkeypatch.setattr("worker.matching_round._Listed.go_on_elsewhere", lambda _: None)
    await _backlog(engine)
    await _work_off(engine, settings)
    print(f"{claims.in_vain} claims in vain, {_NEEDS} needs")
    assert claims.in_vain > _NEEDS


async def _backlog(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx), capacity=_NEEDS)
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
        for _ in range(_NEEDS):
            await add_need(tx, poster, people=1)


async def _work_off(engine: AsyncEngine, settings: Settings) -> None:
    """Several workers' looks, side by side, until each finds nothing more: then every need has a place."""
    matching, bell, stopping = in_role(engine, Role.MATCHER), Bell(settings), asyncio.Event()

    async def look_again_and_again() -> None:
        while await look_for_places(matching, bell, 2, 5, lambda: None, stopping) == AT_ONCE:
            pass

    await asyncio.gather(*(look_again_and_again() for _ in range(_WORKERS)))
    assert (await one(engine, "select count(*) as n from need where state = 'held'")).n == _NEEDS
