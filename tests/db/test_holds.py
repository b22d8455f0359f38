"""What holding a place promises: the nearest that fits, to one party only, for as long as was said."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import allocations, candidates, due, holds, needs, offers, policies, seekers
from db.connection import transaction
from matching.refusals import CapacityInUse, NoLongerHeld, OnlyTheProvider
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind, Urgency
from tests.builders import TONIGHT, add_need, add_offer, add_organization
from tests.db.acts import Fact, answer, hold, look_at_all_due, one, rows, run_out_of_time
from tests.places import BRIANCON, GAP, MONTGENEVRE, OULX, PlaceRow
from tests.waiting import eventually

USED = "select used from slot where offer_id = :id order by starts"


@pytest.fixture
async def town_hall(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx)


@pytest.fixture
async def coordination(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")


async def a_gym(engine: AsyncEngine, town_hall: UUID, place: PlaceRow = BRIANCON, **terms: object) -> UUID:
    async with transaction(engine) as tx:
        return await add_offer(tx, town_hall, place=place, **terms)  # type: ignore[arg-type]


async def a_party(engine: AsyncEngine, coordination: UUID, **terms: object) -> UUID:
    async with transaction(engine) as tx:
        return await add_need(tx, coordination, **terms)


async def used(engine: AsyncEngine, offer_id: UUID) -> list[int]:
    return [row.used for row in await rows(engine, USED, id=offer_id)]


async def the_allocation(engine: AsyncEngine, allocation_id: UUID) -> Fact:
    return await one(
        engine, "select *, firm_from > now() as tentative from allocation where id = :id", id=allocation_id
    )


async def need_state(engine: AsyncEngine, need_id: UUID) -> str:
    return str((await one(engine, "select state from need where id = :id", id=need_id)).state)


async def test_a_family_gets_the_nearest_place_that_fits(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall, GAP)
    await a_gym(engine, town_hall, BRIANCON, capacity=3)
    near = await a_gym(engine, town_hall, MONTGENEVRE)
    await a_gym(engine, town_hall, OULX)
    family = await a_party(engine, coordination, people=4, minors=2)
    (made,) = await hold(engine, family)
    assert (await the_allocation(engine, made)).offer_id == near
    assert await need_state(engine, family) == "held"


async def test_a_family_is_not_sent_over_the_border_without_its_word(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    over_the_pass = await a_gym(engine, town_hall, OULX)
    silent = await a_party(engine, coordination, people=2)
    willing = await a_party(engine, coordination, people=2, countries=frozenset({"FR", "IT"}))
    assert await hold(engine, silent) == ()
    (made,) = await hold(engine, willing)
    assert (await the_allocation(engine, made)).offer_id == over_the_pass


async def test_of_two_claims_that_race_for_the_last_place_one_gets_it(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall, capacity=1)
    parties = [await a_party(engine, coordination) for _ in range(2)]
    both_have_seen_it_free = asyncio.Barrier(2)

    async def race(need_id: UUID) -> UUID | None:
        async with transaction(engine) as tx:
            policy = await policies.in_force(tx)
            seeker = await seekers.claim(tx, need_id, policy)
            assert seeker is not None
            (place,) = await candidates.find(tx, seeker.need, policy, seeker.now)
            await both_have_seen_it_free.wait()
            return await holds.take(tx, seeker, place, 1, policy)

    made = await asyncio.gather(*map(race, parties))
    assert [each is None for each in sorted(made, key=lambda each: each is None)] == [False, True]
    assert (await used(engine, gym))[0] == 1
    assert sorted([await need_state(engine, party) for party in parties]) == ["held", "open"]


@pytest.mark.parametrize(
    "change",
    [
        "update offer set audience = array['women'], version = version + 1 where id = :id",
        "update offer set party_max = 1, version = version + 1 where id = :id",
    ],
)
async def test_an_offer_that_changed_since_it_was_found_is_not_taken_on_its_old_terms(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, change: str
) -> None:
    gym = await a_gym(engine, town_hall)
    further = await a_gym(engine, town_hall, MONTGENEVRE)
    family = await a_party(engine, coordination, people=4)
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        seeker = await seekers.claim(tx, family, policy)
        assert seeker is not None
        near, _ = await candidates.find(tx, seeker.need, policy, seeker.now)
        await rows(engine, change, id=gym)
        assert await holds.take(tx, seeker, near, 4, policy) is None
    assert await used(engine, gym) == [0] * 7
    (made,) = await hold(engine, family)
    assert (await the_allocation(engine, made)).offer_id == further


async def test_who_lost_everything_that_was_found_looks_again_at_what_there_is_now(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall)
    family = await a_party(engine, coordination)
    async with transaction(engine) as tx:
        await tx.execute(text("select id from offer where id = :id for update"), {"id": gym})
        await tx.execute(text("update offer set nights_max = 5, version = version + 1 where id = :id"), {"id": gym})
        holding = asyncio.create_task(hold(engine, family))
        await somebody_waits_for_a_lock(engine)
    assert len(await holding) == 1, "the gym still fits: it is found again under its new terms"


async def test_who_loses_the_race_goes_on_to_the_next_best(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall, capacity=1)
    further = await a_gym(engine, town_hall, MONTGENEVRE, capacity=1)
    parties = [await a_party(engine, coordination) for _ in range(2)]
    made = await asyncio.gather(*(hold(engine, party) for party in parties))
    assert sorted(len(each) for each in made) == [1, 1]
    assert (await used(engine, further))[0] == 1


async def test_a_declined_party_is_held_at_the_next_place_at_once(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    near = await a_gym(engine, town_hall)
    next_best = await a_gym(engine, town_hall, MONTGENEVRE)
    family = await a_party(engine, coordination, people=4)
    (declined,) = await hold(engine, family)
    await answer(engine, declined, town_hall, AllocationState.DECLINED)
    assert await need_state(engine, family) == "open"
    (made,) = await look_at_all_due(engine)
    assert (await the_allocation(engine, made)).offer_id == next_best
    assert (await used(engine, near))[0] == 0


async def test_a_freed_place_goes_to_who_waits_for_it(engine: AsyncEngine, town_hall: UUID, coordination: UUID) -> None:
    await a_gym(engine, town_hall, capacity=4)
    first, second = [await a_party(engine, coordination, people=4) for _ in range(2)]
    (held,) = await hold(engine, first)
    assert await hold(engine, second) == ()
    assert await look_at_all_due(engine) == [], "who found nothing is not looked at again before something changes"
    await answer(engine, held, coordination, AllocationState.RELEASED)
    (made,) = await look_at_all_due(engine)
    assert (await the_allocation(engine, made)).need_id == second


async def test_freed_places_leave_news_that_there_is_room(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall)
    (held,) = await hold(engine, await a_party(engine, coordination))
    assert await rows(engine, "select offer_id from capacity_news") == []
    await answer(engine, held, town_hall, AllocationState.DECLINED)
    assert (await one(engine, "select offer_id from capacity_news")).offer_id == gym


async def test_a_stay_takes_every_night_or_none(engine: AsyncEngine, town_hall: UUID, coordination: UUID) -> None:
    full_on_the_second_night = await a_gym(engine, town_hall, capacity=4)
    await rows(
        engine,
        "update slot set used = 3 where offer_id = :id and day = :day",
        id=full_on_the_second_night,
        day=TONIGHT + timedelta(days=1),
    )
    before = await used(engine, full_on_the_second_night)
    family = await a_party(engine, coordination, people=2, nights=3)
    assert await hold(engine, family) == ()
    assert await used(engine, full_on_the_second_night) == before
    free = await a_gym(engine, town_hall, MONTGENEVRE, capacity=4)
    await rows(engine, "update need set look_at = now()")
    await hold(engine, family)
    assert await used(engine, free) == [2, 2, 2, 0, 0, 0, 0]


async def test_a_standing_offer_is_confirmed_at_once(engine: AsyncEngine, town_hall: UUID, coordination: UUID) -> None:
    await a_gym(engine, town_hall, confirmation="standing")
    family = await a_party(engine, coordination, people=4)
    (made,) = await hold(engine, family)
    assert (await the_allocation(engine, made)).state == "confirmed"
    assert await need_state(engine, family) == "confirmed"


async def test_a_vital_hold_is_firm_at_once_and_others_are_tentative(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall)
    found = {}
    for urgency in Urgency:
        (made,) = await hold(engine, await a_party(engine, coordination, urgency=urgency))
        found[urgency] = (await the_allocation(engine, made)).tentative
    assert found == {Urgency.VITAL: False, Urgency.HIGH: True, Urgency.NORMAL: True}


@pytest.mark.parametrize("too_late", [AllocationState.CONFIRMED, AllocationState.DECLINED])
async def test_a_hold_past_its_deadline_is_no_longer_held_even_before_the_sweep(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID, too_late: AllocationState
) -> None:
    await a_gym(engine, town_hall)
    (held,) = await hold(engine, await a_party(engine, coordination))
    await run_out_of_time(engine, held)
    with pytest.raises(NoLongerHeld) as refused:
        await answer(engine, held, town_hall, too_late)
    assert (refused.value.allocation_id, refused.value.state) == (held, AllocationState.EXPIRED)
    assert (await the_allocation(engine, held)).state == "held", "nothing was changed"


async def test_an_expired_hold_is_given_to_the_next_and_not_asked_again_at_once(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    silent = await a_gym(engine, town_hall, capacity=1)
    first, second = await a_party(engine, coordination), await a_party(engine, coordination)
    (held,) = await hold(engine, first)
    await run_out_of_time(engine, held)
    async with transaction(engine) as tx:
        ((overdue, need_id),) = await due.list_allocations(tx, AllocationState.EXPIRED, 10)
        assert await allocations.end_hold(tx, overdue, need_id, AllocationState.EXPIRED)
    (made,) = await look_at_all_due(engine)
    placed = await the_allocation(engine, made)
    assert (placed.need_id, placed.offer_id) == (second, silent)
    assert await need_state(engine, first) == "open"


async def test_answering_twice_changes_nothing(engine: AsyncEngine, town_hall: UUID, coordination: UUID) -> None:
    gym = await a_gym(engine, town_hall)
    (held,) = await hold(engine, await a_party(engine, coordination, people=3))
    await answer(engine, held, town_hall, AllocationState.DECLINED)
    after_once = await the_allocation(engine, held)
    await answer(engine, held, town_hall, AllocationState.DECLINED)
    assert (await the_allocation(engine, held))[:] == after_once[:]
    assert (await used(engine, gym))[0] == 0


async def test_only_the_provider_confirms(engine: AsyncEngine, town_hall: UUID, coordination: UUID) -> None:
    await a_gym(engine, town_hall)
    (held,) = await hold(engine, await a_party(engine, coordination))
    with pytest.raises(OnlyTheProvider):
        await answer(engine, held, coordination, AllocationState.CONFIRMED)
    assert (await the_allocation(engine, held)).state == "held"


async def test_a_party_that_may_be_split_takes_what_each_place_has(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    near = await a_gym(engine, town_hall, capacity=3)
    further = await a_gym(engine, town_hall, MONTGENEVRE, capacity=3)
    group = await a_party(engine, coordination, people=5, divisible=True)
    assert len(await hold(engine, group)) == 2
    assert [(await used(engine, gym))[0] for gym in (near, further)] == [3, 2]
    assert await need_state(engine, group) == "held"


async def test_a_party_that_may_be_split_stays_open_until_all_have_a_place(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall, capacity=3)
    group = await a_party(engine, coordination, people=5, divisible=True)
    assert len(await hold(engine, group)) == 1
    assert await need_state(engine, group) == "open"
    await a_gym(engine, town_hall, MONTGENEVRE, capacity=2)
    await rows(engine, "update need set look_at = now()")
    assert len(await hold(engine, group)) == 1
    assert await need_state(engine, group) == "held"


async def test_withdrawing_gives_every_place_back(engine: AsyncEngine, town_hall: UUID, coordination: UUID) -> None:
    gym = await a_gym(engine, town_hall)
    family = await a_party(engine, coordination, people=4, nights=2)
    (held,) = await hold(engine, family)
    async with transaction(engine) as tx:
        await needs.withdraw(tx, family, coordination)
    assert await used(engine, gym) == [0] * 7
    assert (await the_allocation(engine, held)).state == "released"


async def test_a_claim_that_fails_half_way_leaves_nothing_taken(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall)
    family = await a_party(engine, coordination, people=4, nights=3)

    async def hold_and_fail() -> None:
        async with transaction(engine) as tx:
            policy = await policies.in_force(tx)
            seeker = await seekers.claim(tx, family, policy)
            assert seeker is not None
            assert (await holds.hold_best_places(tx, seeker, policy)).left == 0
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await hold_and_fail()
    assert await used(engine, gym) == [0] * 7
    assert len(await hold(engine, family)) == 1


async def test_a_need_that_another_worker_looks_at_is_left_alone(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall)
    family = await a_party(engine, coordination)
    async with transaction(engine) as tx:
        assert await seekers.claim(tx, family, await policies.in_force(tx)) is not None
        assert await hold(engine, family) == ()
    assert len(await hold(engine, family)) == 1


async def somebody_waits_for_a_lock(engine: AsyncEngine) -> None:
    async def look() -> bool:
        waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return bool(await rows(engine, waiting))

    await eventually(look, "a session that waits for a lock")


async def test_an_offer_that_closes_while_it_is_being_held_is_not_held(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall)
    family = await a_party(engine, coordination)
    async with transaction(engine) as tx:
        await offers.close(tx, gym, town_hall)
        holding = asyncio.create_task(hold(engine, family))
        await somebody_waits_for_a_lock(engine)
    assert await holding == ()
    assert await used(engine, gym) == [0] * 7


async def test_an_offer_is_not_closed_when_a_hold_came_first(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall)
    family = await a_party(engine, coordination)

    async def close() -> None:
        async with transaction(engine) as tx:
            await offers.close(tx, gym, town_hall)

    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        seeker = await seekers.claim(tx, family, policy)
        assert seeker is not None
        made = await holds.hold_best_places(tx, seeker, policy)
        closing = asyncio.create_task(close())
        await somebody_waits_for_a_lock(engine)
    with pytest.raises(CapacityInUse) as refused:
        await closing
    assert refused.value.allocations == made.allocations


async def test_a_place_freed_while_a_claim_waits_for_it_is_taken(
    engine: AsyncEngine, town_hall: UUID, coordination: UUID
) -> None:
    # What the claim saw when it began was a full house: nothing may be judged by that once it has the lock.
    gym = await a_gym(engine, town_hall, capacity=1)
    first, second = [await a_party(engine, coordination) for _ in range(2)]
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        seeker = await seekers.read_seeker(tx, second, policy)
        (place,) = await candidates.find(tx, seeker.need, policy, seeker.now)
    (held,) = await hold(engine, first)

    async def take() -> UUID | None:
        async with transaction(engine) as tx:
            return await holds.take(tx, seeker, place, 1, policy)

    async with transaction(engine) as tx:
        await allocations.move(tx, held, town_hall, AllocationState.DECLINED)
        taking = asyncio.create_task(take())
        await somebody_waits_for_a_lock(engine)
    assert await taking is not None
    assert (await used(engine, gym))[0] == 1
