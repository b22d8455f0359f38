"""Plans change: a stay is shortened, lengthened or moved by one act, and the place is kept or nothing changes."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import allocations, holds, needs, policies, seekers, stays
from db.allocations import AllocationFacts
from matching.needs import People
from matching.posting import NeedTerms
from matching.refusals import CannotKeepPlace, Conflict, Invalid, StaleVersion
from matching.states import AllocationState, NeedState
from tests.builders import TONIGHT, add_need, add_offer, add_organization, tonight
from tests.places import BRIANCON


class Stay:
    """A party with a place, and what one wants to know of it."""

    def __init__(self, tx: AsyncConnection, town_hall: UUID, need_id: UUID) -> None:
        self.tx, self.town_hall, self.need_id = tx, town_hall, need_id

    async def terms(self) -> NeedTerms:
        return (await needs.read(self.tx, self.need_id, self.town_hall)).terms

    async def change(self, version: int | None = None, **changes: object) -> None:
        terms = replace(await self.terms(), **changes)  # type: ignore[arg-type]
        await stays.change(self.tx, self.need_id, self.town_hall, version, terms)

    async def placed(self) -> list[AllocationFacts]:
        return (await allocations.of_needs(self.tx, [self.need_id]))[self.need_id]

    async def used(self) -> list[int]:
        return list((await self.tx.execute(text("select used from slot order by offer_id, starts"))).scalars())


async def placed_stay(tx: AsyncConnection, town_hall: UUID, **terms: object) -> Stay:
    need_id = await add_need(tx, town_hall, **terms)
    policy = await policies.in_force(tx)
    seeker = await seekers.claim(tx, need_id, policy)
    assert seeker
    assert not (await holds.hold_best_places(tx, seeker, policy)).left
    return Stay(tx, town_hall, need_id)


@pytest.fixture
async def town_hall(tx: AsyncConnection) -> UUID:
    return await add_organization(tx)


async def test_a_shorter_stay_keeps_its_place_and_frees_the_nights_left(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, capacity=4, nights=4)
    stay = await placed_stay(tx, town_hall, people=3, nights=3)
    await stay.change(ends=tonight(1)[1])
    (place,) = await stay.placed()
    assert (place.state, len(place.slots)) == ("held", 1)
    assert await stay.used() == [3, 0, 0, 0]


async def test_a_longer_stay_keeps_its_confirmed_place(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, capacity=4, nights=4)
    stay = await placed_stay(tx, town_hall, people=3, nights=1)
    (place,) = await stay.placed()
    await allocations.move(tx, place.id, town_hall, AllocationState.CONFIRMED)
    await stay.change(ends=tonight(3)[1])
    (kept,) = await stay.placed()
    assert (kept.id, kept.state) == (place.id, AllocationState.CONFIRMED)
    assert await stay.used() == [3, 3, 3, 0]


async def test_a_longer_stay_that_the_place_has_no_room_for_changes_nothing(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    await add_offer(tx, town_hall, capacity=4, nights=2)
    stay = await placed_stay(tx, town_hall, people=3, nights=1)
    before = await stay.terms()
    attempt = await tx.begin_nested()
    with pytest.raises(CannotKeepPlace) as refused:
        await stay.change(ends=tonight(3)[1])
    await attempt.rollback()
    assert refused.value.rule == "window"
    assert (await stay.terms(), await stay.used()) == (before, [3, 0])


async def test_a_stay_is_moved_to_other_nights_of_the_same_place(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, capacity=4, nights=4)
    stay = await placed_stay(tx, town_hall, people=2, nights=2)
    starts, ends = tonight(2)
    await stay.change(starts=starts + timedelta(days=2), ends=ends + timedelta(days=2))
    assert await stay.used() == [0, 0, 2, 2]


async def test_a_child_more_is_taken_in_where_there_is_room_and_refused_where_not(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    await add_offer(tx, town_hall, capacity=3, nights=1)
    stay = await placed_stay(tx, town_hall, people=2)
    await stay.change(people=People(2, 1))
    assert await stay.used() == [3]
    with pytest.raises(CannotKeepPlace) as refused:
        await stay.change(people=People(2, 2))
    assert refused.value.rule == "capacity"


async def test_a_new_requirement_that_the_place_does_not_meet_is_refused(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, provides=["showers"])
    stay = await placed_stay(tx, town_hall)
    await stay.change(requires=frozenset({"showers"}))
    with pytest.raises(CannotKeepPlace) as refused:
        await stay.change(requires=frozenset({"step_free"}))
    assert refused.value.rule == "access"


async def test_who_is_in_may_stay_longer_though_the_offer_is_paused_and_the_door_has_closed(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    await add_offer(tx, town_hall, nights=3)
    stay = await placed_stay(tx, town_hall, people=2, nights=1)
    await tx.execute(text("update offer set state = 'paused'"))
    await tx.execute(text("update slot set last_arrival = now() - interval '1 hour' where used > 0"))
    await stay.change(ends=tonight(2)[1])
    assert await stay.used() == [2, 2, 0]


async def test_a_spread_party_that_grows_looks_for_places_for_the_others(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, capacity=2, nights=1)
    await add_offer(tx, town_hall, capacity=2, nights=1)
    stay = await placed_stay(tx, town_hall, people=4, divisible=True)
    await stay.change(people=People(5, 0))
    assert (await needs.read(tx, stay.need_id, town_hall)).state is NeedState.OPEN
    assert await stay.used() == [2, 2]
    await stay.change(people=People(3, 0))
    assert (await needs.read(tx, stay.need_id, town_hall)).state is NeedState.HELD
    assert sorted(await stay.used()) == [1, 2]


_SLOTS_NEARER = text("""
    update slot set day = day - cast(:days as int), starts = starts - cast(:by as interval),
                    ends = ends - cast(:by as interval), last_arrival = last_arrival - cast(:by as interval)
""")
_NEEDS_NEARER = text("""
    update need set starts = starts - cast(:by as interval), ends = ends - cast(:by as interval)
""")


async def days_pass(tx: AsyncConnection, days: int) -> None:
    """What was to come lies so many days nearer, or has been."""
    # Far away and back, so that no night comes upon another on its way.
    for step in (days + 40_000, -40_000):
        await tx.execute(_SLOTS_NEARER, {"days": step, "by": timedelta(days=step)})
        await tx.execute(_NEEDS_NEARER, {"by": timedelta(days=step)})


async def lengthen(stay: Stay, nights: int) -> None:
    await stay.change(ends=(await stay.terms()).ends + timedelta(days=nights))


async def test_nights_slept_count_among_those_that_a_place_gives(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, nights=12, nights_max=5)
    stay = await placed_stay(tx, town_hall, nights=4)
    await days_pass(tx, 3)
    await lengthen(stay, 1)
    for later in (0, 1):
        await days_pass(tx, later)
        with pytest.raises(CannotKeepPlace) as refused:
            await lengthen(stay, 1)
        assert refused.value.rule == "stay_length"


async def test_a_night_slept_counts_from_the_morning_on_though_the_house_is_open_still(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    now = datetime.now(UTC)
    here = replace(BRIANCON, timezone=f"Etc/GMT{now.hour - 12:+d}")
    today = now.astimezone(ZoneInfo(here.timezone)).date()
    assert now.astimezone(ZoneInfo(here.timezone)).hour == 12
    await tx.execute(text("update town set timezone = :zone where id = :id"), {"zone": here.timezone, "id": here.id})
    await add_offer(tx, town_hall, place=here, nights=12, nights_max=2, schedule={"closes": time(18)})
    stay = await placed_stay(tx, town_hall, place=here, nights=2)
    await days_pass(tx, (TONIGHT - today).days + 1)
    await stay.change(people=People(2, 0))
    (place,) = await stay.placed()
    assert len(place.slots) == 2
    assert await stay.used() == [1, 2, *[0] * 10]
    with pytest.raises(CannotKeepPlace) as refused:
        await lengthen(stay, 1)
    assert refused.value.rule == "stay_length"


async def test_terms_that_grew_stricter_take_no_night_away(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, nights=6, nights_max=5)
    stay = await placed_stay(tx, town_hall, nights=5)
    await tx.execute(text("update offer set nights_max = 2"))
    await stay.change(ends=tonight(4)[1])
    assert await stay.used() == [1, 1, 1, 1, 0, 0]
    with pytest.raises(CannotKeepPlace):
        await stay.change(ends=tonight(5)[1])


async def test_an_old_version_is_refused(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall)
    stay = await placed_stay(tx, town_hall)
    version = (await needs.read(tx, stay.need_id, town_hall)).version
    with pytest.raises(StaleVersion):
        await stay.change(version=version - 1, people=People(2, 0))


async def test_a_withdrawn_need_cannot_be_changed(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall)
    stay = await placed_stay(tx, town_hall)
    await needs.withdraw(tx, stay.need_id, town_hall)
    with pytest.raises(Conflict):
        await stay.change(people=People(2, 0))


async def test_impossible_terms_are_refused_in_words(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall)
    stay = await placed_stay(tx, town_hall)
    with pytest.raises(Invalid) as refused:
        await stay.change(ends=(await stay.terms()).starts)
    assert [flaw.code for flaw in refused.value.flaws] == ["before_from"]
