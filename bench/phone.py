"""The console on a bad connection: the first view of a board beside the same page without scripts, and posting a need.

The connection is slow 3G as WebPageTest has it: 400 kbit/s, and 400 ms there and back for each request. The browser is
Chromium as the tests have it, its cache empty and without the worker that keeps pages: nobody has been there before.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from playwright.async_api import Browser, CDPSession, Page, StorageState

from bench.databases import plain_connection
from bench.http_path import serving
from bench.world import World, add_needs, build, needs_around
from db import keys, organizations
from db.connection import connect, transaction
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.chromium import Chromium
from tests.console.browsing import PHONE, chromium, enter, opened

__all__ = ["MOST_SECONDS", "MOST_TAPS", "MOST_VIEW_SECONDS", "Measured", "Posted", "Viewed", "measure"]

MOST_TAPS: Final = 8
MOST_SECONDS: Final = 20.0
MOST_VIEW_SECONDS: Final = 2.0
_SLOW_3G: Final = {
    "offline": False,
    "latency": 400,
    "downloadThroughput": 400_000 / 8,
    "uploadThroughput": 400_000 / 8,
}
_NEEDS: Final = 20
_TIMES: Final = 7


@dataclass(frozen=True, slots=True)
class Viewed:
    """Seconds from asking for the board to its first words on the screen, each time."""

    as_it_is: Sequence[float]
    without_scripts: Sequence[float]


@dataclass(frozen=True, slots=True)
class Posted:
    """What it took to post a family of four from the board to the code on the screen."""

    taps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen, each time."""

    viewed: Viewed
    posted: Sequence[Posted]


async def measure(settings: Settings, program: Chromium) -> Measured:
    """View and post a few times, in turn, on a board with twenty needs."""
    connection = await plain_connection(settings)
    world = await build(connection, offers=600, towns=30, organizations=20)
    desk, key = await _join(settings, world)
    await add_needs(connection, [replace(each, organization_id=desk) for each in needs_around(world, _NEEDS, 5)])
    await connection.close()
    views: list[tuple[float, float]] = []
    posts: list[Posted] = []
    with serving(settings) as house:
        async with chromium(program) as browser:
            visit = _Visit(browser, house.url, await _sign_in(browser, house.url, key))
            for _ in range(_TIMES):
                views.append((await visit.view(scripts=True), await visit.view(scripts=False)))
                posts.append(await visit.post())
    return Measured(Viewed([each for each, _ in views], [each for _, each in views]), posts)


async def _join(settings: Settings, world: World) -> tuple[UUID, str]:
    engine = connect(settings, "bench")
    async with transaction(engine) as tx:
        desk = await organizations.add(tx, OrganizationKind.COORDINATION, "Coordination", [world.towns[0].id])
        issued = await keys.issue(tx, desk, settings.keys().of("api-key"))
    await engine.dispose()
    return desk, issued.text


async def _sign_in(browser: Browser, url: str, key: str) -> StorageState:
    async with opened(browser, url, PHONE, "en") as watched:
        await enter(watched, key)
        return await watched.page.context.storage_state()


@dataclass(frozen=True, slots=True)
class _Visit:
    """Somebody who has signed in and whose telephone has nothing of ours."""

    browser: Browser
    url: str
    signed_in: StorageState

    async def view(self, *, scripts: bool) -> float:
        """Seconds from asking for the board to its first words."""
        async with self._page(scripts=scripts) as (page, session):
            asked: list[float] = []
            painted: asyncio.Future[float] = asyncio.get_running_loop().create_future()

            def sent(event: dict[str, Any]) -> None:
                if event["type"] == "Document":
                    asked.append(event["timestamp"])

            def shown(event: dict[str, Any]) -> None:
                if event["name"] == "firstContentfulPaint" and asked and not painted.done():
                    painted.set_result(event["timestamp"])

            session.on("Network.requestWillBeSent", sent)
            session.on("Page.lifecycleEvent", shown)
            await session.send("Page.enable")
            await session.send("Page.setLifecycleEventsEnabled", {"enabled": True})
            await page.goto(f"{self.url}/console")
            return await painted - asked[0]

    async def post(self) -> Posted:
        """A family of two adults and two minors for tonight, by somebody who takes no time to think."""
        async with self._page(scripts=True) as (page, _):
            await page.goto(f"{self.url}/console")
            begun = perf_counter()
            taps = ["main .heading .act", "#adults + button", "#minors + button", "#minors + button", ".last .act"]
            for tap in taps:
                await page.click(tap)
            await page.wait_for_selector(".qr")
            return Posted(len(taps), perf_counter() - begun)

    @asynccontextmanager
    async def _page(self, *, scripts: bool) -> AsyncIterator[tuple[Page, CDPSession]]:
        more = {"java_script_enabled": scripts, "service_workers": "block", "storage_state": self.signed_in}
        async with opened(self.browser, self.url, PHONE, "en", **more) as watched:
            session = await watched.page.context.new_cdp_session(watched.page)
            await session.send("Network.enable")
            await session.send("Network.emulateNetworkConditions", _SLOW_3G)
            yield watched.page, session
