"""An empty gym and four willing volunteers become thirty beds; who promised too much is not asked twice."""

import asyncio
from datetime import date, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import db.slots
import worker.staffing
from db import allocations, needs, shifts, staffing
from db.bell import Bell
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from db.shifts import NewShift
from matching.staffing import Region, StaffingPlan
from matching.vocabulary import Urgency
from tests.acting import in_role
from tests.api.scenes import assert_every_place_is_counted_once
from tests.builders import TONIGHT, add_need, add_offer, add_organization, tonight
from tests.db.acts import hold, look_at_all_due, one, rows
from tests.places import GAP, MENTON
from tests.volunteers import add_gym, add_pledge
from tests.waiting import eventually
from worker.staffing import Staffing, plan_within


@pytest.fixture
def bell(settings: Settings) -> Bell:
    """One that nobody hears: tests look by themselves."""
    return Bell(settings)


async def staff_sites(engine: AsyncEngine, bell: Bell) -> bool:
    """One look of a worker that has just started."""
    return await Staffing(in_role(engine, Role.MATCHER), bell).look()


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
        return plan_within(region, seconds)

    monkeypatch.setattr(worker.staffing, "plan_within", think)
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town)
        await add_pledge(tx, refuge, headcount=1)
    need = await waits(engine, refuge)
    staffing = Staffing(in_role(engine, Role.MATCHER), bell)
    for _ in range(3):
        await staffing.look()
    assert len(thought) == 1
    async with transaction(engine) as tx:
        await add_pledge(tx, refuge, headcount=1)
    await staffing.look()
    await look_at_all_due(engine)
    assert (len(thought), await state_of(engine, need)) == (2, "held")


async def test_who_declines_while_a_plan_is_thought_out_is_replaced_before_anybody_is_moved(
    engine: AsyncEngine, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, refuge, need = await a_staffed_gym(engine, bell)
    async with transaction(engine) as tx:
        second = await add_pledge(tx, refuge)
    tomorrow = await waits(engine, refuge, window=tonight(first=TONIGHT + timedelta(days=1)))
    loop = asyncio.get_running_loop()

    def think(region: Region, seconds: float) -> StaffingPlan:
        plan = plan_within(region, seconds)
        asyncio.run_coroutine_threadsafe(decline_all(engine, refuge), loop).result()
        return plan

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(worker.staffing, "plan_within", think)
        await staff_sites(engine, bell)
    assert await state_of(engine, need) == "held", "others were not looked for yet"
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert [await state_of(engine, each) for each in (need, tomorrow)] == ["held", "held"]
    assert second in {pledge for pledge, _ in await live_shifts(engine)}
    assert not await rows(engine, "select id from allocation where state = 'released'")


async def test_who_declined_a_slot_is_not_called_for_it_by_a_plan_made_before(engine: AsyncEngine) -> None:
    pledge, slots = await crowd(engine)
    refuge = (await one(engine, "select organization_id from pledge")).organization_id
    async with transaction(engine) as tx:
        await shifts.plan(tx, [NewShift(pledge, slots[0], TONIGHT, 1)])
    await decline_all(engine, refuge)
    async with transaction(engine) as tx:
        assert await shifts.plan(tx, [NewShift(pledge, slots[0], TONIGHT, 1)]) == 0


async def test_a_room_closed_for_the_night_lets_its_volunteers_go_even_confirmed(
    engine: AsyncEngine, bell: Bell
) -> None:
    pledge, slots = await crowd(engine)
    (offer,) = await rows(engine, "select offer_id from slot where id = :id", id=slots[0])
    town = (await one(engine, "select organization_id from offer where id = :id", id=offer.offer_id)).organization_id
    async with transaction(engine) as tx:
        await shifts.plan(tx, [NewShift(pledge, slots[0], TONIGHT, 1)])
    await rows(engine, "update shift set state = 'confirmed'")
    await staff_sites(engine, bell)
    assert len(await live_shifts(engine)) == 1
    async with transaction(engine) as tx:
        await db.slots.change_capacity(tx, offer.offer_id, slots[0], town, None, 0)
    await staff_sites(engine, bell)
    assert await live_shifts(engine) == []
    async with transaction(engine) as tx:
        assert await shifts.plan(tx, [NewShift(pledge, slots[0], TONIGHT, 1)]) == 0, "nor are they called again"


async def a_staffed_gym(engine: AsyncEngine, bell: Bell) -> tuple[UUID, UUID, UUID]:
    """The gym's site, the association that opens it, and a party in it."""
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        offer = await add_gym(tx, town)
        await add_pledge(tx, refuge)
    need = await waits(engine, refuge)
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    assert await state_of(engine, need) == "held"
    site = (await one(engine, "select site_id from offer where id = :id", id=offer)).site_id
    return site, refuge, need


@pytest.mark.parametrize(("column", "value"), [("staffing_skill", "welcome"), ("staffing_minimum", 9)])
async def test_a_site_that_asks_for_other_volunteers_keeps_who_is_in_it(
    engine: AsyncEngine, bell: Bell, column: str, value: object
) -> None:
    site, _, need = await a_staffed_gym(engine, bell)
    await rows(engine, f"update site set {column} = :value where id = :id", value=value, id=site)
    async with transaction(engine) as tx:
        await staffing.bind(tx, site)
    await staff_sites(engine, bell)
    assert await state_of(engine, need) == "held"
    assert bool(await live_shifts(engine)) is (column == "staffing_minimum"), "volunteers of another skill go home"
    await assert_slots_are_open_as_far_as_staffed(engine)
    await assert_every_place_is_counted_once(engine)


async def test_only_who_was_in_is_kept_without_volunteers_not_who_comes_in_their_stead(
    engine: AsyncEngine, bell: Bell
) -> None:
    _, refuge, need = await a_staffed_gym(engine, bell)
    await rows(engine, "update slot_staffing set kept = 4 where slot_id = (select min(slot_id) from shift)")
    async with transaction(engine) as tx:
        await needs.withdraw(tx, need, refuge)
    await staff_sites(engine, bell)
    async with transaction(engine) as tx:
        newcomer = await add_need(tx, refuge, people=4)
    assert await hold(engine, newcomer)
    await decline_all(engine, refuge)
    await staff_sites(engine, bell)
    await staff_sites(engine, bell)
    assert await state_of(engine, newcomer) == "open"


async def move_start(engine: AsyncEngine, ahead: str, called: str) -> None:
    """The shifts begin so far ahead, and were called so long ago."""
    await rows(
        engine,
        f"""update shift set starts = now() + interval '{ahead}', created_at = now() - interval '{called}',
                             ends = now() + interval '{ahead}' + interval '13 hours'""",
    )


async def told(engine: AsyncEngine) -> list[str]:
    """What was said of shifts so far, in order."""
    return [row.kind for row in await rows(engine, "select kind from event where kind like 'shift.%' order by id")]


async def test_volunteers_are_asked_a_day_before_and_again_some_hours_before(engine: AsyncEngine, bell: Bell) -> None:
    _, refuge, _ = await a_staffed_gym(engine, bell)
    (shift,) = [row.id for row in await rows(engine, "select id from shift")]
    async with transaction(engine) as tx:
        await shifts.confirm(tx, shift, refuge)
    await move_start(engine, "30 hours", "3 days")
    await staff_sites(engine, bell)
    assert await told(engine) == ["shift.planned", "shift.confirmed"], "it is too early to ask"
    for ahead in ("23 hours", "5 hours"):
        await move_start(engine, ahead, "3 days")
        for _ in range(2):
            await staff_sites(engine, bell)
        async with transaction(engine) as tx:
            assert (await shifts.read(tx, shift, refuge)).answer_due
        for _ in range(2):
            async with transaction(engine) as tx:
                await shifts.confirm(tx, shift, refuge)
    assert await told(engine) == ["shift.planned", "shift.confirmed", *["shift.answer_due", "shift.still_coming"] * 2]


async def test_who_does_not_answer_is_at_risk_and_a_second_pledge_is_sought_before_anybody_is_moved(
    engine: AsyncEngine, bell: Bell
) -> None:
    _, refuge, need = await a_staffed_gym(engine, bell)
    await move_start(engine, "5 hours", "3 days")
    await staff_sites(engine, bell)
    await rows(engine, "update shift set asked_at = now() - interval '61 minutes'")
    await staff_sites(engine, bell)
    assert await told(engine) == ["shift.planned", "shift.answer_due", "shift.at_risk"]
    assert await state_of(engine, need) == "held", "silence moves nobody"
    async with transaction(engine) as tx:
        second = await add_pledge(tx, refuge)
    await staff_sites(engine, bell)
    assert second in {pledge for pledge, _ in await live_shifts(engine)}
    await staff_sites(engine, bell)
    assert len(await live_shifts(engine)) == 2, "one second pledge is enough"
    silent = (await one(engine, "select id from shift where at_risk_at is not null")).id
    async with transaction(engine) as tx:
        await shifts.confirm(tx, silent, refuge)
    async with transaction(engine) as tx:
        assert not (await shifts.read(tx, silent, refuge)).at_risk


@pytest.mark.parametrize(
    ("said_before", "expected"),
    [("planned", ("open", "declined", "no_answer")), ("confirmed", ("held", "confirmed", None))],
)
async def test_only_who_never_said_yes_is_let_go_when_little_time_is_left(
    engine: AsyncEngine, bell: Bell, said_before: str, expected: tuple[str, str, str | None]
) -> None:
    _, _, need = await a_staffed_gym(engine, bell)
    await move_start(engine, "115 minutes", "3 days")
    await rows(
        engine,
        """update shift set state = :state, asked = 2, asked_at = now() - interval '3 hours',
                            at_risk_at = now() - interval '2 hours'""",
        state=said_before,
    )
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    shift = await one(engine, "select state, reason from shift")
    assert (await state_of(engine, need), shift.state, shift.reason) == expected
    await assert_slots_are_open_as_far_as_staffed(engine)


async def test_nobody_is_moved_when_another_party_leaves_in_the_same_moment(engine: AsyncEngine, bell: Bell) -> None:
    town, refuge = await organizations(engine)
    async with transaction(engine) as tx:
        await add_gym(tx, town, each=4, minimum=1)
        for _ in range(2):
            await add_pledge(tx, refuge, headcount=1)
    parties = [await waits(engine, refuge) for _ in range(2)]
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    ((slot, allocation, need), (_, _, other)) = [
        (row.slot_id, row.id, row.need_id)
        for row in await rows(
            engine,
            """select k.slot_id, a.id, a.need_id from allocation a join allocation_slot k on k.allocation_id = a.id
                order by a.id""",
        )
    ]
    assert {need, other} == set(parties)
    (first, *_) = await rows(engine, "select id from shift order by id")
    async with transaction(engine) as tx:
        await shifts.decline(tx, first.id, refuge, "other")

    async def release() -> bool:
        async with transaction(engine) as tx:
            return await allocations.end_unstaffed(tx, allocation, need, slot)

    async def waits_for_a_lock() -> bool:
        return bool(
            await rows(
                engine,
                """select pid from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'""",
            )
        )

    async with transaction(engine) as tx:
        await needs.withdraw(tx, other, refuge)
        releasing = asyncio.create_task(release())
        await eventually(waits_for_a_lock, "the release waits for who leaves")
    assert not await releasing
    assert await state_of(engine, need) == "held"


async def plan_nights(engine: AsyncEngine, bell: Bell, first: date, nights: int, **pledge: object) -> str:
    """What becomes of a party that wants these nights in a gym with one pledge."""
    town, refuge = await organizations(engine)
    days = {"first_day": first, "last_day": first + timedelta(days=nights - 1)}
    async with transaction(engine) as tx:
        site = {"staffing_skill": "night_watch", "staffing_people_per_volunteer": 15, "staffing_minimum": 1}
        await staffing.bind_offer(tx, await add_offer(tx, town, site=site, schedule=days))
        await add_pledge(tx, refuge, **days, **pledge)
    need = await waits(engine, refuge, window=tonight(nights, first=first))
    await staff_sites(engine, bell)
    await look_at_all_due(engine)
    return await state_of(engine, need)


@pytest.mark.parametrize("month", [3, 10])
async def test_a_night_in_which_the_clock_changes_is_served_whole(engine: AsyncEngine, bell: Bell, month: int) -> None:
    year = TONIGHT.year + int(TONIGHT.month >= month)
    last = date(year, month, 31)
    saturday = last - timedelta(days=(last.weekday() + 1) % 7 + 1)
    assert await plan_nights(engine, bell, saturday, 1, opens=time(19), closes=time(8)) == "held"


@pytest.mark.parametrize(("weekday", "expected"), [(6, "held"), (5, "open")])
async def test_a_weekly_limit_begins_anew_on_monday_not_on_sunday(
    engine: AsyncEngine, bell: Bell, weekday: int, expected: str
) -> None:
    first = TONIGHT + timedelta(days=(weekday - TONIGHT.weekday()) % 7)
    assert await plan_nights(engine, bell, first, 2, shifts_per_week_max=1) == expected
