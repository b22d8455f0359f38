"""`relais competence`: a table of legal duties, published in versions and refused with what is wrong."""

import json
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import competences
from db.connection import transaction
from matching.competence import Duty
from tests.relais.conftest import Relais


@pytest.fixture
def relais(relais: Relais) -> Relais:
    """Run `relais competence`."""
    return partial(relais, "competence")


def written(folder: Path, table: object) -> str:
    file = folder / "duties.json"
    file.write_text(json.dumps(table))
    return str(file)


async def test_what_is_shown_can_be_set_again_with_a_change(
    relais: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    shown = json.loads((await relais("show")).stdout)
    assert shown["duties"]["FR"]["shelter"]["duty"] == "state"
    shown["duties"]["GR"] = {"shelter": {"duty": "state", "basis": "a law"}}
    answer = await relais("set", written(tmp_path, shown))
    assert answer.exit_code == 0, answer.output
    async with transaction(engine) as tx:
        now = await competences.in_force(tx)
    assert now.version == shown["version"] + 1
    assert now.of("GR", "shelter").duty is Duty.STATE
    assert now.of("GR", "meal").duty is now.of("XX", "shelter").duty is Duty.UNKNOWN
    again = await relais("set", written(tmp_path, shown))
    assert again.exit_code == 2, "it was written for the version before"


WRONG = {
    "no object": [],
    "something else": {"duties": {}, "dutys": {}},
    "no countries": {"duties": []},
    "a name of a country": {"duties": {"France": {}}},
    "no category": {"duties": {"FR": {"castle": {"duty": "state", "basis": "a law"}}}},
    "no duty": {"duties": {"FR": {"shelter": {"duty": "somebody", "basis": "a law"}}}},
    "no law": {"duties": {"FR": {"shelter": {"duty": "state"}}}},
    "a break of the line": {"duties": {"FR": {"shelter": {"duty": "state", "basis": "a\nlaw"}}}},
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_no_table_changes_nothing(relais: Relais, engine: AsyncEngine, tmp_path: Path, name: str) -> None:
    answer = await relais("set", written(tmp_path, WRONG[name]))
    assert answer.exit_code == 2
    assert "Nothing was changed" in answer.output
    async with transaction(engine) as tx:
        assert (await competences.in_force(tx)).version == 1
