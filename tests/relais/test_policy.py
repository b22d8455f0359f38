"""`relais policy`: published with what it changes, refused with what is wrong, and never two at once."""

import asyncio
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import policies
from db.connection import transaction
from matching.policy import FIRST_POLICY
from matching.refusals import StaleVersion
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold, one, rows
from tests.places import MONTGENEVRE
from tests.relais.conftest import Relais


@pytest.fixture
def relais(relais: Relais) -> Relais:
    """Run `relais policy`."""
    return partial(relais, "policy")


def written(folder: Path, changes: object) -> str:
    file = folder / "policy.json"
    file.write_text(json.dumps(changes))
    return str(file)


async def test_what_is_shown_can_be_set_again_with_a_change(
    relais: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    shown = json.loads((await relais("show")).stdout)
    answer = await relais("set", written(tmp_path, shown | {"radius_km": 30, "answer_minutes": {"vital": 15}}))
    assert answer.exit_code == 0, answer.output
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
    assert policy == replace(
        FIRST_POLICY,
        version=FIRST_POLICY.version + 1,
        radius_km=30,
        answer_minutes={"vital": 15, "high": 120, "normal": 360},
    )
    event = await one(engine, "select facts from event where kind = 'policy.changed'")
    assert event.facts == {"version": policy.version}
    again = await relais("set", written(tmp_path, shown))
    assert again.exit_code == 2, "it was written for the version before"
    assert "version" in again.output


WRONG = {
    "an unknown term": ({"radius": 3}, "radius is no term"),
    "too far": ({"radius_km": 501}, "radius_km must be a whole number from 1 to 500"),
    "half a kilometre": ({"radius_km": 0.5}, "radius_km must be a whole number"),
    "a truth": ({"load_km": True}, "load_km must be"),
    "a word": ({"load_km": "5"}, "load_km must be"),
    "no number": ({"round_solve_seconds": float("nan")}, "round_solve_seconds must be a number from 0.1 to 60"),
    "minutes of nobody": ({"answer_minutes": {"soon": 3}}, "answer_minutes.soon is no term"),
    "minutes alone": ({"answer_minutes": 3}, "answer_minutes must be an object"),
    "stale before asked": ({"stale_after_days": 14}, "stale_after_days must be more than verify_after_days"),
    "a list": ([1], "not a JSON object"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_policy_is_refused_in_words_and_changes_nothing(
    relais: Relais, engine: AsyncEngine, tmp_path: Path, wrong: str
) -> None:
    changes, told = WRONG[wrong]
    answer = await relais("set", written(tmp_path, changes))
    assert answer.exit_code == 2
    assert told in answer.output
    async with transaction(engine) as tx:
        assert await policies.in_force(tx) == FIRST_POLICY


async def test_a_file_that_is_not_there_is_told(relais: Relais, tmp_path: Path) -> None:
    answer = await relais("set", str(tmp_path / "nothing.json"))
    assert (answer.exit_code, "cannot be read" in answer.output) == (2, True)


async def test_a_dry_run_says_who_would_have_gone_elsewhere_and_publishes_nothing(
    relais: Relais, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        await add_offer(tx, town_hall, place=MONTGENEVRE)
        need = await add_need(tx, town_hall)
    assert await hold(engine, need)
    answer = await relais("set", written(tmp_path, {"radius_km": 2}), "--dry-run")
    assert answer.exit_code == 0, answer.output
    told = {cells[1].strip(): cells[2:4] for line in answer.stdout.splitlines() if len(cells := line.split("│")) > 3}
    assert [cell.strip() for cell in told["people with a place"]] == ["1", "0"]
    assert [cell.strip() for cell in told["needs that go elsewhere"]] == ["", "1 of 1"]
    assert len(await rows(engine, "select version from policy")) == FIRST_POLICY.version
    assert "Nothing was published" in answer.stdout


async def test_of_two_who_publish_at_once_one_is_told_that_it_was_not(engine: AsyncEngine) -> None:
    published: list[int] = []

    async def publish(radius_km: int) -> None:
        async with transaction(engine) as tx:
            before = await policies.in_force(tx)
            await both.wait()
            try:
                await policies.publish(tx, replace(before, version=before.version + 1, radius_km=radius_km))
            except StaleVersion:
                return
        published.append(radius_km)

    both = asyncio.Barrier(2)
    await asyncio.gather(publish(20), publish(40))
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
    assert (policy.version, [policy.radius_km]) == (FIRST_POLICY.version + 1, published)
