"""The way of people who were referred: sought by the town that the pact names, with volunteer drivers, and once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import needs, staffing, stays
from db.bell import Bell
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from matching.needs import People
from matching.posting import NeedTerms
from tests.acting import in_role
from tests.builders import add_offer, add_organization
from tests.db.acts import Fact, look_at_all_due, one, rows
from tests.places import BRIANCON
from tests.sharing import Towns, share
from tests.volunteers import add_pledge
from worker.staffing import Staffing

TWO_DAYS = timedelta(days=2)
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

    async def minibus(self, *, skill: str | None = "driving", nights: int = 7) -> UUID:
        """Seven seats in Briançon, all day long for so many days, by the hour; with a skill they need a driver."""
        site = {"staffing_skill": skill, "staffing_people_per_volunteer": 7, "staffing_minimum": 1} if skill else {}
        hours = {"opens": time(8), "closes": time(22), "slot_minutes": 120}
        async with transaction(self.towns.engine) as tx:
            made = await add_offer(
                tx,
                self.drivers,
                place=BRIANCON,
                category="transport",
                capacity=7,
                nights=nights,
                site=site,
                schedule=hours,
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

    async def change(self, need_id: UUID, organization_id: UUID, **changes: object) -> NeedTerms:
        """Give a need other terms: those that it had."""
        async with transaction(self.towns.engine) as tx:
            before = (await needs.read(tx, need_id, organization_id)).terms
            await stays.change(tx, need_id, organization_id, None, replace(before, **changes))  # type: ignore[arg-type]
        return before

    async def seats(self) -> list[tuple[str, int]]:
        """Who has seats: the allocations of rides."""
        found = await rows(
            self.towns.engine,
            """
            select a.state, a.people from allocation a join need n on n.id = a.need_id
             where n.category = 'transport' order by a.created_at
            """,
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


@pytest.fixture
async def promised(rides: Rides) -> UUID:
    """Four people of Briançon who have a place in Gap, and seats in a bus of seven: their need."""
    await rides.minibus(skill=None)
    need_id = await rides.referred("receiving")
    await rides.look()
    assert await rides.seats() == [("held", 4)]
    return need_id


@pytest.mark.parametrize("people", [People(3, 3), People(1, 0)])
async def test_a_ride_follows_its_party_and_keeps_the_seats_that_fit(
    rides: Rides, promised: UUID, people: People
) -> None:
    (before,) = await rides.all()
    await rides.change(promised, rides.towns.briancon, people=people)
    (ride,) = await rides.all()
    assert (ride.id, ride.adults, ride.minors) == (before.id, people.adults, people.minors)
    assert await rides.seats() == [("held", people.count)]


async def test_seats_that_are_too_few_are_given_back_and_others_are_sought(rides: Rides, promised: UUID) -> None:
    (before,) = await rides.all()
    await rides.change(promised, rides.towns.briancon, people=People(8, 0))
    (ride,) = await rides.all()
    assert (ride.state, ride.people, ride.organization_id) == ("open", 8, rides.towns.gap)
    given_up = await one(rides.towns.engine, "select state from need where id = :id", id=before.id)
    assert (given_up.state, await rides.seats()) == ("withdrawn", [("released", 4)])
    await rides.look()
    assert await rides.seats() == [("released", 4)], "nobody drives eight"
    await rides.minibus(skill=None)
    await rows(rides.towns.engine, "update slot s set capacity = 9 from offer o where o.id = s.offer_id and used = 0")
    await rides.look()
    assert await rides.seats() == [("released", 4), ("held", 8)]


async def move_two_days(rides: Rides, need_id: UUID) -> None:
    """The stay begins and ends two days later; so does what its ride asks for."""
    (before,) = await rides.all()
    stay = await one(rides.towns.engine, "select starts, ends from need where id = :id", id=need_id)
    moved = {name: getattr(stay, name) + TWO_DAYS for name in ("starts", "ends")}
    await rides.change(need_id, rides.towns.briancon, **moved)
    (ride,) = await rides.all()
    assert (ride.starts, ride.ends) == (before.starts + TWO_DAYS, before.ends + TWO_DAYS)


async def test_a_ride_moves_to_the_day_to_which_the_stay_does(rides: Rides, promised: UUID) -> None:
    (before,) = await rides.all()
    await move_two_days(rides, promised)
    (ride,) = await rides.all()
    assert (ride.id, await rides.seats()) == (before.id, [("held", 4)])
    (taken,) = await rows(
        rides.towns.engine,
        "select s.starts from slot s join offer o on o.id = s.offer_id where o.category = 'transport' and s.used > 0",
    )
    assert ride.starts <= taken.starts < ride.ends


async def test_where_nobody_drives_on_the_other_day_seats_are_given_back_and_the_ride_is_sought_anew(
    rides: Rides,
) -> None:
    await rides.minibus(skill=None, nights=1)
    need_id = await rides.referred("referring")
    await rides.look()
    assert await rides.seats() == [("held", 4)]
    await move_two_days(rides, need_id)
    await rides.look()
    assert await rides.seats() == [("released", 4)]
    await rides.minibus(skill=None)
    await rides.look()
    assert await rides.seats() == [("released", 4), ("held", 4)]


async def test_what_the_town_has_chosen_for_its_ride_stays_as_long_as_nothing_else_is_needed(
    rides: Rides, promised: UUID
) -> None:
    (ride,) = await rides.all()
    ends = ride.ends - timedelta(hours=1)
    await rides.change(ride.id, rides.towns.gap, ends=ends)
    (chosen,) = await rides.all()
    stay = await one(rides.towns.engine, "select ends from need where id = :id", id=promised)
    await rides.change(promised, rides.towns.briancon, ends=stay.ends + timedelta(days=1))
    assert await rides.all() == [chosen], "a night more is no other way"
    await rides.change(promised, rides.towns.briancon, people=People(5, 0))
    (changed,) = await rides.all()
    assert (changed.id, changed.people, changed.ends) == (ride.id, 5, ends)


async def test_a_ride_that_its_town_withdrew_is_not_asked_for_again(rides: Rides, promised: UUID) -> None:
    (ride,) = await rides.all()
    async with transaction(rides.towns.engine) as tx:
        await needs.withdraw(tx, ride.id, rides.towns.gap)
    await rides.change(promised, rides.towns.briancon, people=People(5, 0))
    await rides.towns.work()
    assert [(each.id, each.state) for each in await rides.all()] == [(ride.id, "withdrawn")]


async def test_it_goes_with_the_need_that_it_was_for(rides: Rides) -> None:
    need_id = await rides.referred("referring")
    await rows(rides.towns.engine, "delete from allocation_slot")
    await rows(rides.towns.engine, "delete from allocation where need_id = :id", id=need_id)
    await rows(rides.towns.engine, "delete from need where id = :id", id=need_id)
    assert await rows(rides.towns.engine, "select 1 from ride") == []
