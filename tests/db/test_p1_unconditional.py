"""P1, unconditional: two needs that differ in nothing but who posted them, or how, get the same place."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import needs
from db.candidates import find
from db.holds import hold_best_places
from db.seekers import read_seeker
from matching.assign import ranked
from matching.needs import OfferId
from matching.policy import FIRST_POLICY
from matching.posting import NeedTerms
from matching.vocabulary import Audience, OrganizationKind, Stay, Urgency
from tests.builders import add_offer, add_organization, need_terms
from tests.places import BRIANCON, CLAVIERE, MONTGENEVRE, OULX

FAMILY = need_terms(
    people=4,
    minors=2,
    nights=2,
    audience=frozenset({Audience.FAMILIES, Audience.WOMEN}),
    requires=frozenset({"step_free", "showers"}),
    countries=frozenset({"FR", "IT"}),
)
PROVIDED = ["showers", "step_free", "quiet"]


@pytest.fixture
async def pass_road(tx: AsyncConnection) -> None:
    """Places on both sides of a pass, some of them reserved, two of them equals."""
    town_hall = await add_organization(tx)
    for place, capacity, audience in (
        (BRIANCON, 3, ["anyone"]),
        (MONTGENEVRE, 12, ["families"]),
        (MONTGENEVRE, 12, ["anyone"]),
        (CLAVIERE, 40, ["women", "families"]),
        (OULX, 80, ["lgbtq"]),
        (OULX, 80, ["anyone"]),
    ):
        await add_offer(tx, town_hall, place=place, capacity=capacity, audience=audience, provides=PROVIDED)


async def order_for(tx: AsyncConnection, poster: UUID, terms: NeedTerms) -> list[OfferId]:
    """The feasible offers for these terms posted by this organization, from best to worst."""
    (posted,) = await needs.add(tx, poster, [terms])
    seeker = await read_seeker(tx, posted.need.id, FIRST_POLICY)
    found = await find(tx, seeker.need, FIRST_POLICY, seeker.now)
    return [each.offer_id for each in ranked(found, FIRST_POLICY)]


async def place_for(tx: AsyncConnection, poster: UUID, terms: NeedTerms) -> UUID:
    """The offer held for these terms; undone afterwards."""
    undo = await tx.begin_nested()
    (posted,) = await needs.add(tx, poster, [terms])
    held = await hold_best_places(tx, await read_seeker(tx, posted.need.id, FIRST_POLICY), FIRST_POLICY)
    offer: UUID = (
        await tx.execute(text("select offer_id from allocation where id = :id"), {"id": held.allocations[0]})
    ).scalar_one()
    await undo.rollback()
    return offer


@pytest.mark.usefixtures("pass_road")
@pytest.mark.parametrize("kind", OrganizationKind)
async def test_whoever_posts_a_need_it_gets_the_same_rank_and_place(
    tx: AsyncConnection, kind: OrganizationKind
) -> None:
    first = await add_organization(tx, OrganizationKind.COORDINATION, "First")
    other = await add_organization(tx, kind, "Another")
    await tx.execute(text("update organization set self_organized = true where id = :id"), {"id": other})
    order = await order_for(tx, first, FAMILY)
    assert len(order) == 4
    assert await order_for(tx, other, FAMILY) == order
    assert await place_for(tx, other, FAMILY) == await place_for(tx, first, FAMILY) == order[0]


@pytest.mark.usefixtures("pass_road")
@pytest.mark.parametrize("stay", Stay)
@pytest.mark.parametrize("urgency", Urgency)
async def test_whether_people_mean_to_stay_changes_no_place(tx: AsyncConnection, stay: Stay, urgency: Urgency) -> None:
    poster = await add_organization(tx, OrganizationKind.COORDINATION)
    order = await order_for(tx, poster, FAMILY)
    told = replace(FAMILY, stay=stay, urgency=urgency)
    assert await order_for(tx, poster, told) == order
    assert await place_for(tx, poster, told) == order[0]


@pytest.mark.usefixtures("pass_road")
async def test_the_order_in_which_a_need_is_written_changes_no_place(tx: AsyncConnection) -> None:
    poster = await add_organization(tx, OrganizationKind.COORDINATION)
    order = await order_for(tx, poster, FAMILY)
    (posted,) = await needs.add(tx, poster, [FAMILY])
    await tx.execute(
        text(
            "update need set audience = array['women', 'families'], requires = array['step_free', 'showers'],"
            " countries = array['IT', 'FR'] where id = :id"
        ),
        {"id": posted.need.id},
    )
    seeker = await read_seeker(tx, posted.need.id, FIRST_POLICY)
    found = await find(tx, seeker.need, FIRST_POLICY, seeker.now)
    assert [each.offer_id for each in ranked(found, FIRST_POLICY)] == order


async def test_the_tables_have_no_column_for_who_people_are(tx: AsyncConnection) -> None:
    columns = await tx.execute(
        text(
            "select column_name from information_schema.columns"
            " where table_schema = 'public' and table_name in ('need', 'allocation', 'allocation_slot')"
        )
    )
    forbidden = {"name", "nationality", "origin", "religion", "status", "document", "phone", "email", "note", "text"}
    for column in columns.scalars():
        assert not set(column.split("_")) & forbidden, column


async def test_needs_hold_only_words_of_closed_vocabularies(tx: AsyncConnection) -> None:
    texts = await tx.execute(
        text(
            "select column_name from information_schema.columns where table_schema = 'public'"
            " and table_name = 'need' and data_type in ('text', 'character varying')"
        )
    )
    assert set(texts.scalars()) == {"category", "urgency", "stay", "teaches", "level", "state"}
