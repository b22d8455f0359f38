"""Pathways as the worker places them: together, the bed never waiting, and nothing half taken."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import policies, seekers
from db.connection import transaction
from db.settings import Settings
from geo.distance import kilometres_between
from geo.travel import minutes_between
from matching.schedule import LONGEST_SPAN
from matching.states import AllocationState
from matching.vocabulary import Urgency
from tests.api.scenes import assert_every_place_is_counted_once
from tests.builders import add_need, tonight
from tests.db.acts import answer, one, rows
from tests.pathways import Valley, bed, lesson, settle_in
from tests.places import BRIANCON, GAP, MONTGENEVRE
from tests.sharing import share

NEXT_DOOR = 3


@pytest.fixture
async def valley(engine: AsyncEngine, settings: Settings) -> Valley:
    return await settle_in(engine, settings)


async def firm(valley: Valley) -> None:
    """The time in which holds may still be improved is over."""
    await rows(valley.engine, "update allocation set firm_from = now() - interval '1 second'")


async def again(valley: Valley) -> None:
    """All needs are due, and looked at."""
    await rows(valley.engine, "update need set look_at = now()")
    await valley.look()


async def test_the_bed_is_where_the_class_is(valley: Valley) -> None:
    near_door = await valley.places(BRIANCON)
    up_there = await valley.places(MONTGENEVRE)
    lessons = await valley.classes(MONTGENEVRE)
    pathway, (sleeps, learns) = await valley.post()
    await valley.look()
    assert await valley.where(sleeps) == (up_there, "held")
    assert await valley.where(learns) == (lessons, "held")
    assert (await valley.apart())[pathway] == [0]
    # The control: the bed alone is the nearest.
    async with transaction(valley.engine) as tx:
        alone = await add_need(tx, valley.coordination, people=2)
    await valley.look()
    assert await valley.where(alone) == (near_door, "held")


async def test_a_whole_plan_is_asked_for_at_once(valley: Valley) -> None:
    await valley.places(BRIANCON)
    await valley.classes(BRIANCON)
    await valley.post()
    await valley.look()
    tentative = await rows(valley.engine, "select id from allocation where firm_from > now()")
    assert tentative == []


async def test_a_bed_does_not_wait_for_the_class_and_follows_it_while_nobody_was_asked(valley: Valley) -> None:
    first = await valley.places(BRIANCON)
    up_there = await valley.places(MONTGENEVRE)
    _, (sleeps, learns) = await valley.post()
    await valley.look()
    assert await valley.where(sleeps) == (first, "held")
    assert await valley.where(learns) is None
    lessons = await valley.classes(MONTGENEVRE)
    await again(valley)
    assert await valley.where(sleeps) == (up_there, "held")
    assert await valley.where(learns) == (lessons, "held")
    moved = await one(valley.engine, "select facts from event where kind = 'allocation.moved'")
    assert moved.facts["because"] == "together"
    left = await one(valley.engine, "select reason from allocation where state = 'released'")
    assert left.reason == "better_place"
    await assert_every_place_is_counted_once(valley.engine)


async def test_once_its_provider_is_asked_the_bed_stays_and_the_class_is_looked_for_around_it(valley: Valley) -> None:
    first = await valley.places(BRIANCON)
    await valley.places(MONTGENEVRE)
    _, (sleeps, learns) = await valley.post()
    await valley.look()
    await firm(valley)
    await valley.classes(MONTGENEVRE)
    await again(valley)
    assert await valley.where(sleeps) == (first, "held")
    assert await valley.where(learns) is None
    lessons = await valley.classes(BRIANCON)
    await again(valley)
    assert await valley.where(sleeps) == (first, "held")
    assert await valley.where(learns) == (lessons, "held")


async def test_the_way_to_a_class_is_told_from_the_town_though_it_was_looked_for_around_the_bed(valley: Valley) -> None:
    """Who gives the class is told it: the way from the bed would say where its people sleep."""
    await valley.places(MONTGENEVRE)
    await valley.post()
    await valley.look()
    await firm(valley)
    await valley.classes(MONTGENEVRE)
    await again(valley)
    told = await rows(valley.engine, "select distinct distance_km, travel_minutes from allocation where state = 'held'")
    up_there = (BRIANCON.cell, MONTGENEVRE.cell)
    assert [(each.distance_km, each.travel_minutes) for each in told] == [
        (kilometres_between(*up_there), minutes_between(*up_there))
    ]


async def test_a_vital_bed_is_firm_from_the_first_moment(valley: Valley) -> None:
    await valley.places(BRIANCON)
    _, (sleeps, _) = await valley.post(bed(urgency=Urgency.VITAL), lesson())
    await valley.look()
    hold = await one(valley.engine, "select firm_from <= now() as firm from allocation where need_id = :id", id=sleeps)
    assert hold.firm


async def test_a_class_waits_for_the_bed_until_that_is_unmet(valley: Valley) -> None:
    lessons = await valley.classes(BRIANCON)
    _, (_, learns) = await valley.post()
    await valley.look()
    assert await valley.where(learns) is None
    await rows(valley.engine, "update need set state = 'unmet', unmet_at = now() where category = 'shelter'")
    await again(valley)
    assert await valley.where(learns) == (lessons, "held")


async def test_a_vital_step_waits_for_nothing(valley: Valley) -> None:
    lessons = await valley.classes(BRIANCON)
    _, (_, learns) = await valley.post(bed(), lesson(urgency=Urgency.VITAL))
    await valley.look()
    assert await valley.where(learns) == (lessons, "held")


async def test_a_bed_that_is_declined_is_looked_for_near_the_class_that_they_have(valley: Valley) -> None:
    first = await valley.places(MONTGENEVRE)
    lessons = await valley.classes(MONTGENEVRE)
    _, (sleeps, learns) = await valley.post()
    await valley.look()
    assert await valley.where(sleeps) == (first, "held")
    await valley.places(BRIANCON)
    another = await valley.places(MONTGENEVRE)
    await answer(valley.engine, await valley.allocation(sleeps), valley.town_hall, AllocationState.DECLINED)
    await again(valley)
    assert await valley.where(sleeps) == (another, "held")
    assert await valley.where(learns) == (lessons, "held")


async def test_the_class_is_kept_when_the_new_bed_is_far_from_it(valley: Valley) -> None:
    """Nobody loses a seat for a bed: their poster sees that they are apart, and may give it back."""
    await valley.places(MONTGENEVRE)
    lessons = await valley.classes(MONTGENEVRE)
    pathway, (sleeps, learns) = await valley.post()
    await valley.look()
    await answer(valley.engine, await valley.allocation(sleeps), valley.town_hall, AllocationState.DECLINED)
    only = await valley.places(BRIANCON)
    await again(valley)
    assert await valley.where(sleeps) == (only, "held")
    assert await valley.where(learns) == (lessons, "held")
    assert (await valley.apart())[pathway] > [NEXT_DOOR]


async def test_rounds_leave_a_pathway_alone(valley: Valley) -> None:
    await valley.places(BRIANCON)
    await valley.post()
    async with transaction(valley.engine) as tx:
        assert await seekers.doors(tx) == []
        assert await seekers.pool(tx, await policies.in_force(tx), 10) == []


async def test_a_bed_that_is_referred_takes_the_class_along(engine: AsyncEngine, settings: Settings) -> None:
    towns = await share(engine, settings)
    valley = Valley(engine, settings, towns.gap, towns.briancon)
    await towns.pact()
    far = await valley.places(GAP)
    lessons = await valley.classes(GAP)
    await valley.classes(BRIANCON)
    _, (sleeps, learns) = await valley.post(bed(max_km=200), lesson(max_km=200))
    await valley.look()
    await rows(engine, "update need set posted_at = posted_at - interval '1 hour', refer_at = null")
    assert await towns.look()
    assert await towns.state(learns) == "open"
    await again(valley)
    assert await valley.where(sleeps) == (far, "held")
    assert await valley.where(learns) == (lessons, "held")


async def test_half_a_year_is_one_claim(valley: Valley) -> None:
    nights = 182
    window = tonight(nights)
    short = await valley.places(BRIANCON, nights=nights, nights_max=30)
    flat = await valley.places(MONTGENEVRE, nights=LONGEST_SPAN.days, nights_max=nights, capacity=4)
    _, (sleeps, _) = await valley.post(bed(window=window), lesson())
    await valley.look()
    assert await valley.where(sleeps) == (flat, "held")
    taken = await one(
        valley.engine,
        "select count(*) as n, count(distinct s.day) as days from allocation_slot k join slot s on s.id = k.slot_id"
        " where k.allocation_id = :id and k.taken and s.used = 2",
        id=await valley.allocation(sleeps),
    )
    assert (taken.n, taken.days) == (nights, nights)
    # The control: a night more than the flat takes is too long for it.
    _, (longer, _) = await valley.post(bed(window=tonight(nights + 1)), lesson())
    await valley.look()
    assert await valley.where(longer) is None
    assert short != flat


class _Crowd:
    """Many pathways and single parties after few beds and seats; several workers at once."""

    def __init__(self, valley: Valley) -> None:
        self.valley = valley
        self.pathways: list[UUID] = []

    async def gather(self, many: int) -> None:
        for place in (BRIANCON, MONTGENEVRE):
            await self.valley.places(place, capacity=many // 2 + 1)
            await self.valley.classes(place, capacity=many // 2)
        for number in range(many):
            pathway, _ = await self.valley.post(bed(urgency=list(Urgency)[number % 3]), lesson())
            self.pathways.append(pathway)
            async with transaction(self.valley.engine) as tx:
                await add_need(tx, self.valley.coordination, people=1 + number % 3, urgency=list(Urgency)[number % 3])

    async def torn(self) -> list[UUID]:
        """Pathways whose places were taken together, and lie farther apart than was said."""
        return [pathway for pathway, km in (await self.valley.apart()).items() if km > [NEXT_DOOR]]


async def test_many_workers_take_plans_whole(valley: Valley) -> None:
    crowd = _Crowd(valley)
    await crowd.gather(16)
    await asyncio.gather(*(valley.look(side_by_side=3) for _ in range(3)))
    await assert_every_place_is_counted_once(valley.engine)
    assert await crowd.torn() == []
    apart = await valley.apart()
    assert sum(bool(km) for km in apart.values()) >= 4, "some had both"
    # The control: a seat in the other town is seen.
    other = await one(
        valley.engine,
        "select a.id, o2.id as offer from allocation a join offer o on o.id = a.offer_id"
        " join offer o2 on o2.category = o.category and o2.id <> o.id"
        " where o.category = 'language_class' and a.state in ('held', 'confirmed') limit 1",
    )
    await rows(valley.engine, "update allocation set offer_id = :offer where id = :id", offer=other.offer, id=other.id)
    assert len(await crowd.torn()) == 1
