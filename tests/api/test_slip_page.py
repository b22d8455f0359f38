"""The page of the slip: plain forms, five languages and more, nothing in addresses, nothing fetched, nothing kept."""

import asyncio
import re
import shutil
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import SLIP_LANGUAGES, say
from matching.states import AllocationState
from tests.api.conftest import Organization
from tests.api.scenes import open_offer, post_need, read_need
from tests.api.test_slip import ADDRESS, UNKNOWN, placed, starts_in
from tests.db.acts import answer, hold, rows

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "input", "br", "path", "circle", "link", "img", "hr"}


class Page(HTMLParser):
    """What stands on a page: elements with their attributes, forms, words. Fails where tags do not match."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.forms: list[tuple[dict[str, str], list[dict[str, str]]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(written)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        self.elements.append((tag, held))
        if tag == "form":
            self.forms.append((held, []))
        if tag in ("input", "button") and "form" in self._open:
            self.forms[-1][1].append({"tag": tag, **held})
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [held for name, held in self.elements if name == tag]

    def says(self, text: str) -> bool:
        return text in " ".join(self.words)


async def send(anyone: httpx.AsyncClient, fields: Mapping[str, object], path: str = "/slip", status: int = 200) -> Page:
    answered = await anyone.post(path, data=dict(fields))
    assert answered.status_code == status, answered.text
    return Page(answered.text)


async def confirmed(engine: AsyncEngine, poster: Organization, provider: Organization) -> tuple[str, str]:
    """A party whose place begins in an hour: its code, and the allocation."""
    code, allocation = await placed(engine, poster, provider)
    await answer(engine, UUID(allocation["id"]), provider.id, AllocationState.CONFIRMED)
    await starts_in(engine, 1)
    return code, str(allocation["id"])


@pytest.mark.parametrize("language", SLIP_LANGUAGES)
async def test_the_page_is_whole_in_every_language(
    anyone: httpx.AsyncClient,
    coordination: Organization,
    association: Organization,
    engine: AsyncEngine,
    language: str,
) -> None:
    code, _ = await confirmed(engine, coordination, association)
    asked = Page((await anyone.get("/slip", headers={"Accept-Language": language})).text)
    shown = await send(anyone, {"code": code.lower().replace("-", " "), "language": language})
    for page in (asked, shown):
        (html,) = page.all("html")
        assert html == {"lang": language, "dir": "rtl" if language == "ar" else "ltr"}
        assert page.says(say("slip.title", language))
    assert shown.says(ADDRESS)
    assert shown.says(say("slip.no_papers", language))
    assert shown.says(code)
    assert "{" not in " ".join(shown.words)


async def test_the_page_works_without_scripts_and_fetches_nothing(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, _ = await confirmed(engine, coordination, association)
    written = (await anyone.post("/slip", data={"code": code})).text
    page = Page(written)
    assert page.all("script") == page.all("img") == page.all("link") == page.all("iframe") == []
    assert not [held for _, held in page.elements if any(name.startswith("on") for name in held)]
    assert not re.search(r"url\(|@import|src=", written)
    assert [held["href"] for held in page.all("a")] == ["https://www.wikipedia.org/"]
    assert len(written) < 20_000


async def test_the_code_travels_in_the_bodies_of_forms_alone(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, _ = await confirmed(engine, coordination, association)
    shown = await anyone.post("/slip", data={"code": code})
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert "location" not in shown.headers
    assert "set-cookie" not in shown.headers
    assert code not in str(shown.headers)
    page = Page(shown.text)
    for form, _fields in page.forms:
        assert form["method"] == "post"
        assert form["autocomplete"] == "off"
        assert "?" not in form["action"]
    assert not [held for _, held in page.elements for name in ("href", "action") if code in held.get(name, "")]
    assert Page((await anyone.get("/slip", params={"code": code})).text).says(code) is False


async def test_the_policy_of_the_page_allows_its_own_style_and_nothing_else(anyone: httpx.AsyncClient) -> None:
    policy = (await anyone.get("/slip")).headers["content-security-policy"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts.pop("style-src").startswith("'sha256-")
    assert parts == {
        "default-src": "'none'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


async def test_whoever_cannot_see_or_point_can_use_the_page(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    """WCAG 2.2, 1.3.1, 2.4.2, 3.1.1, 3.1.2, 3.3.2, 4.1.2: names, titles, languages and labels for every control."""
    code, _ = await confirmed(engine, coordination, association)
    for page in (Page((await anyone.get("/slip")).text), await send(anyone, {"code": code})):
        assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
        assert all(held.get("aria-hidden") == "true" for held in page.all("svg"))
        labelled = {held["for"] for held in page.all("label") if "for" in held}
        for held in page.all("input"):
            if held.get("type") in (None, "text"):
                assert held["id"] in labelled
        assert all(held["lang"] == held["value"] for held in page.all("button") if "lang" in held)
        ids = [held["id"] for _, held in page.elements if "id" in held]
        assert len(ids) == len(set(ids))
        assert "user-scalable" not in page.all("meta")[1]["content"]


async def test_a_place_is_refused_with_the_forms_of_the_page(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, allocation = await placed(engine, coordination, association)
    page = await send(anyone, {"code": code, "language": "fr"})
    ((_, fields),) = [each for each in page.forms if each[0]["action"] == "/slip/refuse"]
    sent = {held["name"]: held["value"] for held in fields if held.get("type") == "hidden"}
    assert "moved_on" in [held["value"] for held in fields if held.get("type") == "radio"]
    done = await send(anyone, {**sent, "reason": "too_far"}, "/slip/refuse")
    assert done.says(say("slip.refuse.done", "fr"))
    assert done.says(say("slip.state.open", "fr"))
    read = (await coordination.http.get(f"/v1/allocations/{allocation['id']}")).json()
    assert (read["state"], read["reason"]) == ("declined", "too_far")
    again = await send(anyone, {**sent, "reason": "too_far"}, "/slip/refuse")
    assert again.says(say("slip.state.open", "fr"))


async def test_who_waits_can_end_the_search(anyone: httpx.AsyncClient, coordination: Organization) -> None:
    posted = await post_need(coordination)
    assert (await send(anyone, {"code": posted["code"]})).says(say("slip.end.title", "en"))
    done = await send(anyone, {"code": posted["code"], "reason": "moved_on"}, "/slip/refuse")
    assert done.says(say("slip.state.withdrawn", "en"))


async def test_a_refusal_without_a_place_named_ends_nothing_by_mistake(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    await open_offer(association)
    posted = await post_need(coordination)
    await hold(engine, UUID(posted["id"]))
    for fields in ({"reason": "too_far"}, {"reason": "nonsense"}, {}, {"place": "nonsense", "reason": "afraid"}):
        await send(anyone, {"code": posted["code"], **fields}, "/slip/refuse")
    assert (await read_need(coordination, posted["id"]))["state"] == "held"


async def test_how_it_was_is_told_with_the_forms_of_the_page(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, _ = await confirmed(engine, coordination, association)
    assert "/slip/feedback" not in [form["action"] for form, _ in (await send(anyone, {"code": code})).forms]
    await starts_in(engine, -1)
    assert "/slip/feedback" in [form["action"] for form, _ in (await send(anyone, {"code": code})).forms]
    said = {"code": code, "language": "it", "rating": "2", "words": ["cold", "turned_away", "<script>"]}
    assert (await send(anyone, said, "/slip/feedback")).says(say("slip.tell.done", "it"))
    assert (await send(anyone, said, "/slip/feedback", 409)).says(say("slip.changed", "it"))
    counted = await rows(engine, "select word from feedback_count order by word")
    assert [row.word for row in counted] == ["cold", "rated_2", "turned_away"]


async def test_what_opens_nothing_answers_the_same_page_whatever_was_written(
    anyone: httpx.AsyncClient, coordination: Organization, engine: AsyncEngine
) -> None:
    expired = await post_need(coordination)
    await rows(engine, "update need set state = 'closed', ended_at = now() - interval '73 hours'")
    pages = set()
    for path in ("/slip", "/slip/refuse", "/slip/preferences", "/slip/feedback"):
        for code in (UNKNOWN, expired["code"], "<b>x</b>", "\N{ARABIC LETTER AIN}" * 300, "'; drop table need"):
            answered = await anyone.post(path, data={"code": code, "reason": "moved_on", "rating": "1"})
            assert answered.status_code == 404
            pages.add(answered.text)
    assert len(pages) == 1
    assert Page(pages.pop()).says(say("slip.not_found", "en"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"code", b"code=%ff%fe", b"&" * 100_000, b"code=x&" * 50, b'{"code": "x"}', b"language=%00"],
)
async def test_a_body_that_is_no_form_of_ours_breaks_nothing(anyone: httpx.AsyncClient, content: bytes) -> None:
    answered = await anyone.post("/slip", content=content, headers={"Content-Type": "text/plain"})
    assert answered.status_code in (200, 404)
    Page(answered.text)


async def test_what_a_provider_writes_is_shown_as_it_is_written(
    anyone: httpx.AsyncClient, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    code, _ = await confirmed(engine, coordination, association)
    site = (await association.http.get("/v1/sites")).json()["items"][0]["id"]
    evil = {"address": "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}", "meeting_point": None}
    sealed = await association.http.put(f"/v1/sites/{site}/address", json=evil, headers={"If-Match": "*"})
    if sealed.status_code == 200:
        page = await send(anyone, {"code": code})
        assert page.all("script") == []
        assert page.says("<script>alert(1)</script>")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: the page is not looked at in a browser here")
@pytest.mark.parametrize("language", ["fr", "ar"])
async def test_a_printed_slip_is_one_sheet_and_a_browser_reads_it_whole(
    anyone: httpx.AsyncClient,
    coordination: Organization,
    association: Organization,
    engine: AsyncEngine,
    tmp_path: Path,
    language: str,
) -> None:
    code, _ = await confirmed(engine, coordination, association)
    page, sheet = tmp_path / "slip.html", tmp_path / "slip.pdf"
    page.write_bytes((await anyone.post("/slip", data={"code": code, "language": language})).content)
    output = await _browse(tmp_path, "--dump-dom", page.as_uri())
    assert f'lang="{language}"' in output
    assert ADDRESS in output
    await _browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={sheet}", page.as_uri())
    assert len(re.findall(rb"/Type\s*/Page\b", sheet.read_bytes())) == 1


async def _browse(profile: Path, *arguments: str) -> str:
    assert BROWSER is not None
    process = await asyncio.create_subprocess_exec(
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", f"--user-data-dir={profile / 'profile'}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return output.decode(errors="replace")
