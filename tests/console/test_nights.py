"""The calendar of an offer: how full each night is, and how many it takes, changed by who has read how it stands."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import say
from tests.api.conftest import Organization
from tests.api.scenes import assert_every_place_is_counted_once, open_offer, place
from tests.builders import TONIGHT
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import one, rows
from tests.places import BRIANCON


async def opened(enter: Enter, hall: Organization, **changes: object) -> tuple[Browser, str, Shown]:
    """A browser of the provider, the path of its offer and the page there."""
    path = f"/console/offers/{await open_offer(hall, BRIANCON, **changes)}"
    browser = await enter(hall.key)
    return browser, path, await browser.read(path)


async def test_nights_are_shown_for_four_weeks_with_what_is_taken_and_free(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    browser, path, shown = await opened(
        enter, municipality, last_day=(TONIGHT + timedelta(days=40)).isoformat(), timezone="Europe/Paris"
    )
    await place(engine, coordination)
    shown = await browser.read(path)
    assert say("console.night", "en", used=4, capacity=10, free=6) in shown.words
    nights = [form.action for form in shown.forms if "/slots/" in form.action]
    # The calendar begins today; the offer a day later.
    assert len(nights) == 27
    (further,) = [held["href"] for tag, held in shown.elements if tag == "a" and "?from=" in held.get("href", "")]
    rest = await browser.read(further)
    later = [form.action for form in rest.forms if "/slots/" in form.action]
    assert len(later) == 14
    assert not set(later) & set(nights)
    for nonsense in ("2019-01-01", "2026-99-99", "x", "9999-12-31"):
        await browser.read(f"{path}?from={nonsense}")


async def test_one_night_takes_more_fewer_or_nobody_and_the_others_as_before(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser, _, shown = await opened(enter, municipality)
    night = next(form.action for form in shown.forms if "/slots/" in form.action)
    await rows(engine, "delete from capacity_news")
    for capacity in ("14", "3", "0"):
        shown = await browser.send(shown, night, capacity=capacity)
    changed = await rows(engine, "select id, capacity from slot order by id")
    assert {row.id: row.capacity for row in changed if row.capacity != 10} == {int(night.rpartition("/")[2]): 0}
    assert len(await rows(engine, "select 1 from capacity_news")) == 1
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert acts.count("POST /console/offers/{offer_id}/slots/{slot_id}") == 3


async def test_nobody_loses_a_place_by_it_and_it_is_said_at_that_night(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    browser, path, _ = await opened(enter, municipality)
    await place(engine, coordination)
    taken = await one(engine, "select id from slot where used = 4")
    shown, night = await browser.read(path), f"{path}/slots/{taken.id}"
    refused = await browser.send(shown, night, 409, capacity="3")
    assert say("problem.capacity-in-use.detail", "en", count=1) in refused.words
    assert ("version", "1") in refused.form(night).fields
    # What was typed stands there still, to be put right.
    assert ("capacity", "3") in refused.form(night).fields
    for wrong, stays in (("", "10"), ("-1", "10"), ("x", "10"), ("10001", "10001")):
        again = await browser.send(shown, night, 422, capacity=wrong)
        assert ("capacity", stays) in again.form(night).fields, wrong
    assert (await one(engine, "select capacity from slot where id = :id", id=taken.id)).capacity == 10
    await assert_every_place_is_counted_once(engine)
    # The control: as many as are in it may be said.
    await browser.send(shown, night, capacity="4")
    assert (await one(engine, "select capacity from slot where id = :id", id=taken.id)).capacity == 4


async def test_what_somebody_else_changed_meanwhile_is_told_and_not_overwritten(
    enter: Enter, municipality: Organization, engine: AsyncEngine
) -> None:
    browser, path, shown = await opened(enter, municipality)
    night = next(form.action for form in shown.forms if "/slots/" in form.action)
    both = await asyncio.gather(
        *(browser.http.post(night, data=dict(shown.form(night).fields) | {"capacity": each}) for each in ("7", "8"))
    )
    assert sorted(each.status_code for each in both) == [200, 412]
    (late,) = [Shown(each) for each in both if each.status_code == 412]
    assert say("console.night.changed", "en") in late.words
    stands = (await one(engine, "select capacity from slot where id = :id", id=int(night.rpartition("/")[2]))).capacity
    assert ("capacity", str(stands)) in late.form(night).fields
    without = dict(shown.form(night).fields) | {"capacity": "9"}
    without.pop("version")
    assert (await browser.http.post(night, data=without)).status_code == 412
    # The control: who has read how it stands changes it.
    done = await browser.send(late, night, capacity="9")
    assert done.answer.url.path == path


async def test_half_hours_are_shown_by_whole_days(enter: Enter, municipality: Organization) -> None:
    browser, _, shown = await opened(
        enter, municipality, category="sanitation", opens="08:00", closes="20:00", slot_minutes=30
    )
    seen: list[str] = []
    for _ in range(10):
        slots = [form.action for form in shown.forms if "/slots/" in form.action]
        assert len(slots) % 24 == 0
        assert len(slots) <= 60
        seen += slots
        further = [held["href"] for tag, held in shown.elements if tag == "a" and "?from=" in held.get("href", "")]
        if not further:
            break
        shown = await browser.read(further[0])
    assert (len(seen), len(set(seen))) == (7 * 24, 7 * 24)
    changed = await browser.send(shown, seen[-1], capacity="2")
    assert changed.answer.url.query.startswith(b"from=")
