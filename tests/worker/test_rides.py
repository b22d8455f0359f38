"""The way of people who were referred: sought by the town that the pact names, with volunteer drivers, and once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import needs, staffing
from db.bell import Bell
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from tests.acting import in_role
from tests.builders import add_offer, add_organization
from tests.db.acts import Fact, look_at_all_due, one, rows
from tests.places import BRIANCON
from tests.sharing import Towns, share
from tests.volunteers import add_pledge
from worker.staffing import Staffing

RIDES = """
    select n.*, ride.referral_id from need n join ride on ride.need_id = n.id where n.category = 'transport'
"""


@dataclass(frozen=True)
class Rides:
    """Towns that share, and those who drive."""

    towns: Towns
    drivers: UUID

    async def referred(self, transport: str, **terms: object) -> UUID:
        """A party of Briançon has a place in Gap, under a pact that says who sees to the way."""
        await self.towns.pact(transport=transport)
        await self.towns.places()
        need_id = await self.towns.need(people=4, minors=2, **terms)
        await self.towns.work()
        return need_id

    async def all(self) -> Sequence[Fact]:
        """The rides there are."""
        return await rows(self.towns.engine, RIDES)

    async def minibus(self, *, skill: str | None = "driving") -> UUID:
        """Seven seats in Briançon, all day long, by the hour; with a skill they need a driver."""
        site = {"staffing_skill": skill, "staffing_people_per_volunteer": 7, "staffing_minimum": 1} if skill else {}
        hours = {"opens": time(8), "closes": time(22), "slot_minutes": 120}
        async with transaction(self.towns.engine) as tx:
            made = await add_offer(
                tx, self.drivers, place=BRIANCON, category="transport", capacity=7, site=site, schedule=hours
            )
            await staffing.bind_offer(tx, made)
        return made

    async def driver(self, **changes: object) -> None:
        """A volunteer of Briançon who drives in the daytime."""
        async with transaction(self.towns.engine) as tx:
            await add_pledge(
                tx, self.drivers, **{"skill": "driving", "headcount": 1, "opens": time(8), "closes": time(22)} | changes
            )

    async def look(self) -> None:
        """Looks for places, for volunteers, and for places again."""
        engine = self.towns.engine
        await look_at_all_due(engine)
        await Staffing(in_role(engine, Role.MATCHER), Bell(self.towns.settings)).look()
        await rows(engine, "update need set look_at = now() where category = 'transport'")
        await look_at_all_due(engine)

    async def seats(self) -> list[tuple[str, int]]:
        """Who has seats: the allocations of rides."""
        found = await rows(
            self.towns.engine,
            "select a.state, a.people from allocation a join need n on n.id = a.need_id where n.category = 'transport'",
        )
        return [(row.state, row.people) for row in found]


@pytest.fixture
async def rides(engine: AsyncEngine, settings: Settings) -> Rides:
    towns = await share(engine, settings)
    async with transaction(engine) as tx:
        drivers = await add_organization(tx, name="Association of drivers")
    return Rides(towns, drivers)


@pytest.mark.parametrize("who", ["referring", "receiving"])
async def test_the_town_that_sees_to_the_way_asks_for_a_ride_once_a_place_is_held(rides: Rides, who: str) -> None:
    need_id = await rides.referred(who)
    assert await rides.towns.state(need_id) == "held"
    (ride,) = await rides.all()
    assert ride.organization_id == (rides.towns.briancon if who == "referring" else rides.towns.gap)
    assert (ride.town_id, ride.adults, ride.minors, ride.state) == (BRIANCON.id, 2, 2, "open")
    party = await one(rides.towns.engine, "select starts, ends, countries from need where id = :id", id=need_id)
    assert ride.starts < party.starts < ride.ends < party.ends
    assert ride.countries == party.countries
    await rides.towns.work()
    assert len(await rides.all()) == 1, "and asks once"


async def test_control_people_who_travel_by_themselves_are_driven_by_nobody(rides: Rides) -> None:
    need_id = await rides.referred("people")
    assert await rides.towns.state(need_id) == "held"
    assert await rides.all() == []


async def test_what_a_wheelchair_needs_is_required_of_the_way_too(rides: Rides) -> None:
    await rides.towns.pact(transport="referring")
    await rides.towns.places(provides=["step_free", "quiet"])
    await rides.towns.need(requires=frozenset({"step_free", "quiet"}))
    await rides.towns.work()
    (ride,) = await rides.all()
    assert ride.requires == ["step_free"]


async def test_a_volunteer_driver_is_called_and_drives_them(rides: Rides) -> None:
    await rides.minibus()
    await rides.driver()
    await rides.referred("referring")
    await rides.look()
    shifts = await rows(rides.towns.engine, "select volunteers, state from shift")
    assert [(shift.volunteers, shift.state) for shift in shifts] == [(1, "planned")]
    assert await rides.seats() == [("held", 4)]


@pytest.mark.parametrize("changes", [None, {"skill": "cooking"}, {"opens": time(2), "closes": time(4)}])
async def test_control_without_a_driver_there_and_then_nobody_drives(
    rides: Rides, changes: dict[str, object] | None
) -> None:
    await rides.minibus()
    if changes is not None:
        await rides.driver(**changes)
    await rides.referred("referring")
    await rides.look()
    assert await rides.seats() == []
    assert await rows(rides.towns.engine, "select 1 from shift") == []


async def test_an_offer_with_a_driver_of_its_own_needs_no_volunteer(rides: Rides) -> None:
    await rides.minibus(skill=None)
    await rides.referred("referring")
    await rides.look()
    assert await rides.seats() == [("held", 4)]


async def test_who_is_not_referred_any_more_needs_no_ride_and_gives_the_seats_back(rides: Rides) -> None:
    await rides.minibus(skill=None)
    need_id = await rides.referred("referring")
    await rides.look()
    async with transaction(rides.towns.engine) as tx:
        await needs.withdraw(tx, need_id, rides.towns.briancon)
    await rides.towns.work()
    (ride,) = await rides.all()
    assert ride.state == "withdrawn"
    assert await rides.seats() == [("released", 4)]
    assert (await one(rides.towns.engine, "select sum(used) as used from slot")).used == 0


async def test_it_goes_with_the_need_that_it_was_for(rides: Rides) -> None:
    need_id = await rides.referred("referring")
    await rows(rides.towns.engine, "delete from allocation_slot")
    await rows(rides.towns.engine, "delete from allocation where need_id = :id", id=need_id)
    await rows(rides.towns.engine, "delete from need where id = :id", id=need_id)
    assert await rows(rides.towns.engine, "select 1 from ride") == []
