"""Houses, offers and pledges changed on pages: what is said otherwise alone, and never from under who has a place."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import say
from db import due
from db.connection import transaction
from db.keys import Scope
from db.locations import Address, read_address, read_place
from geo.cells import COARSE_RESOLUTION, Point, cell_of
from matching.states import AllocationState
from tests.api.bodies import offer_body, pledge_body, site_body
from tests.api.conftest import Organization
from tests.api.scenes import assert_every_place_is_counted_once, open_offer, place
from tests.api.stored import everything_stored, holds
from tests.builders import TONIGHT
from tests.console.conftest import Enter, Shown
from tests.db.acts import one, rows
from tests.places import BRIANCON, GAP, MONTGENEVRE, OULX

ADDRESS, MEETING = "12 rue des Pensées, second door", "The fountain behind the station"
STAFFING = {"skill": "interpreting:fa", "people_per_volunteer": 15, "minimum": 2}


def told(shown: Shown, *words: str) -> None:
    for each in words:
        assert each in shown.words, each


async def made(who: Organization, kind: str, body: dict[str, object]) -> str:
    """The page on which one changes what was made of this."""
    answer = await who.http.post(f"/v1/{kind}", json=body)
    assert answer.status_code == 201, answer.text
    return f"/console/{ {'sites': 'houses'}.get(kind, kind) }/{answer.json()['id']}/change"


async def stands(who: Organization, path: str) -> dict[str, Any]:
    """The same, as the API tells it, but for its version and when it was last said to be true."""
    kind, object_id = path.split("/")[2:4]
    answer = await who.http.get(f"/v1/{ {'houses': 'sites'}.get(kind, kind) }/{object_id}")
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name not in ("version", "verified_at")}


async def differences(who: Organization, path: str, before: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (await stands(who, path)).items() if value != before[name]}


async def test_of_a_house_what_is_said_otherwise_is_changed_and_all_else_stays(
    enter: Enter, municipality: Organization
) -> None:
    provides = ["interpreter:fa", "quiet"]
    path = await made(municipality, "sites", site_body(provides=provides, staffing=STAFFING))
    browser, before = await enter(municipality.key), await stands(municipality, path)
    assert path in [held.get("href") for tag, held in (await browser.read("/console/houses")).elements if tag == "a"]
    shown = await browser.read(path)
    told(shown, "Persian", say("console.house.change.lead", "en"))
    same = await browser.send(shown, path)
    assert same.answer.url.path == "/console/houses"
    assert await differences(municipality, path, before) == {}
    await browser.send(await browser.read(path), path, name="Salle des fêtes", wish=["pets", "quiet"], each="20")
    assert await differences(municipality, path, before) == {
        "name": "Salle des fêtes",
        "provides": ["interpreter:fa", "pets", "quiet"],
        "staffing": STAFFING | {"people_per_volunteer": 20},
    }
    # Volunteers are let go by saying that none are needed, whatever the numbers beside it said before.
    await browser.send(await browser.read(path), path, skill="")
    assert (await stands(municipality, path))["staffing"] is None


async def where(app: FastAPI, engine: AsyncEngine, path: str) -> tuple[Point | None, Address | None]:
    """What is kept of the place of the house that is changed there, and of the way to it."""
    site_id, vault = UUID(path.split("/")[3]), app.state.house.vault
    async with transaction(engine) as tx:
        return await read_place(tx, site_id, vault), await read_address(tx, site_id, vault)


async def test_of_a_house_that_goes_to_another_town_it_is_said_anew_where_it_is_before_it_goes(
    enter: Enter, municipality: Organization, app: FastAPI, engine: AsyncEngine
) -> None:
    path = await made(municipality, "sites", site_body())
    browser, before = await enter(municipality.key), await stands(municipality, path)
    await browser.send(
        await browser.read(path.replace("change", "way")), path.replace("change", "way"), address=ADDRESS
    )
    there, before = await where(app, engine, path), await stands(municipality, path)
    shown = await browser.read(path)
    assert "address" not in [held.get("id") for _, held in shown.elements]
    # However far it is: nothing is changed until it is said, so nobody can leave it half done.
    for town in (GAP, OULX, MONTGENEVRE):
        asked = await browser.send(shown, path, 422, town=str(town.id))
        told(asked, say("console.house.change.moved", "en"))
        assert ("town", str(town.id)) in asked.form(path).fields
        assert 'id="wrong-address"' in asked.answer.text
        assert await differences(municipality, path, before) == {}
        assert await where(app, engine, path) == there
    asked = await browser.send(shown, path, 422, town=str(GAP.id))
    unseen = await browser.send(asked, path, 422, visibility="", point=f"{GAP.latitude}, {GAP.longitude}")
    assert 'id="wrong-visibility"' in unseen.answer.text
    far = await browser.send(asked, path, 422, point="44.9000, 6.6300")
    told(far, say("flaw.location_far_from_town", "en"))
    assert await where(app, engine, path) == there
    await browser.send(far, path, point=f"{GAP.latitude}, {GAP.longitude}")
    assert (await stands(municipality, path))["town"] == GAP.id
    # The way to the old door is told to nobody any more.
    assert await where(app, engine, path) == (Point(GAP.longitude, GAP.latitude), None)
    elsewhere = "3 via Roma"
    asked = await browser.send(await browser.read(path), path, 422, town=str(OULX.id))
    done = await browser.send(asked, path, address=elsewhere)
    assert done.answer.url.path == "/console/houses"
    place, way = await where(app, engine, path)
    assert (place, way and way.address) == (None, elsewhere)
    assert await one(engine, "select cell from site") == (cell_of(Point(OULX.longitude, OULX.latitude)),)


async def test_a_house_of_which_nobody_said_where_it_is_goes_to_the_middle_of_another_town(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    path = await made(municipality, "sites", site_body())
    await rows(engine, "delete from site_location")
    browser = await enter(municipality.key)
    await browser.send(await browser.read(path), path, town=str(GAP.id))
    assert await one(engine, "select town_id, cell from site") == (GAP.id, cell_of(Point(GAP.longitude, GAP.latitude)))
    assert await rows(engine, "select site_id from site_location where location is not null") == []


async def test_a_house_stays_where_people_have_a_place_in_it(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    path = f"/console/houses/{(await one(engine, 'select id from site')).id}/change"
    await place(engine, coordination)
    browser, before = await enter(municipality.key), await stands(municipality, path)
    asked = await browser.send(await browser.read(path), path, 422, town=str(GAP.id), name="Chez nous")
    there = f"{GAP.latitude}, {GAP.longitude}"
    refused = await browser.send(asked, path, 409, point=there)
    told(refused, say("console.change.in_use", "en", count=1))
    assert ("name", "Chez nous") in refused.form(path).fields
    assert await differences(municipality, path, before) == {}
    assert len(await rows(engine, "select site_id from site_location where location is not null")) == 1
    # The controls: what takes nobody's place is changed, and once nobody is there the very form is taken.
    await browser.send(await browser.read(path), path, name="Chez nous")
    assert await differences(municipality, path, before) == {"name": "Chez nous"}
    await rows(engine, "update allocation set state = 'released'")
    await browser.send(await browser.send(await browser.read(path), path, 422, town=str(GAP.id)), path, point=there)
    assert (await stands(municipality, path))["town"] == GAP.id


async def test_a_house_that_became_unsafe_is_hidden_at_once_though_people_are_in_it(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality)
    path = f"/console/houses/{(await one(engine, 'select id from site')).id}/change"
    await place(engine, coordination)
    browser = await enter(municipality.key)
    asked = await browser.send(await browser.read(path), path, 422, visibility="rendezvous")
    await browser.send(asked, path, address=ADDRESS, meeting_point=MEETING)
    cell = cell_of(Point(BRIANCON.longitude, BRIANCON.latitude), COARSE_RESOLUTION)
    assert await rows(engine, "select s.cell, o.cell from site s join offer o on o.site_id = s.id") == [(cell, cell)]
    assert (await one(engine, "select state from allocation")).state == "held"
    await assert_every_place_is_counted_once(engine)
    # The control: to where it is exactly it goes back only when nobody is in it.
    told(
        await browser.send(await browser.read(path), path, 409, visibility="on_confirmation"),
        say("console.change.in_use", "en", count=1),
    )
    await rows(engine, "update allocation set state = 'released'")
    await browser.send(await browser.read(path), path, visibility="on_confirmation")
    assert (await stands(municipality, path))["visibility"] == "on_confirmation"


async def test_a_house_at_which_people_are_met_elsewhere_from_now_on_says_where(
    enter: Enter, association: Organization, app: FastAPI, engine: AsyncEngine
) -> None:
    path = await made(association, "sites", site_body(kind="private_home"))
    site_id = UUID(path.split("/")[3])
    browser = await enter(association.key)
    shown = await browser.read(path)
    assert "meeting_point" not in [held.get("id") for _, held in shown.elements]
    asked = await browser.send(shown, path, 422, visibility="rendezvous")
    told(asked, say("console.house.change.where", "en"))
    assert ("visibility", "rendezvous") in asked.form(path).fields
    nowhere = await browser.send(asked, path, 422, address=ADDRESS)
    assert 'id="wrong-meeting_point"' in nowhere.answer.text
    assert (await stands(association, path))["visibility"] == "on_confirmation"
    done = await browser.send(asked, path, address=ADDRESS, meeting_point=MEETING)
    assert done.answer.url.path == "/console/houses"
    assert (await stands(association, path))["visibility"] == "rendezvous"
    async with transaction(engine) as tx:
        way = await read_address(tx, site_id, app.state.house.vault)
    assert way is not None
    assert (way.address, way.meeting_point) == (ADDRESS, MEETING)
    # There and back: where people are met is known by now, and is asked for no more.
    await browser.send(await browser.read(path), path, visibility="on_confirmation")
    back = await browser.send(await browser.read(path), path, visibility="rendezvous")
    for page in (shown, asked, nowhere, done, back, await browser.read(path)):
        assert "Pensées" not in page.answer.text
        assert "fountain" not in page.answer.text


async def test_of_an_offer_what_is_said_otherwise_is_changed_and_all_else_stays(
    enter: Enter, municipality: Organization
) -> None:
    await made(municipality, "sites", site_body())
    site = (await municipality.http.get("/v1/sites")).json()["items"][0]["id"]
    odd = {"provides": ["interpreter:fa", "quiet"], "rrule": "FREQ=WEEKLY;INTERVAL=2", "timezone": "Etc/GMT-1"}
    last = (TONIGHT + timedelta(days=20)).isoformat()
    path = await made(municipality, "offers", offer_body(site, last_day=last, nights_max=3, **odd))
    browser, before = await enter(municipality.key), await stands(municipality, path)
    assert path in [held.get("href") for tag, held in (await browser.read("/console/houses")).elements if tag == "a"]
    shown = await browser.read(path)
    told(shown, "Persian", "FREQ=WEEKLY;INTERVAL=2", say("console.offer.change.clock", "en", zone="Etc/GMT-1"))
    await browser.send(shown, path)
    assert await differences(municipality, path, before) == {}
    changes: dict[str, str | list[str]] = {
        "capacity": "12",
        "audience": ["families", "women"],
        "wish": ["pets"],
        "nights_max": "",
        "party_max": "6",
        "arrive_by": "22:00",
        "confirmation": "standing",
        "closes": "09:00",
    }
    await browser.send(await browser.read(path), path, 200, **changes)
    assert await differences(municipality, path, before) == {
        "capacity": 12,
        "audience": ["families", "women"],
        "provides": ["interpreter:fa", "pets"],
        "nights_max": None,
        "party_max": 6,
        "arrive_by": "22:00",
        "confirmation": "standing",
        "closes": "09:00",
    }
    # Days that a form can say are changed by it, and a class keeps the language that is not among those to choose from.
    plain = await made(municipality, "offers", offer_body(site, last_day=last))
    await browser.send(await browser.read(plain), plain, days=["FR", "SA"])
    assert (await stands(municipality, plain))["rrule"] == "FREQ=WEEKLY;BYDAY=FR,SA"
    taught = {"category": "language_class", "opens": "18:00", "closes": "20:00"}
    lessons = await made(municipality, "offers", offer_body(site, language={"teaches": "oc", "level": "A1"}, **taught))
    await browser.send(await browser.read(lessons), lessons, level="A2", capacity="5")
    assert (await stands(municipality, lessons))["language"] == {"teaches": "oc", "level": "A2"}


async def test_no_offer_shrinks_under_who_has_a_place_in_it(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    path = f"/console/offers/{await open_offer(municipality)}/change"
    await place(engine, coordination)
    browser, before = await enter(municipality.key), await stands(municipality, path)
    shown = await browser.read(path)
    for changes in ({"capacity": "3"}, {"opens": "20:00"}, {"first_day": (TONIGHT + timedelta(days=2)).isoformat()}):
        refused = await browser.send(shown, path, 409, **changes)
        told(refused, say("console.change.in_use", "en", count=1))
        assert await differences(municipality, path, before) == {}, changes
    # The control: down to who is in it, by the very form that was refused.
    await browser.send(refused, path, capacity="4", first_day=str(before["first_day"]))
    assert await differences(municipality, path, before) == {"capacity": 4}
    await assert_every_place_is_counted_once(engine)
    await rows(engine, "update offer set state = 'closed', closed_at = now()")
    told(await browser.send(await browser.read(path), path, 409, capacity="5"), "closed for good")


async def test_places_of_who_may_be_inside_already_are_not_released_by_a_change(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    path = f"/console/offers/{await open_offer(municipality, arrive_by='22:00', confirmation='standing')}/change"
    (allocation,) = (await place(engine, coordination))["allocations"]
    browser, before = await enter(municipality.key), await stands(municipality, path)
    hour = "update allocation set last_arrival = now() + cast(:off as interval)"

    async def put_out() -> int:
        """How many places the worker would release at its next look."""
        async with transaction(engine) as tx:
            return len(await due.list_allocations(tx, AllocationState.NO_SHOW, 10))

    await rows(engine, hour, off=timedelta(hours=-1))
    refused = await browser.send(await browser.read(path), path, 409, release_no_shows="1", party_max="6")
    told(refused, say("problem.conflict.arrivals_not_marked.detail", "en"))
    assert ("release_no_shows", "1") in refused.form(path).fields
    assert await differences(municipality, path, before) == {}
    assert await put_out() == 0
    # Once it is said that they came.
    await rows(engine, "update slot set starts = now() - interval '2 hours' where used > 0 and starts > now()")
    came = await municipality.http.post(f"/v1/allocations/{allocation['id']}/arrive")
    assert came.status_code == 200, came.text
    await browser.send(refused, path, release_no_shows="1")
    assert await put_out() == 0


async def test_who_is_still_to_come_is_released_and_what_stood_before_is_kept_as_it_was(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    path = f"/console/offers/{await open_offer(municipality, arrive_by='22:00', confirmation='standing')}/change"
    await place(engine, coordination)
    browser = await enter(municipality.key)
    await browser.send(await browser.read(path), path, release_no_shows="1")
    await rows(engine, "update allocation set last_arrival = now() - interval '1 hour'")
    async with transaction(engine) as tx:
        assert len(await due.list_allocations(tx, AllocationState.NO_SHOW, 10)) == 1
    # Where it stood already a change of something else is no new rule.
    await browser.send(await browser.read(path), path, party_max="7")
    assert (await stands(municipality, path))["party_max"] == 7


async def test_a_later_hour_is_for_those_to_come_and_the_page_says_so(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    path = f"/console/offers/{await open_offer(municipality, arrive_by='22:00', confirmation='standing')}/change"
    await place(engine, coordination)
    before = await one(engine, "select last_arrival, version from allocation")
    browser = await enter(municipality.key)
    shown = await browser.read(path)
    told(shown, "Who has one already keeps the hour on their slip.")
    await browser.send(shown, path, arrive_by="23:30")
    assert await one(engine, "select last_arrival, version from allocation") == before
    await place(engine, coordination)
    (newer,) = await rows(engine, "select last_arrival from allocation order by created_at desc limit 1")
    assert newer.last_arrival - before.last_arrival == timedelta(hours=1, minutes=30)


async def test_of_a_pledge_only_what_no_shift_needs_is_taken_away(
    enter: Enter, association: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    path = await made(association, "pledges", pledge_body())
    browser, before = await enter(association.key), await stands(association, path)
    shown = await browser.read("/console/volunteers")
    assert path in [held.get("href") for tag, held in shown.elements if tag == "a"]
    await browser.send(await browser.read(path), path)
    assert await differences(association, path, before) == {}
    await browser.send(await browser.read(path), path, headcount="3", radius_km="0")
    assert await differences(association, path, before) == {"headcount": 3, "radius_km": 0}
    offer = await open_offer(municipality)
    await rows(
        engine,
        """
        insert into shift (pledge_id, site_id, slot_id, volunteers, day, starts, ends)
        select p.id, o.site_id, s.id, 2, s.day, s.starts, s.ends from pledge p, offer o join slot s on s.offer_id = o.id
         where o.id = :offer order by s.starts limit 1
        """,
        offer=UUID(offer),
    )
    refused = await browser.send(await browser.read(path), path, 409, headcount="1")
    told(refused, say("problem.conflict.pledge_has_shifts.detail", "en"))
    assert (await stands(association, path))["headcount"] == 3
    await browser.send(refused, path, headcount="2")
    assert (await stands(association, path))["headcount"] == 2
    # One that was ended is counted on again, once that is said.
    await rows(engine, "update pledge set state = 'closed'")
    ended = await browser.read(path)
    told(ended, say("console.pledge.ended", "en"))
    await browser.send(ended, path)
    assert (await stands(association, path))["state"] == "closed"
    await browser.send(await browser.read(path), path, again="1")
    assert (await stands(association, path))["state"] == "open"


WRONG: dict[str, list[tuple[str, dict[str, str | list[str]]]]] = {
    "sites": [
        ("name", {"name": ""}),
        ("name", {"name": "a" * 121}),
        ("kind", {"kind": "castle"}),
        ("visibility", {"visibility": ""}),
        ("each", {"skill": "welcome", "each": "0"}),
        ("each", {"skill": "welcome"}),
        ("skill", {"each": "15"}),
    ],
    "offers": [
        ("capacity", {"capacity": ""}),
        ("capacity", {"capacity": "0"}),
        ("party_max", {"party_max": "many"}),
        ("first_day", {"first_day": "2026-13-40"}),
        ("last_day", {"last_day": (TONIGHT - timedelta(days=3)).isoformat()}),
        ("closes", {"opens": "09:00", "closes": "17:00"}),
        ("arrive_by", {"arrive_by": "12:00"}),
        ("arrive_by", {"release_no_shows": "1"}),
        ("confirmation", {"confirmation": "perhaps"}),
        ("confirm_within_minutes", {"confirm_within_minutes": "1"}),
    ],
    "pledges": [
        ("headcount", {"headcount": ""}),
        ("headcount", {"headcount": "0"}),
        ("radius_km", {"radius_km": "501"}),
        ("shifts_per_week_max", {"shifts_per_week_max": "x"}),
    ],
}


@pytest.fixture
async def paths(municipality: Organization) -> dict[str, str]:
    """A house, an offer at it and a pledge of the town hall: on which page each is changed."""
    house = await made(municipality, "sites", site_body())
    return {
        "sites": house,
        "offers": await made(municipality, "offers", offer_body(house.split("/")[3])),
        "pledges": await made(municipality, "pledges", pledge_body()),
    }


async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_changed(
    enter: Enter, municipality: Organization, paths: dict[str, str]
) -> None:
    browser = await enter(municipality.key)
    for kind, path in paths.items():
        before, shown = await stands(municipality, path), await browser.read(path)
        for field, changes in WRONG[kind]:
            refused = await browser.send(shown, path, 422, **changes)
            assert f'id="wrong-{field}"' in refused.answer.text, changes
            assert refused.answer.text.count(f'id="wrong-{field}"') == 1, changes
        assert await differences(municipality, path, before) == {}
        # The control: the page as it was is taken.
        await browser.send(shown, path)


async def test_what_somebody_else_changed_meanwhile_is_told_and_not_overwritten(
    enter: Enter, municipality: Organization, paths: dict[str, str], engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    others: dict[str, tuple[dict[str, object], dict[str, str], tuple[str, str]]] = {
        "sites": ({"name": "Theirs"}, {"name": "Ours"}, ("name", "Theirs")),
        "offers": ({"capacity": 7}, {"party_max": "3"}, ("capacity", "7")),
        "pledges": ({"headcount": 7}, {"radius_km": "3"}, ("headcount", "7")),
    }
    for kind, (theirs, ours, stood) in others.items():
        path = paths[kind]
        shown = await browser.read(path)
        api = f"/v1/{kind}/{path.split('/')[3]}"
        other = await municipality.http.patch(api, json=theirs, headers={"If-Match": "*"})
        assert other.status_code == 200, other.text
        before = await stands(municipality, path)
        late = await browser.send(shown, path, 412, **ours)
        told(late, say("console.night.changed", "en"))
        assert stood in late.form(path).fields
        assert await differences(municipality, path, before) == {}
        await browser.send(shown, path, 412, version="")
        # Two at once from the same page: one is told. Two taps of one form are one change.
        fields = dict(late.form(path).fields)
        both = await asyncio.gather(
            *(
                browser.http.post(path, data=fields | ours | {"form": each, "version": fields["version"]})
                for each in "12"
            )
        )
        assert sorted(each.status_code for each in both) == [200, 412]
        again = await browser.read(path)
        taps = await asyncio.gather(*(browser.send(again, path) for _ in range(2)))
        assert len({each.answer.url.path for each in taps}) == 1
        act = f"POST /console/{path.split('/')[2]}/{{{ {'sites': 'site'}.get(kind, kind[:-1]) }_id}}/change"
        acts = [row.act for row in await rows(engine, "select act from audit_pending")]
        assert acts.count(act) == 2


async def test_somebody_elses_is_told_of_as_what_never_was_and_a_key_does_what_the_api_lets_it(
    enter: Enter, municipality: Organization, association: Organization, paths: dict[str, str], engine: AsyncEngine
) -> None:
    stranger = await enter(association.key)
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]
    own = await enter(municipality.key)
    for path in paths.values():
        object_id, before = path.split("/")[3], await stands(municipality, path)

        async def answers(wanted: str, path: str = path, object_id: str = object_id) -> list[tuple[int, str]]:
            there = path.replace(object_id, wanted)
            asked = [
                await stranger.http.get(there),
                await stranger.http.post(there, data={"token": token, "version": "1", "name": "x", "find": ""}),
                await stranger.http.post(there, data={"token": token, "find": "1", "q": "oul"}),
            ]
            assert {each.status_code for each in asked} == {404}
            return [(each.status_code, each.text.replace(wanted, "")) for each in asked]

        assert await answers(object_id) == await answers(str(uuid4()))
        whole = await own.read(path)
        only = "update api_key set scopes = :scopes where organization_id = :id"
        await rows(engine, only, scopes=[Scope.OFFERS_READ.value], id=municipality.id)
        await own.read(path, 403)
        await own.send(whole, path, 403)
        for listed in ("/console/houses", "/console/volunteers"):
            assert path not in (await own.read(listed)).answer.text
        await rows(engine, only, scopes=sorted([Scope.OFFERS_READ.value, Scope.OFFERS_WRITE.value]), id=municipality.id)
        assert await differences(municipality, path, before) == {}


async def test_whatever_is_written_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter,
    municipality: Organization,
    paths: dict[str, str],
    engine: AsyncEngine,
    capsys: pytest.CaptureFixture[str],
    *,
    long: bool,
) -> None:
    """All but what a house is called, and the way to it, which is sealed; with `--long` each field alone too."""
    browser, planted = await enter(municipality.key), "Mariam-Haidari"
    names = {
        "sites": "form version find q kind town wish visibility skill each minimum point",
        "offers": "form version capacity audience wish party_max nights_max first_day last_day opens closes days"
        " arrive_by release_no_shows confirmation confirm_within_minutes category teaches level slot_minutes",
        "pledges": "form version headcount radius_km shifts_per_week_max again",
    }
    for kind, path in paths.items():
        every = [*names[kind].split(), planted]
        rendezvous = {"visibility": "rendezvous", "address": planted, "point": planted}
        said = [dict.fromkeys(every, planted) | {"find": find} for find in ("", "1")]
        said += [rendezvous, *([{name: planted} for name in every] if long else [])]
        for each in said:
            fields = dict((await browser.read(path)).form(path).fields)
            kept = {name: fields[name] for name in ("form", "version")}
            answered = await browser.http.post(path, data=fields | each | (kept if len(each) > 1 else {}))
            assert planted not in answered.text, f"{kind} {each}"
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The control: what is looked for is found where it is.
    assert "site" in holds(await everything_stored(engine), "Gymnase du Prorel")


async def test_another_town_is_looked_for_without_losing_what_was_written(
    enter: Enter, municipality: Organization, paths: dict[str, str], engine: AsyncEngine
) -> None:
    await rows(
        engine,
        "insert into town_name (town_id, folded, name) select id, lower(name), name from town on conflict do nothing",
    )
    path, browser = paths["sites"], await enter(municipality.key)
    shown = await browser.read(path)
    found = await browser.send(shown, path, name="Otherwise", q="oul", find="1")
    told(found, "Oulx", "Briançon")
    fields = found.form(path).fields
    assert ("name", "Otherwise") in fields
    # Enter in the field for a town looks for it, too, and elsewhere saves.
    entered = await browser.send(shown, path, name="Otherwise", q="oul", entered="1")
    assert ("name", "Otherwise") in entered.form(path).fields
    # Who looked and thought better of it moves nothing, also where the house's town is none of the organization's.
    assert ("town", str(BRIANCON.id)) in fields
    await rows(engine, "delete from organization_town where organization_id = :id", id=municipality.id)
    found = await browser.send(await browser.read(path), path, name="Otherwise", q="oul", find="1")
    assert ("town", str(BRIANCON.id)) in found.form(path).fields
    picked = await browser.send(found, path, q="gap", find="1", town=str(OULX.id))
    told(picked, "Gap", "Oulx", "Briançon")
    assert ("town", str(OULX.id)) in picked.form(path).fields
    # It is still changed from how it stood on the first page.
    assert dict(fields)["version"] == dict(shown.form(path).fields)["version"]
    await rows(engine, "update site set version = version + 1")
    late = await browser.send(found, path, 412)
    assert ("name", "Gymnase du Prorel") in late.form(path).fields
