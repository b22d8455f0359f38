"""`relais doctor` finds what is wrong: each thing is really broken, and found, and nothing else is."""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import issuers as registered
from db.addresses import Vault
from db.connection import connect, transaction
from db.linking import link_acts
from db.locations import keep_place
from db.settings import Settings
from db.slip_filing import file_missing
from db.slips import SlipKeys
from geo.cells import Point
from relais import looks_at_ground, looks_at_work
from relais.doctor import look_over
from relais.finding import Finding, House, State
from tests.builders import add_need, add_offer, add_organization
from tests.console.registering import Register
from tests.db.acts import hold
from tests.identity.issuing import issuing
from tests.relais.conftest import Relais


@pytest.fixture
def house(engine: AsyncEngine, settings: Settings) -> House:
    """A house of which the database and Redis are there, and nobody works."""
    return House(settings, engine)


async def seen(house: House) -> dict[str, Finding]:
    """What is to be seen to, by look. Nobody works in a test's house, which is no news."""
    found = await look_over(house)
    return {each.look: each for each in found if each.state is not State.WELL and each.look not in {"worker", "api"}}


async def test_a_house_that_is_well_gets_no_finding(engine: AsyncEngine, house: House) -> None:
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        offer_id = await add_offer(tx, town_hall)
        site = (await tx.execute(text("select site_id from offer where id = :id"), {"id": offer_id})).scalar_one()
        await keep_place(tx, site, Point(6.63, 44.9), Vault.of_file(house.settings.address_key_file))
        await tx.execute(text("delete from capacity_news"))
    assert await seen(house) == {}


BREAKS = {
    "migrations": ("migrations", "update alembic_version set version_num = '0001'"),
    "a policy is gone": ("row security", "drop policy app_select on need"),
    "row security is off": ("row security", "alter table need disable row level security"),
    "a right too many": ("row security", "grant select on api_key to relais_app"),
    "a need is parked": ("work", "update need set parked_at = now()"),
    "a need is not looked at": ("work", "update need set state = 'open', look_at = now() - interval '1 hour'"),
    "a hold does not end": ("work", "update allocation set held_until = now() - interval '1 hour'"),
    "an act is not linked": (
        "work",
        """insert into audit_pending (organization_id, at, role, scope, act, objects)
           select id, now() - interval '1 hour', 'municipality', 'x', 'x', '{}' from organization limit 1""",
    ),
    "events came from another server": ("events", "update event set transaction = '18446744073709551600'::xid8"),
    "the audit was changed": ("audit", "update audit_entry set act = 'another'"),
}


async def a_held_need(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, await add_organization(tx))
        poster = await add_organization(tx)
        need_id = await add_need(tx, poster)
        act = "insert into audit_pending (organization_id, role, scope, act, objects) values (:id, 'a', 'b', 'c', '{}')"
        await tx.execute(text(act), {"id": poster})
    await hold(engine, need_id)
    await link_acts(engine)


@pytest.mark.parametrize("what", BREAKS)
async def test_what_is_broken_in_the_database_is_found(engine: AsyncEngine, house: House, what: str) -> None:
    look, statement = BREAKS[what]
    await a_held_need(engine)
    if what == "a need is parked":
        statement += ", state = 'open'"
    assert look not in await seen(house)
    async with transaction(engine) as tx:
        await tx.execute(text(statement))
    found = (await seen(house))[look]
    assert found.state is State.TO_DO
    assert found.what
    assert found.safe
    assert found.what_to_do


async def test_a_transaction_that_is_open_for_long_is_named_with_its_session(
    engine: AsyncEngine, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_at_work, "_LONG_SECONDS", 0.0)
    async with engine.connect() as forgotten:
        await forgotten.execute(text("select pg_current_xact_id()"))
        pid = (await forgotten.execute(text("select pg_backend_pid()"))).scalar_one()
        found = (await seen(house))["transactions"]
    assert str(pid) in found.what_to_do
    assert "feeds" in found.what


async def test_without_worker_and_api_it_says_so_and_with_them_not(house: House, settings: Settings) -> None:
    assert {each.look for each in await look_over(house) if each.state is not State.WELL} == {"worker"}
    worker, api = connect(settings, "worker"), connect(settings, "api")
    async with worker.connect() as one:
        await one.execute(text("select"))
        assert {each.look for each in await look_over(house) if each.state is not State.WELL} == {"api"}
        async with api.connect() as other:
            await other.execute(text("select"))
            assert await seen(house) == {}
            assert {each.look for each in await look_over(house) if each.state is not State.WELL} == set()
    for each in (worker, api):
        await each.dispose()


async def test_an_issuer_that_cannot_be_used_is_told_and_one_that_can_is_not(
    engine: AsyncEngine, house: House, tmp_path: Path
) -> None:
    async def told(found: House) -> str:
        finding = (await seen(found)).get("signing in")
        return finding.what if finding else ""

    public = replace(house, settings=house.settings.model_copy(update={"public_url": "https://relais.example"}))
    async with issuing() as issuer:
        assert await told(house) == "", "there is none"
        register = Register(engine, house.settings)
        issuer_id = await register(issuer.registration, "Portail")
        async with transaction(engine) as tx:
            hall = await add_organization(tx)
        await register.admit(issuer_id, hall)
        assert "RELAIS_PUBLIC_URL" in await told(house)
        assert await told(public) == "", "the control"
        issuer.document = {"issuer": "another"}
        assert "by Portail" in await told(public)
        issuer.document = {}
        async with transaction(engine) as tx:
            await tx.execute(text("update api_key set expires_at = now() + interval '13 days'"))
            gap = await add_organization(tx)
            await tx.execute(text("update organization set name = 'Gap' where id = :id"), {"id": gap})
        sooner, prefix = await register.admit(issuer_id, gap)
        ends = text("update api_key set expires_at = now() + make_interval(days => :days) where prefix = :prefix")
        async with transaction(engine) as tx:
            await tx.execute(ends, {"days": 12, "prefix": prefix})
        assert await told(public) == "2 admissions end within two weeks, the first for Gap."
        async with transaction(engine) as tx:
            await tx.execute(ends, {"days": -40, "prefix": prefix})
        assert "1 admissions have ended, the first for Gap" in await told(public)
        await register.admit(issuer_id, gap)
        assert "1 admissions end within" in await told(public), "another has taken its place"
        async with transaction(engine) as tx:
            for each in (sooner, *[row.id for row in await registered.every_admission(tx) if row.live]):
                await registered.remove(tx, each)
        assert "Nobody is admitted by Portail" in await told(public)
        await register.admit(issuer_id, hall)
        assert await told(public) == "", "the control"
        other = tmp_path / "other-secret"
        other.write_bytes(secrets.token_bytes(64))
        elsewhere = public.settings.model_copy(update={"secret_file": other})
        assert "another secret file" in await told(replace(public, settings=elsewhere))
    assert "cannot be reached" in await told(public)


async def test_another_key_file_opens_nothing(engine: AsyncEngine, house: House, tmp_path: Path) -> None:
    await test_a_house_that_is_well_gets_no_finding(engine, house)
    other = tmp_path / "other-key"
    other.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    settings = house.settings.model_copy(update={"address_key_file": other})
    assert set(await seen(replace(house, settings=settings))) == {"keys"}


async def test_another_secret_file_fits_nothing_that_was_filed(
    engine: AsyncEngine, house: House, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        await add_need(tx, await add_organization(tx))
    await file_missing(engine, SlipKeys.of(house.settings.keys()))
    assert await seen(house) == {}
    other = tmp_path / "other-secret"
    other.write_bytes(secrets.token_bytes(32))
    settings = house.settings.model_copy(update={"secret_file": other})
    assert set(await seen(replace(house, settings=settings))) == {"keys"}


async def test_a_redis_that_is_away_is_found_and_none_is_well(house: House) -> None:
    away = house.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    assert set(await seen(replace(house, settings=away))) == {"redis"}
    none = house.settings.model_copy(update={"redis_url": None})
    assert await seen(replace(house, settings=none)) == {}


@asynccontextmanager
async def elsewhere(settings: Settings, database_url: str) -> AsyncIterator[House]:
    changed = Settings(**settings.model_dump(exclude={"database_address"}) | {"database_url": database_url})
    engine = connect(changed, "test")
    yield House(changed, engine)
    await engine.dispose()


async def test_a_database_that_does_not_answer_is_the_one_finding(settings: Settings) -> None:
    address = "postgresql+asyncpg://relais@127.0.0.1:1/relais"
    async with elsewhere(settings, address) as away:
        assert set(await seen(away)) == {"database"}


async def test_a_user_who_may_not_take_the_roles_is_found(settings: Settings, engine: AsyncEngine) -> None:
    name = "test_doctor_nobody"
    async with transaction(engine) as tx:
        await tx.execute(text(f"drop role if exists {name}"))
        await tx.execute(text(f"create role {name} login password '{name}'"))
    address = settings.database_url.replace(settings.database_url.split("//")[1].split("@")[0], f"{name}:{name}")
    try:
        async with elsewhere(settings, address) as found:
            assert {"roles", "row security"} <= set(await seen(found))
    finally:
        async with transaction(engine) as tx:
            await tx.execute(text(f"drop role {name}"))


class Threshold(NamedTuple):
    """A limit that is moved so that a machine that is well is over it: clocks and disks are not ours to break."""

    module: object
    name: str
    value: object
    look: str


@pytest.mark.parametrize(
    "moved",
    [
        Threshold(looks_at_ground, "_CLOCK_SECONDS", -1.0, "clock"),
        Threshold(looks_at_work, "_DISK_SHARE", 1.0, "disk"),
        Threshold(looks_at_ground, "_OLDEST_SERVER", 1_000_000, "database"),
    ],
    ids=lambda moved: moved.look,
)
async def test_clock_disk_and_an_old_server_are_found(
    house: House, monkeypatch: pytest.MonkeyPatch, moved: Threshold
) -> None:
    monkeypatch.setattr(moved.module, moved.name, moved.value)
    assert set(await seen(house)) == {moved.look}


async def test_time_zone_data_that_differ_are_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks_at_ground, "ZoneInfo", lambda _: UTC)
    assert set(await seen(house)) == {"time zones"}


async def test_a_replication_slot_that_nobody_reads_is_found(
    engine: AsyncEngine, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_at_work, "_SLOT_BYTES", -1)
    name = f"test_{uuid4().hex[:12]}"
    assert await seen(house) == {}
    async with transaction(engine) as tx:
        await tx.execute(text("select pg_create_physical_replication_slot(:name, true)"), {"name": name})
    try:
        assert name in (await seen(house))["replication"].what
    finally:
        async with transaction(engine) as tx:
            await tx.execute(text("select pg_drop_replication_slot(:name)"), {"name": name})


async def test_that_nothing_is_kept_for_backups_is_told(house: House) -> None:
    told = await looks_at_work.backups(house)
    assert told is not None
    assert (told.state, "relais backup" in told.what) == (State.WELL, True)


async def test_a_database_without_postgis_is_found(engine: AsyncEngine, house: House) -> None:
    assert await looks_at_ground.postgis(house) is None
    async with transaction(engine) as tx:
        await tx.execute(text("drop extension postgis cascade"))
    assert await looks_at_ground.postgis(house) is not None


async def test_the_command_tells_in_words_and_in_json_and_by_its_status(relais: Relais) -> None:
    told = await relais("doctor")
    assert told.exit_code == 1
    assert "No worker is connected" in told.output
    assert "What to do:" in told.output
    as_json = json.loads((await relais("doctor", "--json")).output)
    assert {each["state"] for each in as_json} == {"well", "to do"}


async def test_without_a_house_it_cannot_tell(relais: Relais, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAIS_SECRET_FILE", "/nowhere")
    assert (await relais("doctor")).exit_code == 2
