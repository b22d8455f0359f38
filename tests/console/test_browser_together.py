"""The pages of who is placed together, in a browser: what was begun on them stays, on a telephone and by keyboard."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES
from db.bell import Bell
from db.roles import Role
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.acting import in_role
from tests.api.bodies import project_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer
from tests.api.served import served_here
from tests.chromium import found
from tests.console.browsing import AXE, PHONE, Watched, chromium, enter, flaws_of, opened
from tests.db.acts import one, rows
from worker.projects import look_after_projects

CHROMIUM = found()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"
)


@dataclass(frozen=True)
class Camp:
    """A service that answers, and an organization of the people's own with a plan that waits for their answer."""

    url: str
    own: Organization
    project: str
    engine: AsyncEngine


@pytest_asyncio.fixture(loop_scope="function")
async def camp(engine: AsyncEngine, app: FastAPI, settings: Settings, client: JoinNetwork) -> AsyncIterator[Camp]:
    own, town = await client(OrganizationKind.COORDINATION), await client(OrganizationKind.MUNICIPALITY)
    await rows(engine, "update organization set self_organized = true where id = :id", id=own.id)
    project = (await own.http.post("/v1/projects", json=project_body())).json()["id"]
    await open_offer(town)
    assert await look_after_projects(in_role(engine, Role.MATCHER), Bell(settings), None)
    async with served_here(app) as url:
        yield Camp(url, own, project, engine)


Fill = Callable[[Page], Awaitable[None]]
FIRST = datetime.now(ZoneInfo("Europe/Paris")).date()
LAST = FIRST + timedelta(days=60)
NARROW = {"width": 320, "height": 640}


async def party(page: Page) -> None:
    await page.click("#minors + button")
    await page.check("[name=audience][value=families]")


async def days(page: Page) -> None:
    await page.fill("#first_day", FIRST.isoformat())
    await page.fill("#last_day", LAST.isoformat())


async def bed(page: Page) -> None:
    await days(page)
    await page.check("[name=wish][value=step_free]")


async def beside(page: Page) -> None:
    await page.check("[name=beside][value=language_class]")
    await page.check("[name=beside][value=meal]")
    await page.select_option("#teaches", "fr")


async def families(page: Page) -> None:
    for row in range(2):
        await page.locator("[name=adults]").nth(row).fill("2")
        await page.locator("[name=minors]").nth(row).fill("30")
    await page.locator("[name=step_free]").nth(1).check()


async def apart(page: Page) -> None:
    await page.fill("#together_km", "5")


async def nothing(_: Page) -> None:
    """The whole is only read."""


async def too_many(page: Page) -> None:
    """Past what the fields allow, as a browser without such a check sends it."""
    await families(page)
    await page.locator("[name=adults]").nth(1).fill("9999")
    await page.locator("form.asking").evaluate("form => form.noValidate = true")


FORMS: dict[str, tuple[tuple[str, Fill, int], ...]] = {
    "pathways": (
        ("party", party, 1),
        ("bed", bed, 1),
        ("beside", beside, 1),
        ("reach", nothing, 1),
        ("whole", nothing, 1),
    ),
    "projects": (
        ("when", days, 1),
        ("who", too_many, 0),
        ("wrong", families, 1),
        ("together", apart, 1),
        ("whole", nothing, 1),
    ),
}


async def looked_at(watched: Watched, name: str) -> None:
    """No barrier, and nothing to be pushed sideways on the narrowest telephone."""
    if AXE.exists():
        assert await flaws_of(watched.page) == [], name
    for size in (NARROW, PHONE):
        await watched.page.set_viewport_size({"width": size["width"], "height": size["height"]})
        assert await watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
        await watched.shot(f"{size['width']}-{name}")


async def test_each_step_of_both_forms_has_no_barrier_and_leads_to_the_next(camp: Camp, *, long: bool) -> None:
    """Each step in another language; with `--long` the whole forms in all of them."""
    assert CHROMIUM
    async with chromium(CHROMIUM) as browser, opened(browser, camp.url, PHONE, "en") as watched:
        await enter(watched, camp.own.key)
        for kind, steps in FORMS.items():
            walks = [[language] * len(steps) for language in LANGUAGES] if long else [list(LANGUAGES)]
            for languages in walks:
                before = (await one(camp.engine, "select count(*) as n from need")).n
                await walk(watched, kind, languages)
                assert (await one(camp.engine, "select count(*) as n from need")).n > before
        watched.assert_kept_to_itself()


async def walk(watched: Watched, kind: str, languages: list[str]) -> None:
    """Fill in a form step by step, each in its language, and post it."""
    page = watched.page

    async def speak(language: str) -> None:
        await page.context.set_extra_http_headers({"Accept-Language": language})

    await speak(languages[0])
    await watched.go(f"/console/{kind}/new")
    for number, ((name, fill, goes), language) in enumerate(zip(FORMS[kind], languages, strict=True)):
        await expect(page.locator("html")).to_have_attribute("lang", language)
        await looked_at(watched, f"{language}-{kind}-{number}-{name}")
        await fill(page)
        shown = await page.locator("[name=step]").input_value()
        await speak([*languages, "en"][number + 1])
        await page.click(".last .act")
        if name == "whole":
            await page.wait_for_url(f"**/console/{kind}/*-*")
        else:
            await expect(page.locator(f"[name=step][value={shown}]")).to_have_count(1 - goes)
            await expect(page.locator("[role=alert]")).to_have_count(1 - goes)


async def refreshed(page: Page) -> None:
    """The page asks for its living part, and has looked at the answer."""
    async with page.expect_response(lambda answer: "again=1" in answer.url):
        await page.evaluate("dispatchEvent(new Event('online'))")
    await page.evaluate("new Promise(done => setTimeout(done))")


async def test_an_answer_that_was_begun_outlives_a_refresh_but_not_the_plan(camp: Camp) -> None:
    assert CHROMIUM
    async with chromium(CHROMIUM) as browser, opened(browser, camp.url, PHONE, "en") as watched:
        page = watched.page
        await enter(watched, camp.own.key)
        await watched.go(f"/console/projects/{camp.project}")
        house = f"#house-{(await one(camp.engine, 'select id from offer')).id}"
        await page.click("#no")
        await page.check("#said-too_far")
        await page.check(house)
        await page.evaluate("document.querySelector('#live').firstElementChild.same = true")

        async def stays() -> None:
            await expect(page.locator("#said-too_far")).to_be_checked()
            await expect(page.locator(house)).to_be_checked()
            await expect(page.locator(house)).to_be_focused()

        await refreshed(page)
        assert await page.evaluate("document.querySelector('#live').firstElementChild.same"), "nothing had changed"
        await stays()
        before = await page.locator("time[data-left]").get_attribute("datetime")
        await rows(camp.engine, "update project set answer_by = answer_by + interval '1 day'")
        await refreshed(page)
        await expect(page.locator("time[data-left]")).not_to_have_attribute("datetime", before or "")
        await stays()
        await rows(camp.engine, "update project set plan = plan + 1")
        await refreshed(page)
        await expect(page.locator("#live form [name=plan]").first).to_have_value("2")
        await expect(page.locator("#said-too_far")).not_to_be_checked()
        await expect(page.locator(house)).not_to_be_checked()
        # An answer that was sent is not begun any more, though the page is as it was.
        await page.route("**/answer", lambda route: route.fulfill(status=200, content_type="text/html", body=""))
        await page.clock.install()
        await page.check("#said-too_far")
        await page.click("[id^=no-]")
        await expect(page.locator(".undo")).to_be_visible()
        await page.clock.run_for(11_000)
        await expect(page.locator(".undo")).to_have_count(0)
        await expect(page.locator("[id^=no-]")).to_be_visible()
        await expect(page.locator("#said-too_far")).not_to_be_checked()
        watched.assert_kept_to_itself()
