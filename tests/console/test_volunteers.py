"""Volunteers on pages: pledged step by step, called for shifts, and never beyond what was said of their week."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.console.schedules import WEEK
from api.wording import LANGUAGES, catalogue, say
from db.bell import Bell
from db.keys import Scope
from db.roles import Role
from db.settings import Settings
from tests.acting import in_role
from tests.api.bodies import offer_body, pledge_body, site_body
from tests.api.conftest import Organization
from tests.api.scenes import post_need
from tests.api.stored import everything_stored, holds
from tests.builders import TONIGHT
from tests.console.conftest import Enter, Shown
from tests.db.acts import hold, one, rows
from tests.places import BRIANCON
from worker.staffing import Staffing

PAGE, NEW = "/console/volunteers", "/console/pledges/new"
LAST = (TONIGHT + timedelta(days=6)).isoformat()
STAFFING = {"skill": "night_watch", "people_per_volunteer": 15, "minimum": 2}


@pytest.fixture
async def shift(
    coordination: Organization,
    municipality: Organization,
    association: Organization,
    engine: AsyncEngine,
    settings: Settings,
) -> str:
    """One that is planned with volunteers of the association, for a family that waits: its id."""
    site = await municipality.http.post("/v1/sites", json=site_body(staffing=STAFFING))
    await municipality.http.post("/v1/offers", json=offer_body(site.json()["id"], capacity=30))
    answer = await association.http.post("/v1/pledges", json=pledge_body())
    assert answer.status_code == 201, answer.text
    need = await post_need(coordination)
    assert await hold(engine, UUID(need["id"])) == ()
    await Staffing(in_role(engine, Role.MATCHER), Bell(settings)).look()
    return str((await one(engine, "select id from shift")).id)


def told(shown: Shown, *words: str) -> None:
    for each in words:
        assert each in shown.words, each


async def test_volunteers_are_pledged_step_by_step_and_let_go(
    enter: Enter, association: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(association.key)
    told(await browser.read(PAGE), say("console.pledges.none", "en"))
    step = await browser.send(await browser.read(NEW), NEW, skill="interpreting", spoken="fa", headcount="3")
    step = await browser.send(
        step, NEW, 200, **{"last_day": LAST, "from": "17:00", "until": "23:00"}, days=["MO", "TU"]
    )
    shown = await browser.send(step, NEW, radius_km="0", shifts_per_week_max="2")
    await browser.send(step, NEW, radius_km="0", shifts_per_week_max="2")
    (pledge,) = (await association.http.get("/v1/pledges")).json()["items"]
    assert {name: pledge[name] for name in pledge if name in {*pledge_body()} - {"timezone", "first_day"}} == {
        "skill": "interpreting:fa",
        "headcount": 3,
        "town": BRIANCON.id,
        "radius_km": 0,
        "last_day": LAST,
        "rrule": "FREQ=WEEKLY;BYDAY=MO,TU",
        "from": "17:00",
        "until": "23:00",
        "shifts_per_week_max": 2,
    }
    told(shown, "interpreting Persian", say("console.pledge.week", "en", used=0, most=2))
    path = f"/console/pledges/{pledge['id']}/end"
    sure = await browser.send(shown, path)
    told(sure, say("console.pledge.end.sure", "en"))
    assert (await one(engine, "select state from pledge")).state == "open"
    done = await browser.send(sure, path)
    assert (await one(engine, "select state from pledge")).state == "closed"
    assert path not in [form.action for form in done.forms]
    await browser.send(sure, path)
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert acts.count("POST /console/pledges/{pledge_id}/end") == 2


async def test_what_is_wrong_is_said_in_its_step_and_nobody_is_pledged(
    enter: Enter, association: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(association.key)
    steps: list[dict[str, str]] = [{"skill": "welcome", "headcount": "2"}, {"last_day": LAST}, {}]
    pages = [await browser.read(NEW)]
    for said in steps[:-1]:
        pages.append(await browser.send(pages[-1], NEW, 200, **said))
    wrong: list[tuple[int, dict[str, str]]] = [
        (0, {"skill": "juggling"}),
        (0, {"skill": "teaching", "spoken": "xx"}),
        (0, {"headcount": "0"}),
        (0, {"town": ""}),
        (1, {"last_day": ""}),
        (1, {"last_day": "2020-01-01", "first_day": "2020-01-01"}),
        (1, {"until": "late"}),
        (
            1,
            {
                "first_day": TONIGHT.isoformat(),
                "last_day": (TONIGHT + timedelta(days=1)).isoformat(),
                "days": WEEK[(TONIGHT + timedelta(days=3)).weekday()],
            },
        ),
        (2, {"radius_km": ""}),
        (2, {"radius_km": "501"}),
        (2, {"shifts_per_week_max": "0"}),
    ]
    for at, changes in wrong:
        # Without a town chosen the organization's own is meant.
        refused = await browser.send(pages[at], NEW, 200 if "town" in changes else 422, **steps[at] | changes)
        if "town" not in changes:
            told(refused, f"Step {at + 1} of 3")
            assert any(held.get("class") == "wrong" for _, held in refused.elements), changes
    assert await rows(engine, "select 1 from pledge") == []
    # The control: nothing else was wrong.
    await browser.send(pages[-1], NEW)
    assert len(await rows(engine, "select 1 from pledge")) == 1


@pytest.mark.parametrize(
    ("said", "stands"), [("yes", ("confirmed", None)), ("no_volunteers", ("declined", "no_volunteers"))]
)
async def test_a_shift_is_answered_once_it_is_said_for_sure(
    enter: Enter, association: Organization, engine: AsyncEngine, shift: str, said: str, stands: tuple[str, str | None]
) -> None:
    browser, path = await enter(association.key), f"/console/shifts/{shift}/answer"
    shown = await browser.read(PAGE)
    told(shown, "Briançon", say("console.shift.planned", "en"), say("console.shift.volunteers", "en", count=2))
    week = (
        await one(engine, "select date_trunc('week', day) = date_trunc('week', now()::date) as this from shift")
    ).this
    told(shown, say("console.pledge.week", "en", used=int(week), most=6))
    sure = await browser.send(shown, path, answer=said)
    assert (await one(engine, "select state from shift")).state == "planned"
    await browser.send(shown, path, 422, answer="perhaps", sure="1")
    done = await browser.send(sure, path)
    row = await one(engine, "select state, reason from shift")
    assert (row.state, row.reason) == stands
    assert path not in [form.action for form in done.forms]
    assert (say("console.shift.confirmed", "en") in done.words) is (said == "yes")
    await rows(engine, "update shift set starts = now() - interval '3 hours', ends = now() - interval '1 hour'")
    await rows(engine, "update shift set state = 'planned'")
    late = await browser.send(sure, path, 409)
    told(late, say("problem.conflict.shift_is_over.detail", "en"))


async def test_who_was_asked_again_is_shown_until_they_answer(
    enter: Enter, association: Organization, engine: AsyncEngine, shift: str
) -> None:
    browser, path = await enter(association.key), f"/console/shifts/{shift}/answer"
    await browser.send(await browser.read(PAGE), path, answer="yes", sure="1")
    await rows(engine, "update shift set asked_at = clock_timestamp()")
    asked = await browser.read(PAGE)
    told(asked, say("console.shift.still_coming", "en"))
    await rows(engine, "update shift set at_risk_at = clock_timestamp()")
    told(await browser.read(PAGE), say("console.shift.at_risk", "en"))
    done = await browser.send(asked, path, answer="yes", sure="1")
    told(done, say("console.shift.confirmed", "en"))
    assert path not in [form.action for form in done.forms]


async def test_nobody_answers_for_somebody_elses_volunteers(
    enter: Enter, municipality: Organization, association: Organization, engine: AsyncEngine, shift: str
) -> None:
    """Not even the house to which they come."""
    pledge = str((await one(engine, "select id from pledge")).id)
    host = await enter(municipality.key)
    shown = await host.read(PAGE)
    assert [form.action for form in shown.forms if "shifts" in form.action or "pledges" in form.action] == []
    token = dict((await host.read("/console/sessions")).form("/console/sign-out").fields)["token"]

    async def answers(shift_id: str, pledge_id: str) -> list[tuple[int, str]]:
        asked = [
            await host.http.post(path, data={"token": token, "answer": "yes", **sure})
            for path in (f"/console/shifts/{shift_id}/answer", f"/console/pledges/{pledge_id}/end")
            for sure in ({}, {"sure": "1"})
        ]
        assert {each.status_code for each in asked} == {404}
        return [(each.status_code, each.text.replace(shift_id, "").replace(pledge_id, "")) for each in asked]

    assert await answers(shift, pledge) == await answers(str(uuid4()), str(uuid4()))
    states = await one(engine, "select s.state as shift, p.state as pledge from shift s, pledge p")
    assert (states.shift, states.pledge) == ("planned", "open")
    await rows(
        engine,
        "update api_key set scopes = :scopes where organization_id = :id",
        scopes=[Scope.OFFERS_READ.value],
        id=association.id,
    )
    reader = await enter(association.key)
    told(await reader.read("/console/houses"), say("console.houses.none", "en"))
    told(await reader.read(PAGE), "Briançon")
    await reader.read(NEW, 403)


async def test_whatever_is_written_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter, association: Organization, engine: AsyncEngine, shift: str, capsys: pytest.CaptureFixture[str]
) -> None:
    browser, planted = await enter(association.key), "Mariam-Haidari"
    pledge = (await one(engine, "select id from pledge")).id
    token = dict((await browser.read(NEW)).form(NEW).fields)["token"]
    names = (
        "form step find q town back skill spoken headcount first_day last_day from until days radius_km"
        " shifts_per_week_max answer sure"
    )
    sent = {"token": token, "skill": "welcome", "headcount": "2", "from": "10:00", "until": "12:00"}
    sent |= {"first_day": TONIGHT.isoformat(), "last_day": LAST, "radius_km": "20", "shifts_per_week_max": "3"}
    for path in (NEW, f"/console/shifts/{shift}/answer", f"/console/pledges/{pledge}/end"):
        for name in (*names.split(), planted):
            for step in ("what", "when", "limits") if path == NEW else ("",):
                answered = await browser.http.post(path, data=sent | {"step": step, name: planted})
                assert planted not in answered.text, f"{path} {step} {name}"
    assert planted not in (await browser.http.get(PAGE, params={"again": planted})).text
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The controls: there was something to keep it in, and what is looked for is found where it is.
    assert len(await rows(engine, "select 1 from pledge")) > 1
    assert "shift" in holds(await everything_stored(engine), shift)


async def test_what_comes_first_is_shown_and_that_there_is_more(
    enter: Enter, association: Organization, engine: AsyncEngine, shift: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of shifts the soonest, whenever they were planned; of pledges those that last, whatever was ended before."""
    more = say("console.list.more", "en")
    browser = await enter(association.key)
    assert more not in (await browser.read(PAGE)).words
    later = await one(
        engine,
        """
        insert into shift (pledge_id, site_id, slot_id, volunteers, day, starts, ends, created_at)
        select x.pledge_id, x.site_id, s.id, x.volunteers, s.day, s.starts, s.ends, x.created_at - interval '1 hour'
          from shift x join slot s on s.starts > x.ends order by s.starts limit 1
        returning id
        """,
    )
    monkeypatch.setattr("api.console.volunteers._MOST_SHIFTS", 1)
    shown = await browser.read(PAGE)
    assert (shift in shown.answer.text, str(later.id) in shown.answer.text) == (True, False)
    told(shown, more)
    monkeypatch.setattr("api.console.volunteers._MOST_SHIFTS", 2)
    monkeypatch.setattr("api.console.volunteers._MOST", 1)
    monkeypatch.setattr("api.console.volunteers._MOST_OVER", 1)
    first = str((await one(engine, "select id from pledge")).id)
    second = (await association.http.post("/v1/pledges", json=pledge_body())).json()["id"]
    told(await browser.read(PAGE), more)
    await rows(engine, "update pledge set state = 'closed' where id = :id", id=UUID(first))
    shown = await browser.read(PAGE)
    assert f"/console/pledges/{second}/end" in [form.action for form in shown.forms]
    assert more not in shown.words


def test_every_answer_has_its_words_in_every_language() -> None:
    keys = {f"console.shift.{each}" for each in ("planned", "confirmed", "still_coming", "at_risk")}
    keys |= {f"console.decline.{each}" for each in ("no_volunteers", "too_far", "other")}
    for language in LANGUAGES:
        assert catalogue(language).keys() >= keys, language
