"""The directory keeps to HSDS 3.0 by its official schemas, and tells of nothing that is not public or the key's own."""

from datetime import time, timedelta
from itertools import cycle
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, say
from db.connection import transaction
from db.keys import ONLY_CONFIRMS
from db.tables import Offer
from geo.cells import Point, cell_of, centroid
from matching.vocabulary import OrganizationKind, Visibility
from tests.api.bodies import offer_body, site_body
from tests.api.conftest import JoinNetwork, Organization, Serving
from tests.api.hsds_schemas import flaws_of
from tests.builders import TONIGHT, add_offer
from tests.db.acts import rows
from tests.places import OULX, PLACES

Json = dict[str, Any]
HSDS = "/v1/export/hsds"
RULES = (
    "FREQ=DAILY",
    "FREQ=DAILY;COUNT=9",
    "FREQ=WEEKLY;BYDAY=MO,WE;WKST=SU",
    "FREQ=WEEKLY;INTERVAL=2",
    "FREQ=MONTHLY;BYDAY=1MO,-1FR",
    "FREQ=MONTHLY;BYMONTHDAY=1,15",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=WEEKLY;BYMONTH=12,1,2",
)
_OTHERS = ", ".join(column.name for column in Offer.__table__.columns if column.name != "id")
AGAIN = f"insert into offer ({_OTHERS}) select {_OTHERS} from (select * from offer order by id limit 200) as made"
"""Two hundred more like some that there are, without slots."""
PUBLIC = {"visibility": Visibility.PUBLIC}


async def everything(http: httpx.AsyncClient, path: str, **asked: str | bool) -> list[Json]:
    """All contents of a list, page by page."""
    found: list[Json] = []
    number = 1
    while True:
        answer = await http.get(HSDS + path, params={"per_page": 100, "page": number, **asked})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert (page["page_number"], page["first_page"]) == (number, number == 1)
        assert (page["size"], page["empty"]) == (len(page["contents"]), not page["contents"])
        found += page["contents"]
        if page["last_page"]:
            assert (len(found), max(1, page["total_pages"])) == (page["total_items"], number)
            return found
        number += 1


async def fill(engine: AsyncEngine, giver: Organization, many: int) -> None:
    """Offers of every kind at public places."""
    kinds: list[Json] = [
        {},
        {"audience": ["women", "families"], "provides": ["step_free", "interpreter:prs", "women_only"]},
        {"category": "sanitation", "schedule": {"slot_minutes": 30, "opens": time(9), "closes": time(11)}},
        {
            "category": "language_class",
            "teaches": "fr",
            "level": "A1",
            "schedule": {"opens": time(18), "closes": time(20)},
        },
    ]
    async with transaction(engine) as tx:
        for number, kind, rule, place in zip(range(many), cycle(kinds), cycle(RULES), cycle(PLACES), strict=False):
            schedule: Json = {
                "last_day": TONIGHT + timedelta(days=200 if number % 50 == 0 else 40),
                **kind.get("schedule", {}),
            }
            await add_offer(
                tx,
                giver.id,
                place=place,
                site={**PUBLIC, "provides": ["lift", "quiet"]},
                **kind | {"schedule": schedule | {"rrule": rule}},
            )


async def test_the_official_schemas_accept_what_is_told(
    engine: AsyncEngine, municipality: Organization, anyone: httpx.AsyncClient, *, long: bool
) -> None:
    times = 50 if long else 1
    many = 200 * times
    await fill(engine, municipality, 200)
    for _ in range(times - 1):
        await rows(engine, AGAIN)
    for http in (anyone,) if long else (municipality.http, anyone):
        full = await everything(http, "/services", full=True)
        assert len({each["id"] for each in full}) == many
        assert flaws_of("service", full) == []
        assert all(each["service_at_locations"] and each["schedules"] and each["attributes"] for each in full)
        for path, schema in (
            ("/services", "service_list"),
            ("/organizations", "organization_list"),
            ("/service_at_locations", "service_at_location_list"),
        ):
            assert flaws_of(schema, await everything(http, path)) == []
        assert flaws_of("service_at_location", await everything(http, "/service_at_locations")) == []
    one = await anyone.get(f"{HSDS}/services/{full[0]['id']}")
    assert one.json() == {key: value for key, value in full[0].items() if key != "capacities"}


async def test_a_wrong_entry_is_found_by_the_schemas(
    engine: AsyncEngine, municipality: Organization, anyone: httpx.AsyncClient
) -> None:
    await fill(engine, municipality, 1)
    (right,) = await everything(anyone, "/services", full=True)
    for wrong in (
        {"status": "open"},
        {"id": "7"},
        {"schedules": [right["schedules"][0] | {"freq": "DAILY"}]},
        {"schedules": [right["schedules"][0] | {"timezone": "Europe/Paris"}]},
        {"organization": right["organization"] | {"name": None}},
        {"assured_date": None},
    ):
        assert flaws_of("service", [right | wrong]), wrong


async def open_places(giver: Organization) -> dict[str, str]:
    """An offer at a place of every visibility and kind, by name."""
    made = {}
    kinds = {each: {"visibility": each} for each in ("public", "on_confirmation", "rendezvous")}
    home = {"visibility": "public", "kind": "private_home"}
    for name, site in {**kinds, "home": home}.items():
        location = {"type": "Point", "coordinates": [6.6347, 44.8994]}
        added = await giver.http.post("/v1/sites", json=site_body(name=f"House {name}", location=location, **site))
        offer = await giver.http.post("/v1/offers", json=offer_body(added.json()["id"]))
        made[name] = offer.json()["id"]
    return made


async def test_strangers_are_told_of_public_places_alone(association: Organization, anyone: httpx.AsyncClient) -> None:
    made = await open_places(association)
    assert [each["id"] for each in await everything(anyone, "/services")] == [made["public"]]
    assert [each["service_id"] for each in await everything(anyone, "/service_at_locations")] == [made["public"]]
    for name, offer in made.items():
        assert (await anyone.get(f"{HSDS}/services/{offer}")).status_code == (200 if name == "public" else 404), name
    nothing = await anyone.get(f"{HSDS}/services/{made['public'][:-4]}0000")
    hidden = await anyone.get(f"{HSDS}/services/{made['home']}")
    assert hidden.content == nothing.content
    assert (await anyone.get(f"{HSDS}/organizations/{association.id}")).json()["name"] == "A association"


async def test_who_gives_at_hidden_places_alone_is_not_named(
    engine: AsyncEngine, association: Organization, anyone: httpx.AsyncClient
) -> None:
    async with transaction(engine) as tx:
        await add_offer(tx, association.id)
    assert await everything(anyone, "/organizations") == []
    assert (await anyone.get(f"{HSDS}/organizations/{association.id}")).status_code == 404


async def test_what_is_not_public_any_more_is_gone_at_once(
    municipality: Organization, anyone: httpx.AsyncClient
) -> None:
    made = await open_places(municipality)
    site = (await municipality.http.get(f"/v1/offers/{made['public']}")).json()["site_id"]
    change = {"visibility": "on_confirmation"}
    hid = await municipality.http.patch(f"/v1/sites/{site}", json=change, headers={"If-Match": "*"})
    assert hid.status_code == 200, hid.text
    assert await everything(anyone, "/services") == []


async def test_a_key_is_told_of_what_its_list_of_offers_shows(
    association: Organization, municipality: Organization, coordination: Organization, client: JoinNetwork
) -> None:
    made = await open_places(association)
    elsewhere = await client(OrganizationKind.COORDINATION, towns=(OULX.id,))
    for who, seen in ((association, True), (coordination, True), (municipality, False), (elsewhere, False)):
        listed = (await who.http.get("/v1/offers")).json()["items"]
        told = await everything(who.http, "/services", full=True)
        assert [each["id"] for each in told] == [each["id"] for each in listed]
        assert {each["id"] for each in told} == (set(made.values()) if seen else set())


async def test_a_coordination_learns_neither_who_gives_nor_which_are_of_one_place(
    association: Organization, coordination: Organization
) -> None:
    made = await open_places(association)
    home = (await association.http.get(f"/v1/offers/{made['home']}")).json()["site_id"]
    second = await association.http.post("/v1/offers", json=offer_body(home))
    assert second.status_code == 201
    told = await everything(coordination.http, "/services", full=True)
    text = str(told)
    for word in (str(association.id), "A association", "House", home, "6.6347", "44.8994"):
        assert word not in text, word
    places = [each["service_at_locations"][0]["location_id"] for each in told]
    assert len(set(places)) == len(told) == 5
    assert await everything(coordination.http, "/organizations") == []
    for each in await everything(association.http, "/services", full=True):
        assert each["organization_id"] == str(association.id), "who gives it, sees it whole"


async def test_every_place_is_the_middle_of_its_cell(association: Organization, anyone: httpx.AsyncClient) -> None:
    made = await open_places(association)
    for http in (association.http, anyone):
        for each in await everything(http, "/services", full=True):
            location = each["service_at_locations"][0]["location"]
            there = Point(location["longitude"], location["latitude"])
            resolution = 6 if each["id"] in (made["home"], made["rendezvous"]) else 7
            assert there == centroid(cell_of(Point(6.6347, 44.8994), resolution))
            assert "addresses" not in location


async def test_how_full_a_house_is_is_not_for_strangers(association: Organization, anyone: httpx.AsyncClient) -> None:
    await open_places(association)
    assert "capacities" not in str(await everything(anyone, "/services", full=True))
    own = await everything(association.http, "/services", full=True)
    assert {each["capacities"][0]["maximum"] for each in own} == {10}


async def test_only_a_live_key_that_reads_offers_is_a_key(
    anyone: httpx.AsyncClient, client: JoinNetwork, municipality: Organization
) -> None:
    await open_places(municipality)
    for header in ("Bearer relais_aaaaaaaaaa_" + "a" * 32, "Basic cmVsYWlzOng=", "nonsense"):
        assert (await anyone.get(f"{HSDS}/services", headers={"Authorization": header})).status_code == 401, header
    confirms = await client(OrganizationKind.MUNICIPALITY, ONLY_CONFIRMS)
    assert (await confirms.http.get(f"{HSDS}/services")).status_code == 403


async def test_states_are_told_in_its_words(municipality: Organization, anyone: httpx.AsyncClient) -> None:
    made = await open_places(municipality)
    offer = made["public"]

    async def status() -> list[str]:
        return [each["status"] for each in await everything(anyone, "/services")]

    assert await status() == ["active"]
    await municipality.http.post(f"/v1/offers/{offer}/pause")
    assert await status() == ["temporarily closed"]
    await municipality.http.post(f"/v1/offers/{offer}/close")
    assert await status() == []


async def test_a_list_can_be_of_one_kind_or_one_giver(
    engine: AsyncEngine, municipality: Organization, association: Organization, anyone: httpx.AsyncClient
) -> None:
    await fill(engine, municipality, 8)
    await fill(engine, association, 4)
    assert len(await everything(anyone, "/services", category="sanitation")) == 3
    assert len(await everything(anyone, "/services", organization_id=str(association.id))) == 4
    assert len(await everything(anyone, "/service_at_locations", category="shelter")) == 6


async def test_it_speaks_the_readers_language(
    engine: AsyncEngine, municipality: Organization, anyone: httpx.AsyncClient
) -> None:
    await fill(engine, municipality, 4)
    for language in LANGUAGES:
        answer = await anyone.get(f"{HSDS}/services", params={"full": True}, headers={"Accept-Language": language})
        contents = answer.json()["contents"]
        names = {each["name"].partition(" · ")[0] for each in contents}
        assert say("slip.category.shelter", language) in names
        assert "…" not in answer.text, "a fact is missing in a sentence"
        assert flaws_of("service", contents) == []


async def test_strangers_cannot_wear_it_down(serving: Serving) -> None:
    async with serving(directory_requests_per_client=3) as http:
        answers = [(await http.get(f"{HSDS}/services")).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
