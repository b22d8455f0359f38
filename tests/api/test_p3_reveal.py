"""P3, protection: the two sides of a confirmed stay read the way to its place, in its time, and each reading counts."""

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.keys import Scope
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind
from tests.api.bodies import offer_body, site_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import place
from tests.api.stored import everything_stored, holds
from tests.db.acts import answer, one, rows
from tests.places import BRIANCON

ADDRESS, MEETING_POINT = "3 impasse du Ruisseau, third door", "the fountain by the station"


async def stay(engine: AsyncEngine, provider: Organization, poster: Organization, **site: object) -> str:
    """An allocation on hold at a site whose way was described: its id."""
    location = {"type": "Point", "coordinates": [BRIANCON.longitude, BRIANCON.latitude]}
    made = await provider.http.post("/v1/sites", json=site_body(town=BRIANCON.id, location=location, **site))
    path = f"/v1/sites/{made.json()['id']}"
    described = {"address": ADDRESS, "meeting_point": MEETING_POINT}
    assert (await provider.http.put(f"{path}/address", json=described, headers={"If-Match": "*"})).status_code == 200
    if site.get("kind") == "private_home":
        await provider.http.post(f"{path}/vet")
    await provider.http.post("/v1/offers", json=offer_body(made.json()["id"]))
    need = await place(engine, poster)
    return str(need["allocations"][0]["id"])


async def begins_in(engine: AsyncEngine, hours: float) -> None:
    """The first slot of every stay begins in so many hours; it lasts for thirteen."""
    await rows(
        engine,
        """
        with moved as (
            select id, now() + make_interval(secs => :seconds) + (starts - first.at) as starts
              from slot, (select min(s.starts) as at from slot s join allocation_slot k on k.slot_id = s.id) first
        ), times as (
            update slot
               set starts = moved.starts, last_arrival = moved.starts, ends = moved.starts + interval '13 hours'
              from moved where moved.id = slot.id
        )
        update allocation set ends = now() + make_interval(secs => :seconds) + interval '13 hours',
                              last_arrival = now() + make_interval(secs => :seconds)
        """,
        seconds=hours * 3600,
    )


async def ask(who: Organization, allocation: object, **headers: str) -> httpx.Response:
    return await who.http.post(f"/v1/allocations/{allocation}/address", headers=headers)


async def readings(engine: AsyncEngine) -> int:
    return len(await rows(engine, "select 1 from event where kind = 'allocation.address_read'"))


async def test_both_sides_read_the_way_and_each_reading_is_an_event_that_both_may_hear(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 11.9)
    for side in (municipality, coordination):
        told = await ask(side, allocation)
        assert told.status_code == 200, told.text
        assert told.headers["cache-control"] == "no-store"
        body = told.json()
        assert (body["address"], body["meeting_point"]) == (ADDRESS, MEETING_POINT)
        assert body["location"]["coordinates"] == [BRIANCON.longitude, BRIANCON.latitude]
    events = await rows(
        engine, "select facts, organizations from event where kind = 'allocation.address_read' order by id"
    )
    assert [event.facts for event in events] == [
        {"organization_id": str(municipality.id), "role": "municipality"},
        {"organization_id": str(coordination.id), "role": "coordination"},
    ]
    assert all(set(event.organizations) == {municipality.id, coordination.id} for event in events)


async def test_of_a_rendezvous_the_meeting_point_alone_is_told(
    association: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, association, coordination, visibility="rendezvous")
    await association.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 1)
    told = await ask(coordination, allocation)
    assert told.json()["meeting_point"] == MEETING_POINT
    assert (told.json()["address"], told.json()["location"]) == (None, None)
    assert ADDRESS not in told.text


async def test_a_rendezvous_without_a_meeting_point_tells_nothing(
    association: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, association, coordination, visibility="rendezvous")
    await association.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 1)
    site = await one(engine, "select site_id from offer")
    path = f"/v1/sites/{site.site_id}/address"
    await association.http.put(path, json={"address": ADDRESS}, headers={"If-Match": "*"})
    told = await ask(coordination, allocation)
    assert (told.status_code, told.json()["reason"]) == (409, "no_meeting_point")
    assert ADDRESS not in told.text
    assert await readings(engine) == 0


async def test_a_home_is_never_public_whatever_its_owner_chose(
    association: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, association, coordination, visibility="public", kind="private_home")
    await association.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 13)
    assert (await ask(coordination, allocation)).json()["reason"] == "address_not_yet"


async def test_too_early_it_says_when_and_too_late_it_says_so(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 12.1)
    early = await ask(coordination, allocation)
    assert (early.status_code, early.json()["reason"], early.json()["state"]) == (409, "address_not_yet", "confirmed")
    begins = (await one(engine, "select min(starts) as at from slot")).at
    assert datetime.fromisoformat(early.json()["opens_at"]) == begins - timedelta(hours=12)
    await begins_in(engine, -13.01)
    late = await ask(coordination, allocation)
    assert (late.status_code, late.json()["reason"]) == (409, "address_over")
    assert "opens_at" not in late.json()
    assert await readings(engine) == 0


@pytest.mark.parametrize("state", sorted(set(AllocationState) - {AllocationState.CONFIRMED, AllocationState.ARRIVED}))
async def test_in_no_other_state_is_it_told(
    municipality: Organization, coordination: Organization, engine: AsyncEngine, state: AllocationState
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await begins_in(engine, 1)
    await rows(engine, "update allocation set state = :state", state=state)
    for side in (municipality, coordination):
        told = await ask(side, allocation)
        assert (told.status_code, told.json()["reason"], told.json()["state"]) == (409, "address_not_confirmed", state)
        assert ADDRESS not in told.text
    assert await readings(engine) == 0


async def test_to_everybody_else_it_is_missing_in_every_state_and_at_every_time(
    client: JoinNetwork, municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    others = [await client(kind) for kind in OrganizationKind]
    missing = {other.id: (await ask(other, uuid4())).content for other in others}
    for hours in (13, 1, -14):
        await begins_in(engine, hours)
        for state in AllocationState:
            await rows(engine, "update allocation set state = :state", state=state)
            for other in others:
                told = await ask(other, allocation)
                assert (told.status_code, told.content) == (404, missing[other.id])
    assert await readings(engine) == 0


async def test_a_key_that_only_reads_is_told_nothing(
    client: JoinNetwork, municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 1)
    board = await client(OrganizationKind.COORDINATION, frozenset({Scope.ALLOCATIONS_READ, Scope.NEEDS_READ}))
    await rows(engine, "update allocation set poster_id = :id", id=board.id)
    assert (await ask(board, allocation)).status_code == 403


async def test_what_was_told_is_stored_nowhere_whatever_key_was_sent_with_it(
    municipality: Organization, coordination: Organization, engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 1)
    for _ in range(2):
        assert (await ask(coordination, allocation, **{"Idempotency-Key": "again"})).json()["address"] == ADDRESS
    assert await readings(engine) == 2, "asking again is another reading"
    stored = await everything_stored(engine)
    assert holds(stored, "impasse du Ruisseau") == holds(stored, MEETING_POINT) == []
    assert "Ruisseau" not in "".join(capfd.readouterr())


async def test_a_place_given_back_while_somebody_reads_is_read_first_or_not_at_all(
    municipality: Organization, coordination: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 1)
    reads = [ask(coordination, allocation) for _ in range(6)]
    told, _ = await asyncio.gather(
        asyncio.gather(*reads),
        answer(engine, allocation, coordination.id, AllocationState.RELEASED),  # type: ignore[arg-type]
    )
    order = await rows(
        engine,
        "select kind from event where object_id = :id and kind in ('allocation.address_read', 'allocation.released')"
        " order by id",
        id=allocation,
    )
    assert [each.kind for each in order][-1] == "allocation.released"
    assert len(order) - 1 == sum(each.status_code == 200 for each in told)
