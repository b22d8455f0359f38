"""The whole way by a real issuer of OpenID Connect, and once in a real browser, in every language."""

from uuid import UUID

import pytest
from playwright.async_api import expect
from sqlalchemy.ext.asyncio import AsyncEngine

from api.settings import ApiSettings
from api.wording import LANGUAGES, say
from db.settings import Settings
from identity.registration import BACK, Registration
from matching.vocabulary import OrganizationKind
from relais.embedded.ports import free_port
from tests.api.conftest import JoinNetwork, Organization
from tests.api.served import served
from tests.chromium import found
from tests.conftest import Logins
from tests.console.browsing import AXE, DESKTOP, PHONE, Watched, chromium, flaws_of, opened
from tests.console.conftest import COOKIE, OURS, Enter
from tests.console.registering import DONE, SIGN_IN, Register, sent, signed_in_by, went
from tests.db.acts import one
from tests.identity.issuing import CLIENT, SHARED
from tests.identity.real import agree, real_issuer

CHROMIUM = found()
HERE, THERE = "21050023700012", "21050061700015"
PEOPLE = {"anna": HERE, "benoit": "another", "carla": [HERE, THERE]}


@pytest.fixture
def api_settings(api_settings: ApiSettings) -> ApiSettings:
    return api_settings.model_copy(update={"public_url": OURS})


@pytest.fixture
def register(engine: AsyncEngine, settings: Settings) -> Register:
    return Register(engine, settings)


async def admitted(register: Register, issuer: str, *halls: Organization) -> UUID:
    """A real issuer, registered: each town hall with its number."""
    issuer_id = await register(Registration(issuer, CLIENT, SHARED, ("siret",)), "Portail <des> agents")
    for hall, siret in zip(halls, (HERE, THERE), strict=False):
        await register.admit(issuer_id, hall.id, ("siret", siret))
    return issuer_id


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
async def test_a_real_issuer_is_understood(
    enter: Enter, register: Register, municipality: Organization, engine: AsyncEngine, *, signed: bool
) -> None:
    back = f"{OURS}{BACK}"
    async with real_issuer(back, CLIENT, SHARED, PEOPLE, signed=signed) as issuer:
        issuer_id = await admitted(register, issuer, municipality)
        for login, there in (("benoit", f"{SIGN_IN}/not/nobody?in=en"), ("anna", f"{DONE}?in=en")):
            browser = await enter.browser()
            path = (await agree(await went(browser, issuer_id), back, login)).removeprefix(OURS)
            answer = await sent(browser, path)
            assert answer.headers["location"] == there
            assert await signed_in_by(browser) == (login == "anna")
            assert (await sent(browser, path)).headers["location"] == f"{SIGN_IN}/not/again?in=en"
    assert (await one(engine, "select organization_id from session")).organization_id == municipality.id


async def go_in(watched: Watched, login: str) -> None:
    """From the page where one signs in to the issuer, and through its pages: who one is, and that Relais may know."""
    await say_who(watched, login)
    await watched.page.click("button[type=submit]")


async def say_who(watched: Watched, login: str) -> None:
    """On its first page, which it shows each time."""
    page = watched.page
    await watched.go(SIGN_IN)
    await page.get_by_role("button", name="Portail <des> agents").click()
    await page.fill("input[name=login]", login)
    await page.fill("input[name=password]", "any")
    await page.click("button[type=submit]")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium")
@pytest.mark.skipif(not AXE.exists(), reason="npm's axe-core is not installed: make setup does it where npm is")
async def test_from_the_console_to_another_site_and_back(
    settings: Settings, logins: Logins, client: JoinNetwork, register: Register, engine: AsyncEngine, *, long: bool
) -> None:
    assert CHROMIUM
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    halls = [await client(OrganizationKind.MUNICIPALITY) for _ in range(2)]
    address = settings.model_copy(update={"database_url": logins.address(settings.database_url, logins.api)})
    async with (
        real_issuer(f"{url}{BACK}", CLIENT, SHARED, PEOPLE, signed=True) as issuer,
        served(address, port, public_url=url),
        chromium(CHROMIUM) as browser,
    ):
        await admitted(register, issuer, *halls)
        async with opened(browser, url, PHONE, "en") as watched:
            page = watched.page
            await go_in(watched, "carla")
            await page.wait_for_url(f"{url}{SIGN_IN}/which?in=en")
            for number, language in enumerate(LANGUAGES):
                await page.set_viewport_size({**(DESKTOP if number % 2 else PHONE)})  # type: ignore[typeddict-item]
                await page.click(f"button[lang={language}]")
                await expect(page.locator("h1")).to_have_text(say("console.elsewhere.which", language))
                assert await flaws_of(page) == []
                await watched.shot(f"elsewhere-{language}-which")
            await page.locator("main button").first.click()
            await page.wait_for_url(f"{url}/console/tonight")
            await page.click("#leave")
            await page.wait_for_url(f"{url}/calendar")
            await watched.go(SIGN_IN)
            for number, language in enumerate(LANGUAGES if long else ("en", "ar")):
                await page.set_viewport_size({**(DESKTOP if number % 2 else PHONE)})  # type: ignore[typeddict-item]
                await page.click(f"button[lang={language}]")
                await expect(page.locator("html")).to_have_attribute("lang", language)
                assert await flaws_of(page) == []
                await watched.shot(f"elsewhere-{language}-sign-in")
            assert (watched.stopped, watched.broken) == ([], [])
        async with opened(browser, url, PHONE, "ar") as watched:
            page = watched.page
            # The language is chosen here, whatever the browser asks for.
            await watched.go(SIGN_IN)
            await page.click("button[lang=fr]")
            await go_in(watched, "anna")
            await page.wait_for_url(f"{url}/console/tonight")
            await expect(page.locator("html")).to_have_attribute("lang", "fr")
            # From here on all goes through what keeps pages for when there is no network.
            # The issuer knows them still, and asks again all the same.
            await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
            await page.context.clear_cookies(name=COOKIE)
            await say_who(watched, "anna")
            await page.wait_for_url(f"{url}/console/tonight")
            # The control: they are two sites, and what the other one begins brings no session along.
            await page.goto(f"{issuer}/nothing")
            await page.evaluate(f"location.href = '{url}/console/sessions'")
            await page.wait_for_url(f"{url}{SIGN_IN}")
            await page.context.clear_cookies(domain="localhost")
            await page.context.clear_cookies(name=COOKIE)
            await go_in(watched, "benoit")
            await expect(page.get_by_role("alert")).to_have_text(say("console.elsewhere.nobody", "fr"))
            assert await flaws_of(page) == []
            assert (watched.stopped, watched.broken) == ([], [])
            assert all(each.startswith(f"{issuer}/") for each in watched.strange), "nobody else was asked"
    assert (await one(engine, "select count(*) as n from session")).n == 2, "one has left, one came in twice"
