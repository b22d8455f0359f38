"""Posting and following needs by pages: once however often it is tapped, never more than asked, nobody else's."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.console.asking import FIRST_WISHES, MORE_WISHES
from api.console.evenings import evening_of, window_of
from api.wording import LANGUAGES, knows, say
from db.connection import transaction
from db.keys import Scope
from matching.states import AllocationState, NeedState
from matching.vocabulary import Audience, Coverage, DeclineReason, OrganizationKind, Urgency
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, post_need, read_need
from tests.api.stored import everything_stored, holds
from tests.api.test_slip import starts_in
from tests.console.conftest import Enter, Shown
from tests.db.acts import answer, hold, one, rows
from tests.pacts import add_pact, add_referral
from tests.places import BRIANCON, GAP, OULX

PARIS = ZoneInfo("Europe/Paris")
NEW, QUEUE = "/console/needs/new", "/console/needs/queue"


NAMES = """
    insert into town_name (town_id, folded, name)
    select id, lower(replace(name, 'ç', 'c')), name from town on conflict do nothing
"""


def need_in(shown: Shown) -> UUID:
    return UUID(shown.answer.url.path.rpartition("/")[2])


async def test_the_likeliest_need_is_one_tap_away(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    shown = await browser.send(await browser.read(NEW), NEW)
    need = (await coordination.http.get(f"/v1/needs/{need_in(shown)}")).json()
    starts, ends = (datetime.fromisoformat(need[name]).astimezone(PARIS) for name in ("from", "until"))
    assert (starts.hour, ends.hour, (ends.date() - starts.date()).days) == (18, 9, 1)
    assert starts.date() == evening_of(datetime.now(UTC), PARIS)
    assert need["people"] == {"adults": 1, "minors": 0}
    assert (need["urgency"], need["countries"], need["divisible"]) == ("normal", ["FR"], False)
    code = re.search(r"[A-Z0-9]{5}(-[A-Z0-9]{5}){2}", shown.words)
    assert code
    slip = await coordination.http.post("/v1/slip", json={"code": code[0]}, headers={"Authorization": ""})
    assert slip.status_code == 200
    acts = await rows(engine, "select act from audit_pending order by id")
    assert [row.act for row in acts] == [
        "POST /console/sign-in",
        "POST /console/needs/new",
        "GET /console/needs/{need_id}",
    ]


async def test_everything_that_is_chosen_is_asked_for(enter: Enter, coordination: Organization) -> None:
    browser = await enter(coordination.key)
    shown = await browser.read(NEW)
    chosen: dict[str, Any] = {
        "adults": "2",
        "minors": "3",
        "nights": "2",
        "urgency": "vital",
        "party": ["families", "nonsense"],
        "wish": ["step_free", "pets", "nonsense"],
        "country": ["IT", "RU"],
        "divisible": "1",
    }
    need = (await coordination.http.get(f"/v1/needs/{need_in(await browser.send(shown, NEW, **chosen))}")).json()
    assert need["people"] == {"adults": 2, "minors": 3}
    assert (need["urgency"], need["audience"], need["requires"]) == ("vital", ["families"], ["pets", "step_free"])
    assert (need["countries"], need["divisible"]) == (["FR", "IT"], True)


async def test_two_taps_post_once_and_another_page_or_another_content_anew(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    shown = await browser.read(NEW)
    first, second = await asyncio.gather(browser.send(shown, NEW, adults="2"), browser.send(shown, NEW, adults="2"))
    assert first.answer.url == second.answer.url
    assert (await browser.send(shown, NEW, adults="2")).answer.url == first.answer.url
    assert (await one(engine, "select count(*) as n from need")).n == 1
    assert (await browser.send(shown, NEW, adults="3")).answer.url != first.answer.url
    assert (await browser.send(await browser.read(NEW), NEW, adults="2")).answer.url != first.answer.url
    assert (await one(engine, "select count(*) as n from need")).n == 3


async def test_what_is_wrong_is_said_and_what_was_chosen_stays(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    shown = await browser.read(NEW)
    again = await browser.send(shown, NEW, status=422, adults="0", urgency="high", wish=["pets"])
    assert say("flaw.nobody", "en") in again.words
    fields = again.form(NEW).fields
    assert ("urgency", "high") in fields
    assert ("wish", "pets") in fields
    for wrong in (
        {"adults": "-1"},
        {"adults": "x"},
        {"adults": "9999"},
        {"nights": "400"},
        {"category": "language_class"},
    ):
        await browser.send(shown, NEW, status=422, **wrong)
    assert await rows(engine, "select 1 from need") == []
    assert [row.act for row in await rows(engine, "select act from audit_pending")] == ["POST /console/sign-in"]


async def test_a_form_of_yesterday_does_not_ask_for_the_next_night(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    """It was kept on a telephone overnight: who wanted that bed has slept somewhere else."""
    browser = await enter(coordination.key)
    shown = await browser.read("/console/needs/new")
    yesterday = (datetime.now(ZoneInfo("Europe/Paris")) - timedelta(days=2)).date().isoformat()
    refused = await browser.send(shown, "/console/needs/new", 422, evening=yesterday)
    assert "past" in refused.words or "passé" in refused.words
    assert await rows(engine, "select id from need") == []


async def test_another_town_is_found_by_its_name(enter: Enter, coordination: Organization, engine: AsyncEngine) -> None:
    await rows(engine, NAMES)
    browser = await enter(coordination.key)
    found = await browser.send(await browser.read(NEW), NEW, q="oul", find="1", minors="2")
    assert "Oulx" in found.words
    assert ("minors", "2") in found.form(NEW).fields
    assert ("town", str(OULX.id)) in found.form(NEW).fields
    need = (await coordination.http.get(f"/v1/needs/{need_in(await browser.send(found, NEW))}")).json()
    assert (need["town"], need["countries"], need["people"]["minors"]) == (OULX.id, ["IT"], 2)


async def test_a_queue_is_posted_whole_or_not_at_all(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    shown = await browser.read(QUEUE)
    assert [name for name, _ in shown.form(QUEUE).fields].count("adults") == 6
    more = await browser.send(shown, QUEUE, more="1", adults=["2", "", "1"], minors=["1", "3", ""])
    assert [value for name, value in more.form(QUEUE).fields if name == "adults"][:4] == ["2", "", "1", ""]
    await browser.send(shown, QUEUE, status=422)
    await browser.send(shown, QUEUE, status=422, adults=["2", "501"], minors=["0", "0"])
    assert await rows(engine, "select 1 from need") == []
    both = await asyncio.gather(
        *(browser.send(shown, QUEUE, adults=["2", "", "1"], minors=["1", "3", ""]) for _ in range(2))
    )
    people = await rows(engine, "select adults, minors from need order by adults")
    assert [(row.adults, row.minors) for row in people] == [(0, 3), (1, 0), (2, 1)]
    assert both[0].answer.url == both[1].answer.url
    assert len(set(re.findall(r"[A-Z0-9]{5}(?:-[A-Z0-9]{5}){2}", both[0].words))) == 3


async def test_the_board_says_where_each_need_stands_and_why(
    enter: Enter, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    assert say("console.board.empty", "en") in (await browser.read("/console")).words
    await open_offer(association)
    need = await post_need(coordination)
    assert say("summary.fits", "en") in (await browser.read("/console")).words
    (allocation,) = await hold(engine, UUID(need["id"]))
    held = await browser.read("/console")
    assert say("console.state.held", "en") in held.words
    assert re.search(r"Answer due by \d\d:\d\d", held.words)
    await answer(engine, allocation, association.id, AllocationState.CONFIRMED)
    assert say("console.state.confirmed", "en") in (await browser.read("/console")).words
    await starts_in(engine, 1)
    arrived = await browser.send(
        await browser.read("/console"), f"/console/allocations/{allocation}/arrive", back="/console"
    )
    assert say("chosen.arrived", "en", km=0) in arrived.words


async def test_a_need_is_withdrawn_only_when_it_is_said_for_sure(enter: Enter, coordination: Organization) -> None:
    browser = await enter(coordination.key)
    need = await post_need(coordination)
    path = f"/console/needs/{need['id']}/withdraw"
    asked = await browser.send(await browser.read("/console"), path)
    assert (await read_need(coordination, need["id"]))["state"] == "open"
    done = await browser.send(asked, path)
    assert (await read_need(coordination, need["id"]))["state"] == "withdrawn"
    assert done.answer.url.path == "/console"


async def test_somebody_elses_need_is_told_of_as_what_never_was(
    enter: Enter, coordination: Organization, client: JoinNetwork
) -> None:
    need, browser = await post_need(coordination), await enter((await client()).key)
    token = dict((await browser.read("/console/sessions")).form("/console/sign-out").fields)["token"]

    async def told(need_id: str) -> list[tuple[int, str]]:
        asked = [
            await browser.http.get(f"/console/needs/{need_id}"),
            await browser.http.get("/console/slips", params={"need": need_id}),
            *[
                await browser.http.post(f"/console/needs/{need_id}/withdraw", data={"token": token, **sure})
                for sure in ({}, {"sure": "1"})
            ],
        ]
        return [(each.status_code, each.text.replace(need_id, "")) for each in asked]

    assert await told(need["id"]) == await told(str(uuid4()))
    assert (await read_need(coordination, need["id"]))["state"] == "open"
    assert need["id"] not in (await browser.read("/console")).answer.text


async def test_a_key_that_only_reads_sees_the_board_and_no_code(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    need = await post_need(coordination)
    shown = await browser.read(f"/console/needs/{need['id']}")
    assert need["code"] in shown.words
    await rows(engine, "update api_key set scopes = array['needs:read']")
    shown = await browser.read(f"/console/needs/{need['id']}")
    assert need["code"] not in shown.answer.text
    assert not [form for form in shown.forms if form.action.endswith("withdraw")]
    await browser.read(NEW, 403)
    await browser.read("/console/slips", 403)


async def test_the_code_of_a_need_that_is_over_is_not_shown_again(enter: Enter, coordination: Organization) -> None:
    browser = await enter(coordination.key)
    need = await post_need(coordination)
    await coordination.http.post(f"/v1/needs/{need['id']}/withdraw")
    for path in (f"/console/needs/{need['id']}", f"/console/slips?need={need['id']}"):
        assert need["code"] not in (await browser.read(path)).answer.text


def test_an_evening_lasts_until_dawn_in_its_own_town() -> None:
    late, early = datetime(2026, 12, 2, 2, 30, tzinfo=UTC), datetime(2026, 12, 2, 6, tzinfo=UTC)
    assert (evening_of(late, PARIS), evening_of(early, PARIS)) == (date(2026, 12, 1), date(2026, 12, 2))
    starts, ends = window_of(date(2026, 12, 1), 3, Coverage.EVERY, late, PARIS)
    assert (starts.isoformat(), ends.isoformat()) == ("2026-12-01T18:00:00+01:00", "2026-12-04T09:00:00+01:00")
    for hour in range(24):
        now = datetime(2026, 12, 1, hour, 30, tzinfo=PARIS)
        starts, ends = window_of(evening_of(now, PARIS), 1, Coverage.ANY, now, PARIS)
        assert starts < ends
        assert ends > now


def test_every_word_of_the_vocabularies_has_its_words() -> None:
    keys = [
        *(f"console.wish.{code}" for code in (*FIRST_WISHES, *MORE_WISHES)),
        *(f"console.state.{state}" for state in NeedState),
        *(f"console.urgency.{urgency}" for urgency in Urgency),
        *(f"console.decline.{reason}" for reason in DeclineReason),
        *(f"console.party.{each}" for each in Audience if each is not Audience.ANYONE),
    ]
    assert [key for key in keys if not knows(key)] == []
    assert len({say(key, language) for key in keys[:6] for language in LANGUAGES}) > 6 * 4


async def test_an_organization_without_towns_looks_for_one(
    enter: Enter, client: JoinNetwork, engine: AsyncEngine
) -> None:
    await rows(engine, NAMES)
    browser = await enter(
        (await client(OrganizationKind.COORDINATION, frozenset(Scope) - {Scope.OFFERS_WRITE}, ())).key
    )
    shown = await browser.read(NEW)
    assert say("console.town.none", "en") in shown.words
    await browser.send(shown, NEW, status=422)
    assert "Briançon" in (await browser.send(shown, NEW, q="brian", find="1")).words


async def test_whatever_is_written_into_a_form_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter,
    coordination: Organization,
    municipality: Organization,
    engine: AsyncEngine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    browser, planted = await enter(coordination.key), "Mariam-Haidari"
    need = await post_need(coordination)
    async with transaction(engine) as tx:
        home, away = (municipality.id, GAP), (coordination.id, BRIANCON)
        pact = await add_pact(tx, home, away)
        referral = await add_referral(tx, UUID(need["id"]), pact, home, away)
    token = dict((await browser.read(NEW)).form(NEW).fields)["token"]
    sent = {"token": token, "adults": "1", "answer": "yes"}
    fields = "key there language form town q find evening nights adults minors urgency category party wish country"
    asking = (*fields.split(), "divisible", "sure", "back", "answer", "more", planted)
    own = f"needs/{need['id']}"
    acts = (f"{own}/refer", f"referrals/{referral}/answer", f"pacts/{pact}/sign")
    tried: dict[str, tuple[str, ...]] = dict.fromkeys(acts, ("asked", "number", "sure", "back", "answer", planted))
    tried |= dict.fromkeys(("needs/new", "needs/queue", "sign-in", "language", f"{own}/withdraw"), asking)
    for path, names in tried.items():
        for name in names:
            answered = await browser.http.post(
                f"/console/{path}", data=sent | {name: planted}, headers={"X-Name": planted}
            )
            assert planted not in answered.text, f"{path} {name}"
        asked = await browser.http.get(f"/console/{path}", params={"name": planted, "again": planted})
        assert planted not in asked.text
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The control: what is looked for is found where it is.
    assert "need" in holds(await everything_stored(engine), str(need["id"]))
