"""The page of protection says what is stored: every table and column has its line, every named test exists."""

import re

from sqlalchemy.ext.asyncio import AsyncEngine

from db.tables import Row
from db.tables.protection import KEPT
from db.terms import Terms
from tests.conftest import ROOT
from tests.db.acts import rows
from tests.relais.protection_page import FILE, generated, written


async def test_every_table_and_column_of_the_database_has_its_line(engine: AsyncEngine) -> None:
    columns: dict[str, set[str]] = {}
    for row in await rows(
        engine,
        "select table_name, column_name from information_schema.columns join information_schema.tables"
        " using (table_schema, table_name) where table_schema = 'public' and table_type = 'BASE TABLE'"
        " and table_name <> 'spatial_ref_sys'",
    ):
        columns.setdefault(row.table_name, set()).add(row.column_name)
    told = {table: {name for names in kept.columns for name in names.split()} for table, kept in KEPT.items()}
    assert told == columns


def test_no_table_of_the_models_is_missing() -> None:
    assert set(KEPT) == set(Row.metadata.tables) | {"alembic_version"}


def test_a_term_has_a_setting_and_a_way_to_find_what_outlived_it() -> None:
    for table, kept in KEPT.items():
        assert (kept.setting is None) == (kept.overdue is None), table
        assert kept.setting is None or kept.setting in Terms.model_fields, table
        assert kept.why, table
        assert kept.seen_by, table
        assert kept.term, table


def test_the_page_says_what_the_code_says() -> None:
    assert written() == generated(), "run python -m tests.relais.protection_page"


def test_every_test_that_answers_a_threat_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", FILE.read_text())
    assert len(named) > 10
    for file, test in named:
        source = (ROOT / file).read_text()
        assert not test or f"def {test}(" in source, f"{file}::{test}"
