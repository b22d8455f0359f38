"""Slots follow their offer's schedule: what lies ahead changes, what people have or had stays theirs."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from time import perf_counter
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import allocations, offers, slots
from db.connection import transaction
from matching.offering import OfferTerms
from matching.refusals import CapacityInUse
from matching.schedule import Session
from matching.states import AllocationState
from tests.builders import TONIGHT, add_need, add_offer, add_organization
from tests.db.acts import answer, hold, one, rows

NOON = datetime.combine(TONIGHT, time(12), UTC)
HOUR = timedelta(hours=1)
Kept = tuple[datetime, datetime, int, int]


def opening(starts: datetime, ends: datetime) -> Session:
    return Session(starts.date(), starts, ends, ends)


async def room(engine: AsyncEngine, *sessions: Session, capacity: int = 10) -> UUID:
    """A day room with these slots alone."""
    async with transaction(engine) as tx:
        offer_id = await add_offer(tx, await add_organization(tx), category="sanitation", capacity=capacity)
    await rows(engine, "delete from slot")
    async with transaction(engine) as tx:
        await slots.add(tx, offer_id, sessions, capacity)
    return offer_id


async def align(engine: AsyncEngine, offer_id: UUID, *sessions: Session, now: datetime, capacity: int = 10) -> None:
    async with transaction(engine) as tx:
        await slots.align(tx, offer_id, sessions, 10, capacity, now)


async def revise(engine: AsyncEngine, there: tuple[UUID, UUID], **changes: object) -> None:
    """Give a provider's offer other terms."""

    def revised(terms: OfferTerms) -> OfferTerms:
        return replace(terms, **changes)  # type: ignore[arg-type]

    async with transaction(engine) as tx:
        await offers.change(tx, there[1], there[0], None, revised)


async def kept(engine: AsyncEngine) -> list[Kept]:
    found = await rows(engine, "select starts, ends, capacity, used from slot order by starts")
    return [(row.starts, row.ends, row.capacity, row.used) for row in found]


async def test_a_room_that_closed_today_can_open_longer_today(engine: AsyncEngine) -> None:
    offer_id = await room(engine, opening(NOON, NOON + HOUR))
    await align(engine, offer_id, opening(NOON, NOON + 4 * HOUR), now=NOON + 2 * HOUR)
    assert await kept(engine) == [(NOON, NOON + 4 * HOUR, 10, 0)]


async def test_a_room_that_had_people_today_opens_again_from_where_it_closed(engine: AsyncEngine) -> None:
    offer_id = await room(engine, opening(NOON, NOON + HOUR))
    await rows(engine, "update slot set used = 3")
    longer = opening(NOON, NOON + 4 * HOUR)
    for _ in range(2):
        await align(engine, offer_id, longer, now=NOON + 2 * HOUR)
        assert await kept(engine) == [
            (NOON, NOON + HOUR, 10, 3),
            (NOON + HOUR, NOON + 4 * HOUR, 10, 0),
        ]


async def test_what_is_over_and_not_touched_by_new_hours_stays_as_it_was(engine: AsyncEngine) -> None:
    offer_id = await room(engine, opening(NOON, NOON + HOUR), opening(NOON + 24 * HOUR, NOON + 25 * HOUR))
    await align(engine, offer_id, opening(NOON + 23 * HOUR, NOON + 25 * HOUR), now=NOON + 2 * HOUR, capacity=4)
    assert await kept(engine) == [
        (NOON, NOON + HOUR, 10, 0),
        (NOON + 23 * HOUR, NOON + 25 * HOUR, 4, 0),
    ]


async def test_people_who_are_in_the_room_now_keep_its_hours(engine: AsyncEngine) -> None:
    offer_id = await room(engine, opening(NOON, NOON + 2 * HOUR))
    await rows(engine, "update slot set used = 3")
    with pytest.raises(CapacityInUse):
        await align(engine, offer_id, opening(NOON, NOON + HOUR), now=NOON + HOUR / 2)
    assert await kept(engine) == [(NOON, NOON + 2 * HOUR, 10, 3)]


async def test_slots_that_stay_keep_their_ids_and_versions_count_capacity_alone(engine: AsyncEngine) -> None:
    offer_id = await room(engine, opening(NOON, NOON + HOUR))
    slot_id = (await one(engine, "select id from slot")).id
    earlier = replace(opening(NOON, NOON + HOUR), last_arrival=NOON + HOUR / 2)
    seen = []
    for capacity in (10, 6):
        await align(engine, offer_id, earlier, now=NOON - HOUR, capacity=capacity)
        slot = await one(engine, "select id, version, last_arrival from slot")
        seen.append((slot.id, slot.version, slot.last_arrival))
    assert seen == [(slot_id, 1, NOON + HOUR / 2), (slot_id, 2, NOON + HOUR / 2)]


async def test_refused_nothing_changes_and_each_party_is_named_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        offer_id = await add_offer(tx, town_hall)
        needs = [await add_need(tx, town_hall, people=2, nights=nights) for nights in (3, 1)]
    there = [made for need_id in needs for made in await hold(engine, need_id)]
    before = await kept(engine)

    def fewer_nights(terms: OfferTerms) -> OfferTerms:
        return replace(terms, first_day=TONIGHT + timedelta(days=1), capacity=7)

    with pytest.raises(CapacityInUse) as refused:
        async with transaction(engine) as tx:
            await offers.change(tx, offer_id, town_hall, None, fewer_nights)
    assert sorted(refused.value.allocations) == sorted(there)
    assert await kept(engine) == before


async def test_new_hours_leave_a_past_stay_the_times_it_had(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        offer_id = await add_offer(tx, town_hall)
        declined, asking = [await add_need(tx, town_hall, people=2, nights=2) for _ in range(2)]
    (past,) = await hold(engine, declined)
    await answer(engine, past, town_hall, AllocationState.DECLINED)

    async def times() -> tuple[object, ...]:
        async with transaction(engine) as tx:
            return (await allocations.read(tx, past, town_hall)).slots

    before = await times()
    assert len(before) == 2
    for hours in ({"closes": time(9)}, {"opens": time(20)}, {"first_day": TONIGHT + timedelta(days=1)}):
        await revise(engine, (town_hall, offer_id), **hours)
        assert await times() == before, hours
    assert (await one(engine, "select count(*) as slots from slot where offer_id = :id", id=offer_id)).slots == 6
    assert await rows(engine, "select 1 from slot where offer_id is null and used > 0") == []
    await revise(engine, (town_hall, offer_id), first_day=TONIGHT)
    (made,) = await hold(engine, asking)
    with pytest.raises(CapacityInUse) as refused:
        await revise(engine, (town_hall, offer_id), opens=time(21))
    assert refused.value.allocations == (made,)


async def test_ten_times_the_slots_take_not_a_hundred_times_as_long_to_change(engine: AsyncEngine) -> None:
    took = []
    for count in (2_000, 20_000):
        minutes = [NOON + timedelta(minutes=10 * n) for n in range(count)]
        sessions = [opening(starts, starts + timedelta(minutes=10)) for starts in minutes]
        offer_id = await room(engine, *sessions)
        begun = perf_counter()
        await align(engine, offer_id, *sessions, now=NOON - HOUR, capacity=3)
        took.append(perf_counter() - begun)
        changed = f"select count(*) as slots from slot where offer_id = '{offer_id}' and capacity = 3"
        assert (await one(engine, changed)).slots == count
    # What grew with the square of the slots stopped everybody else for as long.
    assert took[1] < 40 * took[0], took


async def test_a_course_that_goes_on_longer_keeps_its_lessons(engine: AsyncEngine) -> None:
    every_other_day = {"rrule": "FREQ=DAILY;INTERVAL=2"}
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        offer_id = await add_offer(
            tx, town_hall, category="language_class", teaches="fr", level="A1", schedule=every_other_day
        )
    before = await rows(engine, "select id, day from slot order by day")

    def longer(terms: OfferTerms) -> OfferTerms:
        return replace(terms, last_day=TONIGHT + timedelta(days=9))

    async with transaction(engine) as tx:
        await offers.change(tx, offer_id, town_hall, None, longer)
    after = await rows(engine, "select id, day from slot order by day")
    assert after[:4] == before
    assert [row.day for row in after] == [TONIGHT + timedelta(days=2 * n) for n in range(5)]
