"""Expand first, contract later: what may run beside the old code runs, and what must wait is named."""

import shutil
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine

import db.migrations
from db.migrations import Phase, history, pending, upgrade
from tests.db.acts import rows

_STEP = """
from alembic import op

revision = "{number:04}"
down_revision = "{before:04}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table need add column {column} int")
"""


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three more migrations than there are: `pre`, `post`, `pre`."""
    folder = Path(db.migrations.__file__).parent
    shutil.copytree(folder, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    newest = int(history()[-1].name.partition("_")[0])
    for number, (phase, column) in enumerate((("pre", "first"), ("post", "second"), ("pre", "third")), newest + 1):
        file = tmp_path / "migrations" / "versions" / f"{number:04}_{phase}_{column}.py"
        file.write_text(_STEP.format(number=number, before=number - 1, column=column))
    monkeypatch.setattr("db.migrations._config", lambda: Config(str(tmp_path / "migrations" / "alembic.ini")))
    return [step.name for step in history()[-3:]]


async def added(engine: AsyncEngine) -> set[str]:
    columns = "select column_name as name from information_schema.columns where table_name = 'need'"
    return {row.name for row in await rows(engine, columns)} & {"first", "second", "third"}


async def test_what_needs_the_old_code_gone_waits_and_all_after_it(engine: AsyncEngine, later: list[str]) -> None:
    left = await upgrade(engine, Phase.PRE)
    assert [step.name for step in left] == later[1:]
    assert await added(engine) == {"first"}
    assert [step.name for step in await upgrade(engine, Phase.PRE)] == later[1:]
    assert await upgrade(engine) == []
    assert await added(engine) == {"first", "second", "third"}
    assert await pending(engine) == []
