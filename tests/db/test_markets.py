"""Asked together or alone, a need gets the same candidates."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.candidates import find
from db.markets import Market, met, read_market
from matching.pairing import pairs_of
from matching.policy import FIRST_POLICY, Policy
from matching.vocabulary import Coverage
from tests.builders import add_need, add_offer, add_organization
from tests.db.worlds import DAY, NOW, World

SEED = 20261204


async def together(tx: AsyncConnection, policy: Policy) -> tuple[Market, dict[UUID, set[tuple[UUID, int]]]]:
    """By need, the offers that it may take and how far they are."""
    market = await read_market(tx, policy)
    assert market is not None
    pairs = pairs_of(market.wishes, market.stalls, policy.round_candidates)
    found: dict[UUID, set[tuple[UUID, int]]] = {each.seeker.need.id: set() for each in market.needs}
    for need, offer, km in zip(pairs.need.tolist(), pairs.offer.tolist(), pairs.km.tolist(), strict=True):
        found[market.needs[need].seeker.need.id].add((market.terms[offer].offer_id, km))
    return market, found


@pytest.mark.parametrize("most", [1, 3, 24, 10_000])
async def test_many_needs_together_find_what_each_finds_alone(tx: AsyncConnection, most: int) -> None:
    poster = await add_organization(tx)
    world = await World.of(SEED, offers=400, needs=300).build(tx, poster)
    # The world stands at a moment of its own: nights, times and marks are brought to now.
    days = (await tx.execute(text("select current_date + 1 - cast(:day as date)"), {"day": DAY})).scalar_one()
    await tx.execute(
        text("""
            update slot set day = day + cast(:d as int), starts = starts + make_interval(days => :d),
                            ends = ends + make_interval(days => :d),
                            last_arrival = last_arrival + make_interval(days => :d)
        """),
        {"d": days},
    )
    await tx.execute(
        text("update offer set verified_at = verified_at + (now() - cast(:then as timestamptz))"), {"then": NOW}
    )
    for need in world.needs:
        if need.coverage is Coverage.EVERY and need.days:
            need_id = await add_need(tx, poster, people=1)
            await tx.execute(
                text("""
                    update need set adults = :adults, minors = :minors, cell = :cell, audience = :audience,
                                    requires = :requires, countries = :countries, max_km = :max_km,
                                    divisible = :divisible, fruitless = 1,
                                    starts = cast(:starts as timestamptz) + make_interval(days => :d),
                                    ends = cast(:ends as timestamptz) + make_interval(days => :d)
                     where id = :id
                """),
                {
                    "id": need_id, "adults": need.people.adults, "minors": need.people.minors, "cell": need.cell,
                    "audience": sorted(need.audience), "requires": sorted(need.requires),
                    "countries": sorted(need.countries), "max_km": need.max_km, "divisible": need.divisible,
                    "starts": need.window.starts, "ends": need.window.ends, "d": days,
                },
            )  # fmt: skip
    policy = replace(FIRST_POLICY, round_candidates=most, candidates=most)
    market, found = await together(tx, policy)
    assert len(found) > 50
    assert sum(map(len, found.values())) > 50
    for each in market.needs:
        seeker = each.seeker
        alone = await find(tx, seeker.need, policy, seeker.now, people=seeker.people_left)
        assert found[seeker.need.id] == {(one.offer_id, one.distance) for one in alone}, seeker.need


@pytest.mark.parametrize("copies", [7, 60])
async def test_of_equally_far_offers_all_or_none_are_found(tx: AsyncConnection, copies: int) -> None:
    town_hall = await add_organization(tx)
    for _ in range(copies):
        await add_offer(tx, town_hall)
    await add_need(tx, town_hall)
    await tx.execute(text("update need set fruitless = 1"))
    _, found = await together(tx, replace(FIRST_POLICY, round_candidates=5))
    assert [len(offers) for offers in found.values()] == [copies]


async def test_whom_no_offer_suits_is_not_in_the_market(tx: AsyncConnection) -> None:
    town_hall = await add_organization(tx)
    gym = await add_offer(tx, town_hall)
    await add_offer(tx, town_hall, provides=["quiet"], capacity=1)
    fits = await add_need(tx, town_hall, people=4)
    await add_need(tx, town_hall, people=4, requires=frozenset({"quiet"}))
    await tx.execute(text("update need set fruitless = 1"))
    everything = await read_market(tx, FIRST_POLICY)
    assert everything is not None
    market, pairs = met(everything, pairs_of(everything.wishes, everything.stalls, 50))
    assert [each.seeker.need.id for each in market.needs] == [fits]
    assert [each.offer_id for each in market.terms] == [gym]
    assert (pairs.need.tolist(), pairs.offer.tolist()) == ([0], [0])
    assert market.slots.shape == market.stalls.free.shape == (1, 1)
