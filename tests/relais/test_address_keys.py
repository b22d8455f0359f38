"""`relais keys rotate-addresses`: another key for every exact place, while the house serves, whenever it is killed."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from db import locations, sites, tenancy
from db.addresses import Vault, keys_of
from db.connection import transaction
from db.locations import Address
from db.roles import Role
from db.settings import Settings
from db.sites import SiteTerms
from geo.cells import Point
from matching.vocabulary import SiteKind, Visibility
from relais.address_keys import add_key
from relais.command import main
from tests.builders import add_organization
from tests.conftest import ROOT, Logins, Servers, run_on_server
from tests.db.acts import one, rows
from tests.places import BRIANCON
from tests.waiting import eventually

Relais = Callable[..., Awaitable[Result]]
PLACE = Point(BRIANCON.longitude, BRIANCON.latitude)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "address-key"
    file.write_bytes(base64.b64encode(os.urandom(32)))
    return file


@pytest.fixture
def environment(settings: Settings, key_file: Path) -> dict[str, str]:
    return {
        "RELAIS_DATABASE_URL": settings.database_url,
        "RELAIS_SECRET_FILE": str(settings.secret_file),
        "RELAIS_ADDRESS_KEY_FILE": str(key_file),
    }


@pytest.fixture
def relais(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Relais:
    """Run `relais keys rotate-addresses` against the test's own database and key file."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["keys", "rotate-addresses", *arguments])

    return run


@pytest.fixture
async def operator(servers: Servers, template: str) -> AsyncIterator[str]:
    """A user who is no superuser and a member of every role, and its own password."""
    assert template, "roles are made by the first migration"
    name = f"test_operator_{uuid4().hex[:12]}"
    await run_on_server(servers, f"create role {name} login password '{name}' in role {', '.join(Role)}")
    yield name
    await run_on_server(servers, f"drop role {name}")


async def test_no_key_goes_while_places_are_hidden_from_who_asks(
    relais: Relais,
    engine: AsyncEngine,
    settings: Settings,
    key_file: Path,
    operator: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELAIS_DATABASE_URL", Logins.address(settings.database_url, operator))
    # As a backup leaves it that was restored where the roles were missing.
    policies = await rows(engine, "select policyname as name from pg_policies where tablename = 'site_location'")
    for policy in policies:
        await rows(engine, f"drop policy {policy.name} on site_location")
    before = keys_of(key_file)
    for arguments in ((), ("--retire",)):
        result = await relais(*arguments)
        assert result.exit_code == 1
        assert "hides rows" in result.stderr
    assert keys_of(key_file) == before
    async with engine.begin() as connection:
        await connection.run_sync(tenancy.apply)
    assert (await relais()).exit_code == 0


def rotate(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """The command as a process of its own, to be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "relais", "keys", "rotate-addresses"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def others_may_read(file: Path) -> bool:
    return file.stat().st_mode & 0o077 != 0


async def add_sites(engine: AsyncEngine, vault: Vault, count: int) -> list[UUID]:
    terms = SiteTerms("Gym", BRIANCON.id, SiteKind.MUNICIPAL_BUILDING, Visibility.ON_CONFIRMATION, frozenset(), None)
    async with transaction(engine) as tx:
        owner = await add_organization(tx)
        made = [await sites.add(tx, owner, terms, PLACE, vault) for _ in range(count)]
        for number, site in enumerate(made):
            await sites.set_address(tx, site, owner, None, Address(f"door {number}", None), vault, b"")
    return made


async def ways(engine: AsyncEngine, vault: Vault, made: list[UUID]) -> list[str]:
    async with transaction(engine) as tx:
        found = [await locations.read_address(tx, site, vault) for site in made]
        assert [await locations.read_place(tx, site, vault) for site in made] == [PLACE] * len(made)
    return [each.address for each in found if each]


async def test_every_place_is_sealed_anew_and_the_old_key_can_go(
    relais: Relais, engine: AsyncEngine, key_file: Path
) -> None:
    made = await add_sites(engine, Vault.of_file(key_file), 250)
    (old,) = keys_of(key_file)
    assert (await relais()).exit_code == 0
    assert len(keys_of(key_file)) == 2
    assert (await relais("--retire")).exit_code == 0
    (new,) = keys_of(key_file)
    assert new != old
    assert others_may_read(key_file) is False
    assert await ways(engine, Vault(new), made) == [f"door {n}" for n in range(250)]
    with pytest.raises(ValueError, match="cannot be opened"):
        await ways(engine, Vault(old), made)


async def test_a_key_that_is_still_needed_stays(relais: Relais, engine: AsyncEngine, key_file: Path) -> None:
    made = await add_sites(engine, Vault.of_file(key_file), 3)
    add_key(key_file)
    answer = await relais("--retire")
    assert answer.exit_code == 1
    assert "3 places still need an older key" in answer.output
    assert len(keys_of(key_file)) == 2
    assert len(await ways(engine, Vault.of_file(key_file), made)) == 3


async def test_killed_in_the_middle_it_goes_on_with_the_same_key(
    relais: Relais, engine: AsyncEngine, key_file: Path, environment: dict[str, str]
) -> None:
    before = Vault(*keys_of(key_file))
    made = await add_sites(engine, before, 400)
    add_key(key_file)
    keys = keys_of(key_file)
    async with engine.connect() as blocking:
        # Somebody is at one of the last sites: the command has done some batches and waits there.
        last = max(made)
        await blocking.execute(text("select 1 from site_location where site_id = :id for update"), {"id": last})
        command = rotate(environment)

        async def begun() -> bool:
            done = await one(
                engine,
                "select count(*) as n from site_location where substring(location from 1 for 5) <> :mark",
                mark=before.mark,
            )
            return int(done.n) >= 100

        await eventually(begun, "some places under the new key", 30)
        command.send_signal(signal.SIGKILL)
        command.wait(10)
    under = await one(
        engine,
        "select count(*) as n from site_location where substring(location from 1 for 5) = :mark",
        mark=before.mark,
    )
    assert 0 < int(under.n) < 400
    both = Vault(*keys)
    assert len(await ways(engine, both, made)) == 400, "both keys are there: everything is readable meanwhile"
    assert (await relais()).exit_code == 0
    assert keys_of(key_file) == keys, "no third key"
    assert len(await ways(engine, Vault(keys[-1]), made)) == 400


async def test_what_is_written_while_it_runs_is_lost_by_nobody(
    relais: Relais, engine: AsyncEngine, key_file: Path
) -> None:
    serving = Vault.of_file(key_file)
    made = await add_sites(engine, serving, 150)
    rotation = asyncio.ensure_future(relais())
    written = 0
    while not rotation.done():
        async with transaction(engine) as tx:
            await locations.keep_address(tx, made[written % 150], Address(f"door {written % 150}", None), serving)
        written += 1
        await asyncio.sleep(0)
    assert (await rotation).exit_code == 0
    assert written > 10
    (_, new) = keys_of(key_file)
    assert await ways(engine, Vault(new), made) == [f"door {n}" for n in range(150)]


async def test_one_sites_ciphertext_cannot_stand_in_for_anothers(engine: AsyncEngine, key_file: Path) -> None:
    vault = Vault.of_file(key_file)
    one_site, other = await add_sites(engine, vault, 2)
    await rows(
        engine,
        "update site_location set address = (select address from site_location where site_id = :other)"
        " where site_id = :id",
        id=one_site,
        other=other,
    )
    async with transaction(engine) as tx:
        with pytest.raises(ValueError, match="cannot be opened"):
            await locations.read_address(tx, one_site, vault)


async def test_a_file_that_cannot_be_written_is_told_and_nothing_changes(
    relais: Relais, engine: AsyncEngine, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await add_sites(engine, Vault.of_file(key_file), 1)

    really = Path.open

    def refuse(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "a" in mode:
            raise OSError(30, "Read-only file system")
        return really(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    answer = await relais()
    monkeypatch.undo()
    assert answer.exit_code == 1
    assert "openssl rand -base64 32" in answer.output
    assert len(await ways(engine, Vault.of_file(key_file), made)) == 1
