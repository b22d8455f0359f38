"""People passed from town to town by pages: asked for at the door, answered by the town that is asked, or too late."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, catalogue, say
from db.connection import transaction
from db.keys import Scope
from db.settings import Settings
from matching.referring import RULES
from matching.states import ReferralState
from matching.vocabulary import OrganizationKind
from tests.api.bodies import project_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, post_need, read_need
from tests.api.test_referrals import Both
from tests.builders import add_offer
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import hold, one, rows
from tests.pacts import add_pact
from tests.places import BRIANCON, GAP, OULX

BOARD, TONIGHT, PACTS = "/console", "/console/tonight", "/console/pacts"


@pytest.fixture
async def both(client: JoinNetwork, engine: AsyncEngine, settings: Settings) -> Both:
    briancon = await client(OrganizationKind.COORDINATION, towns=(BRIANCON.id,))
    gap = await client(OrganizationKind.MUNICIPALITY, towns=(GAP.id,))
    return Both(briancon, gap, engine, settings)


async def offered(both: Both, **changes: object) -> tuple[str, str]:
    """A need that Gap is asked about, and the path of its answer."""
    await both.pact(acceptance="each")
    await open_offer(both.gap, GAP)
    need_id = await both.need(**changes)
    asked = await both.briancon.http.post(f"/v1/needs/{need_id}/refer")
    assert asked.is_success, asked.text
    return need_id, f"/console/referrals/{(await both.waiting())['id']}/answer"


async def standing(engine: AsyncEngine) -> tuple[str, str | None]:
    row = await one(engine, "select state, reason from referral")
    return row.state, row.reason


def actions(shown: Shown) -> list[str]:
    return [form.action for form in shown.forms]


async def test_a_town_is_asked_from_the_board_and_answers_among_its_houses(enter: Enter, both: Both) -> None:
    await both.pact(acceptance="each")
    await open_offer(both.gap, GAP, provides=["step_free", "interpreter:ar"])
    need_id = await both.need(requires=["step_free", "interpreter:ar"], audience=["families"])
    door, hall = await enter(both.briancon.key), await enter(both.gap.key)
    refer = f"/console/needs/{need_id}/refer"
    sure = await door.send(await door.read(BOARD), refer)
    assert say("console.refer.sure", "en") in sure.words
    assert await rows(both.engine, "select id from referral") == []
    board = await door.send(sure, refer)
    assert say("referral.offered", "en", town="Gap") in board.words
    assert refer not in actions(board)

    referral = await both.waiting()
    answer = f"/console/referrals/{referral['id']}/answer"
    shown = await hall.read(TONIGHT)
    way = say("console.asked.way", "en", town="Gap", km=referral["distance_km"])
    for words in ("Briançon", way, "Adults: 2", "A family", "No steps", "Interpreter: Arabic", "Answer due by"):
        assert words in shown.words, words
    assert need_id not in shown.answer.text
    asked = await hall.send(shown, answer, answer="yes")
    assert await standing(both.engine) == ("offered", None)
    done = await asyncio.gather(hall.send(asked, answer), hall.send(asked, answer))
    assert await standing(both.engine) == ("accepted", None)
    assert [each.answer.url.path for each in done] == [TONIGHT, TONIGHT]
    assert answer not in actions(done[1])
    board = await door.read(BOARD)
    assert say("referral.accepted", "en", town="Gap") in board.words
    assert say("console.state.referred", "en") in board.words
    acts = [row.act for row in await rows(both.engine, "select act from audit_pending order by id")]
    assert acts.count("POST /console/needs/{need_id}/refer") == 1
    assert "POST /console/referrals/{referral_id}/answer" in acts


async def test_an_answer_that_is_not_waited_for_any_more_is_told_so_in_words_and_changes_nothing(
    enter: Enter, both: Both
) -> None:
    need_id, path = await offered(both)
    hall = await enter(both.gap.key)
    shown = await hall.read(TONIGHT)
    sure = await hall.send(shown, path, answer="yes")
    await rows(both.engine, "update referral set answer_by = now() - interval '1 second'")
    await assert_too_late(hall, shown, sure, path, "expired")
    await rows(both.engine, "update referral set answer_by = now() + interval '1 hour'")
    await both.briancon.http.post(f"/v1/needs/{need_id}/withdraw")
    await assert_too_late(hall, shown, sure, path, "withdrawn")
    assert await standing(both.engine) == ("withdrawn", "need_ended")
    await hall.send(shown, path, status=422, answer="because", sure="1")


async def assert_too_late(hall: Browser, shown: Shown, sure: Shown, path: str, state: str) -> None:
    """Whether it is said for sure or asked about again."""
    for late in (await hall.send(sure, path, status=409), await hall.send(shown, path, status=409, answer="full")):
        assert say(f"console.referral_is_answered.{state}", "en") in late.words
    assert path not in actions(await hall.read(TONIGHT))


async def test_where_no_pact_can_help_it_is_told_which_rule_is_in_the_way(enter: Enter, both: Both) -> None:
    need_id = await both.need()
    door, path = await enter(both.briancon.key), f"/console/needs/{need_id}/refer"
    sure = await door.send(await door.read(BOARD), path)
    assert say("console.refer.none", "en") in (await door.send(sure, path, status=409)).words
    await both.pact(to_partner_per_week=3)
    refused = await door.send(sure, path, status=409)
    assert say("console.refer.week", "en") in refused.words
    assert "Gap takes 3 people a week" in (await door.read(f"/console/needs/{need_id}")).words
    assert (await read_need(both.briancon, need_id))["state"] == "open"
    assert await rows(both.engine, "select id from referral") == []
    # The control: what was refused is done once nothing is in the way.
    await open_offer(both.gap, GAP)
    await both.pact()
    await door.send(sure, path)
    assert (await read_need(both.briancon, need_id))["state"] == "referred"


async def test_two_taps_ask_one_town_and_an_old_page_takes_nobody_away_from_the_town_that_took_them(
    enter: Enter, both: Both, client: JoinNetwork
) -> None:
    """Agreed beforehand: asked once more, the people would go on to the next town."""
    oulx = await client(OrganizationKind.MUNICIPALITY, towns=(OULX.id,))
    need_id = await both.need(countries=["FR", "IT"])
    for town, place in ((both.gap, GAP), (oulx, OULX)):
        await open_offer(town, place)
    await both.pact()
    async with transaction(both.engine) as tx:
        await add_pact(tx, (both.gap.id, GAP), (oulx.id, OULX))
    door, path = await enter(both.briancon.key), f"/console/needs/{need_id}/refer"
    old = await door.read(BOARD)
    sure = await door.send(old, path)
    for each in await asyncio.gather(door.send(sure, path), door.send(sure, path)):
        assert say("referral.accepted", "en", town="Gap") in each.words
    late = await door.send(old, path, status=409, sure="1", form="another tap")
    assert say("problem.conflict.asked_meanwhile.detail", "en") in late.words
    towns = await rows(both.engine, "select to_town_id, state from referral")
    assert [(row.to_town_id, row.state) for row in towns] == [(GAP.id, "accepted")]
    # The control: the pact leads on from there.
    assert (await both.briancon.http.post(f"/v1/needs/{need_id}/refer")).status_code == 200
    assert len(await rows(both.engine, "select id from referral")) == 2


async def test_who_has_a_place_or_goes_with_others_is_not_offered_to_a_partner(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    answered = await coordination.http.post("/v1/projects", json=project_body())
    assert answered.status_code == 201, answered.text
    door = await enter(coordination.key)
    assert [path for path in actions(await door.read(BOARD)) if path.endswith("/refer")] == []
    need_id = (await post_need(coordination))["id"]
    path = f"/console/needs/{need_id}/refer"
    assert path in actions(await door.read(BOARD))
    async with transaction(engine) as tx:
        await add_offer(tx, municipality.id)
    await hold(engine, UUID(need_id))
    assert path not in actions(await door.read(BOARD))


async def test_a_coordination_that_is_asked_finds_it_on_its_board(enter: Enter, both: Both) -> None:
    await both.pact(acceptance="each")
    async with transaction(both.engine) as tx:
        await add_offer(tx, both.gap.id)
    posted = await post_need(both.gap, town=GAP.id, max_km=500)
    await rows(both.engine, "update allocation set state = 'held'")
    assert (await both.gap.http.post(f"/v1/needs/{posted['id']}/refer")).is_success
    referral = await one(both.engine, "select id from referral where to_id = :id", id=both.briancon.id)
    door, path = await enter(both.briancon.key), f"/console/referrals/{referral.id}/answer"
    shown = await door.read(BOARD)
    assert say("console.asked", "en") in shown.words
    done = await door.send(await door.send(shown, path, answer="yes"), path)
    assert done.answer.url.path == BOARD
    assert (await standing(both.engine))[0] == "accepted"


async def test_the_town_that_is_asked_alone_answers_and_to_others_it_never_was(
    enter: Enter, both: Both, client: JoinNetwork
) -> None:
    _, path = await offered(both)
    poster, stranger = await enter(both.briancon.key), await enter((await client(towns=(GAP.id,))).key)

    async def told(browser: Browser, referral: str) -> list[tuple[int, str]]:
        token = dict((await browser.read("/console/sessions")).form("/console/sign-out").fields)["token"]
        asked = [
            await browser.http.post(f"/console/referrals/{referral}/answer", data={"token": token, **said})
            for said in ({"answer": "yes"}, {"answer": "yes", "sure": "1"}, {"answer": "full", "sure": "1"})
        ]
        return [(each.status_code, each.text.replace(referral, "")) for each in asked]

    referral, missing = path.split("/")[3], str(uuid4())
    for browser in (poster, stranger):
        found = await told(browser, referral)
        assert [status for status, _ in found] == [404, 404, 404]
        assert found == await told(browser, missing)
    assert say("console.asked", "en") not in (await stranger.read(TONIGHT)).words
    assert say("console.asked", "en") not in (await poster.read(BOARD)).words
    assert await standing(both.engine) == ("offered", None)


async def test_a_key_sees_and_answers_what_the_api_would_let_it(enter: Enter, both: Both) -> None:
    _, path = await offered(both)
    hall = await enter(both.gap.key)
    whole = await hall.read(TONIGHT)

    async def only(*scopes: Scope) -> None:
        values = {"id": both.gap.id, "scopes": sorted(scopes)}
        await rows(both.engine, "update api_key set scopes = :scopes where organization_id = :id", **values)

    await only(Scope.ALLOCATIONS_READ, Scope.PACTS_READ)
    shown = await hall.read(TONIGHT)
    assert say("console.asked", "en") in shown.words
    assert path not in actions(shown)
    await hall.send(whole, path, status=403, answer="yes", sure="1")
    await only(Scope.ALLOCATIONS_READ, Scope.NEEDS_READ)
    assert say("console.asked", "en") not in (await hall.read(TONIGHT)).words
    await hall.send(whole, path, status=403, answer="full", sure="1")
    token = dict(whole.form(path).fields)["token"]
    refused = await hall.http.post(f"/console/needs/{uuid4()}/refer", data={"token": token, "sure": "1"})
    assert refused.status_code == 403
    assert await standing(both.engine) == ("offered", None)
    await only(Scope.PACTS_READ, Scope.PACTS_WRITE)
    office = await enter(both.gap.key)
    pacts = await office.read("/console/sign-in")
    assert pacts.answer.url.path == PACTS
    done = await office.send(await office.send(pacts, path, answer="full"), path)
    assert done.answer.url.path == PACTS
    assert await standing(both.engine) == ("declined", "full")


def test_whatever_stands_in_the_way_has_its_words_in_every_language() -> None:
    keys = [f"console.refer.{rule}" for rule in RULES]
    keys += [f"console.referral_is_answered.{state}" for state in ReferralState if state is not ReferralState.OFFERED]
    for language in LANGUAGES:
        assert catalogue(language).keys() >= {*keys, "problem.conflict.asked_meanwhile.detail"}, language
        assert len({say(key, language) for key in keys}) == len(keys)
    assert len({say(key, language) for key in keys for language in LANGUAGES}) == len(keys) * len(LANGUAGES)
