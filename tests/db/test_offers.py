"""Offers under their own lock: what changes at once, what a list reads, and what a door that closes means."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import cast
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import offers
from db.connection import transaction
from db.offers import Filter
from matching.offering import OfferTerms
from matching.refusals import CapacityInUse, Conflict, NotFound, StaleVersion
from matching.states import OfferState
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import hold, one, rows
from tests.places import BRIANCON, OULX


async def gym(engine: AsyncEngine, **changes: object) -> tuple[UUID, UUID]:
    """A town hall and its offer."""
    async with transaction(engine) as tx:
        town_hall = await add_organization(tx)
        return town_hall, await add_offer(tx, town_hall, **changes)  # type: ignore[arg-type]


async def revise(engine: AsyncEngine, gym: tuple[UUID, UUID], version: int | None = None, **changes: object) -> None:
    def revised(terms: OfferTerms) -> OfferTerms:
        return replace(terms, **changes)  # type: ignore[arg-type]

    async with transaction(engine) as tx:
        await offers.change(tx, gym[1], gym[0], version, revised)


async def test_of_two_changes_at_once_neither_undoes_the_other(engine: AsyncEngine) -> None:
    there = await gym(engine)
    for n in range(5):
        await asyncio.gather(
            revise(engine, there, provides=frozenset({"lift", "showers"} if n % 2 else {"quiet"})),
            revise(engine, there, party_max=3 + n),
        )
        row = await one(engine, "select provides, party_max from offer")
        assert (row.provides, row.party_max) == (["lift", "showers"] if n % 2 else ["quiet"], 3 + n)


async def test_of_two_changes_of_one_version_the_second_is_told(engine: AsyncEngine) -> None:
    there = await gym(engine)
    done = await asyncio.gather(*(revise(engine, there, 1, party_max=n) for n in (3, 4)), return_exceptions=True)
    assert [type(each) for each in done if each is not None] == [StaleVersion]
    assert (await one(engine, "select version from offer")).version == 2


@pytest.mark.parametrize("act", [offers.pause, offers.resume, offers.close, offers.verify])
async def test_nobody_else_touches_an_offer(engine: AsyncEngine, act: object) -> None:
    _, offer_id = await gym(engine)
    async with transaction(engine) as tx:
        stranger = await add_organization(tx)
    with pytest.raises(NotFound):
        async with transaction(engine) as tx:
            await act(tx, offer_id, stranger)  # type: ignore[operator]
    assert await rows(engine, "select 1 from event where object_id = :id", id=offer_id) == []


async def test_said_twice_it_is_one_fact(engine: AsyncEngine) -> None:
    town_hall, offer_id = await gym(engine)
    for act in (offers.pause, offers.resume, offers.close):
        for _ in range(2):
            async with transaction(engine) as tx:
                # Closed is for good: only closing may be said again.
                await act(tx, offer_id, town_hall)
    told = await rows(engine, "select kind from event where object_id = :id order by id", id=offer_id)
    assert [row.kind for row in told] == ["offer.paused", "offer.resumed", "offer.closed"]


async def test_closing_and_holding_at_once_leave_nobody_in_a_closed_offer(engine: AsyncEngine) -> None:
    town_hall, offer_id = await gym(engine)
    async with transaction(engine) as tx:
        needs = [await add_need(tx, town_hall) for _ in range(6)]

    async def close() -> None:
        async with transaction(engine) as tx:
            await offers.close(tx, offer_id, town_hall)

    done = await asyncio.gather(*(hold(engine, need_id) for need_id in needs), close(), return_exceptions=True)
    found = await one(
        engine,
        "select state, (select count(*) from allocation where state = 'held') as live from offer where id = :id",
        id=offer_id,
    )
    assert not [each for each in done if isinstance(each, BaseException) and not isinstance(each, CapacityInUse)]
    assert (found.state == OfferState.CLOSED) == (found.live == 0)


async def test_a_closed_offer_stays_as_it_was(engine: AsyncEngine) -> None:
    there = await gym(engine)
    async with transaction(engine) as tx:
        await offers.close(tx, there[1], there[0])
    before = await one(engine, "select * from offer")
    with pytest.raises(Conflict, match="offer_is_closed"):
        await revise(engine, there, capacity=20)
    assert await one(engine, "select * from offer") == before


async def test_a_page_of_towns_holds_their_offers_and_one_of_a_provider_its_own(engine: AsyncEngine) -> None:
    town_hall, here = await gym(engine)
    _, there = await gym(engine, place=OULX)
    async with transaction(engine) as tx:
        seen = {
            towns: [offer.id for offer in (await offers.page(tx, town_hall, towns, Filter(), None, 50)).items]
            for towns in (frozenset[int](), frozenset({OULX.id}), frozenset({BRIANCON.id, OULX.id}))
        }
    assert list(seen.values()) == [[here], [there], [here, there]]


@pytest.mark.parametrize("towns", [frozenset[int](), frozenset({BRIANCON.id})])
async def test_a_list_reads_the_offers_that_it_is_of_and_no_others(tx: AsyncConnection, towns: frozenset[int]) -> None:
    town_hall = await add_organization(tx)
    pattern = await add_offer(tx, town_hall)
    crowd = {"organization": await add_organization(tx), "town": OULX.id, "pattern": pattern}
    await tx.execute(text(_CROWD), crowd)
    await tx.execute(text("analyze site, offer"))
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(*said: object) -> None:
        _, _, statement, values, _, _ = said
        asked.append((cast("str", statement), cast("tuple[object, ...]", values)))

    event.listen(tx.sync_connection, "before_cursor_execute", note)
    await offers.page(tx, town_hall, towns, Filter(), None, 50)
    event.remove(tx.sync_connection, "before_cursor_execute", note)
    ((statement, values),) = asked
    plan = (await tx.exec_driver_sql(f"explain (format json) {statement}", values)).scalar_one()
    nodes = list(nodes_of(json.loads(plan) if isinstance(plan, str) else plan))
    assert {node["Relation Name"] for node in nodes if "Relation Name" in node} == {"offer"}
    assert {node["Node Type"] for node in nodes if "Relation Name" in node} <= {"Index Scan", "Bitmap Heap Scan"}


_CROWD = """
    with home as (
        insert into site (id, organization_id, town_id, name, kind, cell, visibility, provides)
        select gen_random_uuid(), :organization, :town, 'Gym', kind, cell, visibility, provides
          from (select * from site limit 1) pattern, generate_series(1, 5000)
        returning id
    )
    insert into offer
    select made.*
      from home, offer o,
           jsonb_populate_record(o, jsonb_build_object(
               'id', gen_random_uuid(), 'site_id', home.id, 'town_id', cast(:town as int),
               'organization_id', cast(:organization as uuid))) made
     where o.id = :pattern
"""
"""Five thousand offers of somebody else, in another town than Briançon."""


def nodes_of(plan: object) -> Iterator[dict[str, str]]:
    match plan:
        case dict():
            if "Node Type" in plan:
                yield plan
            for part in plan.values():
                yield from nodes_of(part)
        case list():
            for part in plan:
                yield from nodes_of(part)
