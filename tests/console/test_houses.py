"""Houses on pages: added step by step, with a way to them that is sealed at once and shown nowhere."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from api.console.schedules import WEEK
from api.wording import LANGUAGES, catalogue, say
from db import sites
from db.addresses import Vault
from db.connection import transaction
from db.keys import Scope
from db.locations import read_address, read_place
from db.sites import SiteTerms
from geo.cells import COARSE_RESOLUTION, Point, cell_of
from matching.refusals import Invalid
from matching.vocabulary import Confirmation, Level, OrganizationKind, SiteKind, Visibility
from tests.api.bodies import site_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, place
from tests.api.stored import everything_stored, holds
from tests.builders import TONIGHT, add_organization
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import one, rows
from tests.places import BRIANCON

HOUSES, NEW = "/console/houses", "/console/houses/new"
ADDRESS, MEETING = "12 rue des Pensées, second door", "The fountain behind the station"
LAST = (TONIGHT + timedelta(days=6)).isoformat()
VAULT = Vault(bytes(range(32)))


def told(shown: Shown, *words: str) -> None:
    for each in words:
        assert each in shown.words, each


def field(shown: Shown, name: str) -> dict[str, str]:
    """What is said of a field."""
    (found,) = [held for tag, held in shown.elements if held.get("id") == name and tag in ("input", "select")]
    return found


async def begun(browser: Browser, **said: str | list[str]) -> Shown:
    """A house of which all is said but the way to it: the page that asks for that."""
    what = {"name": "Gymnase du Prorel", "kind": "municipal_building"}
    there: dict[str, str | list[str]] = {
        name: said.pop(name) for name in ("wish", "visibility", "skill", "each", "minimum") if name in said
    }
    second = await browser.send(await browser.read(NEW), NEW, 200, **what | said)
    return await browser.send(second, NEW, 200, **there)


async def added(who: Organization) -> str:
    """A house without any offer."""
    answer = await who.http.post("/v1/sites", json=site_body())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_house_and_its_offer_are_added_step_by_step(
    enter: Enter, municipality: Organization, app: FastAPI, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    told(await browser.read(HOUSES), say("console.houses.none", "en"))
    asked = await begun(browser, wish=["showers", "step_free"], skill="night_watch", each="15", minimum="2")
    told(asked, say("console.house.sealed", "en"))
    first = await browser.send(asked, NEW, address=f"{ADDRESS}\r\nring twice", point="44.9010, 6.6400")
    (site,) = (await municipality.http.get("/v1/sites")).json()["items"]
    assert {name: site[name] for name in ("name", "town", "kind", "visibility", "provides", "has_address")} == {
        "name": "Gymnase du Prorel",
        "town": BRIANCON.id,
        "kind": "municipal_building",
        "visibility": "on_confirmation",
        "provides": ["showers", "step_free"],
        "has_address": True,
    }
    assert site["staffing"] == {"skill": "night_watch", "people_per_volunteer": 15, "minimum": 2}
    async with transaction(engine) as tx:
        vault = app.state.house.vault
        assert await read_place(tx, UUID(site["id"]), vault) == Point(6.64, 44.901)
        address = await read_address(tx, UUID(site["id"]), vault)
    assert address is not None
    assert address.address == f"{ADDRESS}\nring twice"
    # The same form again adds no second house.
    again = await browser.send(asked, NEW, address=f"{ADDRESS}\r\nring twice", point="44.9010, 6.6400")
    assert again.answer.url == first.answer.url
    path = f"{HOUSES}/{site['id']}/offers/new"
    assert first.answer.url.path == path
    step = await browser.send(first, path, category="shelter", capacity="30")
    step = await browser.send(step, path, audience=["women", "families"], wish=["quiet"], party_max="8")
    assert ("opens", "19:00") in step.form(path).fields
    step = await browser.send(
        step, path, first_day=TONIGHT.isoformat(), last_day=LAST, opens="20:00", days=["FR", "SA", "SU"]
    )
    step = await browser.send(step, path, confirm_within_minutes="45")
    (offer,) = (await municipality.http.get("/v1/offers")).json()["items"]
    terms = {"category", "capacity", "audience", "provides", "party_max", "opens", "closes", "rrule", "confirmation"}
    assert {name: offer[name] for name in terms} == {
        "category": "shelter",
        "capacity": 30,
        "audience": ["families", "women"],
        "provides": ["quiet"],
        "party_max": 8,
        "opens": "20:00",
        "closes": "08:00",
        "rrule": "FREQ=WEEKLY;BYDAY=FR,SA,SU",
        "confirmation": "each",
    }
    assert (offer["confirm_within_minutes"], offer["timezone"]) == (45, "Europe/Paris")
    assert step.answer.url.path == f"/console/offers/{offer['id']}"
    shown = await browser.read(HOUSES)
    told(
        shown, "Gymnase du Prorel", say("console.offer.capacity", "en", count=30), "Friday, Saturday, Sunday", "Showers"
    )
    for page in (shown, asked, first, again, step):
        assert "Pensées" not in page.answer.text
        assert "6.64" not in page.answer.text
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert [f"POST {NEW}", "POST /console/houses/{site_id}/offers/new"] == [act for act in acts if "houses" in act]


async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_added(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    shown = await browser.read(NEW)
    nameless = await browser.send(shown, NEW, 422, name=" ", kind="municipal_building")
    assert ("p", {"class": "wrong", "id": "wrong-name"}) in nameless.elements
    told(nameless, say("flaw.required", "en"))
    await browser.send(shown, NEW, 422, name="Gym")
    await browser.send(shown, NEW, 422, name="a" * 121, kind="municipal_building")
    wrong = await browser.send(
        await browser.send(shown, NEW, name="Gym", kind="municipal_building"), NEW, 422, skill="night_watch", each="x"
    )
    told(wrong, say("flaw.too_small", "en", least=1))
    assert ("p", {"class": "wrong", "id": "wrong-each"}) in wrong.elements
    assert field(wrong, "each")["aria-describedby"].strip() == "wrong-each"
    asked = await begun(browser)
    for said in (
        {},
        {"point": "44.9010"},
        {"point": "44,9010, 6,6400"},
        {"point": "95.1, 6.6"},
        {"address": "a" * 401},
        {"address": "no\u202etrap"},
        {"address": ADDRESS, "point": "48.85, 2.35"},
        {"address": ADDRESS, "point": "45.04, 6.90"},
    ):
        refused = await browser.send(asked, NEW, 422, **said)
        assert any(held.get("class") == "wrong" for _, held in refused.elements), said
        assert "Pensées" not in refused.answer.text
        assert ("name", "Gymnase du Prorel") in refused.form(NEW).fields
    assert field(refused, "point")["aria-invalid"] == "true"
    assert await rows(engine, "select 1 from site") == []
    # The control: the same form is taken once nothing is wrong with it.
    await browser.send(refused, NEW, address=ADDRESS)
    assert len(await rows(engine, "select 1 from site")) == 1


async def test_volunteers_that_are_counted_on_are_never_dropped_without_a_word(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    there = await browser.send(await browser.read(NEW), NEW, 200, name="Gym", kind="municipal_building")
    for numbers in ({"each": "15", "minimum": "2"}, {"each": "15"}, {"minimum": "0"}):
        refused = await browser.send(there, NEW, 422, **numbers)
        told(refused, "Step 2 of 3", say("flaw.required", "en"))
        assert field(refused, "skill")["aria-invalid"] == "true", numbers
    # The control: with a skill they are taken, and nothing at all is nothing.
    where = await browser.send(refused, NEW, 200, skill="night_watch", each="15", minimum="2")
    await browser.send(where, NEW, address=ADDRESS)
    assert (await one(engine, "select staffing_people_per_volunteer as each from site")).each == 15
    await browser.send(there, NEW, 200)


async def test_one_can_go_back_and_look_for_another_town_and_lose_nothing(
    enter: Enter, association: Organization, engine: AsyncEngine
) -> None:
    await rows(
        engine,
        "insert into town_name (town_id, folded, name) select id, lower(name), name from town on conflict do nothing",
    )
    browser = await enter(association.key)
    found = await browser.send(
        await browser.read(NEW), NEW, name="Chez nous", kind="association_premises", q="oul", find="1"
    )
    told(found, "Oulx")
    # An empty box finds nothing, and does not lead on.
    told(await browser.send(found, NEW, q="", find="1"), "Step 1 of 3")
    there = await browser.send(found, NEW)
    where = await browser.send(there, NEW, wish=["pets"], visibility="public")
    back = await browser.send(await browser.send(where, NEW, back="1"), NEW, back="1")
    fields = back.form(NEW).fields
    assert {("name", "Chez nous"), ("kind", "association_premises"), ("wish", "pets"), ("visibility", "public")} <= {
        *fields
    }
    await browser.send(await browser.send(await browser.send(back, NEW), NEW), NEW, address=ADDRESS)
    site = await one(engine, "select t.name, h.provides, h.visibility from site h join town t on t.id = h.town_id")
    assert (site.name, site.provides, site.visibility) == ("Oulx", ["pets"], "public")


async def test_a_house_that_is_met_elsewhere_needs_to_say_where(
    enter: Enter, association: Organization, app: FastAPI, engine: AsyncEngine
) -> None:
    browser = await enter(association.key)
    asked = await begun(browser, visibility="rendezvous")
    refused = await browser.send(asked, NEW, 422, address=ADDRESS)
    assert ("p", {"class": "wrong", "id": "wrong-meeting_point"}) in refused.elements
    await browser.send(asked, NEW, 422, meeting_point=MEETING)
    await browser.send(asked, NEW, address=ADDRESS, meeting_point=MEETING)
    site = await one(engine, "select id, cell from site")
    assert site.cell == cell_of(Point(BRIANCON.longitude, BRIANCON.latitude), COARSE_RESOLUTION)
    async with transaction(engine) as tx:
        address = await read_address(tx, site.id, app.state.house.vault)
    assert address is not None
    assert address.meeting_point == MEETING


async def test_a_house_to_which_nobody_could_be_told_the_way_is_marked(enter: Enter, association: Organization) -> None:
    """The API takes the way after the house, with a meeting point or without."""
    answer = await association.http.post("/v1/sites", json=site_body(visibility="rendezvous"))
    path, warning = f"/v1/sites/{answer.json()['id']}/address", say("console.house.no_meeting_point", "en")
    browser = await enter(association.key)
    for way, is_told in (({}, True), ({"meeting_point": MEETING}, False)):
        current = await association.http.get(path.removesuffix("/address"))
        sealed = await association.http.put(
            path, json={"address": ADDRESS} | way, headers={"If-Match": current.headers["ETag"]}
        )
        assert sealed.status_code == 200, sealed.text
        shown = await browser.read(HOUSES)
        assert (warning in shown.words) is is_told
        assert ADDRESS not in shown.answer.text


async def test_a_house_without_a_point_is_told_by_its_address_alone(engine: AsyncEngine) -> None:
    """The middle of its town is known of it, and is nobody's door: it is not kept as the place."""
    terms = SiteTerms("Gym", BRIANCON.id, SiteKind.MUNICIPAL_BUILDING, Visibility.PUBLIC, frozenset(), None)
    middle = Point(BRIANCON.longitude, BRIANCON.latitude)
    async with transaction(engine) as tx:
        owner = await add_organization(tx)
        known = await sites.add(tx, owner, terms, middle, VAULT)
        unknown = await sites.add(tx, owner, terms, None, VAULT)
        cells = [(await sites.read(tx, each, owner)).cell for each in (known, unknown)]
        places = [await read_place(tx, each, VAULT) for each in (known, unknown)]
    assert cells[0] == cells[1]
    assert places == [middle, None]
    nowhere = SiteTerms("Gym", 1, SiteKind.MUNICIPAL_BUILDING, Visibility.PUBLIC, frozenset(), None)
    with pytest.raises(Invalid):
        async with transaction(engine) as tx:
            await sites.add(tx, owner, nowhere, None, VAULT)


async def test_a_home_waits_until_it_was_visited(enter: Enter, association: Organization, engine: AsyncEngine) -> None:
    browser = await enter(association.key)
    await browser.send(await begun(browser, kind="private_home"), NEW, address=ADDRESS)
    shown = await browser.read(HOUSES)
    told(shown, say("console.house.to_visit", "en"))
    site = (await one(engine, "select id from site")).id
    asked = await browser.send(shown, f"{HOUSES}/{site}/vet")
    assert say("console.house.vet.sure", "en") in asked.words
    assert (await one(engine, "select vetted_by from site")).vetted_by is None, "not yet"
    done = await browser.send(asked, f"{HOUSES}/{site}/vet")
    assert say("console.house.to_visit", "en") not in done.words
    assert (await one(engine, "select vetted_by from site")).vetted_by == association.id


WRONG_OFFERS: dict[str, tuple[int, dict[str, str]]] = {
    "no kind": (0, {"category": ""}),
    "nobody": (0, {"capacity": "0"}),
    "no number": (0, {"capacity": "many"}),
    "a party of nobody": (1, {"party_max": "0"}),
    "no last day": (2, {"last_day": ""}),
    "no day of the calendar": (2, {"last_day": "2026-13-40"}),
    "the wrong way round": (2, {"last_day": (TONIGHT - timedelta(days=3)).isoformat()}),
    "no such day": (
        2,
        {
            "first_day": TONIGHT.isoformat(),
            "last_day": (TONIGHT + timedelta(days=1)).isoformat(),
            "days": WEEK[(TONIGHT + timedelta(days=3)).weekday()],
        },
    ),
    "no night": (2, {"opens": "09:00", "closes": "17:00"}),
    "no time": (2, {"arrive_by": "25:99"}),
    "released at no time": (2, {"release_no_shows": "1"}),
    "no time to answer": (3, {"confirm_within_minutes": "1"}),
}


async def test_what_is_wrong_with_an_offer_is_said_in_its_step(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser, path = await enter(municipality.key), f"{HOUSES}/{await added(municipality)}/offers/new"
    steps: list[dict[str, str]] = [{"category": "shelter", "capacity": "8"}, {}, {"last_day": LAST}, {}]
    pages = [await browser.read(path)]
    for number, said in enumerate(steps[:-1]):
        pages.append(await browser.send(pages[-1], path, 200, **said))
        told(pages[-1], f"Step {number + 2} of 4")
    for wrong, (at, changes) in WRONG_OFFERS.items():
        refused = await browser.send(pages[at], path, 422, **steps[at] | changes)
        told(refused, f"Step {at + 1} of 4", say("console.flawed.look", "en"))
        assert any(held.get("class") == "wrong" for _, held in refused.elements), wrong
    assert await rows(engine, "select 1 from offer") == []
    # The control: nothing else was wrong.
    await browser.send(pages[-1], path)
    assert len(await rows(engine, "select 1 from offer")) == 1


async def test_each_kind_of_help_is_asked_what_it_needs(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    path = f"{HOUSES}/{await added(municipality)}/offers/new"
    browser = await enter(municipality.key)
    kinds: list[tuple[str, dict[str, str], tuple[str, object]]] = [
        ("sanitation", {"opens": "09:00", "closes": "12:00", "slot_minutes": "30"}, ("slot_minutes", 30)),
        ("language_class", {"opens": "18:00", "closes": "20:00", "teaches": "fr", "level": "A1"}, ("teaches", "fr")),
        ("shelter", {"opens": "19:00", "closes": "08:00", "arrive_by": "22:30"}, ("nights_max", 3)),
    ]
    for category, when, (column, value) in kinds:
        step = await browser.send(await browser.read(path), path, category=category, capacity="4")
        step = await browser.send(step, path, 200, **{"nights_max": "3"} if category == "shelter" else {})
        step = await browser.send(step, path, 200, **{"last_day": LAST} | when)
        await browser.send(step, path, confirmation="standing")
        offer = await one(engine, "select * from offer where category = :category", category=category)
        assert (offer.confirmation, getattr(offer, column)) == (Confirmation.STANDING, value)


async def test_an_offer_is_paused_taken_up_again_and_ended_once_it_is_said_for_sure(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    browser, path = await enter(municipality.key), f"/console/offers/{offer_id}"
    paused = await browser.send(await browser.read(HOUSES), f"{path}/pause")
    told(paused, say("console.offer.paused", "en"))
    taken_up = await browser.send(paused, f"{path}/resume")
    assert say("console.offer.paused", "en") not in taken_up.words
    await rows(engine, "update offer set verified_at = now() - interval '90 days'")
    await browser.send(taken_up, f"{path}/verify")
    assert (await one(engine, "select verified_at > now() - interval '1 day' as fresh from offer")).fresh
    need = await place(engine, coordination)
    sure = await browser.send(taken_up, f"{path}/close")
    told(sure, say("console.offer.close.sure", "en"), "Gymnase du Prorel")
    refused = await browser.send(sure, f"{path}/close", 409)
    told(refused, say("problem.capacity-in-use.detail", "en", count=1))
    assert (await one(engine, "select state from offer")).state == "open"
    await coordination.http.post(f"/v1/needs/{need['id']}/withdraw")
    done = await browser.send(sure, f"{path}/close")
    assert offer_id not in done.answer.text
    assert (await one(engine, "select state from offer")).state == "closed"


async def test_what_was_not_said_to_be_true_for_long_says_so_and_what_is_over_is_not_listed(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    offer_id, stale = await open_offer(municipality), say("console.offer.stale", "en")
    browser, path = await enter(municipality.key), f"/console/offers/{offer_id}"
    assert stale not in (await browser.read(HOUSES)).words
    await rows(engine, "update offer set verified_at = now() - interval '90 days'")
    shown = await browser.read(HOUSES)
    told(shown, stale)
    assert stale not in (await browser.send(shown, f"{path}/verify")).words
    over = "update offer set first_day = cast(now() as date) - 9, last_day = cast(now() as date) - cast(:days as int)"
    await rows(engine, over, days=3)
    assert path not in (await browser.read(HOUSES)).answer.text
    # The control: tonight is its last.
    await rows(engine, over, days=0)
    assert path in (await browser.read(HOUSES)).answer.text


async def test_no_house_is_left_out_without_a_word(
    enter: Enter, municipality: Organization, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.console.houses._MOST_SITES", 2)
    monkeypatch.setattr("api.console.houses._MOST_OFFERS", 1)
    paths = [f"/console/offers/{await open_offer(municipality)}" for _ in range(3)]
    browser = await enter(municipality.key)
    first = await browser.read(HOUSES)
    assert [each in first.answer.text for each in paths] == [True, False, False]
    told(first, say("console.list.more", "en"))
    (further,) = [held["href"] for tag, held in first.elements if tag == "a" and "?cursor=" in held.get("href", "")]
    last = await browser.read(further)
    assert [each in last.answer.text for each in paths] == [False, False, True]
    assert say("console.list.more", "en") not in last.words
    assert "?cursor=" not in last.answer.text
    # What is ended takes nothing from the rest.
    await rows(engine, "update offer set state = 'closed', closed_at = now() where id = :id", id=UUID(paths[0][-36:]))
    assert paths[1] in (await browser.read(HOUSES)).answer.text


async def test_somebody_elses_house_is_told_of_as_what_never_was(
    enter: Enter, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    site_id = str((await one(engine, "select id from site")).id)
    slot = (await one(engine, "select min(id) as id from slot")).id
    stranger = await enter(association.key)
    assert "Gymnase" not in (await stranger.read(HOUSES)).answer.text
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]
    before = await rows(engine, "select o.*, h.* from offer o join site h on h.id = o.site_id")

    async def answers(site: str, offer: str) -> list[tuple[int, str]]:
        posts = [
            f"{HOUSES}/{site}/vet",
            f"{HOUSES}/{site}/offers/new",
            *(f"/console/offers/{offer}/{act}" for act in ("pause", "resume", "verify", "close", f"slots/{slot}")),
        ]
        sent = {"token": token, "sure": "1", "step": "how", "category": "shelter", "capacity": "3", "version": "1"}
        asked = [await stranger.http.post(path, data=sent) for path in posts]
        asked += [await stranger.http.get(path) for path in (f"{HOUSES}/{site}/offers/new", f"/console/offers/{offer}")]
        assert {each.status_code for each in asked} == {404}
        return [(each.status_code, each.text.replace(site, "").replace(offer, "")) for each in asked]

    assert await answers(site_id, offer_id) == await answers(str(uuid4()), str(uuid4()))
    assert await rows(engine, "select o.*, h.* from offer o join site h on h.id = o.site_id") == before


async def test_a_key_sees_and_does_what_the_api_would_let_it(
    enter: Enter, municipality: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    offer_id = await open_offer(municipality)
    browser = await enter(municipality.key)
    whole = await browser.read(HOUSES)

    async def only(*scopes: Scope) -> None:
        values = {"id": municipality.id, "scopes": sorted(scopes)}
        await rows(engine, "update api_key set scopes = :scopes where organization_id = :id", **values)

    await only(Scope.OFFERS_READ, Scope.NEEDS_READ)
    shown = await browser.read(HOUSES)
    told(shown, "Gymnase du Prorel")
    assert not [form for form in shown.forms if "/offers/" in form.action]
    await browser.send(whole, f"/console/offers/{offer_id}/pause", 403)
    await browser.read(NEW, 403)
    await only(Scope.NEEDS_READ)
    await browser.read(HOUSES, 403)
    assert HOUSES not in (await browser.read("/console")).answer.text
    assert (await one(engine, "select state from offer")).state == "open"
    posts = await enter((await client(OrganizationKind.COORDINATION)).key)
    assert HOUSES not in (await posts.read("/console")).answer.text


async def test_whatever_is_written_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter, municipality: Organization, engine: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but what a house is called, and the way to it, which is sealed."""
    offer_id, planted = await open_offer(municipality), "Mariam-Haidari"
    site_id = (await one(engine, "select id from site")).id
    slot = (await one(engine, "select min(id) as id from slot")).id
    browser = await enter(municipality.key)
    token = dict((await browser.read(NEW)).form(NEW).fields)["token"]
    common = "form step find q town back wish"
    of_site = f"{common} kind visibility skill each minimum point"
    of_offer = (
        f"{common} category capacity audience party_max nights_max first_day last_day opens closes days slot_minutes"
        " arrive_by release_no_shows teaches level confirmation confirm_within_minutes"
    )
    tried: dict[str, tuple[tuple[str, ...], str]] = {
        NEW: (("what", "there", "where"), of_site),
        f"{HOUSES}/{site_id}/offers/new": (("what", "who", "when", "how"), of_offer),
        f"{HOUSES}/{site_id}/way": (("",), "form version point"),
        f"{HOUSES}/{site_id}/vet": (("",), "sure"),
        f"/console/offers/{offer_id}/slots/{slot}": (("",), "capacity version from"),
        f"/console/offers/{offer_id}/verify": (("",), "sure"),
    }
    sent = {"token": token, "name": "Gym", "kind": "municipal_building", "address": planted}
    sent |= {"category": "shelter", "capacity": "4", "first_day": TONIGHT.isoformat(), "last_day": LAST}
    sent |= {"opens": "19:00", "closes": "08:00", "confirm_within_minutes": "60"}
    for path, (steps, names) in tried.items():
        # Each field alone in the last step, all of them at once in each.
        filled = [{"step": steps[-1], name: planted} for name in (*names.split(), planted)]
        filled += [dict.fromkeys(names.split(), planted) | {"step": step} for step in steps]
        for said in filled:
            answered = await browser.http.post(path, data=sent | said, headers={"X-Name": planted})
            assert planted not in answered.text, f"{path} {sorted(said)}"
    for path in (HOUSES, NEW, f"/console/offers/{offer_id}"):
        asked = await browser.http.get(path, params={"from": planted, planted: planted})
        assert planted not in asked.text
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The controls: there was something to keep it in, and what is looked for is found where it is.
    kept = await one(engine, "select (select count(*) from site) as sites, (select count(*) from offer) as offers")
    assert (kept.sites > 1, kept.offers > 1) == (True, True)
    assert "site" in holds(await everything_stored(engine), "Gymnase du Prorel")


async def test_a_browser_may_be_asked_where_it_is_on_that_page_alone(enter: Enter, municipality: Organization) -> None:
    browser = await enter(municipality.key)
    allowed = {path: (await browser.read(path)).answer.headers["Permissions-Policy"] for path in (NEW, HOUSES)}
    assert "geolocation=(self)" in allowed[NEW]
    assert "geolocation=()" in allowed[HOUSES]


def test_every_word_of_the_vocabularies_has_its_words() -> None:
    keys = {f"console.kind.{each}" for each in SiteKind} | {f"console.visibility.{each}" for each in Visibility}
    keys |= {f"console.confirmation.{each}" for each in Confirmation} | {f"console.level.{Level.LITERACY}"}
    for language in LANGUAGES:
        assert catalogue(language).keys() >= keys, language
    assert len({say(key, language) for key in keys for language in LANGUAGES}) == len(keys) * len(LANGUAGES)


async def test_the_way_to_a_house_is_told_later_and_anew_and_never_shown(
    enter: Enter,
    coordination: Organization,
    municipality: Organization,
    association: Organization,
    app: FastAPI,
    engine: AsyncEngine,
) -> None:
    await open_offer(municipality)
    site_id: UUID = (await one(engine, "select id from site")).id
    vault, path = app.state.house.vault, f"{HOUSES}/{site_id}/way"
    browser = await enter(municipality.key)
    told(await browser.read(HOUSES), say("console.house.no_address", "en"))
    shown = await browser.read(path)
    for wrong in ({}, {"point": "x"}, {"point": "48.85, 2.35"}, {"address": "a" * 401}):
        assert "wrong-" in (await browser.send(shown, path, 422, **wrong)).answer.text
    done = await browser.send(shown, path, address=ADDRESS)
    assert say("console.house.no_address", "en") not in done.words
    late = await browser.send(shown, path, 412, address="elsewhere")
    told(late, say("console.night.changed", "en"))
    await place(engine, coordination)
    both = {"address": "elsewhere", "point": "44.9300, 6.6400"}
    held = await browser.send(await browser.read(path), path, 409, **both)
    told(held, say("console.house.way.in_use", "en", count=1))
    async with transaction(engine) as tx:
        address, point = await read_address(tx, site_id, vault), await read_place(tx, site_id, vault)
    assert address is not None
    assert (address.address, point) == (ADDRESS, Point(BRIANCON.longitude, BRIANCON.latitude))
    # The control: once nobody is there it is moved.
    await rows(engine, "update allocation set state = 'released'")
    moved = await browser.send(held, path, 200, **both)
    async with transaction(engine) as tx:
        assert await read_place(tx, site_id, vault) == Point(6.64, 44.93)
    for page in (shown, done, late, held, moved, await browser.read(path)):
        assert "Pensées" not in page.answer.text
        assert "44.9" not in page.answer.text.replace(say("console.house.point.help", "en"), "")
    stranger = await enter(association.key)
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]
    for each in (path, f"{HOUSES}/{uuid4()}/way"):
        assert (await stranger.http.get(each)).status_code == 404
        assert (await stranger.http.post(each, data={"token": token, "address": "x"})).status_code == 404
