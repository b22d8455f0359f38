"""`relais import`: a file is brought in whole or not at all, whatever is wrong with it and whoever else is at it."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import organizations
from db.connection import transaction
from db.settings import Settings
from importing.limits import MOST_ROWS
from relais.importing import telling
from tests.places import OULX
from tests.relais.bringing import (
    FRENCH,
    GYM,
    NIGHTS,
    OFFER_HEADERS,
    STREET,
    add_gym,
    all_offers,
    all_sites,
    bring,
)
from tests.relais.conftest import Relais
from tests.relais.spreadsheets import csv_file, xlsx_file
from tests.waiting import eventually


async def test_one_row_with_errors_keeps_the_whole_file_out_and_all_errors_are_told_at_once(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        await add_gym(tx, settings, association)
    wrong = [
        ("Nowhere", *NIGHTS[1:]),
        (NIGHTS[0], "hugs", "many", "tomorrow", *NIGHTS[4:]),
        (*NIGHTS[:3], "01/01/2020", "02/01/2020", *NIGHTS[5:]),
        (*NIGHTS[:5], "9:00", "17:00", *NIGHTS[7:9], ""),
        (NIGHTS[0], "hugs", *NIGHTS[2:]),
        (*NIGHTS[:2], "29", *NIGHTS[3:]),
        ("x" * 10_000, *NIGHTS[1:]),
        ('=HYPERLINK("https://example.org")', *NIGHTS[1:]),
    ]
    refused = await bring(
        relais, "offers", csv_file(tmp_path / "o.csv", [OFFER_HEADERS, NIGHTS, *wrong]), association, "--yes"
    )
    assert refused.exit_code == 1
    told = [line.strip() for line in refused.stderr.splitlines()]
    for row, column, said in (
        (3, "“Lieu” (site)", "no site that is called so"),
        (4, "“Places” (capacity)", "a whole number"),
        (4, "“Premier jour” (first_day)", "a day is needed"),
        (5, "“Dernier jour” (last_day)", "over already"),
        (6, "“à” (closes)", "no night between"),
        (7, "“Aide” (category)", "no such kind of help"),
        (9, "“Lieu” (site)", "too long"),
        (10, "“Lieu” (site)", "no site that is called so"),
    ):
        assert [line for line in told if f"row {row}, column {column}: " in line and said in line], (row, told)
    assert [line for line in told if "row 8: this is the same as row 2" in line], told
    assert not [secret for secret in ("HYPERLINK", "xxx", "hugs", "tomorrow", "Nowhere") if secret in refused.output]
    assert await all_offers(engine, association) == ()
    # It was those rows: without them, the same file is taken in.
    done = await bring(relais, "offers", csv_file(tmp_path / "o.csv", [OFFER_HEADERS, NIGHTS]), association, "--yes")
    assert done.exit_code == 0, done.output
    assert len(await all_offers(engine, association)) == 1


async def test_who_brings_in_the_same_file_at_the_same_moment_waits_and_finds_it_there(
    relais: Relais, engine: AsyncEngine, settings: Settings, association: UUID, tmp_path: Path
) -> None:
    file = csv_file(tmp_path / "s.csv", [FRENCH[:5], GYM[:5]])

    async def waits() -> bool:
        async with transaction(engine) as looking:
            found = await looking.execute(
                text(
                    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                    "and application_name = 'relais-command' and datname = current_database()"
                )
            )
            return bool(found.scalar_one())

    async with transaction(engine) as tx:
        await organizations.bringing_in(tx, association)
        second = asyncio.create_task(bring(relais, "sites", file, association, "--yes"))
        await eventually(waits, "the second waits for the first", 4)
        await add_gym(tx, settings, association)
    assert "0 new, 1 there already" in (await second).stdout
    assert len(await all_sites(engine, association)) == 1


async def test_who_waits_in_vain_for_another_is_told_so(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAIS_LOCK_SECONDS", "1")
    file = csv_file(tmp_path / "s.csv", [FRENCH[:5], GYM[:5]])
    async with transaction(engine) as tx:
        await organizations.bringing_in(tx, association)
        # Who only looks waits for nobody.
        assert (await bring(relais, "sites", file, association)).exit_code == 0
        refused = await bring(relais, "sites", file, association, "--yes")
    assert refused.exit_code == 1
    assert "waited for in vain" in refused.stderr
    assert not await all_sites(engine, association)


async def test_when_the_database_takes_one_row_for_wrong_none_is_kept(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path
) -> None:
    rows = [(f"Gym {number}", "Oulx", "association", OULX.longitude, OULX.latitude, STREET) for number in range(5)]
    file = csv_file(tmp_path / "s.csv", [FRENCH[:6], *rows])
    async with transaction(engine) as tx:
        await tx.execute(text("alter table site add constraint breaks check (name <> 'Gym 3')"))
    broken = await bring(relais, "sites", file, association, "--yes")
    assert broken.exit_code == 1
    assert "Nothing was changed" in broken.stderr
    async with transaction(engine) as tx:
        for table in ("site", "site_location", "event", "audit_pending"):
            assert (await tx.execute(text(f"select count(*) from {table}"))).scalar_one() == 0, table
        await tx.execute(text("alter table site drop constraint breaks"))
    assert (await bring(relais, "sites", file, association, "--yes")).exit_code == 0
    assert len(await all_sites(engine, association)) == 5


async def test_as_many_rows_as_may_be_come_in_at_once(
    relais: Relais, association: UUID, tmp_path: Path, *, long: bool
) -> None:
    many = MOST_ROWS if long else 250
    rows = [(f"Gym {number}", "Oulx", "association", OULX.longitude, OULX.latitude) for number in range(many)]
    done = await bring(relais, "sites", xlsx_file(tmp_path / "s.xlsx", [FRENCH[:5], *rows]), association, "--yes")
    assert done.exit_code == 0, done.output
    assert f"{many} sites were brought in" in done.stdout
    again = await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH[:5], *rows]), association)
    assert f"0 new, {many} there already" in again.stdout


async def test_two_rows_that_are_one_thing_are_one_and_must_say_the_same(
    relais: Relais, engine: AsyncEngine, association: UUID, tmp_path: Path
) -> None:
    elsewhere = (GYM[0].upper(), *GYM[1:5], "18 impasse du Secret-Bien-Gardé", *GYM[6:])
    refused = await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH, GYM, elsewhere]), association, "--yes")
    assert refused.exit_code == 1
    assert "row 3: this is the same as row 2" in refused.stderr
    assert "Secret" not in refused.output
    done = await bring(relais, "sites", csv_file(tmp_path / "s.csv", [FRENCH, GYM, GYM]), association, "--yes")
    assert "1 new, 1 there already" in done.stdout
    assert len(await all_sites(engine, association)) == 1


async def test_what_is_no_spreadsheet_ends_the_command_in_words(
    relais: Relais, association: UUID, tmp_path: Path
) -> None:
    for name, content in (("a.xlsx", b"PK\x03\x04" + STREET.encode() * 99), ("a.csv", b"\0\1"), ("a.doc", b"")):
        (tmp_path / name).write_bytes(content)
        refused = await bring(relais, "sites", tmp_path / name, association, "--yes")
        assert refused.exit_code == 2
        assert "What to do" in refused.stderr


def test_there_is_a_bar_where_somebody_looks_and_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for looks, rows, shown in (("1", 200, True), ("1", 20, False), ("", 200, False)):
        monkeypatch.setenv("FORCE_COLOR", looks)
        assert list(telling.progress(range(rows), "Looking")) == list(range(rows))
        assert ("Looking" in capsys.readouterr().err) is shown
