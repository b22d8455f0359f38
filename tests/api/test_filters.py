"""Filters of lists: a code or a town that nobody knows is refused in words, and never answered with nothing."""

import httpx
import pytest

from api.wording import LANGUAGES, say
from tests.api.bodies import need_body
from tests.api.conftest import Organization
from tests.places import BRIANCON

LISTS = {
    "/v1/offers": ("category", "town"),
    "/v1/practices": ("country", "category", "town", "near"),
    "/v1/export/practices.csv": ("country", "category"),
    "/v1/figures": ("country", "category", "town"),
    "/v1/export/figures.csv": ("country", "category", "town"),
    "/v1/export/hsds/services": ("category",),
    "/v1/export/hsds/service_at_locations": ("category",),
    "/v1/towns?q=B": ("country",),
}
UNKNOWN = {
    "category": ("sheltr", "unknown_category"),
    "country": ("UK", "unknown_country"),
    "town": ("2147483000", "unknown_town"),
    "near": ("2147483000", "unknown_town"),
}
KNOWN = {"category": "meal", "country": "NZ", "town": str(BRIANCON.id), "near": str(BRIANCON.id)}
ASKED = [(path, name) for path, names in LISTS.items() for name in names]


def asked(path: str, name: str, value: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{name}={value}"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_is_not_known_is_refused_in_every_language(coordination: Organization, language: str) -> None:
    for path, name in ASKED:
        value, code = UNKNOWN[name]
        refused = await coordination.http.get(asked(path, name, value), headers={"Accept-Language": language})
        assert refused.status_code == 422, (path, name)
        (flaw,) = refused.json()["errors"]
        assert (flaw["at"], flaw["code"]) == (f"?{name}", code), path
        assert flaw["message"] == say(f"flaw.{code}", language)
        assert value not in refused.text


async def test_control_what_is_known_and_used_by_nobody_is_an_empty_list(coordination: Organization) -> None:
    for path, name in ASKED:
        answered = await coordination.http.get(asked(path, name, KNOWN[name]))
        assert answered.status_code == 200, (path, name, answered.text)


async def test_who_shows_no_key_is_told_that_first(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/v1/offers?category=sheltr")).status_code == 401
    assert (await anyone.get("/v1/export/hsds/services?category=sheltr")).status_code == 422, "open to anybody"


@pytest.mark.parametrize(("country", "status"), [("UK", 422), ("GB", 201)])
async def test_a_need_names_countries_that_there_are(coordination: Organization, country: str, status: int) -> None:
    answered = await coordination.http.post("/v1/needs", json=need_body(countries=["FR", country]))
    assert answered.status_code == status, answered.text
    if status == 422:
        assert [(each["at"], each["code"]) for each in answered.json()["errors"]] == [
            ("/countries/1", "unknown_country")
        ]
