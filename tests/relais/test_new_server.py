"""The first `relais migrate` on a server that knows no roles yet, by an operator who is no superuser."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from db.connection import connect, transaction
from db.migrations import upgrade
from db.roles import Role
from db.settings import Settings
from relais.command import main
from relais.embedded import running_stack
from tests.db.acts import one
from tests.evening import evening
from tests.places import add_towns

PACKAGES = Path(__file__).parents[2] / ".relais/packages"
_NOBODY_ANSWERS = "redis://127.0.0.1:1/0"


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a new PostgreSQL for its superuser."""
    # pytest's own folders can't be entered by other users.
    folder = Path(tempfile.mkdtemp(prefix="relais-stack-"))
    folder.chmod(0o755)
    try:
        with running_stack(
            folder / "stack", packages=PACKAGES, tell=lambda _: None, redis_url=_NOBODY_ANSWERS
        ) as stack:
            yield stack.database_url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def settings(server: str, secret_files: tuple[Path, Path], tmp_path: Path) -> Settings:
    key = shutil.copy(secret_files[1], tmp_path)
    return Settings(database_url=server, secret_file=secret_files[0], address_key_file=key)


def within(settings: Settings, database: str, user: str | None = None) -> Settings:
    """The same for another database of the server, and for a user who is its own password."""
    parts = urlsplit(settings.database_url)
    where = parts.netloc if user is None else f"{user}:{user}@{parts.netloc.rpartition('@')[2]}"
    address = urlunsplit(parts._replace(netloc=where, path=f"/{database}"))
    return Settings(**settings.model_dump(exclude={"database_address"}) | {"database_url": address})


@asynccontextmanager
async def plain(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_address.replace("+asyncpg", "", 1))
    try:
        yield connection
    finally:
        await connection.close()


async def migrate(settings: Settings) -> None:
    engine = connect(settings, "test")
    try:
        await upgrade(engine)
    finally:
        await engine.dispose()


async def test_two_databases_of_one_server_may_be_made_at_the_same_moment(settings: Settings) -> None:
    async with plain(settings) as first, plain(settings) as watch:
        await watch.execute("create database second")
        making = first.transaction()
        await making.start()
        for role in Role:
            await first.execute(f"create role {role} nologin noinherit")
        second = asyncio.create_task(migrate(within(settings, "second")))
        waits = "select exists (select from pg_locks where not granted)"
        while not await watch.fetchval(waits):
            assert not second.done(), "it waits for who makes the same roles"
        await making.commit()
        await second


async def test_an_operator_who_may_make_roles_and_is_no_superuser_runs_the_house(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plain(settings) as superuser:
        await superuser.execute("create role operator login createrole password 'operator'")
        await superuser.execute("create database house owner operator")
    async with plain(within(settings, "house")) as superuser:
        for extension in ("postgis", "btree_gist"):
            await superuser.execute(f"create extension {extension}")
    theirs = within(settings, "house", "operator")
    monkeypatch.setenv("RELAIS_DATABASE_URL", theirs.database_url)
    monkeypatch.setenv("RELAIS_SECRET_FILE", str(theirs.secret_file))
    monkeypatch.setenv("RELAIS_ADDRESS_KEY_FILE", str(theirs.address_key_file))

    async def relais(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, main, list(words))
        assert result.exit_code == 0, (words, result.output)
        return result.output

    await relais("migrate")
    engine = connect(theirs, "test")
    async with transaction(engine) as tx:
        await add_towns(tx)
    found = await evening(engine, theirs)
    await relais("migrate")
    assert str(found.poster) in await relais("org", "list")
    await relais("org", "add", "Accueil", "--kind", "association")
    await relais("key", "list", str(found.poster))
    await relais("key", "issue", str(found.refuge))
    await relais("tombstones", "export")
    await relais("audit", "verify")
    assert "2 places were sealed" in await relais("keys", "rotate-addresses")
    await relais("keys", "rotate-addresses", "--retire")
    for role in (Role.APP, Role.MATCHER):
        taken = connect(theirs, "test", role)
        assert (await one(taken, "select cast(current_user as text) as role")).role == role
        await taken.dispose()
    await engine.dispose()
