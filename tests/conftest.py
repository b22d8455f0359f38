"""What every test stands on: real servers, and a database of its own cloned from a migrated template.

Servers are those of `RELAIS_DATABASE_URL` and `RELAIS_REDIS_URL` where they are set, else the embedded ones.
"""

import base64
import gc
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from xdist.scheduler.loadgroup import LoadGroupScheduling

from db.connection import connect, listening_address, transaction
from db.migrations import upgrade
from db.reaching import open_plain
from db.roles import Role
from db.settings import Settings
from relais.embedded import running_stack
from tests.memory import folder_in_memory
from tests.places import add_towns

ROOT = Path(__file__).parents[1]
_DATABASE, _REDIS = "RELAIS_TEST_DATABASE_URL", "RELAIS_TEST_REDIS_URL"


QUICK = ("-c", "fsync=off", "-c", "max_wal_size=256MB", "-c", "shared_preload_libraries=postgis-3")
"""Options of servers that nobody kills and that outlive no machine: a database is dropped without waiting for the disk,
and each of the many connections finds PostGIS loaded. What tells of kills, power and copies (`tests/faults`, failover,
backup) has servers of its own, which wait for the disk."""

_running = ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of the slow tests")
    parser.addoption("--fault-seed", help="repeat what was done to the house under this seed (tests/faults)")


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that hands tests out; those that run them inherit the addresses."""
    # Tests start hundreds of processes: the first writes down what it compiled, whatever this machine is used to.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if hasattr(config, "workerinput") or config.getvalue("dist") == "no":  # else others load the tests
        gc.disable()
    if hasattr(config, "workerinput") or config.option.collectonly or _DATABASE in os.environ:
        return
    on_disk = ROOT / ".relais" / "test"
    # What the long forms write is more than memory should hold.
    root = on_disk if config.option.long else _running.enter_context(folder_in_memory(otherwise=on_disk))
    stack = _running.enter_context(
        running_stack(
            root,
            tell=print,
            packages=ROOT / ".relais" / "packages",
            database_url=os.environ.get("RELAIS_DATABASE_URL"),
            redis_url=os.environ.get("RELAIS_REDIS_URL"),
            options=QUICK,
        )
    )
    os.environ[_DATABASE], os.environ[_REDIS] = stack.database_url, stack.redis_url


def pytest_collection_finish() -> None:
    """What was loaded stays: nothing of it is looked through for garbage, neither while it is loaded nor later."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Stop what was started here."""
    _running.close()


_TOGETHER = (
    "tests/api/test_serving.py",
    "tests/db/test_failover",
    "tests/db/test_migrations_under_load.py",
    "tests/db/test_towns.py",
    "tests/faults/",
    "tests/matching/figures/test_withholding.py",
    "tests/protection/test_noninterference.py",
    "tests/protection/test_planted.py",
    "tests/relais/test_backup.py",
    "tests/relais/test_demo.py",
    "tests/relais/test_embedded.py",
)
"""Tests that share a house which takes long to build: one process runs them all."""


class _ByHouse(LoadGroupScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in _TOGETHER if nodeid.startswith(start)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadGroupScheduling | None:
    """With `--dist loadgroup`, by house: the marks of xdist do not reach its scheduler under this pytest."""
    return _ByHouse(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether slow tests run in their long form (`make test-long`)."""
    return bool(request.config.getoption("--long"))


@dataclass(frozen=True)
class Servers:
    """Addresses of the test servers; the database named is one to connect to, never one to write in."""

    database_url: str
    redis_url: str

    def database(self, name: str) -> str:
        """The address of another database of the same server."""
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))


@dataclass(frozen=True)
class Logins:
    """Users of the test servers, one for each process; each is its own password."""

    api: str
    worker: str

    @staticmethod
    def address(database_url: str, user: str) -> str:
        """The address of a database for a user."""
        parts = urlsplit(database_url)
        return urlunsplit(parts._replace(netloc=f"{user}:{user}@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture(scope="session")
def servers() -> Servers:
    """PostgreSQL with PostGIS, and Redis."""
    return Servers(os.environ[_DATABASE], os.environ[_REDIS])


@pytest.fixture(scope="session")
def secret_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The secret file and the address key file of the test run."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "secret").write_bytes(secrets.token_bytes(32))
    (folder / "address-key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
    return folder / "secret", folder / "address-key"


def settings_for(servers: Servers, secret_files: tuple[Path, Path], database: str) -> Settings:
    return Settings(
        database_url=servers.database(database),
        redis_url=servers.redis_url,
        secret_file=secret_files[0],
        address_key_file=secret_files[1],
        pool_size=8,
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a process with these settings: that of the tests, and no other `RELAIS_…` variable in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}
    given = settings.model_dump(include={"database_url", "redis_url", "secret_file", "address_key_file"})
    return inherited | {f"RELAIS_{name.upper()}": str(value) for name, value in given.items() if value is not None}


async def run_on_server(servers: Servers, statement: str) -> None:
    connection = await open_plain(servers.database_url, timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(servers: Servers, secret_files: tuple[Path, Path]) -> AsyncIterator[str]:
    """A migrated database with the towns of `tests.places`, cloned for each test."""
    name = f"relais_template_{uuid4().hex[:12]}"
    await run_on_server(servers, f"create database {name}")
    engine = connect(settings_for(servers, secret_files, name), "test")
    await upgrade(engine)
    async with transaction(engine) as tx:
        await add_towns(tx)
    await engine.dispose()
    yield name
    await run_on_server(servers, f"drop database {name} with (force)")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def logins(servers: Servers, template: str) -> AsyncIterator[Logins]:
    """Users who may do nothing but take the roles of a process."""
    assert template, "roles are made by the first migration"
    made = Logins(f"test_api_{uuid4().hex[:12]}", f"test_worker_{uuid4().hex[:12]}")
    for name, roles in ((made.api, [Role.APP, Role.MATCHER, Role.REVEAL]), (made.worker, [Role.MATCHER])):
        await run_on_server(servers, f"create role {name} login noinherit password '{name}' in role {', '.join(roles)}")
    yield made
    for name in (made.api, made.worker):
        await run_on_server(servers, f"drop role {name}")


@asynccontextmanager
async def a_database(servers: Servers, template: str) -> AsyncIterator[str]:
    """The name of a clone of the template, which is there for as long as the block runs."""
    name = f"relais_test_{uuid4().hex[:12]}"
    await run_on_server(servers, f"create database {name} template {template} strategy file_copy")
    try:
        yield name
    finally:
        await run_on_server(servers, f"drop database {name} with (force)")


@pytest_asyncio.fixture(loop_scope="function")
async def settings(servers: Servers, secret_files: tuple[Path, Path], template: str) -> AsyncIterator[Settings]:
    """Settings that point to a database of the test's own."""
    async with a_database(servers, template) as name:
        yield settings_for(servers, secret_files, name)


@pytest_asyncio.fixture(loop_scope="function")
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine on the test's own database."""
    engine = connect(settings, "test")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="function")
async def tx(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction, rolled back at the end."""
    async with engine.connect() as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="function")
async def listening(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A plain connection, for LISTEN and for looking from outside."""
    connection = await asyncpg.connect(listening_address(settings))
    yield connection
    await connection.close()
