"""The pages of who is placed together, in a browser: what was begun on them stays, on a telephone and by keyboard."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncEngine

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
from tests.console.browsing import PHONE, chromium, enter, opened
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
        watched.assert_kept_to_itself()
