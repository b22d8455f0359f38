"""The way to a confirmed place on a page: read by an act of the desk that posted, heard of by both sides."""

from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import say
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.test_p3_reveal import ADDRESS, MEETING_POINT, begins_in, readings, stay
from tests.console.conftest import Enter
from tests.db.acts import rows


async def test_the_desk_reads_the_way_to_a_place_by_an_act_that_both_sides_hear_of(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    door = await enter(coordination.key)
    act = f"/console/allocations/{allocation}/address"
    await begins_in(engine, 13)
    assert act not in [form.action for form in (await door.read("/console")).forms], "it is too early"
    await begins_in(engine, 11)
    board = await door.read("/console")
    assert ADDRESS not in board.answer.text
    shown = await door.send(board, act)
    assert ADDRESS in shown.words
    assert MEETING_POINT in shown.words
    assert shown.answer.headers["Cache-Control"] == "no-store"
    assert await readings(engine) == 1
    hears = await rows(engine, "select organizations from event where kind = 'allocation.address_read'")
    assert set(hears[0].organizations) == {coordination.id, municipality.id}


async def test_of_a_rendezvous_the_page_tells_the_meeting_point_alone(
    enter: Enter, coordination: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    association = await client(OrganizationKind.ASSOCIATION)
    allocation = await stay(engine, association, coordination, kind="private_home", visibility="rendezvous")
    await association.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 2)
    door = await enter(coordination.key)
    shown = await door.send(await door.read("/console"), f"/console/allocations/{allocation}/address")
    assert MEETING_POINT in shown.words
    assert ADDRESS not in shown.answer.text
    assert say("console.way.place", "en") not in shown.words


async def test_who_is_not_its_desk_is_told_nothing_and_a_place_that_is_gone_is_told_no_more(
    enter: Enter, coordination: Organization, municipality: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    allocation = await stay(engine, municipality, coordination)
    await municipality.http.post(f"/v1/allocations/{allocation}/confirm")
    await begins_in(engine, 2)
    door = await enter(coordination.key)
    board = await door.read("/console")
    token = dict(board.form(f"/console/allocations/{allocation}/address").fields)["token"]
    other = await enter((await client(OrganizationKind.COORDINATION)).key)
    strange = dict((await other.read("/console/needs/new")).form("/console/needs/new").fields)["token"]
    path = f"/console/allocations/{allocation}/address"
    told = await other.http.post(path, data={"token": strange})
    assert told.status_code == 404
    assert (await door.http.post(path, data={"token": strange})).status_code == 403, "the form of another session"
    await municipality.http.post(f"/v1/allocations/{allocation}/decline", json={"reason": "closed"})
    told = await door.http.post(path, data={"token": token})
    assert told.status_code == 409
    assert ADDRESS not in told.text
    assert await readings(engine) == 0
