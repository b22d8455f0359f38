"""Projects as the worker places them: whole or not at all, and nothing firm before the people have said yes."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import projects
from db.bell import Bell
from db.connection import transaction
from db.project_answers import accept, refuse
from db.projects import ProjectTerms
from db.roles import Role
from db.settings import Settings
from matching.refusals import Conflict, NoLongerHeld
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind, RefuseReason, Urgency
from tests.acting import in_role
from tests.api.scenes import assert_every_place_is_counted_once
from tests.builders import add_need, add_offer, add_organization, need_terms
from tests.db.acts import answer, look_at_all_due, one, rows
from tests.matching.placed_together import Fact, broken
from tests.pathways import filed
from tests.places import BRIANCON, GAP, MONTGENEVRE, PlaceRow
from worker.projects import look_after_projects
from worker.upkeep import keep_up

TOGETHER = 5
PEOPLE = (4, 3, 2, 2)
MINIMUM = 8


@dataclass
class Camp:
    """Eleven people in four parties who leave a camp in Briançon together, eight of them at least."""

    engine: AsyncEngine
    settings: Settings
    town_hall: UUID
    poster: UUID
    project: UUID

    async def places(self, place: PlaceRow = BRIANCON, **terms: object) -> UUID:
        async with transaction(self.engine) as tx:
            return await add_offer(tx, self.town_hall, place=place, **terms)  # type: ignore[arg-type]

    async def look(self) -> int:
        """One look of the worker, at projects whose needs are due."""
        await rows(self.engine, "update need set look_at = now() where project_id is not null")
        return await look_after_projects(in_role(self.engine, Role.MATCHER), Bell(self.settings), None)

    async def state(self) -> str:
        return str((await one(self.engine, "select state from project")).state)

    async def plan(self) -> int:
        return int((await one(self.engine, "select plan from project")).plan)

    async def answered(self, act: Callable[..., Awaitable[None]], *how: object) -> None:
        async with transaction(in_role(self.engine, Role.MATCHER)) as tx:
            await act(tx, self.project, *how)

    async def held(self, *states: str) -> list[UUID]:
        """Its places in these states."""
        found = await rows(
            self.engine,
            "select a.id from allocation a join need n on n.id = a.need_id"
            " where n.project_id is not null and a.state = any(cast(:states as text[])) order by a.id",
            states=list(states or ("held", "confirmed", "arrived")),
        )
        return [row.id for row in found]

    async def firm_unasked(self) -> list[UUID]:
        """Places that are confirmed though nobody said yes since they were put on hold, by the events alone."""
        found = await rows(
            self.engine,
            """
            select a.id
              from allocation a join need n on n.id = a.need_id
              join event h on h.object_id = a.id and h.kind = 'allocation.held'
             where n.project_id is not null and a.state in ('confirmed', 'arrived')
             group by a.id, n.project_id
            having not exists (select from event y where y.object_id = n.project_id
                                  and y.kind = 'project.accepted' and y.id > min(h.id))
            """,
        )
        return [row.id for row in found]

    async def flaws(self) -> list[str]:
        """What the checker finds in the tables: nothing of the planner is asked."""
        found = await rows(
            self.engine,
            """
            select n.step, n.people as party, a.people, o.id as offer, o.cell,
                   (select min(s.capacity - s.used) from slot s join allocation_slot k on k.slot_id = s.id
                     where k.allocation_id = a.id and k.taken) as spare
              from need n join allocation a on a.need_id = n.id and a.state in ('held', 'confirmed', 'arrived')
              join offer o on o.id = a.offer_id
             where n.project_id is not null
            """,
        )
        number = {offer: at for at, offer in enumerate({row.offer for row in found})}
        facts = [Fact(row.step, row.party, row.people, number[row.offer]) for row in found]
        room = dict.fromkeys(number.values(), 0)
        for row, fact in zip(found, facts, strict=True):
            room[fact.house] = int(row.spare) + sum(each.people for each in facts if each.house == fact.house)
        cells = {number[row.offer]: int(row.cell) for row in found}
        wrong = broken(facts, cells, room, TOGETHER, MINIMUM)
        if await self.firm_unasked():
            wrong.append("firm before the people said yes")
        if await self.state() == "open" and found:
            wrong.append("held without a plan")
        return wrong


@pytest.fixture
async def camp(engine: AsyncEngine, settings: Settings) -> Camp:
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination of Briançon")
        parties = [need_terms(people=people, urgency=Urgency.NORMAL) for people in PEOPLE]
        made = await projects.add(tx, poster, ProjectTerms(TOGETHER, MINIMUM, 72), parties, filed)
    return Camp(engine, settings, town_hall, poster, made.id)


async def test_all_are_placed_near_each_other_or_nobody(camp: Camp) -> None:
    await camp.places(BRIANCON, capacity=7)
    await camp.places(MONTGENEVRE, capacity=7)
    assert not await camp.look()
    assert (await camp.state(), await camp.held()) == ("open", [])
    await camp.places(BRIANCON, capacity=4)
    assert await camp.look()
    assert await camp.state() == "proposed"
    assert len(await camp.held("held")) == len(PEOPLE)
    assert await camp.flaws() == []


async def test_single_looks_and_rounds_leave_its_parties_alone(camp: Camp) -> None:
    await camp.places(capacity=4)
    assert await look_at_all_due(camp.engine) == []


async def test_nothing_is_firm_before_the_people_said_yes(camp: Camp) -> None:
    await camp.places(capacity=20, confirmation="standing")
    await camp.look()
    held = await camp.held("held")
    assert len(held) == len(PEOPLE)
    with pytest.raises(Conflict) as refused:
        await answer(camp.engine, held[0], camp.town_hall, AllocationState.CONFIRMED)
    assert refused.value.reason == "awaits_the_people"
    await camp.answered(accept, 1)
    assert await camp.state() == "accepted"
    assert len(await camp.held("confirmed")) == len(PEOPLE)


async def test_once_accepted_the_houses_are_asked(camp: Camp) -> None:
    await camp.places(capacity=20)
    await camp.look()
    await camp.answered(accept, 1)
    for allocation in await camp.held("held"):
        await answer(camp.engine, allocation, camp.town_hall, AllocationState.CONFIRMED)
    assert len(await camp.held("confirmed")) == len(PEOPLE)
    await camp.answered(accept, 1)


async def test_another_plan_than_they_saw_is_not_accepted(camp: Camp) -> None:
    await camp.places(capacity=20)
    await camp.look()
    with pytest.raises(Conflict):
        await camp.answered(accept, 2)
    assert await camp.state() == "proposed"


async def test_a_refused_plan_asks_for_another_without_what_was_refused(camp: Camp) -> None:
    near = await camp.places(BRIANCON, capacity=20)
    await camp.look()
    await camp.answered(refuse, RefuseReason.TOO_FAR, [near])
    assert (await camp.state(), await camp.held()) == ("open", [])
    assert not await camp.look()
    await camp.places(BRIANCON, capacity=20)
    assert await camp.look()
    offers = await rows(
        camp.engine,
        "select distinct offer_id from allocation a where a.state = 'held' and offer_id <> :near",
        near=near,
    )
    assert len(offers) == 1


async def test_an_unanswered_plan_ends_and_gives_its_places_back(camp: Camp) -> None:
    await camp.places(capacity=20)
    await camp.look()
    await rows(camp.engine, "update project set answer_by = now() - interval '1 second'")
    with pytest.raises(Conflict):
        await camp.answered(accept, 1)
    assert await look_after_projects(in_role(camp.engine, Role.MATCHER), Bell(camp.settings), None)
    assert (await camp.state(), await camp.held()) == ("open", [])
    assert [row.used for row in await rows(camp.engine, "select used from slot where used > 0")] == []


async def test_what_was_refused_is_not_proposed_to_the_neighbours(camp: Camp) -> None:
    """Two houses, and each takes what the other took: refused, they do not come back the other way round."""
    await camp.places(BRIANCON, capacity=6)
    await camp.places(BRIANCON, capacity=5)
    await camp.look()
    await camp.answered(refuse, RefuseReason.AFRAID)
    assert not await camp.look()
    assert await camp.state() == "open"


async def test_who_lets_a_plan_pass_is_asked_again_later_whatever_becomes_free(camp: Camp) -> None:
    await camp.places(capacity=20)
    await camp.look()
    await rows(camp.engine, "update project set answer_by = now() - interval '1 second'")
    await look_after_projects(in_role(camp.engine, Role.MATCHER), Bell(camp.settings), None)
    assert not await camp.look()
    await rows(camp.engine, "update allocation set ended_at = now() - interval '61 minutes' where state = 'expired'")
    assert await camp.look()


async def test_a_plan_that_has_lost_a_place_is_another_plan(camp: Camp) -> None:
    """Who pressed yes to eleven places has not said yes to nine."""
    await camp.places(capacity=20)
    await camp.look()
    smallest = await one(camp.engine, "select min(cast(a.id as text)) as id from allocation a where a.people = 2")
    await answer(camp.engine, UUID(smallest.id), camp.town_hall, AllocationState.DECLINED)
    assert (await camp.state(), await camp.plan()) == ("proposed", 2)
    with pytest.raises(Conflict):
        await camp.answered(accept, 1)
    await camp.answered(accept, 2)


async def test_nobody_is_put_out_of_a_house_in_which_they_have_slept(camp: Camp) -> None:
    """No house has to press that they have arrived: the first night has begun, and that is enough."""
    await camp.places(capacity=20, confirmation="standing")
    await camp.look()
    await camp.answered(accept, 1)
    await rows(
        camp.engine,
        "update slot set starts = now() - interval '1 hour' where id = (select min(slot_id) from allocation_slot)",
    )
    first, *others = await camp.held("confirmed")
    for each in others:
        await answer(camp.engine, each, camp.town_hall, AllocationState.DECLINED)
    assert (await camp.state(), await camp.held()) == ("accepted", [first])


async def test_who_is_left_of_a_project_is_enough(camp: Camp) -> None:
    """Four of eleven have moved on: seven can never be eight, and are placed as the seven that they are."""
    await rows(camp.engine, "update need set state = 'withdrawn', ended_at = now() where people = 4")
    await camp.places(capacity=6)
    assert not await camp.look(), "not fewer than all who are left"
    await camp.places(capacity=1)
    await camp.places(capacity=7)
    assert await camp.look()
    assert len(await camp.held()) == 3


class _Breaking(ThreadPoolExecutor):
    """Where thinking breaks the first time."""

    broke = False

    def submit(self, *asked: Any, **more: Any) -> Any:
        if not self.broke:
            self.broke = True
            raise ArithmeticError
        return super().submit(*asked, **more)


async def test_one_project_that_breaks_keeps_no_other_from_its_plan(camp: Camp) -> None:
    await camp.places(capacity=20)
    async with transaction(camp.engine) as tx:
        parties = [need_terms(people=people, urgency=Urgency.NORMAL) for people in (1, 1)]
        later = await projects.add(tx, camp.poster, ProjectTerms(TOGETHER, 2, 72), parties, filed)
    with _Breaking(1) as thinks:
        assert await look_after_projects(in_role(camp.engine, Role.MATCHER), Bell(camp.settings), thinks)
    states = {row.id: row.state for row in await rows(camp.engine, "select id, state from project")}
    assert states == {camp.project: "open", later.id: "proposed"}
    due = await rows(camp.engine, "select id from need where project_id = :id and look_at <= now()", id=camp.project)
    assert due == [], "it does not come first again at once"


async def test_a_place_taken_meanwhile_leaves_nothing_half_held(camp: Camp) -> None:
    """A party of four and many others are after the same ten beds: whoever is first, the plan is whole or none."""
    await camp.places(capacity=10)
    async with transaction(camp.engine) as tx:
        for number in range(6):
            await add_need(tx, camp.poster, people=1 + number % 2)
    await asyncio.gather(camp.look(), look_at_all_due(camp.engine), camp.look())
    await assert_every_place_is_counted_once(camp.engine)
    assert await camp.flaws() == []


async def test_below_the_minimum_all_that_is_left_falls(camp: Camp) -> None:
    await camp.places(capacity=20)
    await camp.look()
    await camp.answered(accept, 1)
    largest = await one(camp.engine, "select a.id from allocation a where a.people = 4")
    smallest = await one(camp.engine, "select min(cast(a.id as text)) as id from allocation a where a.people = 2")
    await answer(camp.engine, UUID(smallest.id), camp.town_hall, AllocationState.DECLINED)
    assert (await camp.state(), len(await camp.held())) == ("accepted", 3)
    await answer(camp.engine, largest.id, camp.town_hall, AllocationState.DECLINED)
    assert (await camp.state(), await camp.held()) == ("open", [])
    await assert_every_place_is_counted_once(camp.engine)


async def test_who_has_moved_in_stays(camp: Camp) -> None:
    await camp.places(capacity=20, confirmation="standing")
    await camp.look()
    await camp.answered(accept, 1)
    first, *others = await camp.held("confirmed")
    await rows(camp.engine, "update allocation set state = 'arrived' where id = :id", id=first)
    for each in others:
        await answer(camp.engine, each, camp.town_hall, AllocationState.DECLINED)
    assert (await camp.state(), await camp.held()) == ("accepted", [first])


@dataclass
class Left:
    """Three parties have places by a plan that was accepted; a party of two is left out of it."""

    camp: Camp
    near: UUID
    need: UUID

    async def waits(self) -> list[UUID]:
        """Its places that wait for the people."""
        found = await rows(
            self.camp.engine,
            "select id, need_id from allocation where state = 'held' and awaits_people order by id",
        )
        assert {row.need_id for row in found} <= {self.need}
        return [row.id for row in found]


@pytest.fixture
async def left(camp: Camp) -> Left:
    near = await camp.places(BRIANCON, capacity=9)
    assert await camp.look()
    await camp.answered(accept, 1)
    out = await one(camp.engine, "select id from need where state = 'open'")
    assert not await camp.look()
    return Left(camp, near, out.id)


async def test_who_is_left_out_is_seated_near_the_others_and_asked_first(left: Left) -> None:
    await left.camp.places(GAP, capacity=20)
    assert not await left.camp.look(), "far from the others, there is no place for them"
    await left.camp.places(MONTGENEVRE, capacity=1)
    assert not await left.camp.look()
    await left.camp.places(BRIANCON, capacity=2, confirmation="standing")
    assert await left.camp.look()
    assert await left.camp.state() == "proposed"
    (waits,) = await left.waits()
    with pytest.raises(Conflict):
        await answer(left.camp.engine, waits, left.camp.town_hall, AllocationState.CONFIRMED)
    firm = [each for each in await left.camp.held("held") if each != waits]
    await answer(left.camp.engine, firm[0], left.camp.town_hall, AllocationState.CONFIRMED)
    await left.camp.answered(accept, 2)
    assert await left.camp.state() == "accepted"
    assert len(await left.camp.held()) == len(PEOPLE)
    assert waits in await left.camp.held("confirmed")
    assert await left.camp.flaws() == []


async def test_who_says_no_to_the_second_plan_keeps_the_first(left: Left) -> None:
    added = await left.camp.places(BRIANCON, capacity=2)
    await left.camp.look()
    with pytest.raises(Conflict):
        await left.camp.answered(refuse, RefuseReason.TOO_FAR, [left.near])
    await left.camp.answered(refuse, RefuseReason.TOO_FAR, [added], 2)
    assert (await left.camp.state(), len(await left.camp.held())) == ("accepted", 3)
    assert not await left.camp.look(), "what they refused is not proposed again"
    await assert_every_place_is_counted_once(left.camp.engine)


async def test_a_second_plan_that_nobody_answers_ends_alone(left: Left) -> None:
    await left.camp.places(BRIANCON, capacity=2)
    await left.camp.look()
    await rows(left.camp.engine, "update project set answer_by = now() - interval '1 second'")
    assert await look_after_projects(in_role(left.camp.engine, Role.MATCHER), Bell(left.camp.settings), None)
    assert (await left.camp.state(), len(await left.camp.held())) == ("accepted", 3)
    assert await left.waits() == []


async def test_a_second_plan_falls_with_the_first_and_alone(left: Left) -> None:
    await left.camp.places(BRIANCON, capacity=2)
    await left.camp.look()
    (waits,) = await left.waits()
    await answer(left.camp.engine, waits, left.camp.town_hall, AllocationState.DECLINED)
    assert (await left.camp.state(), len(await left.camp.held())) == ("accepted", 3)
    await left.camp.places(BRIANCON, capacity=2)
    await left.camp.look()
    assert await left.camp.state() == "proposed"
    largest = await one(left.camp.engine, "select id from allocation where people = 4")
    await answer(left.camp.engine, largest.id, left.camp.town_hall, AllocationState.DECLINED)
    assert (await left.camp.state(), await left.camp.held()) == ("open", [])
    await assert_every_place_is_counted_once(left.camp.engine)


async def test_what_the_second_plan_held_up_falls_when_they_say_no_to_it(left: Left) -> None:
    """Seven who stay are too few without the two of the second plan."""
    await left.camp.places(BRIANCON, capacity=2)
    await left.camp.look()
    of_two = await one(
        left.camp.engine, "select id from allocation where people = 2 and state = 'held' and not awaits_people"
    )
    await answer(left.camp.engine, of_two.id, left.camp.town_hall, AllocationState.DECLINED)
    assert (await left.camp.state(), len(await left.camp.held())) == ("proposed", 3)
    await left.camp.answered(refuse, RefuseReason.UNSUITABLE)
    assert (await left.camp.state(), await left.camp.held()) == ("open", [])
    await assert_every_place_is_counted_once(left.camp.engine)


async def test_a_yes_to_a_plan_that_is_gone_is_no_yes(left: Left) -> None:
    await left.camp.places(BRIANCON, capacity=2)
    await left.camp.look()
    await rows(left.camp.engine, "update project set answer_by = now() - interval '1 second'")
    await look_after_projects(in_role(left.camp.engine, Role.MATCHER), Bell(left.camp.settings), None)
    with pytest.raises(Conflict):
        await left.camp.answered(accept, 2)


async def test_who_came_to_nothing_leaves_no_minimum_behind(left: Left) -> None:
    """Those of the plan did not come: the one left out is enough for a plan of its own."""
    await rows(left.camp.engine, "update allocation set state = 'no_show', ended_at = now() where state = 'held'")
    await left.camp.places(BRIANCON, capacity=2)
    assert await left.camp.look()
    assert len(await left.waits()) == 1


async def test_beside_who_has_moved_in_no_minimum_stands_in_the_way_of_a_plan(left: Left) -> None:
    await rows(left.camp.engine, "update allocation set state = 'arrived' where people = 4")
    for each in await left.camp.held("held"):
        await answer(left.camp.engine, each, left.camp.town_hall, AllocationState.DECLINED)
    assert await left.camp.state() == "accepted"
    await rows(left.camp.engine, "update offer set state = 'paused'")
    await left.camp.places(BRIANCON, capacity=2)
    assert await left.camp.look()
    assert len(await left.camp.held()) == 2


class _Evening:
    """Everybody acts at random: the people, the town hall, time, others who look for a bed, and the worker."""

    def __init__(self, camp: Camp, seed: int) -> None:
        self._camp = camp
        self._rng = Random(seed)  # noqa: S311 - seeded, so that a failure comes again
        self.history: list[str] = []

    async def step(self) -> None:
        acts = (self._look, self._look, self._answer, self._provider, self._time, self._others, self._open)
        act = self._rng.choice(acts)
        try:
            await act()
        except (Conflict, NoLongerHeld) as refused:
            self.history.append(f"  refused: {refused}")

    async def _look(self) -> None:
        self.history.append(f"look: {await self._camp.look()}")

    async def _answer(self) -> None:
        yes = self._rng.random() < 0.6
        self.history.append("yes" if yes else "no")
        act = (accept, await self._camp.plan()) if yes else (refuse, RefuseReason.UNSUITABLE)
        await self._camp.answered(*act)

    async def _provider(self) -> None:
        held = await self._camp.held("held", "confirmed")
        if held:
            to = self._rng.choice([AllocationState.CONFIRMED, AllocationState.DECLINED])
            self.history.append(f"provider: {to}")
            await answer(self._camp.engine, self._rng.choice(held), self._camp.town_hall, to)

    async def _time(self) -> None:
        which = self._rng.choice(["project set answer_by", "allocation set held_until"])
        self.history.append(f"time: {which}")
        await rows(
            self._camp.engine, f"update {which} = now() - interval '1 second' where state in ('proposed', 'held')"
        )
        await keep_up(in_role(self._camp.engine, Role.MATCHER), Bell(self._camp.settings))
        await self._camp.look()

    async def _others(self) -> None:
        self.history.append("others")
        async with transaction(self._camp.engine) as tx:
            await add_need(tx, self._camp.poster, people=self._rng.randint(1, 4))
        await look_at_all_due(self._camp.engine)

    async def _open(self) -> None:
        place = self._rng.choice([BRIANCON, MONTGENEVRE, GAP])
        standing = self._rng.choice(["each", "standing"])
        self.history.append(f"open: {place.name} {standing}")
        await self._camp.places(place, capacity=self._rng.randint(2, 12), confirmation=standing)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_it_is_never_divided_apart_or_below_the_minimum(
    camp: Camp,
    seed: int,
    long: bool,  # noqa: FBT001 - a fixture
) -> None:
    evening = _Evening(camp, seed)
    for _ in range(200 if long else 12):
        await evening.step()
        assert await camp.flaws() == [], "\n".join(evening.history)
    await assert_every_place_is_counted_once(camp.engine)


async def test_the_checker_finds_a_party_that_is_taken_away(camp: Camp) -> None:
    """The control: the same checker, with a fault put into the tables behind the service's back."""
    await camp.places(capacity=20)
    await camp.look()
    assert await camp.flaws() == []
    await rows(camp.engine, "update allocation set state = 'released' where people >= 3")
    assert await camp.flaws() == ["too few"]


async def test_the_checker_finds_a_place_that_was_firm_before_a_yes(camp: Camp) -> None:
    await camp.places(capacity=20)
    await camp.look()
    await rows(camp.engine, "update allocation set state = 'confirmed'")
    assert await camp.flaws() == ["firm before the people said yes"]
