"""Through a pooler of transactions people are served as without, and nobody inherits what another one was.

The negative control says the organization for the session, as no statement of ours does: it leaks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.app import create
from api.settings import ApiSettings
from db.connection import connect, looking, transaction
from db.opening import RoleNotTakenError
from db.roles import Role, act_for
from db.settings import Settings
from tests.api.bodies import need_body, offer_body, site_body
from tests.api.conftest import NO_LIMITS, JoinNetwork, Organization
from tests.api.pooler import a_pooler, logins_through_a_pooler
from tests.conftest import Logins, Servers
from tests.db.acts import one
from tests.waiting import eventually
from tests.worker.conftest import StartWorker

_CONNECTIONS = 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def users(servers: Servers, template: str) -> AsyncIterator[dict[Role, str]]:
    assert template, "roles are made by the first migration"
    async with logins_through_a_pooler(servers) as made:
        yield made


@pytest.fixture(scope="module")
def bouncer(servers: Servers, users: dict[Role, str], logins: Logins) -> Iterator[str]:
    """The pooler's address."""
    passwords = {name: name for name in (*users.values(), logins.api)}
    with a_pooler(servers.database_url, passwords, _CONNECTIONS) as url:
        yield url


@pytest.fixture
def pooled(settings: Settings, bouncer: str, users: dict[Role, str]) -> Settings:
    """Settings of a process through the pooler, as requests are."""
    return settings.model_copy(update=_addresses(settings, bouncer, users[Role.APP]))


@pytest.fixture
def api_settings(pooled: Settings) -> ApiSettings:
    return ApiSettings(**pooled.model_dump(exclude={"database_address"}), **NO_LIMITS)


def _addresses(settings: Settings, bouncer: str, user: str) -> dict[str, str]:
    name = settings.database_url.rpartition("/")[2]
    through = Servers(bouncer, "").database(name)
    return {"database_url": Logins.address(through, user), "listen_url": Logins.address(settings.database_url, user)}


async def test_a_need_is_posted_held_and_confirmed_through_it(
    client: JoinNetwork,
    municipality: Organization,
    settings: Settings,
    bouncer: str,
    users: dict[Role, str],
    start_worker: StartWorker,
    engine: AsyncEngine,
) -> None:
    """Many at once over two connections; the worker looks only when it is rung for, past the pooler."""
    site = (await municipality.http.post("/v1/sites", json=site_body())).json()
    offered = await municipality.http.post("/v1/offers", json=offer_body(site["id"], capacity=100))
    assert offered.status_code == 201, offered.text
    addresses = _addresses(settings, bouncer, users[Role.MATCHER])
    start_worker(
        RELAIS_DATABASE_URL=addresses["database_url"],
        RELAIS_LISTEN_URL=addresses["listen_url"],
        RELAIS_POLL_SECONDS="60",
    )
    await eventually(lambda: _listens(engine, users[Role.MATCHER]), "the worker listens")
    posters = [await client() for _ in range(4)]

    async def post(poster: Organization) -> set[str]:
        answers = [await poster.http.post("/v1/needs", json=need_body()) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201] * 4, [answer.text for answer in answers]
        return {answer.json()["id"] for answer in answers}

    posted = await asyncio.gather(*map(post, posters))

    async def held() -> list[str]:
        found = (await municipality.http.get("/v1/allocations?state=held&limit=50")).json()["items"]
        return [each["id"] for each in found] if len(found) == 16 else []

    waiting = await eventually(held, "every need is held")
    confirmed = await asyncio.gather(*(municipality.http.post(f"/v1/allocations/{each}/confirm") for each in waiting))
    assert {answer.status_code for answer in confirmed} == {200}
    # Each of them sees its own, while all asked at the same time over the same connections.
    seen = await asyncio.gather(*(_needs(poster.http) for poster in posters for _ in range(5)))
    assert seen == [ids for ids in posted for _ in range(5)]
    shared = await one(
        engine,
        "select count(*) as n from pg_stat_activity where usename = :user and datname = current_database()"
        " and query not ilike 'listen%' and query not ilike '%pg_notify%'",
        user=users[Role.APP],
    )
    assert shared.n <= _CONNECTIONS


async def test_an_organization_is_never_left_to_the_next_one(pooled: Settings) -> None:
    somebody = uuid4()
    async with _two(pooled) as (first, second):
        await act_for(first, somebody)
        assert await _acting(first) == somebody
        await first.commit()
        assert await _acting(second) is None


async def test_said_for_the_session_it_would_be_left(pooled: Settings) -> None:
    """The negative control."""
    somebody = uuid4()
    async with _two(pooled) as (first, second):
        await first.execute(text("select set_config('relais.organization', :id, false)"), {"id": str(somebody)})
        await first.commit()
        assert await _acting(second) == somebody
        await second.execute(text("select set_config('relais.organization', '', false)"))
        await second.commit()


async def test_limits_and_role_hold_without_being_asked_for(pooled: Settings) -> None:
    engine = connect(pooled, "test", Role.APP)
    async with looking(engine) as connection:
        found = (
            await connection.execute(
                text(
                    "select cast(current_user as text), current_setting('statement_timeout'),"
                    " current_setting('idle_in_transaction_session_timeout'), current_setting('jit')"
                )
            )
        ).one()
    assert tuple(found) == (Role.APP, "10s", "20s", "off")
    await engine.dispose()


@pytest.mark.parametrize("told", ["that it is a pooler", "nothing of a pooler"])
async def test_a_role_that_the_pooler_swallowed_is_noticed(
    settings: Settings, bouncer: str, logins: Logins, told: str
) -> None:
    addresses: dict[str, str | None] = {**_addresses(settings, bouncer, logins.api)}
    if told == "nothing of a pooler":
        addresses["listen_url"] = None
    engine = connect(settings.model_copy(update=addresses), "test", Role.APP)
    with pytest.raises(RoleNotTakenError, match="relais_app"):
        async with transaction(engine):
            pass
    await engine.dispose()


async def test_where_the_role_was_swallowed_no_request_is_served(
    settings: Settings, bouncer: str, logins: Logins, anyone: httpx.AsyncClient
) -> None:
    """The first is the control: in the role the same request is served."""
    assert (await anyone.get("/v1/policy")).status_code == 200
    wrong = settings.model_copy(update=_addresses(settings, bouncer, logins.api))
    app = create(ApiSettings(**wrong.model_dump(exclude={"database_address"}), **NO_LIMITS))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://relais.test") as http,
    ):
        answer = await http.get("/v1/policy")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


@asynccontextmanager
async def _two(settings: Settings) -> AsyncIterator[tuple[AsyncConnection, AsyncConnection]]:
    """Two clients that get the same connection of the server, one after the other."""
    engine = connect(settings, "test", Role.APP)
    async with engine.connect() as first, engine.connect() as second:
        pids = []
        for each in (first, second):
            pids.append((await each.execute(text("select pg_backend_pid()"))).scalar_one())
            await each.commit()
        assert pids[0] == pids[1]
        yield first, second
    await engine.dispose()


async def _acting(connection: AsyncConnection) -> UUID | None:
    acting: UUID | None = (await connection.execute(text("select acting_organization()"))).scalar_one()
    await connection.commit()
    return acting


async def _needs(http: httpx.AsyncClient) -> set[str]:
    return {need["id"] for need in (await http.get("/v1/needs?limit=50")).json()["items"]}


async def _listens(engine: AsyncEngine, user: str) -> bool:
    found = await one(
        engine,
        "select count(*) as n from pg_stat_activity where usename = :user and query ilike 'listen%'"
        " and datname = current_database()",
        user=user,
    )
    return bool(found.n)
