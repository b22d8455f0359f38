"""The service in this process, asked over HTTP: an organization with a key is one call away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create
from api.settings import ApiSettings
from db import keys, organizations
from db.connection import transaction
from db.keys import Scope
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.conftest import Logins
from tests.places import BRIANCON
from tests.worker.conftest import start_worker

__all__ = ["JoinNetwork", "Organization", "Serving", "start_worker"]


@dataclass(frozen=True)
class Organization:
    """An organization and a client that speaks with its key."""

    id: UUID
    key: str
    http: httpx.AsyncClient


JoinNetwork = Callable[..., Awaitable[Organization]]
NO_LIMITS: dict[str, Any] = {
    "slip_misses_per_client": 1_000_000,
    "slip_requests_per_code": 1_000_000,
    "slip_misses_in_all": 1_000_000,
    "key_requests_per_minute": 1_000_000,
    "directory_requests_per_client": 1_000_000,
    "sign_in_misses_per_client": 1_000_000,
}


@pytest.fixture
def api_settings(settings: Settings, logins: Logins) -> ApiSettings:
    """Settings of a service on the test's own database, as a user who may do no more than requests need.

    All tests come from one address, and none is held up.
    """
    address = {"database_url": logins.address(settings.database_url, logins.api)}
    return ApiSettings(**settings.model_dump(exclude={"database_address"}) | address, **NO_LIMITS)


@pytest_asyncio.fixture(loop_scope="function")
async def app(api_settings: ApiSettings) -> AsyncIterator[FastAPI]:
    """The service, started."""
    made = create(api_settings)
    async with made.router.lifespan_context(made):
        yield made


Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serving(api_settings: ApiSettings) -> Serving:
    """Call it with settings: a service with these, for as long as the block runs."""

    @asynccontextmanager
    async def serve(key: str | None = None, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
        made = create(ApiSettings(**api_settings.model_dump(exclude={"database_address"}) | changes))
        async with made.router.lifespan_context(made), _client(made, key) as http:
            yield http

    return serve


@pytest_asyncio.fixture(loop_scope="function")
async def anyone(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with _client(app) as http:
        yield http


@pytest_asyncio.fixture(loop_scope="function")
async def client(app: FastAPI, engine: AsyncEngine, api_settings: ApiSettings) -> AsyncIterator[JoinNetwork]:
    """Call it with a kind: a new organization, with a key of full scope unless told otherwise."""
    async with AsyncExitStack() as open_clients:

        async def join(
            kind: OrganizationKind = OrganizationKind.COORDINATION,
            scopes: frozenset[Scope] | None = None,
            towns: tuple[int, ...] = (BRIANCON.id,),
        ) -> Organization:
            async with transaction(engine) as tx:
                organization_id = await organizations.add(tx, kind, f"A {kind}", towns)
                issued = await keys.issue(tx, organization_id, api_settings.keys().of("api-key"), scopes)
            http = await open_clients.enter_async_context(_client(app, issued.text))
            return Organization(organization_id, issued.text, http)

        yield join


@pytest_asyncio.fixture(loop_scope="function")
async def coordination(client: JoinNetwork) -> Organization:
    """A coordination of Briançon."""
    return await client(OrganizationKind.COORDINATION)


@pytest_asyncio.fixture(loop_scope="function")
async def association(client: JoinNetwork) -> Organization:
    """An association of Briançon."""
    return await client(OrganizationKind.ASSOCIATION)


@pytest_asyncio.fixture(loop_scope="function")
async def municipality(client: JoinNetwork) -> Organization:
    """The town hall of Briançon."""
    return await client(OrganizationKind.MUNICIPALITY)


def _client(app: FastAPI, key: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://relais.test", headers=headers)
