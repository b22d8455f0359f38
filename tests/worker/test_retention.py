"""Retention: nothing outlives its term, every need is counted exactly once, and no backup brings anything back."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import audit, shifts, sites, tombstones
from db.addresses import Vault
from db.audit import Actor
from db.bell import Bell
from db.connection import connect, snapshot, transaction
from db.linking import link_acts
from db.locations import Address
from db.purging import PURGES
from db.retention import purge
from db.roles import Role
from db.settings import Settings
from db.tables.protection import KEPT
from matching.vocabulary import OrganizationKind
from tests.acting import in_role
from tests.api.scenes import assert_every_place_is_counted_once
from tests.builders import add_need, add_organization
from tests.conftest import Servers, run_on_server, settings_for
from tests.db.acts import Fact, one, rows
from tests.evening import evening
from tests.places import BRIANCON, GAP, MENTON
from tests.waiting import eventually
from tests.worker.conftest import StartWorker
from worker.settings import WorkerSettings
from worker.upkeep import keep_up

LATE = timedelta(minutes=15)
_FAR = 3650
_TIMES = """
    select c.table_name, c.column_name, c.data_type from information_schema.columns c
     join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.table_name <> 'spatial_ref_sys'
       and c.data_type in ('timestamp with time zone', 'date') and c.is_generated = 'NEVER'
     order by 1, 2
"""


@pytest.fixture
def terms(settings: Settings) -> WorkerSettings:
    return WorkerSettings(**settings.model_dump(exclude={"database_address"}))


async def let_pass(engine: AsyncEngine, days: float) -> None:
    """The clock goes on: every time in every table lies so much longer ago."""
    by_table: dict[str, list[str]] = {}
    for row in await rows(engine, _TIMES):
        span = "cast(:days as float) * interval '1 day'" if row.data_type != "date" else "cast(:whole as int)"
        by_table.setdefault(row.table_name, []).append(f"{row.column_name} = {row.column_name} - {span}")
    async with transaction(engine) as tx:
        for table, changes in by_table.items():
            # There and back: no night comes to lie where another one is, row by row.
            for jump in (_FAR + days, -_FAR):
                known = {"days": jump, "whole": int(jump)}
                statement = f"update {table} set {', '.join(changes)}"
                await tx.execute(text(statement), {name: known[name] for name in known if f":{name}" in statement})


async def count(engine: AsyncEngine, table: str) -> int:
    return int((await one(engine, f"select count(*) as n from {table}")).n)


async def overdue(engine: AsyncEngine, terms: WorkerSettings) -> dict[str, int]:
    """By table, the rows that have outlived their term by more than a quarter of an hour."""
    found = {}
    for table, kept in KEPT.items():
        if kept.overdue is None:
            continue
        term = getattr(terms, kept.setting) if kept.setting else 0
        values = {name: value for name, value in {"term": term, "late": LATE}.items() if f":{name}" in kept.overdue}
        late = await one(engine, f"select count(*) as n from {table} r where {kept.overdue}", **values)
        found[table] = int(late.n)
    return {table: number for table, number in found.items() if number}


async def end_everything(engine: AsyncEngine, settings: Settings) -> None:
    """Ten days pass, in which the worker does what falls due by time alone."""
    await let_pass(engine, 10)
    while await keep_up(in_role(engine, Role.MATCHER), Bell(settings)):
        pass
    async with transaction(engine) as tx:
        await shifts.complete(tx, 100)


async def test_nothing_in_any_table_outlives_its_term(
    engine: AsyncEngine, settings: Settings, terms: WorkerSettings
) -> None:
    await evening(engine, settings)
    await end_everything(engine, settings)
    with_terms = [table for table, kept in KEPT.items() if kept.overdue and table != "tombstone"]
    assert [table for table in with_terms if not await count(engine, table)] == [], "tables that this test misses"
    await let_pass(engine, 40)
    assert await overdue(engine, terms) != {}
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await overdue(engine, terms) == {}
    assert [table for table in with_terms if await count(engine, table)] == []
    assert await count(engine, "tombstone") > 0
    await let_pass(engine, 91)
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await count(engine, "tombstone") == 0
    assert await count(engine, "organization") == 3


async def test_what_is_within_its_term_stays(engine: AsyncEngine, settings: Settings, terms: WorkerSettings) -> None:
    await evening(engine, settings)
    before = {table: await count(engine, table) for table in KEPT}
    await purge(in_role(engine, Role.MATCHER), terms)
    assert {table: await count(engine, table) for table in KEPT} == before
    await end_everything(engine, settings)
    await let_pass(engine, 72 / 24 - 0.01)
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await count(engine, "need") == before["need"]
    await let_pass(engine, 0.011)
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await count(engine, "need") == await count(engine, "allocation") == 0


async def test_an_exact_place_stays_while_somebody_is_there_or_may_come(
    engine: AsyncEngine, settings: Settings, terms: WorkerSettings
) -> None:
    await evening(engine, settings)
    await let_pass(engine, 35)
    await rows(engine, "update offer set last_day = current_date + 1")
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await count(engine, "site_location") == 2
    await rows(engine, "update offer set state = 'closed', closed_at = now() - interval '29 days'")
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await count(engine, "site_location") == 2
    await rows(engine, "update offer set closed_at = now() - interval '31 days'")
    await rows(engine, "update allocation set state = 'arrived' where state = 'confirmed'")
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await count(engine, "site_location") == 1, "the one where somebody still is"


async def figures(engine: AsyncEngine) -> dict[tuple[int, str, str], int]:
    found = await rows(engine, "select town_id, measure, part, count as n from daily_figure")
    return {(row.town_id, row.measure, row.part): row.n for row in found}


async def test_what_is_purged_was_counted_in_the_same_moment(
    engine: AsyncEngine, settings: Settings, terms: WorkerSettings
) -> None:
    await evening(engine, settings)
    await end_everything(engine, settings)
    await let_pass(engine, 4)
    assert await figures(engine) == {}
    await purge(in_role(engine, Role.MATCHER), terms)
    found = await figures(engine)
    assert found[BRIANCON.id, "needs", ""] == 1
    assert found[BRIANCON.id, "people", ""] == found[BRIANCON.id, "served", ""] == 4
    assert found[BRIANCON.id, "served_by", "municipality"] == found[BRIANCON.id, "served_in", "here"] == 4
    assert found[BRIANCON.id, "nights", ""] == 4
    assert found[BRIANCON.id, "waited", "1"] == 1
    assert (GAP.id, "served", "") not in found
    assert found[GAP.id, "unmet_people", ""] == 3
    assert [part for town, measure, part in found if (town, measure) == (GAP.id, "unmet")] == ["distance"]
    assert found[GAP.id, "unmet_for", "distance"] == found[GAP.id, "unmet_duty", "state"] == 3
    assert found[MENTON.id, "unmet_people", ""] == 2
    columns = await rows(
        engine, "select column_name, data_type from information_schema.columns where table_name = 'daily_figure'"
    )
    assert "uuid" not in {row.data_type for row in columns}
    await purge(in_role(engine, Role.MATCHER), terms)
    assert await figures(engine) == found


async def ended_needs(engine: AsyncEngine, number: int) -> None:
    """So many needs of two people each that ended in vain four days ago."""
    async with transaction(engine) as tx:
        poster = await add_organization(tx, OrganizationKind.COORDINATION)
        for _ in range(number):
            await add_need(tx, poster, people=2)
    await rows(engine, "update need set state = 'unmet', unmet_at = now(), ended_at = now() - interval '4 days'")


async def totals(engine: AsyncEngine) -> Fact:
    return await one(
        engine,
        "select (select count(*) from need) as left_over, (select count(*) from tombstone) as tombstones,"
        " coalesce(sum(count) filter (where measure = 'needs'), 0) as needs,"
        " coalesce(sum(count) filter (where measure = 'people'), 0) as people from daily_figure",
    )


async def test_many_who_purge_at_once_count_everything_once(engine: AsyncEngine, terms: WorkerSettings) -> None:
    await ended_needs(engine, 300)
    key = terms.keys().of("tombstone")

    async def some() -> int:
        done = 0
        while True:
            async with transaction(engine) as tx:
                more = await PURGES[0].act(tx, terms, key, 7)
            if not more:
                return done
            done += more

    assert sum(await asyncio.gather(*(some() for _ in range(6)))) == 300
    left = await totals(engine)
    assert (left.left_over, left.tombstones, left.needs, left.people) == (0, 300, 300, 600)


async def test_a_purge_that_is_undone_half_way_counts_nothing(engine: AsyncEngine, terms: WorkerSettings) -> None:
    await ended_needs(engine, 10)
    async with engine.connect() as dying:
        assert await PURGES[0].act(dying, terms, terms.keys().of("tombstone"), 100) == 10
    left = await totals(engine)
    assert (left.left_over, left.tombstones, left.needs) == (10, 0, 0)


async def test_a_worker_killed_while_it_purges_counts_everything_once(
    engine: AsyncEngine, start_worker: StartWorker
) -> None:
    await ended_needs(engine, 1500)
    async with engine.connect() as blocking:
        # What is purged last is held: the killed worker has committed some batches and is in or before another.
        await blocking.execute(text("select id from need order by id limit 400 for update"))
        worker = start_worker()

        async def begun() -> bool:
            return int((await totals(engine)).needs) >= 500

        await eventually(begun, "some needs are counted", 30)
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    half = await totals(engine)
    assert half.needs + half.left_over == 1500
    start_worker()

    async def done() -> bool:
        return int((await totals(engine)).left_over) == 0

    await eventually(done, "all needs are purged", 30)
    left = await totals(engine)
    assert (left.needs, left.people, left.tombstones) == (1500, 3000, 1500)


async def test_a_restored_backup_does_not_bring_back_what_was_purged_since(
    engine: AsyncEngine, settings: Settings, terms: WorkerSettings, servers: Servers, secret_files: tuple[Path, Path]
) -> None:
    """The need is alive in the backup: by its own times it would stay for days."""
    family = (await evening(engine, settings)).family
    backup = f"relais_test_{uuid4().hex[:12]}"
    await engine.dispose()
    await run_on_server(servers, f"create database {backup} template {settings.database_url.rpartition('/')[2]}")
    await end_everything(engine, settings)
    await let_pass(engine, 40)
    await purge(in_role(engine, Role.MATCHER), terms)
    async with transaction(engine) as tx:
        exported = frozenset(await tombstones.every(tx))
    assert len(exported) == 5, "three needs and two places"
    restored = connect(settings_for(servers, secret_files, backup), "test")
    key = terms.keys().of("tombstone")
    try:
        assert await count(restored, "need") == 3
        async with transaction(restored) as tx:
            assert await tombstones.reapply(tx, key) == 0, "the backup does not know yet"
        async with transaction(restored) as tx:
            assert await tombstones.reapply(tx, key, exported) == 5
        assert await rows(restored, "select 1 from need where id = :id", id=family) == []
        assert await count(restored, "site_location") == await count(restored, "allocation") == 0
        assert (await figures(restored))[BRIANCON.id, "needs", ""] == 1, "its figures did not have it"
        await assert_every_place_is_counted_once(restored)
        async with transaction(restored) as tx:
            assert await tombstones.reapply(tx, key, exported) == 0
    finally:
        await restored.dispose()
        await run_on_server(servers, f"drop database {backup} with (force)")


async def test_a_place_that_was_given_again_stays(
    engine: AsyncEngine, settings: Settings, terms: WorkerSettings
) -> None:
    there = await evening(engine, settings)
    await end_everything(engine, settings)
    await let_pass(engine, 40)
    await purge(in_role(engine, Role.MATCHER), terms)
    (site, other) = await rows(engine, "select id from site where organization_id = :id", id=there.town_hall)
    assert await count(engine, "site_location") == 0
    key, vault = terms.keys().of("tombstone"), Vault.of_file(settings.address_key_file)
    way = Address("By the green door", None)
    async with transaction(in_role(engine, Role.APP, there.town_hall)) as tx:
        await sites.set_address(tx, site.id, there.town_hall, None, way, vault, key)
    async with transaction(in_role(engine, Role.APP, there.town_hall)) as tx:
        await sites.set_address(tx, other.id, there.town_hall, None, way, vault, b"the control: not lowered")
    async with transaction(engine) as tx:
        assert await tombstones.reapply(tx, key) == 1
    assert [row.site_id for row in await rows(engine, "select site_id from site_location")] == [site.id]


async def test_rows_put_back_beside_their_tombstones_go_again_and_are_not_counted_twice(
    engine: AsyncEngine, terms: WorkerSettings
) -> None:
    await ended_needs(engine, 3)
    await rows(engine, "create table kept as select * from need")
    await purge(in_role(engine, Role.MATCHER), terms)
    before = await figures(engine)
    generated = "people"
    columns = [
        row.column_name
        for row in await rows(engine, "select column_name from information_schema.columns where table_name = 'kept'")
        if row.column_name != generated
    ]
    await rows(engine, f"insert into need ({', '.join(columns)}) select {', '.join(columns)} from kept")
    async with transaction(engine) as tx:
        assert await tombstones.reapply(tx, terms.keys().of("tombstone")) == 3
    assert await count(engine, "need") == 0
    assert await figures(engine) == before


async def test_a_tombstone_says_nothing_to_who_lacks_the_secret(engine: AsyncEngine, terms: WorkerSettings) -> None:
    await ended_needs(engine, 1)
    need: UUID = (await one(engine, "select id from need")).id
    await purge(in_role(engine, Role.MATCHER), terms)
    name = bytes((await one(engine, "select name from tombstone")).name)
    assert name == tombstones.name_of("need", need, terms.keys().of("tombstone"))
    assert name != tombstones.name_of("need", need, bytes(32))
    assert name != tombstones.name_of("place", need, terms.keys().of("tombstone"))


async def test_a_purged_audit_is_still_verified(engine: AsyncEngine, settings: Settings, terms: WorkerSettings) -> None:
    poster = uuid4()
    for _ in range(3):
        async with transaction(engine) as tx:
            await audit.append(tx, Actor(poster, "coordination", "needs:write"), "POST /v1/needs", [])
    await link_acts(in_role(engine, Role.MATCHER))
    # A term of nothing, so that honest entries are past it without being touched.
    await purge(in_role(engine, Role.MATCHER), terms.model_copy(update={"keep_audit_days": 0}))
    assert await count(engine, "audit_entry") == 0
    async with transaction(engine) as tx:
        await audit.append(tx, Actor(poster, "coordination", "needs:write"), "POST /v1/needs", [])
    await link_acts(in_role(engine, Role.MATCHER))
    async with snapshot(engine) as tx:
        assert await audit.verify(tx, settings.keys().of("audit")) == {poster: []}
