"""The console without a network: what opens, what is kept, and that a need is posted once whatever breaks."""

import json
from collections.abc import AsyncIterator
from functools import partial
from random import Random

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import BrowserContext, Error, Page, Route, expect
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import say
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.served import served_here
from tests.chromium import found
from tests.console.browsing import PHONE, Watched, chromium, enter, opened
from tests.db.acts import one, rows
from tests.faults.wire import Manner, Wire, a_wire
from tests.waiting import eventually

CHROMIUM = found()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"
)
KEPT = say("console.kept.waits", "en")


class Door:
    """A coordination's telephone: on the way to the service its network is there, or not."""

    def __init__(self, watched: Watched, desk: Organization, engine: AsyncEngine, wire: Wire) -> None:
        self.watched, self.page, self.desk, self.engine = watched, watched.page, desk, engine
        self._wire = wire

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    async def network(self, *, there: bool) -> None:
        self._wire.be(Manner.WELL if there else Manner.CUT)

    async def kept_by_the_worker(self) -> None:
        """Wait until the script that keeps pages looks after this one, and has kept the form."""
        await self.page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
        await self.watched.go("/console")
        await self.watched.go("/console/needs/new")
        for path in ("/console", "/console/needs/new"):
            await eventually(partial(self.keeps, path), f"{path} is kept")

    async def keeps(self, path: str) -> bool:
        """Whether the page of this path would open without a network."""
        return bool(await self.page.evaluate("path => caches.match(path).then(Boolean)", path))

    async def fill_in(self, minors: int = 1) -> None:
        await self.page.wait_for_selector("#minors + button")
        for _ in range(minors):
            await self.page.click("#minors + button")

    async def fill_in_without_a_network(self) -> None:
        """A family fills in a need where there is no network, and the page says that it is kept."""
        await self.kept_by_the_worker()
        await self.network(there=False)
        await self.watched.go("/console/needs/new")
        await self.fill_in()
        await self.page.click(".last .act")
        await expect(self.page.locator("#kept")).to_contain_text(KEPT)

    async def come_back(self) -> None:
        """There is a network again, and the browser says so."""
        await self.network(there=True)
        await self.page.evaluate("dispatchEvent(new Event('online'))")

    async def needs(self) -> int:
        return int((await one(self.engine, "select count(*) as n from need")).n)


@pytest_asyncio.fixture(loop_scope="function")
async def door(engine: AsyncEngine, app: FastAPI, client: JoinNetwork) -> AsyncIterator[Door]:
    desk = await client(OrganizationKind.COORDINATION)
    assert CHROMIUM
    # A browser that is told to be offline is so a moment late on each new page: the wire is cut instead.
    async with (
        served_here(app) as url,
        a_wire(url) as wire,
        chromium(CHROMIUM) as browser,
        opened(browser, wire.url.replace("@", ""), PHONE, "en") as watched,
    ):
        await enter(watched, desk.key)
        yield Door(watched, desk, engine, wire)


async def test_a_need_filled_in_without_a_network_is_sent_once_when_it_is_back(door: Door) -> None:
    await door.fill_in_without_a_network()
    await door.watched.go("/console")
    await expect(door.page.locator("#kept")).to_contain_text(KEPT)
    await expect(door.page.locator("[data-fresh]")).to_have_text(say("console.fresh.lost", "en"))
    assert await door.needs() == 0
    await door.watched.shot("phone-en-kept")
    await door.come_back()
    await expect(door.page.locator("#kept a")).to_have_text(say("console.kept.open", "en"))
    assert await door.needs() == 1
    await door.page.click("#kept a")
    await door.page.wait_for_selector(".qr")
    await expect(door.page.locator("#kept")).to_be_hidden()
    door.watched.broken.clear()


async def test_two_families_alike_without_a_network_are_two_needs(door: Door) -> None:
    await door.kept_by_the_worker()
    await door.network(there=False)
    for _ in range(2):
        await door.watched.go("/console/needs/new")
        await door.fill_in()
        await door.page.dblclick(".last .act")
        await expect(door.page.locator("#kept")).to_contain_text(KEPT)
    await door.come_back()
    await expect(door.page.locator("#kept a")).to_have_count(2)
    assert await door.needs() == 2


async def test_what_is_kept_says_so_until_who_filled_it_in_signs_in_again(door: Door) -> None:
    await door.fill_in_without_a_network()
    await rows(door.engine, "update session set ends_at = now() - interval '1 second'")
    await door.come_back()
    await expect(door.page.locator("#kept")).to_contain_text(say("console.kept.signed_out", "en"))
    assert await door.needs() == 0
    await door.watched.go("/console")
    await expect(door.page.locator("#key")).to_be_visible()
    assert not await door.keeps("/console"), "what was the session's is gone"
    await enter(door.watched, door.desk.key)
    await expect(door.page.locator("#kept a")).to_have_text(say("console.kept.open", "en"))
    assert await door.needs() == 1


async def test_leaving_leaves_nothing_on_the_device(door: Door) -> None:
    await door.fill_in_without_a_network()
    await door.network(there=True)
    await door.page.click("#leave")
    await door.page.wait_for_url("**/calendar")
    left = await door.page.evaluate("""
        Promise.all([caches.keys(), navigator.serviceWorker.getRegistrations()])
            .then(([kept, workers]) => [kept.length, workers.length, localStorage.length])
    """)
    assert left == [0, 0, 0]


async def test_leaving_without_a_network_leaves_no_page_and_no_need(door: Door) -> None:
    await door.fill_in_without_a_network()
    await door.page.click("#leave")
    await expect(door.page.locator("h1")).to_have_text(say("console.no_network", "en"))
    assert not await door.keeps("/console")
    assert await door.page.evaluate("localStorage.length") == 0


async def test_an_old_browser_posts_as_any_form_is_posted(door: Door) -> None:
    await door.context.add_init_script("delete AbortSignal.timeout")
    await door.watched.go("/console/needs/new")
    await door.fill_in()
    await door.page.click(".last .act")
    await door.page.wait_for_selector(".qr")
    assert await door.needs() == 1


async def test_a_key_that_may_post_and_not_read_has_posted_once(door: Door) -> None:
    """What it is sent on to is not shown to it: that is no reason to keep what was posted."""
    await rows(door.engine, "update api_key set scopes = '{needs:write}'")
    await door.watched.go("/console/needs/new")
    await door.fill_in()
    await door.page.click(".last .act")
    await door.page.wait_for_url("**/console/needs/*-*")
    assert await door.page.evaluate("localStorage.length") == 0
    assert await door.needs() == 1


async def test_what_is_no_answer_of_ours_leaves_it_waiting(door: Door) -> None:
    """A proxy in the middle of a deploy, or the page of a network that wants to be paid first."""

    async def strange(route: Route) -> None:
        if route.request.method == "POST":
            await route.fulfill(status=404, content_type="text/plain", body="404 page not found")
        else:
            await route.continue_()

    await door.context.route("**/console/needs/new", strange)
    await door.watched.go("/console/needs/new")
    await door.fill_in()
    await door.page.click(".last .act")
    await expect(door.page.locator("#kept")).to_contain_text(KEPT)
    await door.context.unroute("**/console/needs/new")
    await door.page.evaluate("dispatchEvent(new Event('online'))")
    await expect(door.page.locator("#kept a")).to_have_text(say("console.kept.open", "en"))
    assert await door.needs() == 1


async def test_what_is_taken_off_the_list_is_not_sent(door: Door) -> None:
    await door.fill_in_without_a_network()
    await door.page.click("#kept button")
    await expect(door.page.locator("#kept")).to_be_hidden()
    await door.come_back()
    await door.watched.go("/console")
    assert await door.needs() == 0


async def test_pages_with_a_code_are_never_kept(door: Door) -> None:
    await door.kept_by_the_worker()
    await door.fill_in()
    await door.page.click(".last .act")
    await door.page.wait_for_selector(".qr")
    need = door.page.url
    kept = await door.page.evaluate(
        "caches.open('relais-kept').then((kept) => kept.keys())"
        ".then((all) => all.map((each) => new URL(each.url).pathname))"
    )
    assert {path for path in kept if not path.startswith("/console/files/")} <= {
        *("/console", "/console/offline", "/console/needs/new", "/console/needs/queue", "/console/tonight")
    }
    await door.network(there=False)
    await door.page.goto(need)
    await expect(door.page.locator("h1")).to_have_text(say("console.no_network", "en"))


class Breaking:
    """Cuts the connection of a POST: before it is sent, or after the service has done it and before its answer."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.cuts = 0

    async def __call__(self, route: Route) -> None:
        if route.request.method != "POST" or self._chance.random() < 0.4:
            await route.continue_()
            return
        self.cuts += 1
        if self._chance.random() < 0.5:
            await route.abort("connectionreset")
            return
        await route.fetch(max_redirects=0)
        await route.abort("connectionreset")


async def posted(page: Page) -> None:
    """Post what is filled in, and let the page try again as it does, until nothing waits."""
    await page.click(".last .act")

    async def nothing_waits() -> bool:
        try:
            left = await page.evaluate("""
                dispatchEvent(new Event('online'));
                Object.keys(localStorage).filter((key) => key.startsWith('relais-kept-')).length
            """)
        except Error:  # the page was left for that of the need
            return False
        return bool(left == 0)

    await eventually(nothing_waits, "it was sent")
    # Sent at once it leads to the need; sent later the page goes on to nothing.
    await expect(page.locator(".qr, #kept a").first).to_be_visible()


async def begin_anew(watched: Watched) -> None:
    """Open the form: the page that has posted may be on its way to its need, and come in between."""

    async def opened() -> bool:
        try:
            await watched.go("/console/needs/new")
        except Error as error:
            if "ERR_ABORTED" in str(error) or "interrupted by another navigation" in str(error):
                return False
            raise
        return watched.page.url.endswith("/console/needs/new")

    await eventually(opened, "the form is open")


async def test_a_network_that_is_cut_while_posting_makes_one_need(door: Door, *, long: bool) -> None:
    breaking = Breaking(Random(7))  # noqa: S311 - the same cuts each time
    times = 1000 if long else 12
    await door.context.route("**/console/needs/new", breaking)
    for number in range(times):
        await begin_anew(door.watched)
        await door.fill_in()
        await posted(door.page)
        assert await door.needs() == number + 1
    assert breaking.cuts > times / 2, "the control: it was cut, and often"


async def test_without_the_name_of_the_form_a_cut_makes_two(door: Door) -> None:
    """The control: a form that is sent again as another one is another need."""
    await door.watched.go("/console/needs/new")
    await door.fill_in()
    await door.page.evaluate("""
        const token = document.body.dataset.token;
        const form = new URLSearchParams(new FormData(document.querySelector('.asking')));
        window.twice = (async () => {
            for (const name of ['one', 'two']) {
                form.set('form', name);
                await fetch('/console/needs/new', { method: 'POST', body: form });
            }
        })();
    """)
    await door.page.evaluate("window.twice")
    assert await door.needs() == 2


async def test_it_can_be_installed(door: Door) -> None:
    """Chromium reads what it is called, and finds nothing wrong with it."""
    await door.kept_by_the_worker()
    session = await door.context.new_cdp_session(door.page)
    described = await session.send("Page.getAppManifest")
    assert described["errors"] == []
    assert json.loads(described["data"])["start_url"] == "/console"
