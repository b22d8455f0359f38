"""What stands around a need: offers in any state, as the rules see them."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.holds import hold_best_places
from db.seekers import Seeker, read_seeker
from db.surroundings import offers_around, offers_by_id
from geo.distance import kilometres_between
from matching.needs import OfferId
from matching.offers import Offer
from matching.policy import FIRST_POLICY
from matching.rules import Circumstances, cover, failures
from matching.states import OfferState
from matching.vocabulary import Coverage
from tests.builders import add_need, add_offer, add_organization
from tests.db.worlds import NOW, World
from tests.places import BAYONNE, BRIANCON, GAP, HENDAYE, IRUN, MONTGENEVRE, OULX

AT = Circumstances(FIRST_POLICY, NOW)


@pytest.fixture
async def town_hall(tx: AsyncConnection) -> UUID:
    return await add_organization(tx)


async def seeking(tx: AsyncConnection, organization_id: UUID, **terms: object) -> Seeker:
    return await read_seeker(tx, await add_need(tx, organization_id, **terms), FIRST_POLICY)


async def around(tx: AsyncConnection, seeker: Seeker, limit: int = 60) -> list[Offer]:
    return await offers_around(tx, seeker.need, FIRST_POLICY, seeker.now, limit)


async def test_offers_read_from_the_tables_get_the_verdicts_of_the_offers_put_in(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    world = await World.of(11, offers=90, needs=45).build(tx, town_hall)
    ids = [offer.id for offer in world.offers]
    for need in world.needs:
        read = {offer.id: offer for offer in await offers_by_id(tx, need, ids, FIRST_POLICY, NOW)}
        for offer in world.offers:
            assert list(failures(need, read[offer.id], AT)) == list(failures(need, offer, AT))
            assert cover(need, read[offer.id], NOW) == cover(need, offer, NOW)
            assert replace(read[offer.id], slots=()) == replace(offer, slots=())


async def test_the_nearest_come_first_whatever_their_country_and_state(tx: AsyncConnection, town_hall: UUID) -> None:
    across = await add_offer(tx, town_hall, place=OULX)
    paused = await add_offer(tx, town_hall, place=MONTGENEVRE, state="paused")
    here = await add_offer(tx, town_hall)
    await add_offer(tx, town_hall, state="closed")
    await add_offer(tx, town_hall, category="sanitation")
    found = await around(tx, await seeking(tx, town_hall))
    assert [offer.id for offer in found] == [here, paused, across]
    assert [offer.state for offer in found] == [OfferState.OPEN, OfferState.PAUSED, OfferState.OPEN]


async def test_the_next_ones_beyond_the_radius_are_told_but_not_all_of_them(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    near = await add_offer(tx, town_hall)
    for place in (GAP, BAYONNE, HENDAYE, IRUN):
        for _ in range(4):
            await add_offer(tx, town_hall, place=place)
    found = await around(tx, await seeking(tx, town_hall))
    away = [kilometres_between(BRIANCON.cell, offer.cell) for offer in found]
    assert found[0].id == near
    assert away == sorted(away)
    assert len(found) == 11


async def test_no_more_are_read_than_asked_for(tx: AsyncConnection, town_hall: UUID) -> None:
    for _ in range(5):
        await add_offer(tx, town_hall)
    assert len(await around(tx, await seeking(tx, town_hall), limit=3)) == 3


async def test_where_people_of_the_need_are_placed_is_not_around_it(tx: AsyncConnection, town_hall: UUID) -> None:
    taken = await add_offer(tx, town_hall)
    other = await add_offer(tx, town_hall, place=MONTGENEVRE)
    seeker = await seeking(tx, town_hall, people=4)
    await hold_best_places(tx, seeker, FIRST_POLICY)
    assert [offer.id for offer in await around(tx, seeker)] == [other]
    (own,) = await offers_by_id(tx, seeker.need, [OfferId(taken)], FIRST_POLICY, seeker.now)
    assert own.id == taken


async def test_an_offer_that_declined_is_around_again_and_was_tried(tx: AsyncConnection, town_hall: UUID) -> None:
    offer = await add_offer(tx, town_hall)
    seeker = await seeking(tx, town_hall)
    await hold_best_places(tx, seeker, FIRST_POLICY)
    await tx.execute(text("update allocation set state = 'declined'"))
    now = await read_seeker(tx, seeker.need.id, FIRST_POLICY)
    (found,) = await around(tx, now)
    (failure,) = failures(now.need, found, Circumstances(FIRST_POLICY, now.now))
    assert (found.id, failure.rule) == (offer, "refused_before")


async def test_a_needs_own_places_count_as_free_for_it_and_for_nobody_else(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    offer = OfferId(await add_offer(tx, town_hall, capacity=6))
    holder, other = await seeking(tx, town_hall, people=4), await seeking(tx, town_hall, people=4)
    await hold_best_places(tx, holder, FIRST_POLICY)
    for seeker, free in ((holder, 6), (other, 2)):
        (found,) = await offers_by_id(tx, seeker.need, [offer], FIRST_POLICY, seeker.now)
        assert found.slots[0].free == free


async def test_the_first_free_shower_is_read_though_dozens_before_it_are_taken(
    tx: AsyncConnection, town_hall: UUID
) -> None:
    await add_offer(tx, town_hall, category="sanitation", capacity=1, schedule={"slot_minutes": 5})
    await tx.execute(text("update slot set used = 1"))
    hundredth = "select id from slot order by starts offset 100 limit 1"
    free = await tx.scalar(text(f"update slot set used = 0 where id = ({hundredth}) returning id"))
    seeker = await seeking(tx, town_hall, category="sanitation")
    (offer,) = await around(tx, seeker)
    assert [slot.id for slot in cover(seeker.need, offer, seeker.now)] == [free]


async def test_a_course_is_read_to_its_end(tx: AsyncConnection, town_hall: UUID) -> None:
    await add_offer(tx, town_hall, category="language_class", nights=90, teaches="fr")
    seeker = await seeking(tx, town_hall, category="sanitation")
    need = replace(seeker.need, category="language_class", coverage=Coverage.COURSE)
    (offer,) = await offers_around(tx, need, FIRST_POLICY, seeker.now)
    assert offer.slots[-1].window.ends - offer.slots[0].window.starts > timedelta(days=89)
