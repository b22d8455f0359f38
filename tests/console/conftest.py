"""The pages, read and filled in as a browser does: forms are found on a page and sent with what it put in them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html.parser import HTMLParser

import httpx
import pytest_asyncio
from fastapi import FastAPI

from tests.api.conftest import (
    JoinNetwork,
    Organization,
    anyone,
    api_settings,
    app,
    association,
    client,
    coordination,
    municipality,
    serving,
)

__all__ = [
    "OURS",
    "Browser",
    "Enter",
    "JoinNetwork",
    "Organization",
    "anyone",
    "api_settings",
    "app",
    "association",
    "client",
    "coordination",
    "municipality",
    "serving",
]

OURS = "http://relais.test"
COOKIE = "relais-session"
VOID = frozenset({"meta", "input", "br", "path", "circle", "rect", "link", "img", "hr"})


class Form:
    """A form as a page shows it: where it goes, and what is in it already."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[dict[str, str]] = []


class Shown(HTMLParser):
    """A page: its forms and its words. Fails where tags do not match."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.forms: list[Form] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._words: list[str] = []
        self._open: list[str] = []
        self._select = ""
        self.feed(answer.text)
        self.close()
        assert self._open == []
        self.words = " ".join(self._words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        self.elements.append((tag, held))
        if tag == "form":
            self.forms.append(Form(held["action"]))
        elif "form" in self._open:
            self._field(tag, held)
        if tag not in VOID:
            self._open.append(tag)

    def _field(self, tag: str, held: dict[str, str]) -> None:
        form = self.forms[-1]
        if tag == "button":
            form.buttons.append(held)
        elif tag == "select":
            self._select = held["name"]
        elif tag == "option" and (self._select not in dict(form.fields) or "selected" in held):
            form.fields = [each for each in form.fields if each[0] != self._select] + [(self._select, held["value"])]
        elif tag == "input" and (held.get("type") not in ("radio", "checkbox") or "checked" in held):
            form.fields.append((held["name"], held.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self._words.append(data.strip())

    def form(self, action: str) -> Form:
        """The one form that goes there."""
        (found,) = [form for form in self.forms if form.action == action]
        return found


@dataclass(frozen=True)
class Browser:
    """A browser: it keeps cookies, says where it comes from, and goes on where it is sent."""

    http: httpx.AsyncClient

    async def read(self, path: str, status: int = 200) -> Shown:
        """A page."""
        answer = await self.http.get(path)
        assert answer.status_code == status, answer.text
        return Shown(answer)

    async def send(self, shown: Shown, action: str, status: int = 200, **changes: str | list[str]) -> Shown:
        """A form of a page, with some fields filled in otherwise."""
        fields: dict[str, str | list[str]] = {}
        for name, value in shown.form(action).fields:
            before = fields.get(name)
            fields[name] = value if before is None else [*([before] if isinstance(before, str) else before), value]
        answer = await self.http.post(action, data=fields | changes)
        assert answer.status_code == status, answer.text
        return Shown(answer)


class Enter:
    """Call it with a key: a browser that has signed in with it."""

    def __init__(self, app: FastAPI, opened: AsyncExitStack) -> None:
        self._app = app
        self._opened = opened

    async def browser(self, **headers: str) -> Browser:
        """One that has not."""
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        http = httpx.AsyncClient(
            transport=transport, base_url=OURS, headers={"Origin": OURS, **headers}, follow_redirects=True
        )
        return Browser(await self._opened.enter_async_context(http))

    async def __call__(self, key: str, **headers: str) -> Browser:
        browser = await self.browser(**headers)
        await browser.send(await browser.read("/console/sign-in"), "/console/sign-in", key=key)
        assert browser.http.cookies.get(COOKIE)
        return browser


@pytest_asyncio.fixture(loop_scope="function")
async def enter(app: FastAPI) -> AsyncIterator[Enter]:
    """Sign in with a key."""
    async with AsyncExitStack() as opened:
        yield Enter(app, opened)
