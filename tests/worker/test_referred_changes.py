"""People who are in a partner town, or on their way to one, change what they ask for: weeks and ways follow."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import needs, own_slip, stays
from db.connection import transaction
from db.invariants import broken
from db.preferences import Said
from db.settings import Settings
from matching.needs import People
from matching.refusals import CannotKeepPlace, Conflict
from matching.states import AllocationState
from tests.builders import TONIGHT, tonight
from tests.db.acts import answer, hold, one, rows
from tests.pacts import MONDAY
from tests.places import BRIANCON, GAP, MENTON
from tests.sharing import Towns, share

WEEK = timedelta(days=7)
NEXT = tonight(first=TONIGHT + WEEK)
EACH = {"acceptance": "each"}
HOME = [(GAP.id, 1, "withdrawn", "need_changed")]


@pytest.fixture
async def towns(engine: AsyncEngine, settings: Settings) -> Towns:
    return await share(engine, settings)


async def change(towns: Towns, need_id: UUID, **changes: object) -> None:
    async with transaction(towns.engine) as tx:
        before = (await needs.read(tx, need_id, towns.briancon)).terms
        await stays.change(tx, need_id, towns.briancon, None, replace(before, **changes))  # type: ignore[arg-type]


async def move(towns: Towns, need_id: UUID, window: tuple[object, object] = NEXT, **changes: object) -> None:
    await change(towns, need_id, starts=window[0], ends=window[1], **changes)


async def placed(towns: Towns, people: int = 4) -> UUID:
    """A party that has a place in Gap tonight."""
    need_id = await towns.need(people=people)
    await towns.work()
    assert await towns.state(need_id) == "held"
    return need_id


async def weeks(towns: Towns) -> dict[date, tuple[int, int, int, int]]:
    """By Monday: people, those of them who have a place, referrals, and those that led to one."""
    found = await rows(towns.engine, "select week, people, people_placed, referred, placed from pact_week")
    return {row.week: (row.people, row.people_placed, row.referred, row.placed) for row in found}


async def test_a_stay_that_moves_to_another_week_counts_in_the_one_in_which_it_begins(towns: Towns) -> None:
    await towns.pact()
    await towns.places(nights=14)
    need_id = await placed(towns)
    assert await weeks(towns) == {MONDAY: (4, 4, 1, 1)}
    await move(towns, need_id)
    assert await weeks(towns) == {MONDAY: (0, 0, 0, 0), MONDAY + WEEK: (4, 4, 1, 1)}
    await move(towns, need_id, tonight(), people=People(3, 0))
    assert await weeks(towns) == {MONDAY: (3, 3, 1, 1), MONDAY + WEEK: (0, 0, 0, 0)}
    async with transaction(towns.engine) as tx:
        await needs.withdraw(tx, need_id, towns.briancon)
        assert await broken(tx) == {}
    assert (await weeks(towns))[MONDAY][:2] == (0, 0)


async def test_where_the_new_week_is_full_the_change_is_refused_as_more_people_are(towns: Towns) -> None:
    await towns.pact(to_partner_per_week=5)
    await towns.places(nights=14)
    await move(towns, await placed(towns, 3))
    need_id = await placed(towns, 2)
    for people in (3, 2):
        counted, version = await weeks(towns), (await one(towns.engine, "select sum(version) as n from referral")).n
        if people == 3:
            with pytest.raises(Conflict) as refused:
                await move(towns, need_id, people=People(people, 0))
            assert (refused.value.reason, refused.value.state) == ("pact_week_is_full", "placed")
            assert await weeks(towns) == counted
            assert (await one(towns.engine, "select sum(version) as n from referral")).n == version
        else:
            await move(towns, need_id)
    assert await weeks(towns) == {MONDAY: (0, 0, 0, 0), MONDAY + WEEK: (5, 5, 2, 2)}


async def test_who_has_slept_there_goes_on_counting_in_the_week_in_which_they_came(towns: Towns) -> None:
    await towns.pact()
    await towns.places(nights=14)
    need_id = await placed(towns)
    await rows(towns.engine, "update allocation set state = 'arrived'")
    await move(towns, need_id)
    assert await weeks(towns) == {MONDAY: (4, 4, 1, 1)}


async def test_the_partner_is_shown_what_is_asked_of_its_place_now(towns: Towns) -> None:
    await towns.pact()
    await towns.places(provides=["step_free"])
    need_id = await placed(towns)
    await change(towns, need_id, requires=frozenset({"step_free"}))
    shown = await one(towns.engine, "select requires, state from referral where need_id = :id", id=need_id)
    assert (shown.requires, shown.state) == (["step_free"], "placed")


async def prefer(towns: Towns, need_id: UUID, most_km: int | None) -> None:
    """What the people say on their slip."""
    await rows(towns.engine, "update need set slip = :slip where id = :id", slip=need_id.bytes * 2, id=need_id)
    async with transaction(towns.engine) as tx:
        await own_slip.prefer(tx, need_id.bytes * 2, lambda *_: Said(most_km=most_km), None)


async def is_home(towns: Towns, need_id: UUID) -> bool:
    """Whether a place is looked for around their own town again, and for nobody else's account."""
    need = await one(
        towns.engine, "select state, cell, searched_town_id, searched_km from need where id = :id", id=need_id
    )
    stands = (need.state, need.cell, need.searched_town_id, need.searched_km)
    async with transaction(towns.engine) as tx:
        assert await broken(tx) == {}
    return stands == ("open", BRIANCON.cell, None, None)


async def test_who_says_that_they_go_less_far_than_the_partner_comes_home_at_once(towns: Towns) -> None:
    await towns.pact()
    await towns.places()
    need_id = await towns.need()
    await towns.look()
    assert await towns.state(need_id) == "referred"
    await prefer(towns, need_id, 20)
    assert await is_home(towns, need_id)
    assert (await towns.referrals(need_id), await towns.counted()) == (HOME, {GAP.id: 0})
    told = await rows(towns.engine, "select kind from event where kind in ('referral.withdrawn', 'need.open')")
    assert sorted(row.kind for row in told) == ["need.open", "referral.withdrawn"]
    await towns.work()
    assert await is_home(towns, need_id)


async def test_control_who_would_go_as_far_as_the_partner_stays(towns: Towns) -> None:
    await towns.pact()
    await towns.places()
    need_id = await towns.need()
    await towns.look()
    await prefer(towns, need_id, 400)
    await towns.work()
    assert await towns.state(need_id) == "held"


async def test_what_a_partner_was_asked_falls_and_one_that_is_near_enough_is_asked(towns: Towns) -> None:
    await towns.pact(MENTON, **EACH)
    await towns.places(MENTON)
    need_id = await towns.need()
    await towns.work()
    assert await towns.referrals(need_id) == [(MENTON.id, 1, "offered", None)]
    await towns.pact(**EACH)
    await towns.places()
    far = await one(towns.engine, "select distance_km from referral")
    await prefer(towns, need_id, far.distance_km - 1)
    await towns.work()
    assert await towns.referrals(need_id) == [
        (MENTON.id, 1, "withdrawn", "need_changed"),
        (GAP.id, 1, "offered", None),
    ]


@pytest.mark.parametrize("most_km", [20, None], ids=["no farther", "control: anywhere"])
async def test_who_has_a_place_there_keeps_it_and_looks_for_none_there_once_it_is_lost(
    towns: Towns, most_km: int | None
) -> None:
    await towns.pact()
    await towns.places()
    await towns.places()
    need_id = await placed(towns)
    await prefer(towns, need_id, most_km)
    await towns.work()
    assert await towns.state(need_id) == "held", "what they say takes no place from them"
    (first,) = await rows(towns.engine, "select id from allocation")
    await answer(towns.engine, first.id, towns.gap, AllocationState.DECLINED)
    assert bool(await hold(towns.engine, need_id)) == (most_km is None), "not even next to the partner's town hall"
    await towns.work()
    if most_km is None:
        assert await towns.state(need_id) == "held"
    else:
        assert await is_home(towns, need_id)
        assert await towns.referrals(need_id) == HOME


async def test_a_place_there_is_not_kept_by_terms_under_which_nobody_goes_there(towns: Towns) -> None:
    await towns.pact()
    await towns.places()
    need_id = await placed(towns)
    with pytest.raises(CannotKeepPlace) as refused:
        await change(towns, need_id, max_km=20)
    assert refused.value.rule == "distance"
    await change(towns, need_id, max_km=400)
    assert await towns.state(need_id) == "held"


async def test_the_rest_of_a_party_is_looked_for_where_the_others_are(towns: Towns) -> None:
    """They say that they go less far than the partner is; two of them are there already."""
    await towns.pact()
    for _ in range(2):
        await towns.places(capacity=2)
    need_id = await towns.need(people=4, divisible=True)
    await towns.work()
    first = (await rows(towns.engine, "select id from allocation order by id"))[0]
    await answer(towns.engine, first.id, towns.gap, AllocationState.DECLINED)
    await prefer(towns, need_id, 20)
    await towns.places(capacity=2)
    await towns.work()
    assert await towns.state(need_id) == "held"
    assert await towns.counted() == {GAP.id: 4}


async def test_who_has_stayed_there_goes_on_counting_whatever_changes(towns: Towns) -> None:
    await towns.pact()
    for _ in range(2):
        await towns.places(capacity=2)
    need_id = await towns.need(people=4, divisible=True)
    await towns.work()
    first, second = await rows(towns.engine, "select id from allocation order by id")
    await answer(towns.engine, first.id, towns.gap, AllocationState.DECLINED)
    await rows(towns.engine, "update allocation set state = 'completed', ended_at = now() where id = :id", id=second.id)
    await prefer(towns, need_id, 20)
    assert await towns.counted() == {GAP.id: 4}
