"""The map in a real browser: drawn of our own files alone, when it is asked for, and moved by keyboard too."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, expect
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import ApiSettings
from api.wording import LANGUAGES, say
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, post_need
from tests.api.served import served_here
from tests.chromium import found
from tests.conftest import Logins
from tests.console.archives import archive_of
from tests.console.browsing import AXE, DESKTOP, PHONE, Watched, chromium, enter, flaws_of, opened
from tests.db.acts import one
from web.files import OF_THE_MAP, is_installed

CHROMIUM = found()
BY_PROCESSOR = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""What lets a browser draw without a graphics card."""
SEEN = "#map-stage[data-towns]:not([data-towns='0'])"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"),
    pytest.mark.skipif(not is_installed(OF_THE_MAP), reason="the map is not here: npm could not fetch it"),
]


@dataclass(frozen=True)
class Evening:
    """A service with a base map of its operator's, a coordination with a need, and beds that it sees."""

    url: str
    desk: Organization


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where the operator's base map lies."""
    file = tmp_path / "base.pmtiles"
    file.touch()
    return file


@pytest.fixture
def api_settings(settings: Settings, logins: Logins, base: Path) -> ApiSettings:
    """Those of a service that has it."""
    address = {"database_url": logins.address(settings.database_url, logins.api), "basemap_file": base}
    return ApiSettings(**settings.model_dump(exclude={"database_address"}) | address)


@pytest_asyncio.fixture(loop_scope="function")
async def evening(engine: AsyncEngine, app: FastAPI, client: JoinNetwork, base: Path) -> AsyncIterator[Evening]:
    desk, hall = await client(OrganizationKind.COORDINATION), await client(OrganizationKind.MUNICIPALITY)
    today = datetime.now(UTC).date()
    days: dict[str, Any] = {"first_day": str(today - timedelta(days=1)), "last_day": str(today + timedelta(days=6))}
    await open_offer(hall, capacity=30, **days)
    await post_need(desk)
    sea = await one(
        engine,
        """
        select st_asmvt(t, 'water', 4096, 'at') as tile
          from (select st_asmvtgeom(st_tileenvelope(0, 0, 0), st_tileenvelope(0, 0, 0)) as at) t
        """,
    )
    await to_thread(base.write_bytes, archive_of(bytes(sea.tile), ["water"], "<b>© Who drew it</b>"))
    async with served_here(app) as url:
        yield Evening(url, desk)


@asynccontextmanager
async def at_the_network(
    browser: Browser, evening: Evening, size: dict[str, int], language: str
) -> AsyncIterator[tuple[Watched, list[str]]]:
    """The page of the network, and the paths of all that was asked for since it was opened."""
    async with opened(browser, evening.url, size, language, reduced_motion="reduce") as watched:
        await enter(watched, evening.desk.key)
        asked: list[str] = []
        await watched.go("/console/network")
        watched.page.on("request", lambda request: asked.append(request.url.removeprefix(evening.url)))
        yield watched, asked


async def test_the_map_is_ours_can_be_moved_by_keyboard_and_has_no_barrier(evening: Evening) -> None:
    """On one service and in one browser, which take longer to start than these take."""
    assert CHROMIUM
    async with chromium(CHROMIUM, *BY_PROCESSOR) as browser:
        await assert_drawn_and_moved(browser, evening)
        if AXE.exists():
            await assert_no_barrier(browser, evening)
    async with chromium(CHROMIUM, "--disable-3d-apis") as browser:
        await assert_said_where_nothing_can_be_drawn(browser, evening)


async def assert_drawn_and_moved(browser: Browser, evening: Evening) -> None:
    async with at_the_network(browser, evening, DESKTOP, "en") as (watched, asked):
        page = watched.page
        assert [each for each in asked if "map" in each] == []
        await page.focus("#map-open")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(SEEN)
        stage = page.locator(SEEN)
        await expect(stage).not_to_have_attribute("data-cells", "0")
        assert await stage.get_attribute("data-base") != "0"
        await expect(page.locator("#map-thanks")).to_have_text(" · © Who drew it")
        for part in ("maplibre-gl.", "maplibre-gl-worker.", "countries-50m.", "pmtiles.", "map/towns/", "map/base"):
            assert any(part in each for each in asked), part
        await watched.shot("desk-en-map")

        async def seen(name: str) -> float:
            return float(await stage.get_attribute(f"data-{name}") or "nan")

        assert await page.evaluate("document.activeElement.tagName") == "CANVAS"
        # By keyboard: to a town from its line in the table, then on and nearer.
        await page.focus("[data-town]")
        await page.keyboard.press("Enter")
        await expect(page.locator("#map-says")).to_contain_text("Briançon: ▲ 4  ■ 30/30")
        await expect(stage).to_have_attribute("data-zoom", "11.00")
        east = await seen("east")
        await page.keyboard.press("ArrowRight")
        await expect(stage).not_to_have_attribute("data-east", f"{east:.4f}")
        assert await seen("east") > east
        await page.keyboard.press("+")
        await expect(stage).not_to_have_attribute("data-zoom", "11.00")
        assert await seen("zoom") > 11
        watched.assert_kept_to_itself()


async def assert_no_barrier(browser: Browser, evening: Evening) -> None:
    """Opened in every language, on a telephone and at a desk, from left to right and from right to left."""
    async with at_the_network(browser, evening, PHONE, "en") as (watched, _):
        page = watched.page
        for language in LANGUAGES:
            await page.click(f".languages [value={language}]")
            await page.wait_for_selector(f"html[lang={language}]")
            await page.click("#map-open")
            await page.wait_for_selector(SEEN)
            for size, name in ((PHONE, "phone"), (DESKTOP, "desk")):
                await page.set_viewport_size({"width": size["width"], "height": size["height"]})
                assert await flaws_of(page) == [], f"{language}, {name}"
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{language}, {name}"
                await watched.shot(f"{name}-{language}-map")
            await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        watched.assert_kept_to_itself()


async def assert_said_where_nothing_can_be_drawn(browser: Browser, evening: Evening) -> None:
    """The control: a browser that draws nothing is not taken for one that does."""
    async with at_the_network(browser, evening, PHONE, "en") as (watched, _):
        await watched.page.click("#map-open")
        await expect(watched.page.locator("#map-says")).to_have_text(say("console.map.broken", "en"))
        await expect(watched.page.locator("#map-whole")).to_be_hidden()
        await expect(watched.page.locator("#map-open")).to_be_focused()
        await expect(watched.page.locator(".told tbody tr")).to_have_count(1)
