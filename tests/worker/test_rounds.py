"""What a round promises: it places more, spares people the way, and takes nothing from anybody."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.bell import Bell
from db.connection import transaction
from db.policies import in_force
from db.roles import Role
from db.rounds import Pace, RoundFacts, has_rested, take_turn
from db.settings import Settings
from geo.distance import kilometres_between
from geo.territories import Territory
from matching.engine.problem import Plan, Problem
from matching.policy import FIRST_POLICY
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind, Urgency
from tests.acting import in_role
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import answer, hold, look_at_all_due, one, rows
from tests.places import BRIANCON, HENDAYE, MONTGENEVRE, PlaceRow
from tests.waiting import eventually
from worker.rounds import Solver, hold_round, waiting_territories
from worker.solving import solve_within

LIVE = (
    "select need_id, offer_id, state, people from allocation where state in ('held', 'confirmed') order by created_at"
)
COUNTED = """
    select s.id, s.used, coalesce(sum(k.people) filter (where k.taken), 0) as taken
      from slot s left join allocation_slot k on k.slot_id = s.id group by s.id having s.used <>
           coalesce(sum(k.people) filter (where k.taken), 0)
"""


@pytest.fixture
async def town_hall(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx)


@pytest.fixture
async def coordination(engine: AsyncEngine) -> UUID:
    async with transaction(engine) as tx:
        return await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")


@pytest.fixture
def thread() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def a_gym(engine: AsyncEngine, town_hall: UUID, place: PlaceRow = BRIANCON, **terms: object) -> UUID:
    async with transaction(engine) as tx:
        return await add_offer(tx, town_hall, place=place, **terms)  # type: ignore[arg-type]


async def a_party(engine: AsyncEngine, coordination: UUID, **terms: object) -> UUID:
    """A party that was looked at once, in vain."""
    async with transaction(engine) as tx:
        need_id = await add_need(tx, coordination, **terms)
        await tx.execute(text("update need set fruitless = 1 where id = :id"), {"id": need_id})
    return need_id


def quickly(problem: Problem, _seconds: float) -> Plan:
    """The engine, for problems of a few needs."""
    return solve_within(problem, 0.2)


async def a_round(
    engine: AsyncEngine, settings: Settings, thread: Executor, solver: Solver = quickly
) -> RoundFacts | None:
    """Every territory is decided once, whenever that was done last: what came of it, where only one had to be."""
    async with transaction(engine) as tx:
        policy = await in_force(tx)
    held = [
        await hold_round(in_role(engine, Role.MATCHER), Bell(settings), thread, solver, 4, territory, Pace(0, 0))
        for territory, _ in await waiting_territories(in_role(engine, Role.MATCHER), policy)
    ]
    return held[0] if held else None


async def places(engine: AsyncEngine) -> dict[UUID, UUID]:
    """Where each need is held; every place is counted once."""
    assert await rows(engine, COUNTED) == []
    live = await rows(engine, LIVE)
    assert len({row.need_id for row in live}) == len(live)
    return {row.need_id: row.offer_id for row in live}


async def test_a_party_nobody_was_asked_about_makes_room_for_one_that_fits_nowhere_else(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    small_rooms = await a_gym(engine, town_hall, capacity=4, provides=["step_free"])
    beyond = await a_gym(engine, town_hall, MONTGENEVRE, capacity=4)
    early = await a_party(engine, coordination, people=2, urgency=Urgency.NORMAL)
    late = await a_party(engine, coordination, people=4, urgency=Urgency.NORMAL, requires=["step_free"])
    await look_at_all_due(engine)
    assert await places(engine) == {early: small_rooms}
    before = await one(engine, "select firm_from from allocation")
    found = await a_round(engine, settings, thread)
    assert found is not None
    assert (found.placed, found.moved, found.lost) == (1, 1, 0)
    assert await places(engine) == {early: beyond, late: small_rooms}
    moved = await one(engine, "select firm_from from allocation where need_id = :id and state = 'held'", id=early)
    assert moved.firm_from == before.firm_from, "being moved does not keep a provider from being asked"
    told = await rows(engine, "select kind from event where kind like 'allocation.%' order by id")
    assert [row.kind for row in told] == [
        "allocation.held",
        "allocation.released",
        "allocation.held",
        "allocation.moved",
        "allocation.held",
    ]
    moved_to = await one(engine, "select * from event where kind = 'allocation.moved'")
    assert moved_to.organizations == [coordination]
    left = await one(engine, "select id from allocation where state = 'released'")
    assert moved_to.facts == {"need_id": str(early), "left": str(left.id), "because": "makes_room"}
    let_go = await one(engine, "select reason, way from allocation where state = 'released'")
    assert (let_go.reason, let_go.way) == ("better_place", "at_once")
    kept = await one(engine, "select id from round")
    decided = await rows(engine, "select need_id, way, round_id, terms from allocation where state = 'held'")
    assert {row.need_id: (row.way, row.round_id) for row in decided} == {
        early: ("made_room", kept.id),
        late: ("round", kept.id),
    }
    far = kilometres_between(BRIANCON.cell, MONTGENEVRE.cell)
    assert {row.need_id: row.terms["travel"] for row in decided} == {early: far, late: 0}


@pytest.mark.parametrize("answered", [None, AllocationState.CONFIRMED])
async def test_who_has_a_firm_place_is_never_moved(
    engine: AsyncEngine,
    settings: Settings,
    thread: Executor,
    town_hall: UUID,
    coordination: UUID,
    answered: AllocationState | None,
) -> None:
    gym = await a_gym(engine, town_hall, capacity=4, provides=["step_free"])
    await a_gym(engine, town_hall, MONTGENEVRE, capacity=4)
    urgency = Urgency.VITAL if answered is None else Urgency.NORMAL
    early = await a_party(engine, coordination, people=2, urgency=urgency)
    await a_party(engine, coordination, people=4, urgency=Urgency.VITAL, requires=["step_free"])
    (held,) = await hold(engine, early)
    if answered is not None:
        await answer(engine, held, town_hall, answered)
    assert await a_round(engine, settings, thread) is None
    assert await places(engine) == {early: gym}


async def test_a_place_that_a_party_left_for_a_better_one_may_be_proposed_to_it_again(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall, capacity=4, provides=["step_free"])
    beyond = await a_gym(engine, town_hall, MONTGENEVRE, capacity=4)
    early = await a_party(engine, coordination, people=2, urgency=Urgency.NORMAL)
    late = await a_party(engine, coordination, people=4, urgency=Urgency.NORMAL, requires=["step_free"])
    await look_at_all_due(engine)
    await a_round(engine, settings, thread)
    for party in (late, early):
        held = await one(engine, "select id from allocation where need_id = :id and state = 'held'", id=party)
        await answer(engine, held.id, town_hall, AllocationState.DECLINED)
    await look_at_all_due(engine)
    assert await places(engine) == {early: gym}, "beyond was declined, the gym was only left"
    assert beyond != gym


async def test_when_somebody_was_faster_who_was_to_move_keeps_the_place(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall, capacity=4, provides=["step_free"])
    beyond = await a_gym(engine, town_hall, MONTGENEVRE, capacity=4)
    early = await a_party(engine, coordination, people=2, urgency=Urgency.NORMAL)
    await a_party(engine, coordination, people=4, urgency=Urgency.NORMAL, requires=["step_free"])
    await look_at_all_due(engine)
    loop = asyncio.get_running_loop()

    def while_another_takes_the_place(problem: Problem, seconds: float) -> Plan:
        taken = rows(engine, "update slot set used = capacity where offer_id = :id", id=beyond)
        asyncio.run_coroutine_threadsafe(taken, loop).result()
        return quickly(problem, seconds)

    found = await a_round(engine, settings, thread, while_another_takes_the_place)
    assert found is not None
    assert (found.placed, found.moved, found.lost) == (0, 0, 2)
    await rows(engine, "update slot set used = 0 where offer_id = :id", id=beyond)
    assert await places(engine) == {early: gym}


@pytest.mark.parametrize(
    "meanwhile",
    [
        "update need set state = 'withdrawn', ended_at = now(), version = version + 1",
        "update offer set state = 'paused', version = version + 1",
        "update offer set party_max = 1, version = version + 1",
    ],
)
async def test_what_changed_while_a_round_was_thinking_is_left_to_the_next(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID, meanwhile: str
) -> None:
    await a_gym(engine, town_hall)
    await a_party(engine, coordination, people=4)
    loop = asyncio.get_running_loop()

    def while_it_changes(problem: Problem, seconds: float) -> Plan:
        asyncio.run_coroutine_threadsafe(rows(engine, meanwhile), loop).result()
        return quickly(problem, seconds)

    await a_round(engine, settings, thread, while_it_changes)
    assert await places(engine) == {}


async def test_nobody_is_moved_while_nobody_waits(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    farther = await a_gym(engine, town_hall, MONTGENEVRE)
    early = await a_party(engine, coordination, urgency=Urgency.NORMAL)
    await look_at_all_due(engine)
    await a_gym(engine, town_hall)
    assert await a_round(engine, settings, thread) is None
    assert await places(engine) == {early: farther}


async def the_territories(engine: AsyncEngine) -> list[Territory]:
    async with transaction(engine) as tx:
        policy = await in_force(tx)
    return [territory for territory, _ in await waiting_territories(in_role(engine, Role.MATCHER), policy)]


async def test_only_one_decides_a_territory_at_a_time(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall)
    await a_party(engine, coordination)
    (territory,) = await the_territories(engine)
    async with transaction(engine) as tx:
        assert await take_turn(tx, territory)
        assert await a_round(engine, settings, thread) is None
        assert await places(engine) == {}
    assert await a_round(engine, settings, thread) is not None
    assert len(await places(engine)) == 1


async def test_two_workers_decide_two_territories_side_by_side(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall, HENDAYE)
    await a_gym(engine, town_hall)
    by_the_sea = await a_party(engine, coordination, place=HENDAYE)
    await a_party(engine, coordination)
    coast, _ = sorted(await the_territories(engine), key=lambda each: HENDAYE.cell not in each.doors)
    async with transaction(engine) as tx:
        (mountains,) = [each for each in await the_territories(engine) if each != coast]
        assert await take_turn(tx, mountains)
        held = await hold_round(in_role(engine, Role.MATCHER), Bell(settings), thread, quickly, 4, coast, Pace(0, 0))
    assert held is not None
    assert set(await places(engine)) == {by_the_sea}


async def test_a_territory_that_another_worker_has_just_decided_is_left_to_rest(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    await a_gym(engine, town_hall, capacity=1)
    for _ in range(2):
        await a_party(engine, coordination)
    assert await a_round(engine, settings, thread) is not None
    (territory,) = await the_territories(engine)
    async with transaction(engine) as tx:
        assert await has_rested(tx, territory, Pace(0, 0))
        assert not await has_rested(tx, territory, Pace(60, 0))
        assert not await has_rested(tx, territory, Pace(0, 1_000_000))


async def test_a_round_is_written_down_with_its_proof_and_leaves_prices(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall, capacity=2, nights=2)
    for _ in range(3):
        await a_party(engine, coordination, people=2, nights=1)
    await a_round(engine, settings, thread)
    kept = await one(engine, "select * from round")
    assert (kept.needs, kept.offers, kept.pairs, kept.placed, kept.policy_version) == (3, 1, 3, 1, FIRST_POLICY.version)
    assert 0 < kept.objective == pytest.approx(kept.bound)
    first, second = await rows(engine, "select price from slot where offer_id = :id order by day", id=gym)
    assert first.price > 0 == second.price
    await rows(engine, "update need set state = 'withdrawn', ended_at = now() where state = 'open'")
    async with transaction(engine) as tx:
        await tx.execute(text("update slot set capacity = 10"))
    await a_party(engine, coordination, people=2)
    await a_round(engine, settings, thread)
    assert {row.price for row in await rows(engine, "select price from slot")} == {0.0}


async def test_two_hundred_parties_are_placed_together_and_every_place_is_counted_once(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    for number in range(30):
        await a_gym(engine, town_hall, (BRIANCON, MONTGENEVRE)[number % 2], capacity=2 + number % 5)
    parties = [
        await a_party(
            engine,
            coordination,
            people=1 + number % 4,
            nights=1 + number % 3,
            urgency=(Urgency.VITAL, Urgency.HIGH, Urgency.NORMAL)[number % 3],
        )
        for number in range(120)
    ]
    greedy = len(await look_at_all_due(engine))
    at_once = await places(engine)
    assert greedy == len(at_once)
    for _ in range(3):
        await a_round(engine, settings, thread)
    now = await places(engine)
    assert at_once.keys() <= now.keys() <= set(parties), "who had a place has one"


async def test_of_two_places_the_one_in_the_town_that_carries_less_is_planned(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    burdened = await a_gym(engine, town_hall)
    other = await a_gym(engine, town_hall, MONTGENEVRE)
    await rows(engine, "insert into town_load values (:town, 9, now())", town=BRIANCON.id)
    need = await a_party(engine, coordination, urgency=Urgency.NORMAL)
    await a_round(engine, settings, thread)
    assert await places(engine) == {need: other}
    terms = (await one(engine, "select terms from allocation")).terms
    assert (terms["town"], terms["travel"]) == (0, kilometres_between(BRIANCON.cell, MONTGENEVRE.cell))
    assert burdened != other


async def test_a_price_that_stays_is_dated_anew_now_and_then_and_not_by_every_round(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    gym = await a_gym(engine, town_hall, capacity=4, nights=1)
    for _ in range(3):
        await a_party(engine, coordination, people=4)

    async def dated() -> tuple[float, datetime]:
        row = await one(engine, "select price, priced_at from slot where offer_id = :id", id=gym)
        return row.price, row.priced_at

    await a_round(engine, settings, thread)
    price, first = await dated()
    assert price > 0
    await rows(engine, "update allocation set firm_from = now() + interval '1 hour'")
    await a_round(engine, settings, thread)
    assert await dated() == (price, first)
    await rows(engine, "update slot set priced_at = priced_at - interval '1 hour' where offer_id = :id", id=gym)
    await a_round(engine, settings, thread)
    assert (await dated())[1] > first


async def test_who_is_in_a_circle_of_locks_with_a_round_goes_on_and_the_next_round_places_everybody(
    engine: AsyncEngine, settings: Settings, thread: Executor, town_hall: UUID, coordination: UUID
) -> None:
    for _ in range(2):
        await a_gym(engine, town_hall, capacity=2)
        await a_party(engine, coordination, people=2)
    tonight = "select id from slot where day = (select min(day) from slot) order by id"
    first, last = (row.id for row in await rows(engine, tonight))
    lock = text("select from slot where id = :id for update")
    async with transaction(engine) as other:
        # Whose patience ends first is the one who gives way.
        await other.execute(text("set local deadlock_timeout = '30s'"))
        await other.execute(lock, {"id": last})
        deciding = asyncio.create_task(a_round(engine, settings, thread))
        await eventually(partial(somebody_waits, engine), "the round waits for the slot")
        await other.execute(lock, {"id": first})
    found = await deciding
    assert found is not None
    assert (found.placed, found.lost) == (0, 2)
    assert await places(engine) == {}
    again = await a_round(engine, settings, thread)
    assert again is not None
    assert again.placed == 2


async def somebody_waits(engine: AsyncEngine) -> bool:
    return bool(
        await rows(engine, "select pid from pg_locks where not granted and locktype in ('transactionid', 'tuple')")
    )
