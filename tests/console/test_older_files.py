"""A device that has seen an older version keeps no files of it, but for those that a page needs which it kept."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Page
from sqlalchemy.ext.asyncio import AsyncEngine

from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork
from tests.api.served import served_here
from tests.chromium import found
from tests.console.browsing import PHONE, Watched, chromium, enter, opened
from tests.faults.wire import Manner, Wire, a_wire
from tests.waiting import eventually
from web import files
from web.files import path_of

CHROMIUM = found()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"
)
CHANGED = ("console.css", "map.js")


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it and the service is of another version: its style and the map's script are others."""

    def exchange() -> None:
        for name in CHANGED:
            folder, kind = files._KINDS[name]  # noqa: SLF001
            (tmp_path / name).write_bytes((folder / name).read_bytes() + b"\n/* Of the next version. */\n")
            monkeypatch.setitem(files._KINDS, name, (tmp_path, kind))  # noqa: SLF001
        _forget()

    yield exchange
    monkeypatch.undo()
    _forget()


async def new_worker(page: Page) -> None:
    """The new version's script has taken over."""
    await page.evaluate("navigator.serviceWorker.getRegistration('/console').then(each => each.update()).then(() => 0)")
    newest = (
        "navigator.serviceWorker.getRegistration('/console').then("
        "each => !each.installing && !each.waiting && each.active.state === 'activated')"
    )
    await eventually(partial(page.evaluate, newest), "the new version has taken over")


def _forget() -> None:
    path_of.cache_clear()
    files._file.cache_clear()  # noqa: SLF001
    files._content.cache_clear()  # noqa: SLF001


@pytest_asyncio.fixture(loop_scope="function")
async def door(engine: AsyncEngine, app: FastAPI, client: JoinNetwork) -> AsyncIterator[tuple[Watched, Wire]]:
    """A telephone that is signed in, and the wire to its service."""
    assert engine
    desk = await client(OrganizationKind.COORDINATION)
    assert CHROMIUM
    async with (
        served_here(app) as url,
        a_wire(url) as wire,
        chromium(CHROMIUM) as browser,
        opened(browser, wire.url.replace("@", ""), PHONE, "en") as watched,
    ):
        await enter(watched, desk.key)
        yield watched, wire


async def kept(page: Page, path: str) -> bool:
    """Whether it lies on the device."""
    return bool(await page.evaluate("path => caches.match(path).then(Boolean)", path))


async def gone(page: Page, path: str) -> bool:
    return not await kept(page, path)


async def is_styled(page: Page) -> bool:
    """Whether the page has its style: the button to leave is round by it."""
    return str(await page.evaluate("getComputedStyle(document.querySelector('#leave')).borderRadius")) != "0px"


async def test_a_new_version_drops_the_files_of_the_older_and_no_page(
    door: tuple[Watched, Wire], next_version: Callable[[], None]
) -> None:
    watched, wire = door
    page = watched.page
    old_style, old_map = path_of("console.css"), path_of("map.js")
    await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    await watched.go("/console")
    await page.evaluate("path => fetch(path).then(each => each.text())", old_map)
    for path in ("/console", old_style, old_map):
        await eventually(partial(kept, page, path), f"{path} is kept")
    # A tab of the older version stays open: whoever opens the map there still needs its script.
    other = await page.context.new_page()
    await other.goto(f"{watched.origin}/console/network")
    next_version()
    assert path_of("console.css") != old_style
    await watched.go("/console/needs/new")
    await new_worker(page)
    for path in ("/console/needs/new", "/console/needs/queue"):
        await watched.go(path)
        await eventually(partial(kept, page, path), f"{path} is kept")
    assert await kept(page, old_map)
    await other.close()

    async def read_and_gone(path: str, what: str) -> bool:
        await watched.go(path)
        return await gone(page, what)

    await eventually(partial(read_and_gone, "/console/needs/new", old_map), "what no page shows is dropped")
    # The board was kept of the older version, and is read with the older style where there is no network.
    await eventually(partial(kept, page, path_of("console.css")), "the new style is kept")
    assert [await kept(page, path) for path in ("/console", old_style)] == [True] * 2
    wire.be(Manner.CUT)
    await watched.go("/console")
    assert old_style in await page.content()
    assert await is_styled(page)
    wire.be(Manner.WELL)
    await eventually(partial(read_and_gone, "/console", old_style), "nor is it once the board is of the new one")
    assert await kept(page, "/console")
    assert await is_styled(page)
    watched.broken.clear()
