"""The console as people use it: on a telephone and at a desk, in scripts of both directions, by keyboard alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, Page, expect
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, say
from db.connection import transaction
from matching.figures.calendar import WEEK
from matching.figures.measures import Measure
from matching.figures.tables import ALL, Span
from matching.vocabulary import OrganizationKind
from tests.api.bodies import channel_body, pledge_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, post_need
from tests.api.served import served_here
from tests.chromium import found
from tests.console.browsing import AXE, DESKTOP, PHONE, Watched, chromium, enter, flaws_of, opened
from tests.db.acts import look_at_all_due, one, rows
from tests.pacts import add_pact, add_referral, terms_body
from tests.places import BRIANCON, GAP
from tests.published import tell

CHROMIUM = found()
TODAY = datetime.now(ZoneInfo("Europe/Paris")).date()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"
)


@dataclass(frozen=True)
class Evening:
    """A service that answers, a coordination, and a town hall with thirty beds tonight."""

    url: str
    desk: Organization
    hall: Organization
    engine: AsyncEngine


@pytest_asyncio.fixture(loop_scope="function")
async def evening(engine: AsyncEngine, app: FastAPI, client: JoinNetwork) -> AsyncIterator[Evening]:
    desk, hall = await client(OrganizationKind.COORDINATION), await client(OrganizationKind.MUNICIPALITY)
    first, last = TODAY.isoformat(), (TODAY + timedelta(days=6)).isoformat()
    await open_offer(hall, capacity=30, confirm_within_minutes=60, first_day=first, last_day=last)
    async with served_here(app) as url:
        yield Evening(url, desk, hall, engine)


async def post(watched: Watched) -> int:
    """Post a family of two adults and two minors for this evening: how many taps it took."""
    page = watched.page
    await watched.go("/console")
    taps = ["main .heading .act", "#adults + button", "#minors + button", "#minors + button"]
    for tap in taps:
        await page.click(tap)
    await page.select_option("#evening", TODAY.isoformat())
    await page.dblclick(".last .act")
    await page.wait_for_selector(".qr")
    return len(taps) + 3  # the list, its line, and the button


async def firm(evening: Evening) -> None:
    """The worker looks, and the providers are asked."""
    await look_at_all_due(evening.engine)
    await rows(evening.engine, "update allocation set firm_from = now() where state = 'held'")


async def test_from_the_door_to_a_bed_on_a_telephone_and_at_a_desk(evening: Evening) -> None:
    """The coordinator in English on a telephone, the town hall in Arabic at a desk; each page hears of the other."""
    assert CHROMIUM
    async with (
        chromium(CHROMIUM) as browser,
        opened(browser, evening.url, PHONE, "en") as door,
        opened(browser, evening.url, DESKTOP, "ar") as hall,
    ):
        await enter(hall, evening.hall.key)
        await expect(hall.page.locator("article")).to_have_count(0)
        await enter(door, evening.desk.key)
        assert await post(door) <= 8
        assert (await one(evening.engine, "select count(*) as n from need")).n == 1
        await door.shot("phone-en-need")
        await door.go("/console")
        await firm(evening)
        # Told to both by the stream: nobody loads a page anew.
        await expect(door.page.locator(".state")).to_have_text(say("console.state.held", "en"))
        yes = hall.page.locator("[id^=yes-]")
        await expect(yes).to_be_visible()
        await hall.shot("desk-ar-tonight")
        await hall.page.clock.install()
        await yes.click()
        await hall.page.clock.run_for(9_000)
        await hall.page.locator(".undo button").click()
        await expect(yes).to_be_focused()
        await hall.page.clock.run_for(60_000)
        assert (await one(evening.engine, "select state from allocation")).state == "held"
        await yes.click()
        await hall.page.clock.run_for(11_000)
        await expect(hall.page.locator("article.is-confirmed")).to_be_visible()
        assert (await one(evening.engine, "select state from allocation")).state == "confirmed"
        await expect(door.page.locator(".state")).to_have_text(say("console.state.confirmed", "en"))
        await door.shot("phone-en-board")
        await door.page.click("#leave")
        await door.page.wait_for_url("**/calendar")
        await door.go("/console")
        await expect(door.page.locator("#key")).to_be_visible()
        for each in (door, hall):
            each.assert_kept_to_itself()


async def test_by_keyboard_alone(evening: Evening) -> None:
    assert CHROMIUM
    async with chromium(CHROMIUM) as browser, opened(browser, evening.url, DESKTOP, "en") as watched:
        page = watched.page

        async def tab_to(selector: str) -> None:
            for _ in range(120):
                await page.keyboard.press("Tab")
                if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    seen = "document.activeElement.closest('.tile') || document.activeElement"
                    assert await page.evaluate(f"getComputedStyle({seen}).outlineStyle") == "solid", selector
                    return
            pytest.fail(f"no way to {selector} by keyboard")

        await watched.go("/console/sign-in")
        await tab_to("#key")
        await page.keyboard.type(evening.desk.key)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#live")
        await tab_to("main .heading .act")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#minors")
        await tab_to("#minors + button")
        await page.keyboard.press("Space")
        await tab_to("#evening")
        await page.keyboard.press("End")
        await tab_to("[name=wish][value=quiet]")
        await page.keyboard.press("Space")
        await tab_to(".last .act")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".qr")
        asked = await one(evening.engine, "select minors, requires from need")
        assert (asked.minors, asked.requires) == (1, ["quiet"])
        await tab_to("[id^=withdraw-]")
        await page.clock.install()
        await page.keyboard.press("Enter")
        await expect(page.locator(".undo button")).to_be_focused()
        await page.clock.run_for(11_000)
        await expect(page.locator(".state")).to_have_text(say("console.state.withdrawn", "en"))
        watched.assert_kept_to_itself()


async def stand_here(page: Page, here: dict[str, float]) -> None:
    """Take the point from the device; one that only guesses where it is is not believed."""
    says = page.locator("[data-here] ~ [role=status]")
    await page.context.set_geolocation({"latitude": here["latitude"], "longitude": here["longitude"], "accuracy": 3000})
    await page.click("[data-here]")
    await expect(says).to_have_text(say("console.house.here.failed", "fr"))
    await expect(page.locator("#point")).to_have_value("")
    await page.context.set_geolocation({"latitude": here["latitude"], "longitude": here["longitude"], "accuracy": 12})
    await page.click("[data-here]")


async def test_a_house_is_added_on_a_telephone_from_where_one_stands(evening: Evening) -> None:
    """Every step is looked at for barriers, with what is wrong with it too."""
    assert CHROMIUM
    here = {"latitude": 44.901, "longitude": 6.64}
    async with (
        chromium(CHROMIUM) as browser,
        opened(browser, evening.url, PHONE, "fr", geolocation=here, permissions=["geolocation"]) as watched,
    ):
        page = watched.page

        async def looked_at(name: str) -> None:
            if AXE.exists():
                assert await flaws_of(page) == [], name
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            await watched.shot(f"phone-fr-{name}")

        async def go_on() -> None:
            await page.click(".last .act")

        await enter(watched, evening.hall.key)
        await watched.go("/console/houses")
        await page.click("main .heading .act")
        await page.fill("#name", "École du Pont")
        await page.check("[name=kind][value=municipal_building]")
        await looked_at("house-what")
        await go_on()
        await page.check("[name=wish][value=quiet]")
        await page.click("details.group summary")
        await page.select_option("#skill", "night_watch")
        await go_on()
        await expect(page.locator(".wrong")).to_have_count(1)
        await looked_at("house-there-wrong")
        await page.fill("#each", "15")
        await go_on()
        await stand_here(page, here)
        await expect(page.locator("#point")).to_have_value("44.90100, 6.64000")
        await looked_at("house-where")
        await go_on()
        await page.check("[name=category][value=shelter]")
        await page.fill("#capacity", "20")
        await looked_at("offer-what")
        await go_on()
        await looked_at("offer-who")
        await go_on()
        await page.fill("#last_day", (TODAY + timedelta(days=9)).isoformat())
        await page.check("[name=days][value=MO]")
        await looked_at("offer-when")
        await go_on()
        await looked_at("offer-how")
        await go_on()
        await page.wait_for_url("**/console/offers/*")
        await looked_at("nights")
        made = await one(evening.engine, "select o.capacity, o.rrule from offer o order by o.created_at desc limit 1")
        assert (made.capacity, made.rrule) == (20, "FREQ=WEEKLY;BYDAY=MO")
        watched.assert_kept_to_itself()


async def test_two_ends_within_ten_seconds_are_both_sent(evening: Evening) -> None:
    assert CHROMIUM
    await open_offer(evening.hall)
    async with chromium(CHROMIUM) as browser, opened(browser, evening.url, PHONE, "en") as watched:
        page, still_open = watched.page, "select count(*) as n from offer where state = 'open'"
        await enter(watched, evening.hall.key)
        await watched.go("/console/houses")
        await page.clock.install()
        ends = page.locator("[id^=close-]")
        await ends.first.click()
        await page.clock.run_for(5_000)
        await ends.last.click()
        await page.clock.run_for(6_000)
        await expect(page.locator(".undo")).to_have_count(1)
        assert (await one(evening.engine, still_open)).n == 1
        await page.clock.run_for(6_000)
        await expect(page.locator(".empty, .house")).not_to_have_count(0)
        await expect(page.locator(".undo")).to_have_count(0)
        assert (await one(evening.engine, still_open)).n == 0
        watched.assert_kept_to_itself()


async def test_no_page_has_a_barrier_or_is_wider_than_its_window(evening: Evening, *, long: bool) -> None:
    """In the normal form on a telephone in two languages, with `--long` in all, and at a desk too."""
    if not AXE.exists():
        pytest.skip("axe-core is not here: npm could not fetch it")
    assert CHROMIUM
    for urgency in ("vital", "normal"):
        await post_need(evening.desk, urgency=urgency, requires=["quiet"] if urgency == "vital" else [])
    await pass_on(evening)
    await firm(evening)
    await tell_some(evening)
    need = (await one(evening.engine, "select id from need where urgency = 'vital'")).id
    await evening.hall.http.post("/v1/pledges", json=pledge_body())
    await evening.hall.http.post("/v1/notifications/channels", json=channel_body())
    offer = await one(evening.engine, "select id, site_id from offer")
    houses = (
        "/houses",
        "/houses/new",
        f"/houses/{offer.site_id}/way",
        f"/houses/{offer.site_id}/offers/new",
        f"/offers/{offer.id}",
    )
    pages = {
        evening.desk: (
            "",
            "/needs/new",
            "/needs/queue",
            f"/needs/{need}",
            f"/needs/{need}/change",
            f"/slips?need={need}",
            "/sessions",
            "/network",
            f"/figures?town={BRIANCON.id}",
            "/what-if",
            "/no",
        ),
        evening.hall: ("/tonight", "/pacts", "/volunteers", "/pledges/new", "/import", "/notifications", *houses),
    }
    async with chromium(CHROMIUM) as browser:
        await assert_flaws_are_seen(browser, evening)
        for language in LANGUAGES if long else ("fr", "ar"):
            for who, paths in pages.items():
                async with opened(browser, evening.url, PHONE, language) as watched:
                    await watched.go("/console/sign-in")
                    assert await flaws_of(watched.page) == []
                    await enter(watched, who.key)
                    for path in paths:
                        await watched.go(f"/console{path}")
                        if path in ("", "/tonight"):
                            await expect(watched.page.locator(".passed, form[action*=referrals]")).to_have_count(1)
                        assert await flaws_of(watched.page) == [], f"{path} in {language}"
                        if long:
                            await watched.page.set_viewport_size(
                                {"width": DESKTOP["width"], "height": DESKTOP["height"]}
                            )
                            assert await flaws_of(watched.page) == [], f"{path} in {language} at a desk"
                            await watched.page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
                        assert await watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
                        await watched.shot(f"phone-{language}-{path.partition('?')[0].replace('/', '-')[:14]}")
                    if who is evening.hall:
                        await look_at_files(watched, language)
                    await watched.go("/calendar")
                    assert await flaws_of(watched.page) == []
                    watched.assert_kept_to_itself()


async def test_what_if_has_no_barrier_in_any_language_and_is_asked_by_keyboard(evening: Evening) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not here: npm could not fetch it")
    assert CHROMIUM
    for people in (4, 2):
        await post_need(evening.desk, people={"adults": people, "minors": 0}, requires=["quiet"] if people == 2 else [])
    await tell_some(evening)
    async with chromium(CHROMIUM) as browser, opened(browser, evening.url, PHONE, "en") as watched:
        page = watched.page
        await enter(watched, evening.desk.key)
        await watched.go("/console/figures")
        await page.click("a[href='/console/what-if']")
        await page.fill("#places", "3")
        await page.click("details.group:has([name=wish]) > summary")
        await page.check("[name=wish][value=quiet]")
        await page.focus("main form .act")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**places=3**")
        taken = say("console.whatif.own.taken", "en", places=3)
        await expect(page.locator("dl.numbers div", has_text=taken)).to_contain_text("1")
        await expect(page.locator(".chart svg[role=img]")).to_have_count(1)
        answered = page.url.removeprefix(evening.url)
        for language in LANGUAGES:
            await page.click(f".languages [value={language}]")
            await watched.go(answered)
            for size, name in ((PHONE, "phone"), (DESKTOP, "desk")):
                await page.set_viewport_size({"width": size["width"], "height": size["height"]})
                assert await flaws_of(page) == [], f"{language} {name}"
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{language} {name}"
                await watched.shot(f"{name}-{language}-what-if")
        await page.emulate_media(media="print")
        await expect(page.locator("form.planning")).to_be_hidden()
        await expect(page.locator("#answer")).to_be_visible()
        watched.assert_kept_to_itself()


async def look_at_files(watched: Watched, language: str) -> None:
    """What would come of a file that is right, and of one that is not."""
    header = b"name;town;kind;longitude;latitude\r\n"
    row = f"Gym;{BRIANCON.id};municipal_building;{BRIANCON.longitude};{BRIANCON.latitude}\r\n".encode()
    for content in (header + row, header + row + b"Hall;nowhere;castle;x;y\r\n", header.replace(b"name", b"") + row):
        await watched.go("/console/import")
        await watched.page.set_input_files("#file", {"name": "x.csv", "mimeType": "text/csv", "buffer": content})
        await watched.page.click(".last .act")
        await expect(watched.page.locator("details.group")).to_be_visible()
        assert await flaws_of(watched.page) == [], f"{content!r} in {language}"
        assert await watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await watched.shot(f"phone-{language}-import-{len(content)}")


async def pass_on(evening: Evening) -> None:
    """The town hall, which signed for Gap, is asked to take some people of the desk."""
    posted = await post_need(evening.desk, people={"adults": 1, "minors": 0}, requires=["lift"], urgency="high")
    async with transaction(evening.engine) as tx:
        home, away = (evening.desk.id, BRIANCON), (evening.hall.id, GAP)
        await add_referral(tx, UUID(posted["id"]), await add_pact(tx, home, away), home, away)
    # Another pact, which the town hall has not signed.
    terms = {"town": BRIANCON.id, "partner": str(evening.hall.id), "partner_town": GAP.id, "terms": terms_body()}
    await rows(evening.engine, "insert into organization_town values (:id, :town)", id=evening.hall.id, town=GAP.id)
    assert (await evening.desk.http.post("/v1/pacts", json=terms)).status_code == 201


async def tell_some(evening: Evening) -> None:
    """Figures of three weeks were published."""
    for number in range(3):
        told = [
            (area, "shelter", measure, part, value + number)
            for area in (str(BRIANCON.id), ALL)
            for measure, part, value in (
                (Measure.ASKED, "", 80),
                (Measure.SERVED, "", 55),
                (Measure.UNMET, "", 25),
                (Measure.UNMET_FOR, "capacity", 14),
                (Measure.WAITED, "60", 40),
            )
        ]
        await tell(evening.engine, Span.WEEK, date(2026, 1, 5) + number * WEEK, *told)
    await tell(evening.engine, Span.MONTH, date(2026, 1, 1), (ALL, ALL, Measure.ASKED, "", 320))


async def assert_flaws_are_seen(browser: Browser, evening: Evening) -> None:
    """The control: a barrier, a request to a stranger and what the policy stops are each told of."""
    async with opened(browser, evening.url, PHONE, "en") as watched:
        await watched.go("/console/sign-in")
        await watched.page.evaluate("document.querySelector('label').remove()")
        assert any(flaw.startswith("label") for flaw in await flaws_of(watched.page))
        watched.assert_kept_to_itself()
        async with watched.page.expect_console_message():
            await watched.page.evaluate("new Image().src = 'http://127.0.0.2:9/picture.png'")
        assert watched.stopped
        await watched.page.goto("data:text/html,elsewhere")
        assert watched.strange
