"""`relais audit` and `relais tombstones`: what an operator runs, and what it answers when something is wrong."""

import json
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.linking import link_acts
from db.retention import purge
from db.settings import Settings
from tests.db.acts import one, rows
from tests.relais.conftest import Relais
from tests.worker.test_retention import ended_needs
from worker.settings import WorkerSettings


async def join(relais: Relais) -> str:
    """An organization with a second key, which is revoked: its id."""
    joined = await relais("org", "add", "--kind", "municipality", "--json", "Town hall")
    organization = str(json.loads(joined.stdout)["id"])
    key = json.loads((await relais("key", "issue", organization, "--json")).stdout)["key"]
    assert (await relais("key", "revoke", key)).exit_code == 0
    return organization


async def test_what_the_operator_does_for_an_organization_is_in_its_chain(relais: Relais, engine: AsyncEngine) -> None:
    organization = await join(relais)
    await link_acts(engine)
    found = await rows(
        engine,
        "select role, scope, act, objects from audit_entry where organization_id = :id order by number",
        id=organization,
    )
    keys = [row.id for row in await rows(engine, "select id from api_key order by created_at")]
    assert [(row.role, row.scope, row.act, row.objects) for row in found] == [
        ("operator", "command", "relais org add", [keys[0]]),
        ("operator", "command", "relais key issue", [keys[1]]),
        ("operator", "command", "relais key revoke", [keys[1]]),
    ]
    verified = await relais("audit", "verify")
    assert verified.exit_code == 0, verified.output
    assert "1 chains checked, 0 broken" in verified.output


async def test_a_changed_entry_ends_the_command_with_one_and_names_it(relais: Relais, engine: AsyncEngine) -> None:
    organization, other = await join(relais), await join(relais)
    await link_acts(engine)
    await rows(engine, "update audit_entry set act = 'x' where number = 2 and organization_id = :id", id=organization)
    verified = await relais("audit", "verify")
    assert verified.exit_code == 1
    assert f"{organization}  entry 2 was changed" in verified.output
    assert other not in verified.output
    assert (await relais("audit", "verify", other)).exit_code == 0
    assert (await relais("audit", "verify", organization)).exit_code == 1


async def test_what_was_cut_off_is_found_with_the_heads_that_were_exported(
    relais: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    organization = await join(relais)
    exported = tmp_path / "heads.json"
    exported.write_text((await relais("audit", "heads", "--json")).stdout)
    assert (await relais("audit", "verify", "--heads", str(exported))).exit_code == 0
    await rows(engine, "delete from audit_entry where number = 3")
    await rows(engine, "update audit_head h set number = 2, hash = e.hash from audit_entry e where e.number = 2")
    assert (await relais("audit", "verify")).exit_code == 0
    verified = await relais("audit", "verify", "--heads", str(exported))
    assert verified.exit_code == 1
    assert f"{organization}  entry 3 was there when the head was exported" in verified.output


@pytest.mark.parametrize("written", ["", "[]x", '[{"organization": 3}]', '{"a": 1}'])
async def test_a_file_that_holds_no_heads_is_told(relais: Relais, tmp_path: Path, written: str) -> None:
    (tmp_path / "heads").write_text(written)
    assert (await relais("audit", "verify", "--heads", str(tmp_path / "heads"))).exit_code == 2


async def test_tombstones_are_exported_and_applied_again(
    relais: Relais, engine: AsyncEngine, settings: Settings, tmp_path: Path
) -> None:
    await ended_needs(engine, 2)
    await rows(engine, "create table kept as select * from need")
    await purge(engine, WorkerSettings(**settings.model_dump(exclude={"database_address"})))
    (tmp_path / "tombstones").write_text((await relais("tombstones", "export")).stdout)
    columns = ", ".join(
        row.column_name
        for row in await rows(engine, "select column_name from information_schema.columns where table_name = 'kept'")
        if row.column_name != "people"
    )
    put_back = f"insert into need ({columns}) select {columns} from kept"
    await rows(engine, put_back)
    await rows(engine, "delete from tombstone")
    assert "0 things" in (await relais("tombstones", "reapply")).output
    assert "2 things" in (await relais("tombstones", "reapply", str(tmp_path / "tombstones"))).output
    await rows(engine, put_back)
    assert (await relais("migrate")).exit_code == 0
    assert (await one(engine, "select count(*) as n from need")).n == 0
    (tmp_path / "tombstones").write_text("no hashes")
    assert (await relais("tombstones", "reapply", str(tmp_path / "tombstones"))).exit_code == 2
