"""The feed: nothing that commits late is passed over, and what happened to an object is told in its order.

The controls are the two ways in which it is commonly built: a cursor over the serial number, which loses what commits
late, and one over transaction ids alone, which tells of an object in the order in which its writers began.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import events, feed
from db.connection import listening_address, transaction
from db.feed import FeedEvent, FeedPage, Mark
from db.purging import PURGES
from db.settings import Settings
from db.terms import Terms
from matching.refusals import FeedBroken
from tests.db.acts import rows, settled
from tests.waiting import eventually

OURS = UUID(int=1)
THING = frozenset({"thing"})
NOT_IN_ORDER = "alter table event disable trigger event_in_order"
WAITING = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
APPEND = """
    insert into event (kind, object_id, organizations, facts)
    values ('thing.changed', $1, array[$2::uuid], jsonb_build_object('turn', $3::int))
"""
ANY_EVENT = text("insert into event (kind, object_id, organizations) values ('thing.changed', gen_random_uuid(), '{}')")


async def page(engine: AsyncEngine, after: Mark | None = None, limit: int = 100) -> FeedPage:
    async with transaction(engine) as tx:
        return await feed.read(tx, OURS, after, THING, limit)


async def place(engine: AsyncEngine) -> Mark:
    async with transaction(engine) as tx:
        return await feed.now(tx)


def turns(found: FeedPage) -> list[int | str]:
    return [each.facts["turn"] for each in found.events]


@asynccontextmanager
async def writers(settings: Settings, count: int) -> AsyncIterator[list[asyncpg.Connection]]:
    async with AsyncExitStack() as end:
        made = [await asyncpg.connect(listening_address(settings)) for _ in range(count)]
        for each in made:
            end.push_async_callback(each.close)
        yield made


async def test_what_commits_late_is_told_late_and_not_lost(engine: AsyncEngine, settings: Settings) -> None:
    before = await place(engine)
    async with writers(settings, 2) as (late, early):
        turn = late.transaction()
        await turn.start()
        await late.execute(APPEND, uuid4(), OURS, 1)
        await early.execute(APPEND, uuid4(), OURS, 2)
        waiting = await page(engine, before)
        assert turns(waiting) == []
        await turn.commit()
    await settled(engine)
    assert turns(await page(engine, waiting.next)) == [1, 2]


async def changed_by_the_one_who_began_first(engine: AsyncEngine, settings: Settings) -> list[int | str]:
    """Two change one object, the second of them in the transaction that began first."""
    before, thing = await place(engine), uuid4()
    async with writers(settings, 2) as (older, younger):
        turn = older.transaction()
        await turn.start()
        await older.execute("select pg_current_xact_id()")
        await younger.execute(APPEND, thing, OURS, 1)
        await older.execute(APPEND, thing, OURS, 2)
        await turn.commit()
    await settled(engine)
    return turns(await page(engine, before))


async def test_an_object_is_told_of_in_the_order_of_its_changes(engine: AsyncEngine, settings: Settings) -> None:
    assert await changed_by_the_one_who_began_first(engine, settings) == [1, 2]
    await rows(engine, NOT_IN_ORDER)
    assert await changed_by_the_one_who_began_first(engine, settings) == [2, 1], "the control"


async def waits(engine: AsyncEngine) -> bool:
    return bool(await rows(engine, WAITING))


async def test_a_change_is_behind_one_that_its_own_statement_waited_for(
    engine: AsyncEngine, settings: Settings
) -> None:
    """The statement began before the other's change was committed: what it saw at its start is not enough."""
    thing = uuid4()
    await rows(engine, "create table thing (id uuid primary key)")
    await rows(engine, "insert into thing values (:id)", id=thing)
    locking = """
        with mine as materialized (select from thing where id = $1 for update)
        insert into event (kind, object_id, organizations, facts)
        select 'thing.changed', $1, array[$2::uuid], jsonb_build_object('turn', $3::int) from mine
    """
    before = await place(engine)
    async with writers(settings, 2) as (older, younger):
        first, second = older.transaction(), younger.transaction()
        await first.start()
        await older.execute("select pg_current_xact_id()")
        await second.start()
        await younger.execute(locking, thing, OURS, 1)
        waiting = asyncio.create_task(older.execute(locking, thing, OURS, 2))
        await eventually(lambda: waits(engine), "the older one waits for the younger")
        await second.commit()
        await waiting
        await first.commit()
    await settled(engine)
    assert turns(await page(engine, before)) == [1, 2]


class Storm:
    """Writers that begin, wait for each other, take their time, and sometimes change their mind."""

    def __init__(self, seed: int, count: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.things = [uuid4() for _ in range(12)]
        self.turns: dict[UUID, int] = defaultdict(int)
        self.left = count
        self.over = False

    async def blow(self, engine: AsyncEngine, connections: list[asyncpg.Connection]) -> None:
        await asyncio.gather(*map(self._write, connections))
        await settled(engine)
        self.over = True

    async def _write(self, connection: asyncpg.Connection) -> None:
        while self.left > 0:
            chosen = sorted(self.random.sample(range(12), self.random.randint(1, 4)))
            self.left -= len(chosen)
            turn = connection.transaction()
            await turn.start()
            if self.random.random() < 0.5:
                await connection.execute("select pg_current_xact_id()")
                await asyncio.sleep(self.random.random() * 0.01)
            for each in chosen:
                await connection.execute("select pg_advisory_xact_lock($1)", each)
            told = [(self.things[each], OURS, self.turns[self.things[each]] + 1) for each in chosen]
            await connection.executemany(APPEND, told)
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.random() * 0.02)
            if self.random.random() < 0.1:
                await turn.rollback()
                continue
            # Before the locks fall: whoever comes next counts on.
            for thing, _, number in told:
                self.turns[thing] = number
            await turn.commit()


class Reader:
    """Reads on from its last cursor, in pages of any size; now and then it forgets what it heard since an older one."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.heard: list[FeedEvent] = []
        self.kept: tuple[Mark | None, int] = (None, 0)
        self.reconnects = 0

    async def read(self, engine: AsyncEngine, reconnects: int) -> None:
        after: Mark | None = None
        while True:
            over = self.storm.over
            found = await page(engine, after, self.storm.random.choice((1, 7, 50, 400)))
            self.heard += found.events
            after = found.next
            if self.reconnects < reconnects and self.storm.random.random() < 0.3:
                self.reconnects += 1
                after, kept = self.kept
                del self.heard[kept:]
            elif self.storm.random.random() < 0.3:
                self.kept = (after, len(self.heard))
            if over and not found.more and not found.events and self.reconnects >= reconnects:
                return


async def serial_reader(engine: AsyncEngine, storm: Storm, seen: set[int]) -> None:
    last = 0
    while not storm.over:
        found = await rows(engine, "select id from event where id > :last order by id", last=last)
        seen |= {row.id for row in found}
        last = max([last, *seen])
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_of_late_commits_is_heard_whole_and_in_order(
    engine: AsyncEngine, settings: Settings, *, long: bool, seed: int
) -> None:
    storm = Storm(seed, 100_000 if long else 1500)
    reader, serial = Reader(storm), set[int]()
    async with writers(settings, 16) as connections:
        await asyncio.gather(
            storm.blow(engine, connections),
            reader.read(engine, 1000 if long else 40),
            serial_reader(engine, storm, serial),
        )
    heard: dict[UUID, list[int]] = defaultdict(list)
    for each in reader.heard:
        heard[each.object_id].append(int(each.facts["turn"]))
    assert heard == {thing: list(range(1, count + 1)) for thing, count in storm.turns.items()}
    there = {row.id for row in await rows(engine, "select id from event where id <= :last", last=max(serial))}
    assert there - serial, "the control: who reads by the number alone passes over what commits late"


async def test_who_comes_back_after_events_were_deleted_is_told(engine: AsyncEngine, settings: Settings) -> None:
    beginning = await place(engine)
    async with writers(settings, 1) as (writer,):
        await writer.execute(APPEND, uuid4(), OURS, 1)
        await settled(engine)
        first = await page(engine, beginning)
        await writer.execute(APPEND, uuid4(), OURS, 2)
        await writer.execute(APPEND, uuid4(), OURS, 3)
    await settled(engine)
    before_last = (await page(engine, first.next, 1)).next
    await rows(engine, "update event set at = now() - interval '31 days' where facts->>'turn' in ('1', '2')")
    (purge,) = (each for each in PURGES if each.name == "event")
    async with transaction(engine) as tx:
        assert await purge.act(tx, Terms(**settings.model_dump(exclude={"database_address"})), b"", 100) == 2
    for lost in (beginning, first.next):
        with pytest.raises(FeedBroken):
            await page(engine, lost)
    assert turns(await page(engine, before_last)) == [3]
    assert turns(await page(engine)) == [3], "without a cursor: from the oldest that is kept"


async def test_after_a_restore_nobody_goes_on_as_if_nothing_had_been(engine: AsyncEngine, settings: Settings) -> None:
    async with writers(settings, 1) as (writer,):
        await writer.execute(APPEND, uuid4(), OURS, 1)
        before = await place(engine)
        # As from a dump of another server, whose transactions were numbered higher.
        await writer.execute("alter table event disable trigger event_in_order")
        await writer.execute("update event set transaction = '1000000000000'")
        await writer.execute("alter table event enable trigger event_in_order")
        assert turns(await page(engine)) == [], "the control: the feed stands still"
    async with transaction(engine) as tx:
        await feed.begin_anew(tx)
    with pytest.raises(FeedBroken):
        await page(engine, before)
    await settled(engine)
    assert turns(await page(engine)) == [1]
    ahead = await place(engine)
    with pytest.raises(FeedBroken):
        await page(engine, Mark(ahead.era, ahead.transaction + 1000, 0))


async def test_an_event_has_one_id_wherever_it_is_read(engine: AsyncEngine) -> None:
    theirs, thing = UUID(int=2), uuid4()
    async with transaction(engine) as tx:
        await events.record(tx, "thing.changed", thing, [OURS, theirs, OURS])
        await events.record(tx, "thing.changed", thing, [theirs, OURS])
    await settled(engine)
    async with transaction(engine) as tx:
        ours, others = [await feed.read(tx, each, None, THING, 10) for each in (OURS, theirs)]
        nobody = await feed.read(tx, UUID(int=3), None, THING, 10)
        about_nothing = await feed.read(tx, OURS, None, frozenset({"need"}), 10)
    ids = [each.id(b"key") for each in ours.events]
    assert len(set(ids)) == 2
    assert ids == [each.id(b"key") for each in others.events]
    assert ids != [each.id(b"another key") for each in ours.events]
    assert nobody.events == about_nothing.events == ()


async def test_events_are_placed_by_their_index_however_few_there_were_when_it_was_planned(engine: AsyncEngine) -> None:
    """The control: the same function without that setting reads the whole table for each of them."""
    async with engine.begin() as tx:
        await tx.execute(ANY_EVENT)
    async with engine.begin() as tx:
        await tx.execute(text("analyze event"))
    assert await _read_from_end_to_end(engine) == 0
    async with engine.begin() as tx:
        await tx.execute(text("alter function event_in_order() reset enable_seqscan"))
    assert await _read_from_end_to_end(engine) > 1000


async def _read_from_end_to_end(engine: AsyncEngine) -> int:
    """How many rows of events are read without an index where a hundred are added one after the other."""
    async with engine.connect() as connection:
        for _ in range(100):
            await connection.execute(ANY_EVENT)
        read = text("select seq_tup_read from pg_stat_xact_user_tables where relname = 'event'")
        rows_read = int((await connection.execute(read)).scalar_one())
        await connection.rollback()
    return rows_read
