"""`relais org` and `relais key`: an operator lets an organization take part with one command."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
import segno
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys, towns
from db.connection import transaction
from db.environment import WrongSettings
from db.settings import Settings
from relais import running
from tests.conftest import Logins
from tests.places import BRIANCON, OULX
from tests.relais.conftest import Relais

KOMOTINI_AREA = 256866
"""A town of Greece, which the tests' gazetteer does not have."""


async def _added(relais: Relais, kind: str = "municipality", *towns_of: int) -> tuple[str, str]:
    options = [part for town in towns_of or (BRIANCON.id,) for part in ("--town", str(town))]
    result = await relais("org", "add", "--kind", kind, *options, "--json", "Mairie de Briançon")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    return told["id"], told["key"]


async def test_an_added_organization_gets_a_key_of_full_scope(
    relais: Relais, engine: AsyncEngine, settings: Settings
) -> None:
    organization_id, key = await _added(relais, "municipality", BRIANCON.id, OULX.id)
    async with transaction(engine) as tx:
        holder = await keys.holder(tx, key, settings.keys().of("api-key"))
    assert holder is not None
    assert str(holder.organization_id) == organization_id
    assert holder.towns == {BRIANCON.id, OULX.id}
    assert holder.scopes == frozenset(keys.Scope)


async def test_json_is_all_that_is_printed_for_programs(relais: Relais) -> None:
    result = await relais("org", "add", "--kind", "association", "--json", "Refuge")
    assert set(json.loads(result.stdout)) == {"id", "key"}
    assert result.stdout.count("\n") == 1


async def test_people_read_that_the_key_is_shown_once(relais: Relais) -> None:
    result = await relais("org", "add", "--kind", "association", "Refuge")
    assert "relais_" in result.stdout
    assert "shown once" in result.stdout


async def test_a_town_of_a_country_that_is_not_loaded_is_loaded(relais: Relais, engine: AsyncEngine) -> None:
    await _added(relais, "municipality", KOMOTINI_AREA)
    async with transaction(engine) as tx:
        assert (await towns.get(tx, KOMOTINI_AREA)).country == "GR"


@pytest.mark.parametrize("words", [("migrate",), ("org", "add", "--kind", "association", "Refuge"), ("org", "list")])
async def test_who_has_not_the_right_is_told_so_and_not_to_look_whether_it_runs(
    relais: Relais, settings: Settings, monkeypatch: pytest.MonkeyPatch, logins: Logins, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RELAIS_DATABASE_URL", Logins.address(settings.database_url, logins.api))
    result = await relais(*words)
    assert result.exit_code == 1
    assert "give the command the operator's user" in result.stderr


async def test_a_town_that_nobody_knows_is_refused_in_words(relais: Relais) -> None:
    result = await relais("org", "add", "--kind", "municipality", "--town", "1", "--json", "Nowhere")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no town with the number 1" in result.stderr


async def test_a_name_must_be_one_visible_line(relais: Relais) -> None:
    for name in ("", "   ", "a" * 121, "two\nlines"):
        result = await relais("org", "add", "--kind", "association", name)
        assert result.exit_code == 1, repr(name)
        assert "Nothing was changed" in result.stderr


async def test_a_third_live_key_is_refused_in_words_until_one_is_revoked(relais: Relais) -> None:
    organization_id, first = await _added(relais)
    assert (await relais("key", "issue", organization_id)).exit_code == 0
    refused = await relais("key", "issue", organization_id)
    assert refused.exit_code == 1
    assert "two live keys already" in refused.stderr
    assert (await relais("key", "revoke", first)).exit_code == 0
    assert (await relais("key", "issue", organization_id)).exit_code == 0


async def test_a_listed_key_shows_no_secret(relais: Relais) -> None:
    organization_id, key = await _added(relais)
    _, prefix, secret = key.split("_")
    for options in ((), ("--json",)):
        listed = await relais("key", "list", organization_id, *options)
        assert prefix in listed.stdout
        assert secret not in listed.stdout


async def test_a_scope_that_the_kind_does_not_allow_is_refused(relais: Relais) -> None:
    organization_id, _ = await _added(relais, "coordination")
    refused = await relais("key", "issue", organization_id, "--scope", "offers:write")
    assert refused.exit_code == 1
    assert "scopes" in refused.stderr


async def test_organizations_are_listed(relais: Relais) -> None:
    organization_id, _ = await _added(relais)
    assert organization_id in (await relais("org", "list")).stdout
    (listed,) = json.loads((await relais("org", "list", "--json")).stdout)
    assert listed["name"] == "Mairie de Briançon"


async def test_a_missing_organization_is_told_in_words(relais: Relais) -> None:
    result = await relais("key", "list", "00000000-0000-4000-8000-000000000000")
    assert result.exit_code == 1
    assert "no such organization" in result.stderr
    result = await relais("key", "issue", "00000000-0000-4000-8000-000000000000")
    assert result.exit_code == 1
    assert "no such organization" in result.stderr


async def test_a_database_that_does_not_answer_is_told_in_words(
    relais: Relais, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAIS_DATABASE_URL", "postgresql+asyncpg://relais:pass-word@127.0.0.1:1/none")
    result = await relais("org", "list")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "pass-word" not in result.output


def test_the_running_house_is_found_only_by_its_user(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELAIS_DATABASE_URL", raising=False)
    with pytest.raises(running.NothingRuns, match="make demo"):
        running.settings(tmp_path)
    with running.announced(settings, tmp_path):
        monkeypatch.setenv("RELAIS_POOL_SIZE", "3")
        found = running.settings(tmp_path)
        assert (found.database_url, found.pool_size) == (settings.database_url, 3)
        monkeypatch.setenv("RELAIS_POOL_SIZE", "none")
        with pytest.raises(WrongSettings, match="RELAIS_POOL_SIZE"):
            running.settings(tmp_path)
        monkeypatch.delenv("RELAIS_POOL_SIZE")
        assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(running.NothingRuns):
        running.settings(tmp_path)


async def test_settings_that_are_missing_are_named(relais: Relais, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAIS_SECRET_FILE")
    result = await relais("org", "list")
    assert result.exit_code == 2
    assert "RELAIS_SECRET_FILE" in result.stderr


async def test_the_migrations_and_the_models_agree(relais: Relais) -> None:
    result = await relais("migrations", "check")
    assert result.exit_code == 0, result.output
    assert "agree" in result.stdout


async def test_a_country_that_is_nowhere_is_refused_and_the_others_with_it(relais: Relais, engine: AsyncEngine) -> None:
    result = await relais("import", "LU", "zz")
    assert result.exit_code == 1
    assert "ZZ" in result.stderr
    assert "LU" not in result.stderr
    assert "Nothing was changed" in result.stderr
    async with transaction(engine) as tx:
        assert "LU" not in await towns.loaded_countries(tx)


async def test_countries_that_are_loaded_already_are_no_failure(relais: Relais) -> None:
    assert (await relais("import", "LU")).exit_code == 0
    again = await relais("import", "lu")
    assert again.exit_code == 0
    assert "loaded already" in again.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("key", "list", "00000000-0000-0000-0000-000000000000"),
        ("key", "issue", "00000000-0000-0000-0000-000000000000"),
        ("key", "revoke", "aaaaaaaaaa"),
        ("org", "add", "--kind", "municipality", "--town", "1", "Nowhere"),
        ("org", "add", "--kind", "municipality", " "),
        ("solve", "not-there.json"),
        ("import",),
    ],
)
async def test_a_command_that_did_not_do_its_act_says_so_and_fails(relais: Relais, arguments: tuple[str, ...]) -> None:
    result = await relais(*arguments)
    assert result.exit_code in {1, 2}
    assert result.stderr
    assert "Traceback" not in result.stderr


async def test_a_key_that_may_only_confirm_is_made_with_one_word(
    relais: Relais, engine: AsyncEngine, settings: Settings
) -> None:
    organization_id, _ = await _added(relais)
    made = await relais("key", "issue", organization_id, "--may", "confirm", "--json")
    assert made.exit_code == 0, made.output
    async with transaction(engine) as tx:
        holder = await keys.holder(tx, json.loads(made.stdout)["key"], settings.keys().of("api-key"))
    assert holder is not None
    assert holder.scopes == keys.ONLY_CONFIRMS
    both = await relais("key", "issue", organization_id, "--may", "confirm", "--scope", "needs:read")
    assert both.exit_code == 2


async def test_all_keys_of_an_organization_are_revoked_with_one_command(
    relais: Relais, engine: AsyncEngine, settings: Settings
) -> None:
    organization_id, first = await _added(relais)
    _, untouched = await _added(relais)
    second = json.loads((await relais("key", "issue", organization_id, "--json")).stdout)["key"]
    done = await relais("key", "revoke", "--organization", organization_id)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("2 keys")
    async with transaction(engine) as tx:
        hashing = settings.keys().of("api-key")
        assert [await keys.holder(tx, key, hashing) for key in (first, second)] == [None, None]
        assert await keys.holder(tx, untouched, hashing) is not None
    for wrong in ((), (first.split("_")[1], "--organization", organization_id)):
        assert (await relais("key", "revoke", *wrong)).exit_code == 2
    unknown = await relais("key", "revoke", "--organization", "00000000-0000-4000-8000-000000000000")
    assert unknown.exit_code == 1


async def test_a_key_is_shown_as_a_code_to_scan(relais: Relais) -> None:
    organization_id, _ = await _added(relais)
    shown = (await relais("key", "issue", organization_id, "--qr")).stdout
    key = re.search(r"relais_\S+", shown)
    assert key
    drawn = StringIO()
    segno.make(key.group(), error="m", micro=False).terminal(drawn, compact=True)
    assert drawn.getvalue() in shown
    both = await relais("key", "issue", organization_id, "--qr", "--json")
    assert both.exit_code == 2
    assert "--qr or --json" in both.output
