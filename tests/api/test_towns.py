"""Towns over HTTP: found by what people type, read by number."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db import towns
from db.connection import transaction
from matching.vocabulary import TownRole
from tests.api.conftest import Organization
from tests.places import BRIANCON


async def test_a_town_is_read_by_its_number(coordination: Organization, engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await towns.set_roles(tx, BRIANCON.id, [TownRole.BORDER])
    answer = await coordination.http.get(f"/v1/towns/{BRIANCON.id}")
    assert answer.status_code == 200
    assert answer.headers["etag"]
    told = answer.json()
    assert (told["name"], told["country"], told["timezone"]) == ("Briançon", "FR", "Europe/Paris")
    assert told["roles"] == ["border"]


async def test_an_unknown_town_is_not_found(coordination: Organization) -> None:
    assert (await coordination.http.get("/v1/towns/1")).status_code == 404


async def test_a_number_that_no_town_can_have_is_refused(coordination: Organization) -> None:
    for number in ("0", "-1", "2147483648", "9" * 5000, "briancon", "1.5"):
        answer = await coordination.http.get(f"/v1/towns/{number}")
        assert answer.status_code == 422, number
        assert answer.json()["errors"][0]["at"] == "{town_id}"


async def test_strange_searches_are_answered_or_refused_but_never_break(coordination: Organization) -> None:
    for typed in ("%", "_", "\\", "\x00", "'", "😀", "a" * 100, " ", "\ud7ff", "ــ"):
        assert (await coordination.http.get("/v1/towns", params={"q": typed})).status_code == 200, repr(typed)
    for parameters in ({}, {"q": ""}, {"q": "a" * 101}, {"q": "a", "country": "fr"}, {"q": "a", "limit": "51"}):
        answer = await coordination.http.get("/v1/towns", params=parameters)
        assert answer.status_code == 422, parameters


async def test_a_search_needs_a_key(coordination: Organization) -> None:
    answer = await coordination.http.get("/v1/towns", params={"q": "bri"}, headers={"Authorization": ""})
    assert answer.status_code == 401
