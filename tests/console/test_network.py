"""The network on a page: what a key reads elsewhere, town by town, and nothing that it does not read."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import ApiSettings
from api.wording import say
from db.connection import transaction
from db.keys import Scope
from db.settings import Settings
from db.town_tiles import MOST_TOWNS, town_tile
from geo.cells import centroid
from geo.tiles import Tile
from matching.figures.measures import Measure
from matching.figures.tables import ALL, Span
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, post_need
from tests.conftest import Logins
from tests.console.archives import archive_of
from tests.console.conftest import Browser, Enter
from tests.db.acts import look_at_all_due, rows
from tests.places import BRIANCON, GAP, OULX
from tests.published import tell
from web.files import OF_THE_MAP

NETWORK = "/console/network"
FACTS = f"{NETWORK}/map/facts"
TODAY = datetime.now(UTC).date()
Json = dict[str, Any]
DAYS: Json = {"first_day": str(TODAY - timedelta(days=1)), "last_day": str(TODAY + timedelta(days=6))}


@pytest.fixture
def api_settings(settings: Settings, logins: Logins, tmp_path: Path) -> ApiSettings:
    """Those of a service whose operator has a base map."""
    file = tmp_path / "base.pmtiles"
    file.write_bytes(archive_of(b"tile", ["water"], ""))
    address = {"database_url": logins.address(settings.database_url, logins.api), "basemap_file": file}
    return ApiSettings(**settings.model_dump(exclude={"database_address"}) | address)


async def table(browser: Browser, path: str = NETWORK) -> list[str]:
    """The lines of the table, each as it is read out."""
    text = (await browser.read(path)).answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(re.sub(r"<button.*?</button>|<[^>]+>", " ", line).split()) for line in text.split("</tr>")[:-1]]


async def facts(browser: Browser) -> Json:
    """What the map is drawn from."""
    answer = await browser.http.get(FACTS)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


@pytest.fixture
async def desk(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id, OULX.id))


@pytest.fixture
async def hall(client: JoinNetwork) -> Organization:
    """A town hall with thirty beds in Briançon and four in Gap."""
    hall = await client(OrganizationKind.MUNICIPALITY)
    await open_offer(hall, capacity=30, **DAYS)
    await open_offer(hall, GAP, capacity=4, **DAYS)
    return hall


async def test_each_reads_its_own_parties_and_the_places_that_its_key_lists(
    enter: Enter, desk: Organization, hall: Organization, association: Organization
) -> None:
    await post_need(desk, people={"adults": 3, "minors": 1})
    thirty = "30 of 30 0 km from the middle of the town: 30 of 30"
    assert await table(await enter(desk.key)) == [f"Briançon France People: 4 {thirty} – –", "Oulx Italy – – – –"]
    four = "4 of 4 0 km from the middle of the town: 4 of 4"
    assert await table(await enter(hall.key)) == [f"Briançon France – {thirty} – –", f"Gap France – {four} – –"]
    assert await table(await enter(association.key)) == ["Briançon France – – – –"]


@pytest.mark.usefixtures("hall")
async def test_of_a_party_that_has_some_of_its_places_the_others_count(
    enter: Enter, desk: Organization, engine: AsyncEngine
) -> None:
    await post_need(desk, people={"adults": 34, "minors": 0}, divisible=True)
    browser = await enter(desk.key)
    assert (await table(browser))[0].startswith("Briançon France People: 34 ")
    await look_at_all_due(engine)
    assert (await table(browser))[0].startswith("Briançon France People: 4 ")


async def test_who_takes_nobody_tonight_has_no_place_that_is_full(
    enter: Enter, desk: Organization, association: Organization
) -> None:
    later: Json = {"first_day": str(TODAY + timedelta(days=3)), "last_day": str(TODAY + timedelta(days=6))}
    await open_offer(association, **later)
    assert await table(await enter(desk.key)) == ["Briançon France – – – –", "Oulx Italy – – – –"]


async def test_what_others_ask_changes_not_one_byte_and_what_one_asks_oneself_does(
    enter: Enter, desk: Organization, hall: Organization, client: JoinNetwork
) -> None:
    other = await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))
    browsers = [await enter(each.key) for each in (desk, hall)]
    before = [(await table(each), await facts(each)) for each in browsers]
    await post_need(other)
    assert [(await table(each), await facts(each)) for each in browsers] == before
    await post_need(desk)
    after = [(await table(each), await facts(each)) for each in browsers]
    assert [new == old for new, old in zip(after, before, strict=True)] == [False, True]


async def test_of_a_place_its_cell_alone_is_drawn(enter: Enter, desk: Organization, hall: Organization) -> None:
    browser = await enter(desk.key)
    before = await facts(browser)
    (cell,) = before["cells"]["features"]
    assert cell["properties"] == {"free": 30, "capacity": 30}
    assert cell["geometry"]["type"] == "Polygon"
    site = next(each for each in (await hall.http.get("/v1/sites")).json()["items"] if each["town"] == BRIANCON.id)
    middle = centroid(BRIANCON.cell)
    for step, same in ((0.004, True), (0.05, False)):
        point = {"type": "Point", "coordinates": [middle.longitude + step, middle.latitude]}
        path = f"/v1/sites/{site['id']}"
        moved = await hall.http.patch(path, json={"location": point}, headers={"If-Match": "*"})
        assert moved.status_code == 200, moved.text
        assert (await facts(browser) == before) is same


async def test_a_key_that_reads_less_is_shown_less(enter: Enter, client: JoinNetwork, hall: Organization) -> None:
    async def with_only(scope: Scope) -> Browser:
        who = await client(OrganizationKind.COORDINATION, scopes=frozenset({scope}))
        await open_offer(hall, capacity=2, **DAYS)
        return await enter(who.key)

    assert await table(await with_only(Scope.NEEDS_READ)) == ["Briançon France – – –"]
    pacts = await with_only(Scope.PACTS_READ)
    for path in (NETWORK, FACTS, f"{NETWORK}/map/towns/5/16/11", f"{NETWORK}/map/base"):
        assert (await pacts.http.get(path)).status_code == 403, path
    assert NETWORK not in (await pacts.read("/console/pacts")).answer.text
    stranger = await enter.browser()
    answer = await stranger.http.get(FACTS)
    assert answer.url.path == "/console/sign-in"


async def test_of_everybody_what_was_published_is_told(enter: Enter, desk: Organization, engine: AsyncEngine) -> None:
    browser = await enter(desk.key)
    untold = await browser.read(NETWORK)
    assert say("console.network.untold", "en") in untold.words
    for month in (date(2026, 1, 1), date(2026, 2, 1)):
        await tell(
            engine,
            Span.MONTH,
            month,
            (str(GAP.id), "shelter", Measure.SERVED, "", 100 * month.month),
            (str(GAP.id), "shelter", Measure.UNMET, "", 22),
            (str(GAP.id), "shelter", Measure.UNMET_FOR, "distance", 12),
            (str(BRIANCON.id), "meal", Measure.SERVED, "", 40),
            ("FR", "shelter", Measure.UNMET, "", 400),
            (ALL, "shelter", Measure.UNMET, "", 4000),
        )
    assert await table(browser) == ["Briançon France – – – –", "Oulx Italy – – – –", "Gap France – – 4.89 22"]
    assert "February 2026" in (await browser.read(NETWORK)).words
    assert "Briançon France – – 3.61 –" in await table(browser, f"{NETWORK}?for=meal")
    await browser.read(f"{NETWORK}?for=palace", status=422)
    (gap,) = [each for each in (await facts(browser))["towns"]["features"] if each["properties"]["id"] == GAP.id]
    assert gap["properties"] == {"id": GAP.id, "name": "Gap", "signs": "◆ 4.89"}


async def test_a_tile_has_the_towns_of_its_square_the_large_ones_alone_from_afar(
    enter: Enter, desk: Organization
) -> None:
    browser = await enter(desk.key)

    async def tile(path: str, **headers: str) -> tuple[int, bytes, str]:
        answer = await browser.http.get(f"{NETWORK}/map/towns/{path}", headers=headers)
        return answer.status_code, answer.content, answer.headers.get("etag", "")

    status, near, tag = await tile("10/531/368")
    assert (status, b"Claviere" in near, "Briançon".encode() in near) == (200, True, False)
    _, far, other = await tile("7/66/46")
    assert (b"Gap" in far, b"Claviere" in far) == (True, False)
    assert await tile("10/531/368", **{"If-None-Match": tag}) == (304, b"", tag)
    assert (await tile("10/531/368", **{"If-None-Match": other}))[0] == 200
    for nowhere in ("13/0/0", "2/4/0", "2/0/-1", "-1/0/0", "x/0/0"):
        assert (await tile(nowhere))[0] in (404, 422), nowhere


async def test_a_tile_stays_small_where_many_live(engine: AsyncEngine) -> None:
    many = MOST_TOWNS * 4
    await rows(
        engine,
        """
        insert into town (id, name, country, population, timezone, longitude, latitude, cell, point)
        select n, 'Place ' || n, 'FR', n, 'Europe/Paris', 6.6 + n / 100000.0, 44.9, 1, st_point(6.6, 44.9)::geography
          from generate_series(1, :many) n
        """,
        many=many,
    )
    async with transaction(engine) as tx:
        drawn = await town_tile(tx, Tile(10, 530, 368))
    assert len(drawn) < 40 * MOST_TOWNS
    assert f"Place {many}".encode() in drawn
    assert f"Place {many - MOST_TOWNS - 1}".encode() not in drawn


async def test_the_operators_base_map_is_sent_by_ranges(
    enter: Enter, desk: Organization, api_settings: ApiSettings
) -> None:
    browser, base, file = await enter(desk.key), f"{NETWORK}/map/base", api_settings.basemap_file
    assert file
    assert f'data-base="{base}"' in (await browser.read(NETWORK)).answer.text
    answer = await browser.http.get(base, headers={"Range": "bytes=0-7"})
    assert (answer.status_code, answer.content) == (206, b"PMTiles\x03")
    assert answer.headers["content-range"] == f"bytes 0-7/{file.stat().st_size}"
    assert (await browser.http.get(base, headers={"Range": "bytes=99999-"})).status_code == 416
    file.unlink()
    assert (await browser.http.get(base)).status_code == 404


async def test_what_is_written_into_an_address_is_refused_and_not_repeated(enter: Enter, desk: Organization) -> None:
    browser, planted = await enter(desk.key), "amina.haddad"
    figures = [
        f"/console/figures?{name}={planted}" for name in ("town", "country", "category", "span", "from", "until")
    ]
    reports = [f"/console/figures/report?town={planted}&month=2026-01", f"/console/figures/report?month={planted}"]
    for path in (f"{NETWORK}?for={planted}", f"{FACTS}?for={planted}", *figures, *reports):
        answer = await browser.http.get(path)
        assert (answer.status_code, planted in answer.text) == (422, False), path


async def test_without_npm_it_says_so_and_the_table_is_there(
    enter: Enter, desk: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await enter(desk.key)
    name = "maplibre-gl.mjs"
    monkeypatch.setitem(OF_THE_MAP, name, (tmp_path, OF_THE_MAP[name][1]))
    shown = await browser.read(NETWORK)
    assert say("console.map.missing", "en") in shown.words
    assert 'id="map"' not in shown.answer.text
    assert len(await table(browser)) == 2
