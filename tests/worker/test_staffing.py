"""An empty gym and four willing volunteers become thirty beds; who promised too much is not asked twice."""

import asyncio
from datetime import time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import worker.staffing
from db import shifts, staffing
from db.bell import Bell
from db.connection import transaction
from db.settings import Settings
from db.shifts import NewShift
from matching.staffing import Region, StaffingPlan
from matching.staffing_programme import best_staffing
from matching.vocabulary import Urgency
from tests.api.scenes import assert_every_place_is_counted_once
from tests.builders import TONIGHT, add_need, add_offer, add_organization, tonight
from tests.db.acts import hold, look_at_all_due, one, rows
from tests.places import GAP, MENTON
from tests.volunteers import add_gym, add_pledge
from worker.staffing import Staffing


@pytest.fixture
def bell(settings: Settings) -> Bell:
    """One that nobody hears: tests look by themselves."""
    return Bell(settings)


async def staff_sites(engine: AsyncEngine, bell: Bell) -> bool:
    """One look of a worker that has just started."""
    return await Staffing(engine, bell).look()


async def organizations(engine: AsyncEngine) -> tuple[UUID, UUID]:
    async with transaction(engine) as tx:
        return await add_organization(tx), await add_organization(tx, name="Refuge")


async def waits(engine: AsyncEngine, poster: UUID, **changes: object) -> UUID:
    """A need that has looked in vain once."""
    async with transaction(engine) as tx:
        need = await add_need(tx, poster, **{"people": 4} | changes)
    assert await hold(engine, need) == (), "it should find nothing before volunteers are called"
    return need


async def state_of(engine: AsyncEngine, need: UUID) -> str:
    return str((await one(engine, "select state from need where id = :id", id=need)).state)


async def live_shifts(engine: AsyncEngine) -> list[tuple[UUID, int]]:
    found = await rows(
        engine, "select pledge_id, volunteers from shift where state in ('planned', 'confirmed') order by 1"
    )
    return [(row.pledge_id, row.volunteers) for row in found]


async def assert_no_pledge_is_overdrawn(engine: AsyncEngine) -> None:
    """By the pledges' own words, one shift against all others."""
    overdrawn = await rows(
        engine,
        """
        select p.id from pledge p
         where exists (select from shift a where a.pledge_id = p.id and a.state in ('planned', 'confirmed')
                          and (select sum(b.volunteers) from shift b
                                where b.pledge_id = p.id and b.state in ('planned', 'confirmed')
                                  and b.starts < a.ends and b.ends > a.starts) > p.headcount)
            or exists (select from shift a where a.pledge_id = p.id
                          and a.state in ('planned', 'confirmed', 'completed')
                        group by extract(isoyear from a.day), extract(week from a.day)
                       having count(*) > p.shifts_per_week_max)
        """,
    )
    assert overdrawn == []


async def assert_slots_are_open_as_far_as_staffed(engine: AsyncEngine) -> None:
    """Each slot gives what its volunteers serve, or keeps who is in it."""
    wrong = await rows(
        engine,
        """
        select s.id, s.capacity, s.used, g.places, g.staffed, v.volunteers
          from slot_staffing g
          join slot s on s.id = g.slot_id join offer o on o.id = s.offer_id join site h on h.id = o.site_id
          cross join lateral (select coalesce(sum(volunteers), 0) as volunteers from shift
                               where slot_id = s.id and state in ('planned', 'confirmed')) v
         where g.staffed <> case when v.volunteers >= greatest(h.staffing_minimum, 1)
                                 then v.volunteers * h.staffing_people_per_volunteer else 0 end
            or s.capacity <> greatest(s.used, least(g.places, g.staffed))
        """,
    )
    assert wrong == []


async def test_an_empty_gym_and_willing_volunteers_become_beds(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        pledge = await add_pledge(tx, refuge)
    needs = [await waits(engine, refuge) for _ in range(3)]
    assert await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert [await state_of(engine, need) for need in needs] == ["held"] * 3
    assert await live_shifts(engine) == [(pledge, 2)], "the fewest that serve twelve people, for that night alone"
    assert not await staff_sites(engine, bell), "nothing is left to do"
    await assert_slots_are_open_as_far_as_staffed(engine)
    await assert_every_place_is_counted_once(engine)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("other skill", {"skill": "cooking"}),
        ("too far", {"town_id": MENTON.id}),
        ("beyond their own radius", {"town_id": GAP.id, "radius_km": 5}),
        ("too few", {"headcount": 1}),
        ("not the whole night", {"closes": time(23)}),
        ("not that night", {"first_day": TONIGHT + timedelta(days=1)}),
    ],
)
async def test_a_gym_stays_closed_without_volunteers_who_can(
    engine: AsyncEngine, bell: Bell, why: str, changes: dict[str, object]
) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        await add_pledge(tx, refuge, **changes)
    need = await waits(engine, refuge)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert await state_of(engine, need) == "open", why
    assert await live_shifts(engine) == []


async def test_an_open_site_is_filled_before_another_is_opened(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town, minimum=1)
        await add_gym(tx, town, minimum=1)
        await add_pledge(tx, refuge)
    await waits(engine, refuge)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    for _ in range(5):
        await waits_or_is_held(engine, refuge)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    open_sites = await rows(engine, "select distinct site_id from shift where state = 'planned'")
    assert len(open_sites) == 1
    assert not await rows(engine, "select id from need where state = 'open'")


async def waits_or_is_held(engine: AsyncEngine, poster: UUID) -> None:
    async with transaction(engine) as tx:
        need = await add_need(tx, poster, people=4)
    await hold(engine, need)


async def test_who_pledged_least_is_called_least(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        other = await add_organization(tx, name="Terre d'accueil")
        for _ in range(2):
            await add_gym(tx, town, places=4, each=4, minimum=1, nights=4)
        await add_pledge(tx, refuge, shifts_per_week_max=6)
        await add_pledge(tx, other, shifts_per_week_max=6)
    for night in range(4):
        for _ in range(2):
            await waits(engine, refuge, window=tonight(first=TONIGHT + timedelta(days=night)))
    await staff_sites(engine, bell)
    shared = await rows(
        engine,
        "select p.organization_id, count(*) as shifts from shift x join pledge p on p.id = x.pledge_id group by 1",
    )
    assert sorted(row.shifts for row in shared) == [4, 4]


async def test_a_declined_shift_looks_for_others_before_anybody_loses_a_place(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        first = await add_pledge(tx, refuge)
    need = await waits(engine, refuge)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    async with transaction(engine) as tx:
        second = await add_pledge(tx, refuge)
    await decline_all(engine, refuge)
    newcomer = await waits(engine, refuge)
    await staff_sites(engine, bell)
    assert await state_of(engine, need) == "held"
    assert await live_shifts(engine) == [(second, 2)]
    assert first != second
    await look_at_all_due(engine)
    assert await state_of(engine, newcomer) == "held", "the others serve those who came meanwhile too"
    await assert_slots_are_open_as_far_as_staffed(engine)


async def test_without_others_the_least_urgent_who_came_last_give_their_places_back(
    engine: AsyncEngine, bell: Bell
) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town, each=4, minimum=1)
        await add_pledge(tx, refuge, headcount=2)
        await add_pledge(tx, refuge, headcount=1)
    urgent = await waits(engine, refuge, urgency=Urgency.VITAL)
    early = await waits(engine, refuge, urgency=Urgency.NORMAL)
    late = await waits(engine, refuge, urgency=Urgency.NORMAL)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert [await state_of(engine, need) for need in (urgent, early, late)] == ["held"] * 3
    await decline_all(engine, refuge, volunteers=1)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert [await state_of(engine, need) for need in (urgent, early, late)] == ["held", "held", "open"]
    (given_back,) = await rows(engine, "select reason from allocation where state = 'released'")
    assert given_back.reason == "no_volunteers"
    await assert_slots_are_open_as_far_as_staffed(engine)
    await assert_every_place_is_counted_once(engine)
    async with transaction(engine) as tx:
        await add_pledge(tx, refuge, headcount=1)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert await state_of(engine, late) == "held", "the place is not barred to them once volunteers are found"


async def decline_all(engine: AsyncEngine, association: UUID, volunteers: int | None = None) -> None:
    found = await rows(engine, "select id, volunteers from shift where state in ('planned', 'confirmed') order by id")
    for row in found:
        if volunteers in (None, row.volunteers):
            async with transaction(engine) as tx:
                await shifts.decline(tx, row.id, association, "no_volunteers")


async def test_volunteers_whom_nobody_needs_are_let_go(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        await add_pledge(tx, refuge)
    need = await waits(engine, refuge)
    await staff_sites(engine, bell)
    await rows(engine, "update need set state = 'withdrawn', ended_at = now() where id = :id", id=need)
    await staff_sites(engine, bell)
    assert len(await live_shifts(engine)) == 1, "not at once: somebody may be on the way"
    await rows(engine, "update shift set created_at = now() - interval '16 minutes'")
    await staff_sites(engine, bell)
    assert await live_shifts(engine) == []
    await assert_slots_are_open_as_far_as_staffed(engine)


async def crowd(engine: AsyncEngine) -> tuple[UUID, list[int]]:
    """One pledge of three volunteers, two shifts a week, and ten gyms that all want them tonight."""
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        for _ in range(10):
            await add_gym(tx, town, nights=1, minimum=1)
        pledge = await add_pledge(tx, refuge, headcount=3, shifts_per_week_max=2)
    return pledge, [row.id for row in await rows(engine, "select id from slot order by id")]


async def test_many_who_plan_at_once_never_overdraw_a_pledge(engine: AsyncEngine) -> None:
    pledge, slots = await crowd(engine)

    async def one_planner(slot: int) -> int:
        async with transaction(engine) as tx:
            return await shifts.plan(tx, [NewShift(pledge, slot, TONIGHT, 2)])

    planned = await asyncio.gather(*(one_planner(slot) for slot in slots[:8]))
    assert sum(planned) == 1, "two volunteers twice are more than the three that there are"
    await assert_no_pledge_is_overdrawn(engine)


async def test_planning_without_the_pledges_lock_would_be_caught(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifts, "_LOCK_PLEDGES", text("select cast(:ids as uuid[])"))
    pledge, slots = await crowd(engine)
    together = asyncio.Barrier(8)

    async def one_planner(slot: int) -> None:
        async with transaction(engine) as tx:
            await together.wait()
            await shifts.plan(tx, [NewShift(pledge, slot, TONIGHT, 2)])
            await together.wait()

    await asyncio.gather(*(one_planner(slot) for slot in slots[:8]))
    with pytest.raises(AssertionError):
        await assert_no_pledge_is_overdrawn(engine)


async def test_a_site_that_asks_for_volunteers_from_now_on_keeps_who_is_in_it(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        offer = await add_offer(tx, town, capacity=10)
        need = await add_need(tx, refuge, people=4)
    await hold(engine, need)
    site = (await one(engine, "select site_id from offer where id = :id", id=offer)).site_id
    for skill, expected in (("night_watch", [4, 0, 0, 0, 0, 0, 0]), (None, [10] * 7)):
        await rows(
            engine,
            """update site set staffing_skill = :skill, staffing_people_per_volunteer = 5, staffing_minimum = 1
                where id = :id""",
            id=site,
            skill=skill,
        )
        async with transaction(engine) as tx:
            await staffing.bind(tx, site)
        capacities = await rows(engine, "select capacity from slot where offer_id = :id order by starts", id=offer)
        assert [row.capacity for row in capacities] == expected
        await staff_sites(engine, bell)
        assert await state_of(engine, need) == "held", "nobody who was in loses a place by it"
    await assert_every_place_is_counted_once(engine)


async def test_a_place_that_stands_open_without_volunteers_is_closed_again(engine: AsyncEngine, bell: Bell) -> None:
    town, _ = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town, nights=1)
    await rows(engine, "update slot set capacity = 7")
    await staff_sites(engine, bell)
    await assert_slots_are_open_as_far_as_staffed(engine)


async def test_what_was_thought_through_in_vain_is_thought_through_again_when_something_changed(
    engine: AsyncEngine, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    thought: list[Region] = []

    def think(region: Region, seconds: float) -> StaffingPlan:
        thought.append(region)
        return best_staffing(region, seconds)

    monkeypatch.setattr(worker.staffing, "best_staffing", think)
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        await add_pledge(tx, refuge, headcount=1)
    need = await waits(engine, refuge)
    staffing = Staffing(engine, bell)
    for _ in range(3):
        await staffing.look()
    assert len(thought) == 1
    async with transaction(engine) as tx:
        await add_pledge(tx, refuge, headcount=1)
    await staffing.look()
    await look_at_all_due(engine)
    assert (len(thought), await state_of(engine, need)) == (2, "held")
