"""The chain of an organization's acts: whoever changes, removes, reorders, cuts or forges in it is found out."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit
from db.audit import Actor
from db.chains import START, Entry, Head, link
from db.connection import snapshot, transaction
from db.linking import link_acts
from tests.db.acts import one, rows

KEY = bytes(32)
HOURS = 30 * 24
MINE, OTHER = UUID(int=7), UUID(int=8)


async def write(engine: AsyncEngine, count: int, organization: UUID = MINE) -> None:
    for number in range(count):
        async with transaction(engine) as tx:
            who = Actor(organization, "association", "offers:write")
            await audit.append(tx, who, "POST /v1/offers/{offer_id}/pause", [UUID(int=number)])
        await link_acts(engine)


async def flaws(engine: AsyncEngine, *exported: Head) -> list[str]:
    async with snapshot(engine) as tx:
        found = await audit.verify(tx, KEY)
        compared = await audit.compare(tx, exported)
    return [flaw.code for each in found.values() for flaw in each] + [flaw.code for flaw in compared.flaws]


async def heads(engine: AsyncEngine) -> list[Head]:
    async with transaction(engine) as tx:
        return await audit.heads(tx)


async def prune(engine: AsyncEngine, limit: int = 500) -> int:
    async with transaction(engine) as tx:
        return await audit.prune(tx, MINE, HOURS, KEY, limit)


async def make_old(engine: AsyncEngine, up_to: int) -> None:
    """The first entries were written 31 days ago, as honest links of the chain."""
    await rows(engine, "update audit_entry set at = at - interval '31 days' where number <= :n", n=up_to)
    previous = START
    for row in await rows(
        engine,
        "select organization_id, number, at, role, scope, act, objects, hash from audit_entry"
        " where organization_id = :id order by number",
        id=MINE,
    ):
        entry = Entry(**{**row._mapping, "objects": tuple(row.objects)})
        previous = link(previous, entry)
        await rows(
            engine,
            "update audit_entry set hash = :hash where organization_id = :id and number = :n",
            hash=previous,
            id=MINE,
            n=entry.number,
        )
    await rows(engine, "update audit_head set hash = :hash where organization_id = :id", hash=previous, id=MINE)


async def test_whatever_an_act_is_called_its_link_holds(engine: AsyncEngine) -> None:
    strange = 'a "quoted" \\ path/{id} é ↯'
    async with transaction(engine) as tx:
        await audit.append(tx, Actor(MINE, strange, ""), strange, [uuid4(), uuid4()])
        await audit.append(tx, Actor(MINE, "coordination", "needs:write"), "POST /v1/needs", [])
    await link_acts(engine)
    assert [head.number for head in await heads(engine)] == [2]
    assert await flaws(engine) == []


async def test_a_link_is_what_anybody_can_compute() -> None:
    at = datetime(2026, 12, 1, 18, 0, 0, 5, UTC)
    entry = Entry(MINE, 1, at, "coordination", "needs:write", "POST /v1/needs", (UUID(int=1),), b"")
    assert link(START, entry).hex() == "8220945c4ae7421b7b000044b6585625ae273028cffb5f7217490e78066a544f"


TAMPERING = {
    "another act": ("update audit_entry set act = 'GET /' where number = 3", "entry_changed"),
    "another object": ("update audit_entry set objects = '{}' where number = 3", "entry_changed"),
    "another time": ("update audit_entry set at = at - interval '1 microsecond' where number = 3", "entry_changed"),
    "another role": ("update audit_entry set role = 'municipality' where number = 3", "entry_changed"),
    "another link": ("update audit_entry set hash = sha256('x') where number = 3", "entry_changed"),
    "one removed": ("delete from audit_entry where number = 3", "entry_missing"),
    "the first removed": ("delete from audit_entry where number = 1", "entry_missing"),
    "the last removed": ("delete from audit_entry where number = 5", "head_differs"),
    "two in another order": (
        (
            "update audit_entry set number = case number when 2 then -3 when 3 then -2 else number end;"
            "update audit_entry set number = -number where number < 0"
        ),
        "entry_changed",
    ),
    "one put in": (
        (
            "insert into audit_entry select organization_id, 6, at, role, scope, act, objects, hash from audit_entry"
            " where number = 5"
        ),
        "entry_changed",
    ),
    "another's entry": ("update audit_entry set organization_id = gen_random_uuid() where number = 5", "head_missing"),
    "the head moved back": ("update audit_head set number = 4", "head_differs"),
    "the head removed": ("delete from audit_head", "head_missing"),
    "said to be pruned": (
        (
            "delete from audit_entry where number <= 2;"
            "update audit_head set pruned_number = 2, pruned_hash = sha256('x'), pruned_seal = sha256('y')"
        ),
        "checkpoint_forged",
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_whatever_is_changed_with_raw_sql_is_found(engine: AsyncEngine, how: str) -> None:
    await write(engine, 5)
    assert await flaws(engine) == []
    statements, code = TAMPERING[how]
    for statement in statements.split(";"):
        await rows(engine, statement)
    assert code in await flaws(engine)


@pytest.mark.parametrize("left", [4, 0])
async def test_what_is_cut_off_with_its_head_moved_back_is_found_against_an_exported_head(
    engine: AsyncEngine, left: int
) -> None:
    await write(engine, 5)
    exported = await heads(engine)
    await rows(engine, "delete from audit_entry where number > :left", left=left)
    if left:
        await rows(
            engine,
            "update audit_head h set number = e.number, hash = e.hash from audit_entry e where e.number = :left",
            left=left,
        )
    else:
        await rows(engine, "delete from audit_head")
    assert await flaws(engine) == [], "alone, the rest is a chain like any other"
    assert await flaws(engine, *exported) == ["cut_off"]


async def test_a_chain_written_anew_is_found_against_an_exported_head(engine: AsyncEngine) -> None:
    await write(engine, 5)
    exported = await heads(engine)
    await rows(engine, "delete from audit_entry")
    await rows(engine, "delete from audit_head")
    await write(engine, 6)
    assert await flaws(engine) == []
    assert await flaws(engine, *exported) == ["rewritten"]


async def test_an_exported_head_is_no_trouble_for_a_chain_that_went_on(engine: AsyncEngine) -> None:
    await write(engine, 5)
    exported = await heads(engine)
    await write(engine, 3)
    assert await flaws(engine, *exported) == []


async def test_pruning_leaves_a_chain_that_is_still_verified(engine: AsyncEngine) -> None:
    await write(engine, 9)
    await make_old(engine, 6)
    exported = await heads(engine)
    assert [await prune(engine, 4), await prune(engine, 4), await prune(engine, 4)] == [4, 2, 0]
    assert (await one(engine, "select min(number) as n from audit_entry")).n == 7
    assert await flaws(engine, *exported) == []
    await write(engine, 2)
    assert await flaws(engine, *exported) == []
    await rows(engine, "update audit_entry set act = 'x' where number = 7")
    assert await flaws(engine) == ["entry_changed"]


async def test_a_chain_that_is_all_old_goes_whole_and_its_head_stays(engine: AsyncEngine) -> None:
    await write(engine, 3)
    await make_old(engine, 3)
    exported = await heads(engine)
    assert await prune(engine) == 3
    assert await flaws(engine, *exported) == []
    await write(engine, 1)
    assert await flaws(engine, *exported) == []


async def test_pruning_does_not_wash_what_was_tampered_with(engine: AsyncEngine) -> None:
    await write(engine, 5)
    await make_old(engine, 4)
    await rows(engine, "update audit_entry set act = 'x' where number = 2")
    assert await prune(engine, 2) == 2
    assert await prune(engine, 2) == 2, "what is past its term goes all the same"
    assert await flaws(engine) == ["checkpoint_forged"]


async def test_an_act_that_is_rolled_back_leaves_no_entry_and_no_gap(engine: AsyncEngine) -> None:
    await write(engine, 1)
    async with engine.connect() as tx:
        await audit.append(tx, Actor(MINE, "association", "offers:write"), "POST /v1/offers", [])
    await write(engine, 1)
    assert (await heads(engine))[0].number == 2
    assert await flaws(engine) == []


async def test_sixty_four_who_write_at_once_make_no_fork(engine: AsyncEngine) -> None:
    await asyncio.gather(*(write(engine, 5, organization) for _ in range(32) for organization in (MINE, OTHER)))
    assert [head.number for head in await heads(engine)] == [160, 160]
    assert await flaws(engine) == []


async def test_who_prunes_never_waits_for_who_writes(engine: AsyncEngine) -> None:
    await write(engine, 3)
    await make_old(engine, 3)
    async with engine.connect() as writing:
        await writing.execute(text("select 1 from audit_head for update"))
        assert await prune(engine) == 0
    assert await prune(engine) == 3


async def test_an_act_is_written_in_its_own_transaction_and_waits_for_nobody(engine: AsyncEngine) -> None:
    await write(engine, 1)
    who = Actor(MINE, "association", "offers:write")
    async with engine.connect() as slow, engine.connect() as pruning:
        await pruning.execute(text("select 1 from audit_head for update"))
        await audit.append(slow, who, "POST /v1/needs", [])
        async with transaction(engine) as tx:
            await audit.append(tx, who, "POST /v1/sites", [])
    await link_acts(engine)
    assert [row.act for row in await rows(engine, "select act from audit_entry where number > 1")] == ["POST /v1/sites"]
    assert await flaws(engine) == []


async def test_who_dies_while_linking_links_nothing_twice(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        for _ in range(3):
            await audit.append(tx, Actor(MINE, "association", "offers:write"), "POST /v1/offers", [])
    async with engine.connect() as dying:
        assert await audit.link_pending(dying, 2) == 2
    assert await link_acts(engine) == 3
    assert [head.number for head in await heads(engine)] == [3]
    assert await flaws(engine) == []
