"""A real browser on a real service: pages that are watched for what they ask for and what their policy stops."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from tests.chromium import ARGUMENTS, Chromium
from tests.conftest import ROOT

__all__ = ["AXE", "DESKTOP", "PHONE", "Watched", "chromium", "enter", "flaws_of", "opened"]

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
AXE = ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"
"""Finds barriers in a page; taken by `make setup` where there is npm."""
_SHOTS = ROOT / ".relais" / "shots"
_WAIT = 30_000


@dataclass
class Watched:
    """A page, what it asked of others, and what its policy stopped."""

    page: Page
    origin: str
    strange: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.broken.append(str(error)))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.strange.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.stopped.append(message.text)

    async def go(self, path: str) -> None:
        """Open a page of ours."""
        await self.page.goto(f"{self.origin}{path}")

    async def shot(self, name: str) -> None:
        """Keep a picture of the whole page where there is a folder for it, to be looked at."""
        if _SHOTS.is_dir():
            await self.page.screenshot(path=_SHOTS / f"{name}.png", full_page=True)

    def assert_kept_to_itself(self) -> None:
        """Nothing was asked of anybody else, nothing stopped, nothing broke."""
        assert (self.strange, self.stopped, self.broken) == ([], [], [])


@asynccontextmanager
async def chromium(program: Chromium, *arguments: str) -> AsyncIterator[Browser]:
    """The browser, for as long as the block runs."""
    assert shutil.which(str(program.program)), "it can be run"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program.program,
            args=[*ARGUMENTS, *arguments],
            env={**program.environment},
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, origin: str, size: dict[str, int], language: str, **more: Any
) -> AsyncIterator[Watched]:
    """A page in a window of its own."""
    locale = {"en": "en-GB"}.get(language, language)
    context: BrowserContext = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        locale=locale,
        timezone_id="Europe/Paris",
        has_touch=size is PHONE,
        **more,
    )
    context.set_default_timeout(_WAIT)
    try:
        yield Watched(await context.new_page(), origin)
    finally:
        await context.close()


async def enter(watched: Watched, key: str) -> None:
    """Sign in."""
    await watched.go("/console/sign-in")
    await watched.page.fill("#key", key)
    await watched.page.click("main button.act")
    await watched.page.wait_for_url(lambda url: "sign-in" not in url)


async def flaws_of(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, each with where."""
    # Not as a script of the page, which its policy would stop.
    await page.evaluate(AXE.read_text() + "; undefined")
    found = json.loads(await page.evaluate("axe.run().then(each => JSON.stringify(each.violations))"))
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]
