"""What if there were more places: reckoned from what was published, from one's own parties, and from nothing else."""

import re
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.console import what_if, what_if_own
from api.pace import Rate
from api.wording import LANGUAGES, say
from db import policies, seekers
from db.connection import transaction
from db.keys import Scope
from db.roles import Role, acting_as
from db.seekers import Seeker
from matching.figures.calendar import WEEK
from matching.figures.measures import Measure
from matching.figures.tables import ALL, Span
from matching.one_house import whom_it_takes
from matching.policy import Policy
from matching.vocabulary import OrganizationKind
from tests.api.bodies import pathway_body, pledge_body, project_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, place, post_need
from tests.builders import tonight
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import rows
from tests.pacts import add_pact
from tests.places import BAYONNE, BRIANCON, GAP, OULX
from tests.published import tell

WHAT_IF = "/console/what-if"
FIRST = date(2026, 1, 5)
TOWNS = (str(BRIANCON.id), str(GAP.id), str(OULX.id))
QUESTIONS = (
    "",
    "?places=4&open_to=families&wish=step_free",
    "?places=5&way=fewer",
    "?span=month&km=120&abroad=1",
    f"?town={GAP.id}&for=meal",
    "?for=sanitation&km=3",
    "?q=gap&nights=14&km=20",
)
Numbers = dict[str, str]
ITS_OWN, ITS_OWN_TOGETHER = seekers.without_a_place, seekers.waiting_together


@pytest.fixture
async def desk(client: JoinNetwork) -> Organization:
    return await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))


@pytest_asyncio.fixture(loop_scope="function")
async def planner(enter: Enter, desk: Organization) -> AsyncIterator[Browser]:
    yield await enter(desk.key)


async def tell_weeks(engine: AsyncEngine) -> None:
    """Three weeks: of the second Briançon did not tell who was left without; Gap told of the third alone."""
    briancon, gap, oulx = TOWNS
    for number, unmet in enumerate((40, None, 100)):
        told = [
            (briancon, "shelter", Measure.ASKED, "", 200 + number),
            (briancon, "shelter", Measure.SERVED, "", 90),
            (briancon, "shelter", Measure.NIGHTS, "", 260 + number),
            (oulx, "shelter", Measure.UNMET, "", 5000),
            ("FR", "shelter", Measure.UNMET, "", 7000),
            (ALL, "shelter", Measure.UNMET, "", 9000),
            (briancon, "meal", Measure.UNMET, "", 8000),
        ]
        if unmet:
            told += [
                (briancon, "shelter", Measure.UNMET, "", unmet),
                (briancon, "shelter", Measure.UNMET_FOR, "capacity", 12),
                (briancon, "shelter", Measure.UNMET_FOR, "distance", 25),
            ]
        if number == 2:
            told.append((gap, "shelter", Measure.UNMET, "", 15))
        await tell(engine, Span.WEEK, FIRST + number * WEEK, *told)


def numbers(shown: Shown) -> Numbers:
    """Names and values of the page, in its order."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", shown.answer.text)
    return {name: " ".join(value.split()) for name, value in found}


def chart(shown: Shown) -> str:
    """What the picture says."""
    found = re.search(r"<desc[^>]*>(.*?)</desc>", shown.answer.text, re.DOTALL)
    return found[1] if found else ""


def table(shown: Shown) -> list[str]:
    """The lines of the towns, as they are read out."""
    lines = shown.answer.text.partition('id="towns"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in lines.split("</tr>")[:-1]]


MOST = say("console.whatif.most", "en")
TAKEN = say("console.whatif.own.taken", "en", places=10)


def lot(parties: int, people: int) -> str:
    return f"Parties: {parties} · People: {people}"


async def test_of_weeks_that_were_told_the_limit_is_reckoned_and_of_others_nothing(
    planner: Browser, engine: AsyncEngine
) -> None:
    await tell_weeks(engine)
    shown = await planner.read(f"{WHAT_IF}?places=8")
    assert numbers(shown) == {
        say("console.whatif.told.week", "en"): "2 of 3",
        say("console.whatif.without", "en"): "140",
        MOST: "96",
        say("console.whatif.reckoned", "en"): "8 × 7 = 56",
    }
    left, taken = say("console.figures.kind.unmet", "en"), say("console.whatif.kind.most", "en")
    assert chart(shown) == ". ".join(
        f"{day} Jan 2026: {left} {people}, {taken} {most}"
        for day, people, most in (("5", "40", "40"), ("12", "–", "–"), ("19", "100", "56"))
    )
    assert table(shown) == ["Briançon France 0 202 90 100 262 places too far away: 25"]
    assert say("console.whatif.withheld", "en") in shown.words


async def test_towns_within_reach_are_added_and_those_over_a_border_only_when_asked_for(
    planner: Browser, engine: AsyncEngine
) -> None:
    await tell_weeks(engine)
    far = await planner.read(f"{WHAT_IF}?places=100&km=100")
    assert [line.partition(" ")[0] for line in table(far)] == ["Briançon", "Gap"]
    for day, count in (("19", 2), ("5", 1)):
        assert f"{day} Jan 2026 · {say('console.whatif.towns', 'en', count=count, all=2)}" in chart(far)
    assert numbers(far)[MOST] == "155"
    both = await planner.read(f"{WHAT_IF}?places=1000&km=100&abroad=1", status=422)
    assert both
    abroad = await planner.read(f"{WHAT_IF}?places=500&km=100&abroad=1")
    assert {line.partition(" ")[0] for line in table(abroad)} == {"Briançon", "Gap", "Oulx"}
    assert numbers(abroad)[MOST] == "10,500"
    # Where a border ends it, that is said: of the number of towns and of the table.
    period = {"period": "19 Jan 2026"}
    alone = [
        say("console.whatif.around.home", "en", town="Briançon", km=100),
        say("console.whatif.table.home", "en", **period),
    ]
    every = [say("console.whatif.around", "en", town="Briançon", km=100), say("console.whatif.table", "en", **period)]
    assert all(words in far.words for words in alone)
    assert all(words in abroad.words for words in every)
    assert not any(words in abroad.words for words in alone)


async def test_of_fewer_places_no_more_is_said_than_what_they_hold(planner: Browser, engine: AsyncEngine) -> None:
    await tell_weeks(engine)
    shown = await planner.read(f"{WHAT_IF}?places=8&way=fewer")
    assert numbers(shown) == {
        say("console.whatif.told.week", "en"): "3 of 3",
        say("console.whatif.reckoned", "en"): "8 × 7 = 56",
    }
    assert f"nights 260, {say('console.whatif.kind.fewer', 'en')} 56" in chart(shown)
    assert say("console.whatif.own", "en") not in shown.words


async def test_of_help_by_day_published_figures_are_told_and_no_house_is_thought_of(
    planner: Browser, desk: Organization, engine: AsyncEngine
) -> None:
    await tell_weeks(engine)
    await post_some(desk)
    shown = await planner.read(f"{WHAT_IF}?for=meal")
    assert numbers(shown)[MOST] == "210"
    # One place there serves many in a day: so people are asked for, and places of nights alone.
    assert say("console.whatif.asked.more.day", "en", places=10) in shown.words
    assert say("console.whatif.asked.more", "en", places=10) in (await planner.read(WHAT_IF)).words
    assert say("console.whatif.own.by_day", "en") in shown.words
    assert say("console.whatif.own", "en") not in shown.words
    fewer = await planner.read(f"{WHAT_IF}?for=meal&way=fewer")
    assert say("console.figures.none", "en") in fewer.words


async def test_by_month_the_days_are_those_of_its_weeks(planner: Browser, engine: AsyncEngine) -> None:
    await tell(engine, Span.MONTH, date(2026, 1, 1), (TOWNS[0], "shelter", Measure.UNMET, "", 400))
    shown = await planner.read(f"{WHAT_IF}?span=month&places=3")
    assert numbers(shown)[MOST] == "105"
    assert numbers(shown)[say("console.whatif.reckoned", "en")] == "3 × 35 = 105"


async def test_where_nothing_was_told_it_says_so(planner: Browser) -> None:
    shown = await planner.read(WHAT_IF)
    assert say("console.figures.none", "en") in shown.words
    assert (numbers(shown), chart(shown), table(shown)) == ({}, "", [])


async def post_some(desk: Organization) -> None:
    """Five parties of one's own: a family, a couple with a dog, three who need a step-free place, and two more."""
    await post_need(desk)
    starts, ends = tonight(9)
    week = {"from": starts.isoformat(), "until": ends.isoformat()}
    for changes in (
        {"people": {"adults": 2, "minors": 0}, "requires": ["pets"], "urgency": "normal"},
        {"people": {"adults": 3, "minors": 0}, "requires": ["step_free"], "urgency": "high"},
        {"people": {"adults": 1, "minors": 0}, "urgency": "normal", **week},
        {"people": {"adults": 5, "minors": 0}, "urgency": "normal"},
    ):
        await post_need(desk, **changes)


async def test_own_parties_are_placed_by_every_rule_in_this_house_alone(planner: Browser, desk: Organization) -> None:
    await post_some(desk)
    access, window, room = [say(f"console.whatif.out.{rule}", "en") for rule in ("access", "window", "capacity")]
    waits = say("console.whatif.own.asked", "en")
    assert numbers(await planner.read(WHAT_IF)) == {
        waits: lot(5, 15),
        TAKEN: lot(2, 9),
        access: lot(2, 5),
        window: lot(1, 1),
    }
    seven = numbers(await planner.read(f"{WHAT_IF}?places=7&wish=step_free&wish=pets&nights=14"))
    assert seven == {
        waits: lot(5, 15),
        say("console.whatif.own.taken", "en", places=7): lot(2, 7),
        room: lot(3, 8),
    }
    families = numbers(await planner.read(f"{WHAT_IF}?open_to=families"))
    assert say("console.whatif.out.audience", "en") in families
    assert TAKEN in families
    abroad = numbers(await planner.read(f"{WHAT_IF}?town={OULX.id}"))
    assert abroad[say("console.whatif.out.border", "en")] == lot(5, 15)


async def test_own_parties_are_taken_no_farther_than_is_asked(
    planner: Browser, desk: Organization, engine: AsyncEngine
) -> None:
    await post_need(desk, max_km=200)
    waits, far = say("console.whatif.own.asked", "en"), say("console.whatif.out.distance", "en")
    async with transaction(engine) as tx:
        policy = await policies.in_force(tx)
        await policies.publish(tx, replace(policy, version=policy.version + 1, radius_km=500))
    there = await planner.read(f"{WHAT_IF}?town={GAP.id}")
    assert numbers(there) == {waits: lot(1, 4), TAKEN: lot(1, 4)}
    assert dict(there.form(f"{WHAT_IF}#answer").fields)["km"] == "500", "any lawful policy opens the page"
    assert numbers(await planner.read(f"{WHAT_IF}?town={GAP.id}&km=10")) == {
        waits: lot(1, 4),
        TAKEN: lot(0, 0),
        far: lot(1, 4),
    }


async def test_who_has_a_place_or_goes_with_others_is_not_looked_at(
    planner: Browser, desk: Organization, client: JoinNetwork, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = await client(OrganizationKind.MUNICIPALITY)
    await open_offer(hall, capacity=4)
    await place(engine, desk)
    shown = await planner.read(WHAT_IF)
    assert say("console.whatif.own.none", "en") in shown.words
    posted = await desk.http.post("/v1/projects", json=project_body())
    assert posted.status_code == 201, posted.text
    shown = await planner.read(WHAT_IF)
    assert say("console.whatif.own.none", "en") in shown.words
    assert say("console.whatif.own.together", "en", count=2) in shown.words
    # However few are looked at, those who go with others are none of them, and leave nobody out.
    await post_need(desk, urgency="normal")
    with monkeypatch.context() as patched:
        patched.setattr(what_if_own, "MOST_PARTIES", 1)
        shown = await planner.read(WHAT_IF)
    assert numbers(shown)[say("console.whatif.own.asked", "en")] == lot(1, 4)
    assert say("console.whatif.own.together", "en", count=2) in shown.words
    assert say("console.whatif.own.cut", "en", count=1) not in shown.words


async def everybodys(
    tx: AsyncConnection, organization_id: UUID, category: str, policy: Policy, limit: int
) -> list[Seeker]:
    """What nobody may write: the needs of all, as whoever matches them reads them."""
    assert organization_id
    async with acting_as(tx, Role.MATCHER):
        owners = (await tx.execute(text("select distinct organization_id from need"))).scalars().all()
        return [each for owner in owners for each in await ITS_OWN(tx, owner, category, policy, limit)]


async def everybodys_together(tx: AsyncConnection, organization_id: UUID, category: str) -> int:
    """Nor this."""
    assert organization_id
    async with acting_as(tx, Role.MATCHER):
        owners = (await tx.execute(text("select distinct organization_id from need"))).scalars().all()
        return sum([await ITS_OWN_TOGETHER(tx, owner, category) for owner in owners])


async def others_live(client: JoinNetwork, engine: AsyncEngine) -> None:
    """Another desk and two halls: houses, needs, places, people passed on by a pact, a pledge, a pathway, a project."""
    other = await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id, GAP.id))
    hall = await client(OrganizationKind.MUNICIPALITY)
    partner = await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))
    await open_offer(hall, capacity=4)
    await open_offer(hall, GAP, capacity=40)
    assert (await place(engine, other))["allocations"]
    for urgency in ("vital", "normal"):
        await post_need(other, urgency=urgency)
        await post_need(other, town=GAP.id, urgency=urgency)
    await rows(
        engine, "update need set state = 'unmet', unmet_at = now() where id = :id", id=(await post_need(other))["id"]
    )
    async with transaction(engine) as tx:
        await add_pact(tx, (other.id, BRIANCON), (partner.id, GAP), acceptance="each")
    await open_offer(partner, GAP)
    asking = await place(engine, other, max_km=500, people={"adults": 8, "minors": 0})
    asked = await other.http.post(f"/v1/needs/{asking['id']}/refer")
    assert asked.is_success, asked.text
    assert await rows(engine, "select id from referral")
    for path, body in (
        ("pledges", pledge_body()),
        ("pathways", pathway_body()),
        ("projects", project_body()),
    ):
        who = hall if path == "pledges" else other
        answer = await who.http.post(f"/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text


async def pages(browser: Browser) -> list[bytes]:
    return [(await browser.read(f"{WHAT_IF}{question}")).answer.content for question in QUESTIONS]


async def test_what_others_ask_give_and_hold_changes_not_one_byte(
    planner: Browser,
    desk: Organization,
    client: JoinNetwork,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two worlds, which differ in all that is not one's own and was not published."""
    # More is asked here in a minute than anybody may.
    monkeypatch.setattr(what_if, "_PACE", Rate(600, 60))
    monkeypatch.setattr(what_if, "_PACE_OF_ALL", Rate(600, 60))
    await tell_weeks(engine)
    await know_names(engine)
    await post_some(desk)
    before = await pages(planner)
    reading_all = (("without_a_place", everybodys), ("waiting_together", everybodys_together))
    for name, all_of_them in reading_all:
        with monkeypatch.context() as patched:
            patched.setattr(seekers, name, all_of_them)
            assert await pages(planner) == before, "the control, where there is nobody else"
    await others_live(client, engine)
    assert await pages(planner) == before
    # The controls: who counts everybody tells of the others, and what is one's own or was published is told.
    for name, all_of_them in reading_all:
        with monkeypatch.context() as patched:
            patched.setattr(seekers, name, all_of_them)
            assert (await pages(planner))[0] != before[0]
    assert await pages(planner) == before
    await tell(engine, Span.WEEK, FIRST + 3 * WEEK, (TOWNS[0], "shelter", Measure.UNMET, "", 10))
    told = await pages(planner)
    assert told[0] != before[0]
    await post_need(desk)
    assert (await pages(planner))[0] != told[0]


async def test_only_so_many_are_looked_at_and_not_by_the_one_who_answers_everybody(
    planner: Browser, desk: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post_some(desk)
    where: list[threading.Thread] = []

    def seen(*given: object) -> object:
        where.append(threading.current_thread())
        return whom_it_takes(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(what_if_own, "whom_it_takes", seen)
    monkeypatch.setattr(what_if_own, "MOST_PARTIES", 2)
    shown = await planner.read(WHAT_IF)
    assert numbers(shown)[say("console.whatif.own.asked", "en")] == lot(2, 7)
    assert say("console.whatif.own.cut", "en", count=2) in shown.words
    assert where
    assert threading.main_thread() not in where


async def test_a_key_reads_its_own_needs_where_it_may_and_the_published_anyhow(
    enter: Enter, client: JoinNetwork, engine: AsyncEngine
) -> None:
    await tell_weeks(engine)
    hall = await client(OrganizationKind.MUNICIPALITY, towns=(BRIANCON.id,), scopes=frozenset({Scope.OFFERS_READ}))
    shown = await (await enter(hall.key)).read(WHAT_IF)
    assert numbers(shown)[MOST] == "110"
    assert say("console.whatif.own", "en") not in shown.words
    nowhere = await client(OrganizationKind.ASSOCIATION, towns=())
    shown = await (await enter(nowhere.key)).read(WHAT_IF)
    assert say("console.whatif.no_town", "en") in shown.words
    stranger = await (await enter.browser()).http.get(WHAT_IF)
    assert stranger.url.path == "/console/sign-in"


async def test_another_town_is_found_by_its_name_and_what_is_not_known_is_refused_and_not_repeated(
    planner: Browser, engine: AsyncEngine
) -> None:
    await know_names(engine)
    await tell_weeks(engine)
    found = await planner.read(f"{WHAT_IF}?q=oul&town={BRIANCON.id}")
    assert dict(found.form(f"{WHAT_IF}#answer").fields)["town"] == str(OULX.id)
    assert say("console.whatif.others", "en") not in found.words
    missed = await planner.read(f"{WHAT_IF}?q=amina.haddad")
    assert say("console.whatif.unknown", "en") in answered(missed)
    assert "amina" not in missed.answer.text
    assert (numbers(missed), chart(missed), table(missed)) == ({}, "", []), "no answer for a town that was not meant"
    assert numbers(await planner.read(WHAT_IF)), "the control"
    for unseen in ("%00", "%F0%9F%90%88%00", "%ff", "'%25"):
        assert say("console.whatif.unknown", "en") in (await planner.read(f"{WHAT_IF}?q={unseen}")).words
    wrong = ("town", "for", "places", "way", "km", "span", "open_to", "nights")
    for query in (*(f"{name}=amina.haddad" for name in wrong), "places=0", "km=501", "nights=15", "for=language_class"):
        answer = await planner.http.get(f"{WHAT_IF}?{query}")
        assert (answer.status_code, "amina" in answer.text) == (422, False), query
    assert (await planner.read(f"{WHAT_IF}?wish=amina.haddad")).answer.text.count("amina") == 0


async def know_names(engine: AsyncEngine) -> None:
    await rows(engine, "insert into town_name (town_id, folded, name) select id, lower(name), name from town")


def answered(shown: Shown) -> str:
    """What stands where the form leads to."""
    return shown.answer.text.partition('id="answer"')[2]


async def test_of_several_towns_found_one_is_answered_for_and_the_others_are_one_tap_away(
    planner: Browser, engine: AsyncEngine
) -> None:
    await know_names(engine)
    asked = "places=4&nights=3&wish=lift&wish=step_free&way=fewer&abroad=1&span=month&open_to=families&for=meal&km=7"
    shown = await planner.read(f"{WHAT_IF}?q=b&{asked}")
    assert "<bdi>Briançon</bdi> <small>France</small>" in answered(shown)
    assert say("console.whatif.others", "en") in shown.words
    (link,) = [held["href"] for tag, held in shown.elements if tag == "a" and f"town={BAYONNE.id}" in held["href"]]
    other = await planner.read(link)
    assert "<bdi>Bayonne</bdi> <small>France</small>" in answered(other)
    here, there = (dict(each.form(f"{WHAT_IF}#answer").fields) for each in (shown, other))
    assert there == here | {"town": str(BAYONNE.id)}


async def test_what_the_house_would_be_like_is_seen_where_something_is_said_of_it(
    planner: Browser, desk: Organization
) -> None:
    await post_some(desk)
    for query, is_open in (("", False), ("?nights=14", True), ("?wish=lift", True)):
        shown = await planner.read(f"{WHAT_IF}{query}")
        group = shown.answer.text.partition(say("console.whatif.house", "en"))[0].rpartition("<details")[2]
        assert (" open>" in group) == is_open
    heading = f"{say('console.whatif.own', 'en')} · {say('console.whatif.own.nights', 'en', nights=14)}"
    assert heading in (await planner.read(f"{WHAT_IF}?nights=14")).words


async def test_in_every_language_it_has_its_words(enter: Enter, desk: Organization, engine: AsyncEngine) -> None:
    await tell_weeks(engine)
    await post_some(desk)
    for language in LANGUAGES:
        browser = await enter(desk.key, **{"Accept-Language": language})
        shown = await browser.read(WHAT_IF)
        assert len(numbers(shown)) == 8
        assert say("console.whatif.own", language) in shown.words
        assert "…" not in shown.words
        await browser.read("/console/figures")
