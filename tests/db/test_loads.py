"""Loads are counted in SQL as the domain counts them, and prices and loads reach the candidates of a need."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import policies
from db.candidates import find
from db.loads import count_loads
from db.seekers import read_seeker
from db.surroundings import offers_around
from matching.assign import Candidate
from matching.fairness import House, loads_of
from matching.needs import Language
from matching.offers import Offer
from matching.policy import FIRST_POLICY, Policy
from matching.vocabulary import OrganizationKind, Urgency
from tests.builders import add_need, add_offer, add_organization
from tests.places import BRIANCON, GAP, MONTGENEVRE

ALWAYS = 0.0
EVERYBODY = replace(FIRST_POLICY, town_load_times=0, association_load_times=0)
_TONIGHT = datetime.now(UTC).date() - timedelta(days=1)


async def a_house(tx: AsyncConnection, owner: UUID, *, used: int, capacity: int, **terms: object) -> UUID:
    """An offer with so many people tonight, whatever the hour it is."""
    schedule = {"first_day": _TONIGHT, "last_day": _TONIGHT + timedelta(days=3)}
    offer = await add_offer(tx, owner, capacity=capacity, schedule=schedule, **terms)  # type: ignore[arg-type]
    await tx.execute(text("update slot set used = :used where offer_id = :id"), {"used": used, "id": offer})
    return offer


async def loads(tx: AsyncConnection, table: str, key: str) -> dict[object, float]:
    return {row.key: row.load for row in await tx.execute(text(f"select {key} as key, load from {table}"))}


@pytest.mark.parametrize("policy", [FIRST_POLICY, EVERYBODY])
async def test_the_count_is_that_of_the_domain(tx: AsyncConnection, policy: Policy) -> None:
    town_hall = await add_organization(tx)
    refuge = await add_organization(tx, OrganizationKind.ASSOCIATION, "Refuge")
    caritas = await add_organization(tx, OrganizationKind.ASSOCIATION, "Caritas")
    made = [
        (BRIANCON, town_hall, 31, 60),
        (BRIANCON, refuge, 17, 20),
        (MONTGENEVRE, refuge, 12, 14),
        (GAP, caritas, 3, 50),
        (GAP, town_hall, 20, 90),
    ]
    for place, owner, used, capacity in made:
        await a_house(tx, owner, used=used, capacity=capacity, place=place)
    await a_house(tx, refuge, used=5, capacity=5, category="language_class")
    await a_house(tx, refuge, used=5, capacity=5, state="closed")
    assert await count_loads(tx, policy, good_for=ALWAYS)
    inhabitants = {row.id: row.population for row in await tx.execute(text("select id, population from town"))}
    houses = [House(place.id, owner, used, capacity) for place, owner, used, capacity in made]
    expected = loads_of(houses, inhabitants, frozenset({refuge, caritas}), policy)
    assert await loads(tx, "town_load", "town_id") == pytest.approx(dict(expected.town), abs=0.0101)
    expecting = {refuge}
    found = await loads(tx, "association_load", "organization_id")
    assert found == pytest.approx(dict(expected.association), abs=0.0101)
    assert set(found) == expecting


async def test_who_is_relieved_is_not_counted_any_more(tx: AsyncConnection) -> None:
    refuge = await add_organization(tx, OrganizationKind.ASSOCIATION)
    offer = await a_house(tx, refuge, used=12, capacity=12)
    await count_loads(tx, EVERYBODY, good_for=ALWAYS)
    assert await loads(tx, "association_load", "organization_id") == {refuge: 1.0}
    await tx.execute(text("update slot set used = 2 where offer_id = :id"), {"id": offer})
    await count_loads(tx, EVERYBODY, good_for=ALWAYS)
    assert await loads(tx, "association_load", "organization_id") == {}
    assert await loads(tx, "town_load", "town_id") == {}


async def test_nothing_is_counted_twice_in_a_minute(tx: AsyncConnection) -> None:
    await a_house(tx, await add_organization(tx), used=12, capacity=12)
    assert await count_loads(tx, EVERYBODY)
    assert not await count_loads(tx, EVERYBODY)


async def seen(tx: AsyncConnection, urgency: Urgency, nights: int = 2) -> tuple[Candidate, Offer]:
    """The one offer around, as it may be chosen and as it is explained."""
    need_id = await add_need(tx, await add_organization(tx), urgency=urgency, nights=nights)
    policy = await policies.in_force(tx)
    seeker = await read_seeker(tx, need_id, policy)
    (candidate,) = await find(tx, seeker.need, policy, seeker.now)
    (offer,) = await offers_around(tx, seeker.need, policy, seeker.now)
    return candidate, offer


def price_of(candidate: Candidate, offer: Offer) -> float:
    assert sum(slot.price for slot in offer.slots if slot.id in candidate.slots) == candidate.price
    return candidate.price


@pytest.mark.parametrize("category", ["shelter", "sanitation", "language_class"])
async def test_prices_of_all_its_slots_are_a_candidates_and_grow_old(tx: AsyncConnection, category: str) -> None:
    taught, wanted = ({"teaches": "fr"}, Language("fr", None)) if category == "language_class" else ({}, None)
    offer = await add_offer(tx, await add_organization(tx), category=category, **taught)  # type: ignore[arg-type]

    async def price(age: str, urgency: Urgency = Urgency.NORMAL) -> tuple[float, int]:
        await tx.execute(
            text("update slot set price = 3, priced_at = now() - cast(:age as interval) where offer_id = :id"),
            {"age": _span(age), "id": offer},
        )
        terms = {"urgency": urgency, "category": category, "nights": 2, "language": wanted}
        need_id = await add_need(tx, await add_organization(tx), **terms)
        policy = await policies.in_force(tx)
        seeker = await read_seeker(tx, need_id, policy)
        (found,) = await find(tx, seeker.need, policy, seeker.now)
        return found.price, len(found.slots)

    fresh, slots = await price("5 hours")
    assert fresh == 3 * slots
    assert (await price("7 hours"))[0] == 0
    assert (await price("1 minute", Urgency.VITAL))[0] == 0


def _span(words: str) -> timedelta:
    number, unit = words.split()
    return timedelta(**{unit if unit.endswith("s") else f"{unit}s": int(number)})


async def test_what_may_be_chosen_and_what_is_explained_cost_the_same(tx: AsyncConnection) -> None:
    refuge = await add_organization(tx, OrganizationKind.ASSOCIATION)
    offer = await add_offer(tx, refuge)
    await tx.execute(text("update slot set price = 3, priced_at = now() where offer_id = :id"), {"id": offer})
    await tx.execute(text("insert into town_load values (:town, 7.5, now())"), {"town": BRIANCON.id})
    await tx.execute(text("insert into association_load values (:id, 2.5, now())"), {"id": refuge})
    candidate, explained = await seen(tx, Urgency.HIGH)
    assert price_of(candidate, explained) == 6
    assert (candidate.town_load, candidate.association_load) == (7.5, 2.5)
    assert (explained.town_load, explained.association_load) == (7.5, 2.5)
    candidate, explained = await seen(tx, Urgency.VITAL)
    assert price_of(candidate, explained) == 0


async def test_a_policy_that_weighs_nothing_counts_everybody(tx: AsyncConnection) -> None:
    await a_house(tx, await add_organization(tx), used=1, capacity=12)
    await count_loads(tx, replace(EVERYBODY, fair_from_people=1), good_for=ALWAYS)
    assert await loads(tx, "town_load", "town_id") == {BRIANCON.id: 1.0}
