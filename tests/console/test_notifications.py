"""Notifications by pages: a channel is added, tried, paused and removed, and quiet hours are set."""

import re
from itertools import product
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, say
from db.keys import ONLY_CONFIRMS
from matching.notifying import Fault
from matching.vocabulary import OrganizationKind
from tests.api.bodies import channel_body
from tests.api.conftest import JoinNetwork, Organization
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import one, rows

PAGE = "/console/notifications"
ADD = f"{PAGE}/channels"
ACTS = ("test", "pause", "resume", "remove")
ADDRESS = "night@town-hall.example.org"


async def added(browser: Browser) -> Shown:
    """The page, with one channel."""
    return await browser.send(await browser.read(PAGE), ADD, address=ADDRESS)


def act(shown: Shown, name: str) -> str:
    """Where a channel's form of this name goes."""
    (found,) = [form.action for form in shown.forms if form.action.endswith(f"/{name}")]
    return found


async def test_a_channel_is_added_tried_paused_resumed_and_removed(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    shown = await browser.read(PAGE)
    assert say("console.notify.none", "en") in shown.words
    shown = await browser.send(shown, ADD, address=f" {ADDRESS} ", happening=["awaits", "confirmed"])
    assert "….example.org" in shown.words
    assert ADDRESS not in shown.answer.text
    assert say("console.notify.awaits", "en") in shown.words
    shown = await browser.send(shown, act(shown, "test"))
    assert say("console.notify.testing", "en") in shown.words
    shown = await browser.send(shown, act(shown, "pause"))
    assert say("console.notify.paused", "en") in shown.words
    shown = await browser.send(shown, act(shown, "resume"))
    assert say("console.notify.active", "en") in shown.words
    asked = await browser.send(shown, act(shown, "remove"))
    assert say("console.notify.remove.sure", "en") in asked.words
    assert (await one(engine, "select count(*) as n from channel")).n == 1, "one tap ends nothing"
    shown = await browser.send(asked, act(shown, "remove"))
    assert say("console.notify.none", "en") in shown.words
    acts = [row.act for row in await rows(engine, "select act from audit_pending order by id")]
    assert acts[1:] == [f"POST {ADD}", *(f"POST {ADD}/{{channel_id}}/{name}" for name in ACTS)]
    # What was removed may be added again, by the very same form.
    shown = await browser.send(await browser.read(PAGE), ADD, address=ADDRESS)
    assert (await one(engine, "select count(*) as n from channel")).n == 1


async def test_what_is_wrong_is_said_and_nothing_is_kept(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    shown = await browser.read(PAGE)
    again = await browser.send(shown, ADD, 422, address="file:///etc/passwd")
    assert say("flaw.not_a_channel_address", "en") in again.words
    assert "passwd" not in again.answer.text
    assert (
        say("console.notify.nothing", "en")
        in (await browser.send(shown, ADD, 422, address=ADDRESS, happening=["nonsense"])).words
    )
    await added(browser)
    known = await browser.send(shown, ADD, 409, address=ADDRESS)
    assert say("problem.conflict.channel_known.detail", "en") in known.words
    assert (await one(engine, "select count(*) as n from channel")).n == 1


async def test_what_was_filled_in_stays_and_the_mistake_is_said_at_its_field(
    enter: Enter, municipality: Organization
) -> None:
    browser = await enter(municipality.key)
    shown = await browser.read(PAGE)
    again = await browser.send(shown, ADD, 422, address="file:///etc/passwd", happening=["expiring"])
    assert [value for name, value in again.form(ADD).fields if name == "happening"] == ["expiring"]
    assert at_fault(again) == ["address"]
    again = await browser.send(shown, ADD, 422, address=ADDRESS, happening=["nonsense"])
    assert at_fault(again) == ["happening"]
    hours = {"quiet_from": "22:00", "quiet_until": "22:00", "language": "ar"}
    again = await browser.send(shown, PAGE, 422, **hours)
    assert hours.items() <= dict(again.form(PAGE).fields).items()
    assert at_fault(again) == ["quiet_until"]
    assert at_fault(await browser.read(PAGE)) == []


def at_fault(shown: Shown) -> list[str]:
    """Fields that are marked as wrong, each with words of its own."""
    html = shown.answer.text
    marked = re.findall(r'aria-invalid="true" aria-describedby="[^"]*wrong-([a-z_]+)"', html)
    assert all(f'id="wrong-{name}"' in html for name in marked)
    return marked


async def test_a_second_test_at_once_is_refused_in_words(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    shown = await added(browser)
    await browser.send(shown, act(shown, "test"))
    await rows(engine, "update notice set state = 'told', settled_at = now()")
    refused = await browser.send(shown, act(shown, "test"), 409)
    assert say("problem.conflict.channel_tested.detail", "en") in refused.words


async def test_quiet_hours_are_set_and_taken_back(enter: Enter, municipality: Organization) -> None:
    browser = await enter(municipality.key)
    shown = await browser.send(await browser.read(PAGE), PAGE, quiet_from="22:00", quiet_until="06:30", language="ar")
    fields = dict(shown.form(PAGE).fields)
    assert (fields["quiet_from"], fields["quiet_until"], fields["language"]) == ("22:00", "06:30", "ar")
    for wrong in ({"quiet_from": ""}, {"quiet_from": "25:00"}, {"timezone": "Europe/Nowhere"}, {"language": "de"}):
        await browser.send(shown, PAGE, 422, **wrong)
    shown = await browser.send(shown, PAGE, quiet_from="", quiet_until="")
    assert dict(shown.form(PAGE).fields)["quiet_from"] == ""


async def test_who_adds_a_channel_is_told_in_the_language_of_the_page_until_another_is_chosen(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key, **{"Accept-Language": "it"})
    await added(browser)
    assert (await one(engine, "select language from notification_choice")).language == "it"
    await browser.send(await browser.read(PAGE), PAGE, language="fr")
    await browser.send(await browser.read(PAGE), ADD, address=f"other.{ADDRESS}")
    assert (await one(engine, "select language from notification_choice")).language == "fr"


async def test_somebody_elses_channel_is_not_there(
    enter: Enter, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    theirs = (await association.http.post("/v1/notifications/channels", json=channel_body())).json()["id"]
    browser = await enter(municipality.key)
    token = dict((await browser.read(PAGE)).form(PAGE).fields)["token"]
    told = set()
    for channel in (theirs, uuid4()):
        for name in (*ACTS, "nonsense"):
            answer = await browser.http.post(f"{ADD}/{channel}/{name}", data={"token": token, "sure": "1"})
            assert answer.status_code == 404
            told.add(answer.text.replace(f"{channel}/{name}", ""))
    assert len(told) == 1
    assert (await one(engine, "select state from channel")).state == "active"


async def test_a_key_without_the_scope_finds_no_such_page(enter: Enter, client: JoinNetwork) -> None:
    browser = await enter((await client(OrganizationKind.MUNICIPALITY, ONLY_CONFIRMS)).key)
    assert PAGE not in (await browser.read("/console/tonight")).answer.text
    await browser.read(PAGE, 403)


async def test_what_is_wrong_with_a_channel_is_said_in_each_language(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(municipality.key)
    await added(browser)
    broken = "state = 'paused', reason = 'failing', failing_since = now(), told_at = now(), fault = :fault"
    for fault, language in product(Fault, LANGUAGES):
        await rows(engine, f"update channel set {broken}", fault=fault)
        browser.http.headers["Accept-Language"] = language
        shown = await browser.read(PAGE)
        assert say("console.notify.failing", language) in shown.words
        assert say(f"console.notify.fault.{fault.value}", language) in shown.words
