"""The pages that change what is there and propose pacts, in a browser: on a telephone, each in another language."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import expect
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES
from db.connection import transaction
from matching.vocabulary import OrganizationKind
from tests.api.bodies import pathway_body, pledge_body, project_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer
from tests.api.served import served_here
from tests.chromium import found
from tests.console.browsing import AXE, DESKTOP, PHONE, Watched, chromium, enter, flaws_of, opened
from tests.db.acts import one, rows
from tests.pacts import add_pact
from tests.places import BRIANCON, GAP, OULX

CHROMIUM = found()
TODAY = datetime.now(ZoneInfo("Europe/Paris")).date()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"
)


@dataclass(frozen=True)
class Hall:
    """A service that answers, a town hall with one of each to change, and a town to make a pact with."""

    url: str
    own: Organization
    other: Organization
    engine: AsyncEngine
    pages: dict[Organization, tuple[str, ...]]


@pytest_asyncio.fixture(loop_scope="function")
async def hall(engine: AsyncEngine, app: FastAPI, client: JoinNetwork) -> AsyncIterator[Hall]:
    own, desk = await client(OrganizationKind.MUNICIPALITY), await client(OrganizationKind.COORDINATION)
    other = await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))
    await rows(
        engine,
        "insert into town_name (town_id, folded, name) select id, lower(name), name from town on conflict do nothing",
    )
    days: dict[str, Any] = {"first_day": TODAY.isoformat(), "last_day": (TODAY + timedelta(days=6)).isoformat()}
    offer = await open_offer(own, provides=["interpreter:fa"], rrule="FREQ=WEEKLY;INTERVAL=2", **days)
    pledge = (await own.http.post("/v1/pledges", json=pledge_body())).json()["id"]
    site = (await one(engine, "select id from site")).id
    async with transaction(engine) as tx:
        pact = await add_pact(tx, (own.id, BRIANCON), (other.id, OULX))
    pages = (
        f"/houses/{site}/change",
        f"/offers/{offer}/change",
        f"/pledges/{pledge}/change",
        f"/pacts/{pact}/terms",
        "/pacts",
    )
    pathway = (await desk.http.post("/v1/pathways", json=pathway_body())).json()["id"]
    project = (await desk.http.post("/v1/projects", json=project_body())).json()["id"]
    posted = ("/together", "/pathways/new", "/projects/new", f"/pathways/{pathway}", f"/projects/{project}")
    async with served_here(app) as url:
        yield Hall(url, own, other, engine, {own: pages, desk: posted})


async def looked_at(watched: Watched, name: str) -> None:
    if AXE.exists():
        assert await flaws_of(watched.page) == [], name
    assert await watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    await watched.shot(name)


async def in_another(watched: Watched, language: str) -> None:
    """From now on pages come in this language."""
    await watched.page.context.set_extra_http_headers({"Accept-Language": language})


async def test_pages_have_no_barrier_on_the_way_through_them(hall: Hall, *, long: bool) -> None:
    """Each in one language; with `--long` those that are shown first in all of them, and at a desk too."""
    assert CHROMIUM
    async with chromium(CHROMIUM) as browser, opened(browser, hall.url, PHONE, "en") as watched:
        entered = None
        pairs = [(who, path) for who, paths in hall.pages.items() for path in paths]
        every = [(who, path, each) for each in LANGUAGES for who, path in pairs]
        for who, path, language in every if long else zip(*zip(*pairs, strict=True), cycle(LANGUAGES), strict=False):
            if who is not entered:
                await watched.page.context.clear_cookies()
                await enter(watched, who.key)
                entered = who
            await in_another(watched, language)
            await watched.go(f"/console{path}")
            await expect(watched.page.locator("html")).to_have_attribute("lang", language)
            name = f"{language}-{'-'.join(path.split('/')[1::2])}"
            await looked_at(watched, f"phone-{name}")
            if long:
                await watched.page.set_viewport_size({"width": DESKTOP["width"], "height": DESKTOP["height"]})
                await looked_at(watched, f"desk-{name}")
                await watched.page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        await watched.page.context.clear_cookies()
        await enter(watched, hall.own.key)
        await propose(hall, watched)
        watched.assert_kept_to_itself()


async def test_enter_saves_what_was_written_and_in_the_field_for_a_town_looks_for_it(hall: Hall) -> None:
    assert CHROMIUM
    house = f"/console{hall.pages[hall.own][0]}"
    async with chromium(CHROMIUM) as browser, opened(browser, hall.url, PHONE, "en") as watched:
        page = watched.page
        await enter(watched, hall.own.key)
        await watched.go(house)
        await page.fill("#name", "Salle des fêtes")
        await page.press("#name", "Enter")
        await page.wait_for_url("**/console/houses")
        assert (await one(hall.engine, "select name from site")).name == "Salle des fêtes"
        await watched.go(house)
        await page.click("details:has(#q) summary")
        await page.fill("#name", "Otherwise")
        await page.fill("#q", "oul")
        await page.press("#q", "Enter")
        await expect(page.locator(f"[name=town][value='{OULX.id}']")).to_have_count(1)
        await expect(page.locator("#name")).to_have_value("Otherwise")
        assert (await one(hall.engine, "select name from site")).name == "Salle des fêtes"
        # In a form of several steps it goes on, and says at its field what is missing.
        await watched.go("/console/houses/new")
        await page.press("#name", "Enter")
        await expect(page.locator("#wrong-name")).to_have_count(1)
        # It is no stop on the way by the keyboard.
        await page.focus("#name")
        await page.keyboard.press("Shift+Tab")
        assert await page.evaluate("document.activeElement.name !== 'entered'")
        watched.assert_kept_to_itself()


async def propose(hall: Hall, watched: Watched) -> None:
    """Propose a pact on a telephone, every step in another language, with what is wrong in it too."""
    page, languages = watched.page, cycle(LANGUAGES)

    async def go_on(name: str, press: str = ".last .act") -> None:
        language = next(languages)
        await in_another(watched, language)
        await page.click(press)
        await expect(page.locator("html")).to_have_attribute("lang", language)
        await looked_at(watched, f"phone-{language}-pact-{name}")

    await watched.go("/console/pacts")
    await go_on("towns", "main .heading .act")
    await page.fill("#q", "gap")
    await go_on("found", "[name=find]")
    await go_on("who")
    await page.fill("#number", "7b1f")
    await go_on("who-wrong")
    await page.fill("#number", str(hall.other.id))
    await go_on("what")
    await page.fill("#to_proposer_per_week", "4")
    await page.fill("#to_partner_per_week", "9")
    await page.check("[name=categories][value=shelter]")
    await page.check("[name=transport][value=people]")
    await go_on("how")
    await page.fill("#last_day", (TODAY + timedelta(days=400)).isoformat())
    await go_on("whole")
    await page.dblclick(".last .act")
    await page.wait_for_url("**/console/pacts")
    assert len(await rows(hall.engine, "select 1 from pact where partner_town_id = :gap", gap=GAP.id)) == 1
    await page.click("[id^=end-]")
    await page.wait_for_url("**/end")
    await looked_at(watched, "phone-pact-end")
