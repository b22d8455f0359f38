"""Whatever happens in whatever order, no promise of the states is broken.

Hypothesis plays evenings: parties come, are held, confirmed, declined, arrive or not, plans and capacities change.
After every step the tables are compared with a small model; a failure prints the steps that led there.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from db import allocations, due, needs, offers, policies, seekers, slots
from db.connection import connect, transaction
from matching.refusals import CapacityInUse, Conflict, NoLongerHeld, OnlyTheProvider, Refusal
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind
from tests.builders import TONIGHT, add_need, add_offer, add_organization, tonight
from tests.conftest import Servers, run_on_server, settings_for
from tests.db.acts import hold, one, rows, run_out_of_time
from tests.db.model import BY_PROVIDER_ONLY, LIVE, NEED_STEPS, STEPS, ModelAllocation, ModelNeed, ModelOffer, World
from tests.places import BRIANCON, MONTGENEVRE

NIGHTS = 3
ANY = st.integers(0, 1_000)
"""Which of those there are: the number modulo how many."""
PARTIES = st.tuples(st.integers(1, 6), st.integers(0, 2), st.integers(1, 3), st.booleans())
"""People, first night, nights, and whether they may be split."""
Party = tuple[int, int, int, bool]
ANSWERS = ("confirmed", "confirmed", "arrived", "completed", "no_show", "declined", "released")
Done = TypeVar("Done")

ORDINARY = how(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
LONG = how(ORDINARY, max_examples=300, stateful_step_count=60)


class Evenings(RuleBasedStateMachine):
    """A town hall with three places, a coordination, and a model of what they know."""

    servers: Servers
    secret_files: tuple[Path, Path]
    template: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.database = f"relais_history_{uuid4().hex[:12]}"
        self.run(
            run_on_server(self.servers, f"create database {self.database} template {self.template} strategy file_copy")
        )
        self.engine: AsyncEngine = connect(settings_for(self.servers, self.secret_files, self.database), "history")
        self.world = World()
        self.seen: dict[UUID, list[str]] = {}

    def run(self, act: Coroutine[object, object, Done]) -> Done:
        return self.loop.run_until_complete(act)

    def teardown(self) -> None:
        self.run(self.engine.dispose())
        self.run(run_on_server(self.servers, f"drop database {self.database} with (force)"))
        self.loop.close()

    # What there is

    @initialize(
        capacities=st.lists(st.integers(2, 7), min_size=3, max_size=3),
        standing=st.booleans(),
        parties=st.lists(PARTIES, min_size=4, max_size=6),
    )
    def an_evening_begins(self, capacities: list[int], parties: list[Party], *, standing: bool) -> None:
        self.run(self._three_places(capacities, standing=standing))
        for party in parties:
            self._add(party)
        self.waiting_are_looked_at()

    async def _three_places(self, capacities: list[int], *, standing: bool) -> None:
        async with transaction(self.engine) as tx:
            self.town_hall = await add_organization(tx)
            self.coordination = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
            for number, capacity in enumerate(capacities):
                confirmed_at_once = standing and number == 2
                offer_id = await add_offer(
                    tx,
                    self.town_hall,
                    place=(BRIANCON, MONTGENEVRE, BRIANCON)[number],
                    capacity=capacity,
                    nights=NIGHTS,
                    # A history that is played again must go the same way.
                    tie=number,
                    confirmation="standing" if confirmed_at_once else "each",
                )
                self.world.offers.append(ModelOffer(offer_id, confirmed_at_once, [capacity] * NIGHTS))
        # The hour at which each step may first be taken has its own test: here all have come.
        await rows(self.engine, "update slot set starts = starts - interval '30 days'")

    # What coordinators do

    @rule(party=PARTIES, at_once=st.booleans())
    def post(self, party: Party, *, at_once: bool) -> None:
        self._add(party)
        if at_once:
            self.waiting_are_looked_at()

    def _add(self, party: Party) -> None:
        people, first, nights, divisible = party
        stay = range(first, min(first + nights, NIGHTS))
        need_id = self.run(self._post(people, stay, divisible=divisible))
        self.world.needs.append(ModelNeed(need_id, people, stay, divisible))

    async def _post(self, people: int, stay: range, *, divisible: bool) -> UUID:
        window = tonight(len(stay), first=TONIGHT + timedelta(days=stay.start))
        async with transaction(self.engine) as tx:
            return await add_need(tx, self.coordination, people=people, window=window, divisible=divisible)

    @rule(which=ANY)
    def withdraw(self, which: int) -> None:
        need = self.world.needs[which % len(self.world.needs)]
        ended = self.world.state(need) == "closed"
        with pytest.raises(Conflict) if ended else nullcontext():
            self.run(self._withdraw(need))
        if ended or need.withdrawn:
            return
        need.withdrawn = True
        for allocation in self.world.of(need):
            if allocation.state in LIVE:
                allocation.states.append("released")
                allocation.offer.news = True

    async def _withdraw(self, need: ModelNeed) -> None:
        async with transaction(self.engine) as tx:
            await needs.withdraw(tx, need.id, self.coordination)

    # What the two sides of an allocation do

    @precondition(lambda self: any(self.live))
    @rule(which=ANY, to=st.sampled_from(ANSWERS), by_provider=st.booleans(), at_once=st.booleans())
    def answer(self, which: int, to: str, *, by_provider: bool, at_once: bool) -> None:
        self._answer_and_compare(self.live[which % len(self.live)], to, by_provider=by_provider)
        if at_once:
            self.waiting_are_looked_at()

    @precondition(lambda self: self.world.allocations)
    @rule(which=ANY, to=st.sampled_from(ANSWERS), by_provider=st.booleans())
    def answer_anything(self, which: int, to: str, *, by_provider: bool) -> None:
        allocation = self.world.allocations[which % len(self.world.allocations)]
        self._answer_and_compare(allocation, to, by_provider=by_provider)

    @property
    def live(self) -> list[ModelAllocation]:
        """Allocations that keep people in a place."""
        return [each for each in self.world.allocations if each.state in LIVE]

    def _answer_and_compare(self, allocation: ModelAllocation, to: str, *, by_provider: bool) -> None:
        side = self.town_hall if by_provider else self.coordination
        refusal = self._refusal(allocation, to, by_provider=by_provider)
        with pytest.raises(refusal) if refusal else nullcontext():
            self.run(self._answer(allocation, side, to))
        if refusal is None and allocation.state != to:
            self._moved(allocation, to)

    async def _answer(self, allocation: ModelAllocation, side: UUID, to: str) -> None:
        async with transaction(self.engine) as tx:
            await allocations.move(tx, allocation.id, side, AllocationState(to))

    def _refusal(self, allocation: ModelAllocation, to: str, *, by_provider: bool) -> type[Refusal] | None:
        if not by_provider and to in BY_PROVIDER_ONLY:
            return OnlyTheProvider
        if allocation.state == to:
            return None
        if allocation.state == "held" and allocation.overdue and to in BY_PROVIDER_ONLY:
            return NoLongerHeld
        if to in STEPS.get(allocation.state, set()):
            return None
        return NoLongerHeld if to in BY_PROVIDER_ONLY and allocation.state not in STEPS else Conflict

    # What time does

    @precondition(lambda self: any(each.state == "held" for each in self.world.allocations))
    @rule(which=ANY)
    def deadline_passes(self, which: int) -> None:
        held = [each for each in self.world.allocations if each.state == "held"]
        chosen = held[which % len(held)]
        self.run(run_out_of_time(self.engine, chosen.id))
        chosen.overdue = True

    @rule()
    def sweep(self) -> None:
        overdue = [each for each in self.world.allocations if each.state == "held" and each.overdue]
        assert set(self.run(self._sweep())) == {each.id for each in overdue}
        for allocation in overdue:
            self._moved(allocation, "expired")

    async def _sweep(self) -> list[UUID]:
        async with transaction(self.engine) as tx:
            found = await due.list_allocations(tx, AllocationState.EXPIRED, 1000)
        for allocation_id, need_id in found:
            async with transaction(self.engine) as tx:
                assert await allocations.end_hold(tx, allocation_id, need_id, AllocationState.EXPIRED)
        return [allocation_id for allocation_id, _ in found]

    @precondition(lambda self: any(self.world.state(each) == "open" for each in self.world.needs))
    @rule(which=ANY)
    def nobody_found_a_place_in_time(self, which: int) -> None:
        seeking = [each for each in self.world.needs if self.world.state(each) == "open"]
        need = seeking[which % len(seeking)]
        assert self.run(self._record_unmet(need))
        need.unmet = True

    async def _record_unmet(self, need: ModelNeed) -> bool:
        await rows(self.engine, "update need set deadline = now() - interval '1 second' where id = :id", id=need.id)
        async with transaction(self.engine) as tx:
            await seekers.lock_need(tx, need.id)
            return await due.record_unmet(tx, need.id, '{"capacity": 1}')

    # What providers change

    @rule(which=ANY, night=st.integers(0, NIGHTS - 1), places=st.integers(0, 8))
    def change_capacity(self, which: int, night: int, places: int) -> None:
        offer = self.world.offers[which % len(self.world.offers)]
        in_use = self.world.used(offer, night) > places
        with pytest.raises(CapacityInUse) if in_use else nullcontext():
            self.run(self._change_capacity(offer, night, places))
        if in_use:
            return
        if places > offer.capacities[night]:
            offer.news = True
        offer.capacities[night] = places

    async def _change_capacity(self, offer: ModelOffer, night: int, places: int) -> None:
        slot = await one(
            self.engine, "select id from slot where offer_id = :id order by starts limit 1 offset :night",
            id=offer.id, night=night,
        )  # fmt: skip
        async with transaction(self.engine) as tx:
            await slots.change_capacity(tx, offer.id, slot.id, self.town_hall, None, places)

    @rule(which=ANY)
    def pause_or_resume(self, which: int) -> None:
        offer = self.world.offers[which % len(self.world.offers)]
        self.run(self._pause_or_resume(offer))
        offer.paused = not offer.paused
        if not offer.paused:
            offer.news = True

    async def _pause_or_resume(self, offer: ModelOffer) -> None:
        async with transaction(self.engine) as tx:
            change = offers.resume if offer.paused else offers.pause
            await change(tx, offer.id, self.town_hall)

    # What the worker does

    @rule()
    def waiting_are_looked_at(self) -> None:
        self.the_tables_say_what_the_model_says()
        self.world.read_news()
        waiting = self.run(self._due())
        assert set(waiting) == {need.id for need in self.world.due()}
        for need_id in waiting:
            self._look_at(next(need for need in self.world.needs if need.id == need_id))

    async def _due(self) -> list[UUID]:
        async with transaction(self.engine) as tx:
            await due.wake_needs(tx, await policies.in_force(tx), 1000)
        async with transaction(self.engine) as tx:
            return list((await due.look(tx, 1000)).needs)

    def _look_at(self, need: ModelNeed) -> None:
        expected = self.world.served_by_a_look(need)
        for allocation_id in self.run(hold(self.engine, need.id)):
            row = self.run(
                one(self.engine, "select offer_id, people, state from allocation where id = :id", id=allocation_id)
            )
            offer = next(each for each in self.world.offers if each.id == row.offer_id)
            assert self.world.free(offer, need) >= row.people, "held where it may not go, or over what is free"
            assert row.state == ("confirmed" if offer.standing else "held")
            self.world.allocations.append(ModelAllocation(allocation_id, need, offer, row.people, [row.state]))
            expected -= row.people
        assert expected == 0, "as many people have a place as could have one"
        need.due = False

    # What must be true after every step

    @invariant()
    def the_tables_say_what_the_model_says(self) -> None:
        if self.world.offers:
            self.run(self._compare())

    async def _compare(self) -> None:
        world = self.world
        found = await rows(self.engine, "select id, state, ended_at is not null as ended from need")
        assert {row.id: row.state for row in found} == {need.id: world.state(need) for need in world.needs}
        assert {row.id for row in found if row.ended} == {
            need.id for need in world.needs if world.state(need) in {"withdrawn", "closed"}
        }
        for row in found:
            states = self.seen.setdefault(row.id, ["open"])
            if row.state != states[-1]:
                assert row.state in NEED_STEPS.get(states[-1], set()), f"{states[-1]} became {row.state}"
                states.append(row.state)
        placed = await rows(self.engine, "select id, need_id, people, state from allocation")
        assert {row.id: row.state for row in placed} == {each.id: each.state for each in world.allocations}
        for need in world.needs:
            live = [row for row in placed if row.need_id == need.id and row.state in LIVE]
            assert sum(row.people for row in live) <= need.people
            assert need.divisible or len(live) <= 1
            assert not live or world.state(need) not in {"withdrawn", "closed"}
        await self._count_places()
        await self._read_events()

    async def _count_places(self) -> None:
        counted = await rows(
            self.engine,
            """
            select s.offer_id, s.capacity, s.used, row_number() over (partition by s.offer_id order by s.starts) as n,
                   (select coalesce(sum(k.people), 0) from allocation_slot k
                     where k.slot_id = s.id and k.taken) as taken
              from slot s
            """,
        )
        offers_by_id = {offer.id: offer for offer in self.world.offers}
        for row in counted:
            offer = offers_by_id[row.offer_id]
            used = self.world.used(offer, row.n - 1)
            assert (row.capacity, row.used, row.taken) == (offer.capacities[row.n - 1], used, used)

    async def _read_events(self) -> None:
        told: dict[UUID, list[str]] = {}
        for row in await rows(self.engine, "select object_id, kind from event order by id"):
            told.setdefault(row.object_id, []).append(row.kind)
        for allocation in self.world.allocations:
            assert told[allocation.id] == [f"allocation.{state}" for state in allocation.states]
        for need in self.world.needs:
            assert told[need.id] == ["need.posted", *(f"need.{state}" for state in self.seen[need.id][1:])]

    def _moved(self, allocation: ModelAllocation, to: str) -> None:
        allocation.states.append(to)
        allocation.need.due = True
        if to not in LIVE:
            allocation.offer.news = True


def test_no_history_breaks_a_promise(
    servers: Servers, secret_files: tuple[Path, Path], template: str, *, long: bool
) -> None:
    Evenings.servers, Evenings.secret_files, Evenings.template = servers, secret_files, template
    run_state_machine_as_test(Evenings, settings=LONG if long else ORDINARY)
