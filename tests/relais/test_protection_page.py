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


SAY_THEIR_END = frozenset({"session"})
"""Tables whose rows hold the moment at which they are over, and are deleted then: no setting keeps them longer."""


def test_a_term_has_a_setting_and_a_way_to_find_what_outlived_it() -> None:
    for table, kept in KEPT.items():
        if table in SAY_THEIR_END:
            assert (kept.setting, "ends_at" in (kept.overdue or "")) == (None, True), table
        else:
            assert (kept.setting is None) == (kept.overdue is None), table
        assert kept.setting is None or kept.setting in Terms.model_fields, table
        assert kept.why, table
        assert kept.seen_by, table
        assert kept.term, table


def test_the_page_says_what_the_code_says() -> None:
    assert written() == generated(), "run python -m tests.relais.protection_page"


def named_tests_are_missing(page: str) -> list[str]:
    """Tests that a page names and that there are not."""
    missing = []
    for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page):
        there = ROOT / file
        if not there.is_file() or (test and f"def {test}(" not in there.read_text()):
            missing.append(f"{file}::{test}" if test else file)
    return missing


def test_every_test_that_answers_a_threat_exists() -> None:
    assert FILE.read_text().count("`tests/") > 10
    assert named_tests_are_missing(FILE.read_text()) == []


def test_the_outline_of_the_assessment_says_what_one_must_say() -> None:
    """What Article 35 (7) of the GDPR asks for, and whom to ask."""
    outline = FILE.read_text().partition("## Impact assessment, in outline")[2].partition("\n## ")[0]
    for part in (
        "Purpose",
        "Processing",
        "Legal basis",
        "People concerned",
        "Necessity and proportion",
        "Risks",
        "Measures",
        "Rights",
        "Consultation",
        "What remains",
        "To decide by each operator",
    ):
        assert f"- **{part}**:" in outline, part
