"""What is due, and what is like a need that is posted, is found by its keys: never by walking all who live."""

import json
from uuid import uuid4

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import due, needs
from tests.builders import add_organization, need_terms
from tests.db.test_candidates import nodes_of

PAST, LIVE = 500, 400
IN_OTHER_WORDS = ("coalesce({}ended_at, 'infinity') = 'infinity'", "{}ended_at is null")


@pytest.fixture
async def evening(tx: AsyncConnection) -> dict[str, object]:
    """All needs had ended when the planner last counted them, and hundreds were posted since: one of them, as a row."""
    await post(tx, PAST)
    await tx.execute(
        text("update need set state = 'closed', ended_at = now(), starts = starts - random() * interval '9 days'")
    )
    await tx.execute(text("analyze need"))
    await post(tx, LIVE)
    await tx.execute(text("update need set look_at = now() + interval '1 minute' where ended_at is null"))
    one: dict[str, object] = (
        await tx.execute(text("select to_jsonb(n) from need n where ended_at is null limit 1"))
    ).scalar_one()
    return one | {"id": str(uuid4()), "starts": "2030-01-01T18:00:00+01:00", "ends": "2030-01-02T08:00:00+01:00"}


async def post(tx: AsyncConnection, count: int) -> None:
    """So many needs of an organization of their own."""
    await needs.add(tx, await add_organization(tx), [need_terms()] * count, [""] * count)


async def walked(tx: AsyncConnection, statement: TextClause, values: dict[str, object]) -> int:
    """How many needs a statement reads and leaves."""
    explained = text("explain (analyze, format json) " + statement.text)
    plan = (await tx.execute(explained, values)).scalar_one()
    nodes = nodes_of(json.loads(plan) if isinstance(plan, str) else plan)
    return sum(int(node.get("Rows Removed by Filter", 0)) for node in nodes if node.get("Relation Name") == "need")


def in_other_words(statement: TextClause, alias: str) -> TextClause:
    ours, plain = (words.format(alias) for words in IN_OTHER_WORDS)
    assert ours in statement.text
    return text(statement.text.replace(ours, plain))


@pytest.mark.usefixtures("evening")
async def test_a_look_that_finds_nothing_due_walks_nobody(tx: AsyncConnection) -> None:
    assert await walked(tx, due.LOOK, {"limit": 100}) == 0
    assert await walked(tx, in_other_words(due.LOOK, ""), {"limit": 100}) >= LIVE, "the control finds nothing to walk"


async def test_a_need_is_posted_without_walking_others(tx: AsyncConnection, evening: dict[str, object]) -> None:
    rows: dict[str, object] = {"rows": json.dumps([evening])}
    assert await walked(tx, needs.ADD, rows) == 0
    await tx.execute(text("delete from need where id = :id"), {"id": evening["id"]})
    assert await walked(tx, in_other_words(needs.ADD, "n."), rows) >= LIVE, "the control finds nothing to walk"
