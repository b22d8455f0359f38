"""What waits for the word of a house: answered once it is said for sure, by that house alone, in time or not at all."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import say
from db.keys import ONLY_CONFIRMS
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import open_offer, post_need
from tests.api.test_slip import starts_in
from tests.console.conftest import Browser, Enter
from tests.db.acts import answer, hold, one, rows, run_out_of_time, settled

TONIGHT = "/console/tonight"
FIRM = "update allocation set firm_from = now() - interval '1 second'"


async def waiting(engine: AsyncEngine, poster: Organization, provider: Organization, **changes: object) -> UUID:
    """A party for which a place is held, and the provider asked."""
    await open_offer(provider)
    (allocation,) = await hold(engine, UUID((await post_need(poster, **changes))["id"]))
    await rows(engine, FIRM)
    return allocation


async def state_of(engine: AsyncEngine, allocation: UUID) -> tuple[str, str | None]:
    row = await one(engine, "select state, reason from allocation where id = :id", id=allocation)
    return row.state, row.reason


@pytest.mark.parametrize(
    ("said", "stands"),
    [("yes", ("confirmed", None)), ("full", ("declined", "full")), ("no_staff", ("declined", "no_staff"))],
)
async def test_an_answer_counts_once_it_is_said_for_sure(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine, said: str, stands: object
) -> None:
    allocation = await waiting(engine, coordination, municipality)
    browser = await enter(municipality.key)
    path = f"/console/allocations/{allocation}/answer"
    shown = await browser.read(TONIGHT)
    assert "Gymnase du Prorel" in shown.words
    asked = await browser.send(shown, path, answer=said)
    assert await state_of(engine, allocation) == ("held", None)
    both = await asyncio.gather(browser.send(asked, path), browser.send(asked, path))
    assert await state_of(engine, allocation) == stands
    assert [each.answer.url.path for each in both] == [TONIGHT, TONIGHT]
    assert path not in [form.action for form in both[1].forms]


async def test_what_nobody_was_asked_about_yet_and_what_is_over_does_not_wait(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    allocation = await waiting(engine, coordination, municipality)
    browser = await enter(municipality.key)
    path = f"/console/allocations/{allocation}/answer"
    shown = await browser.read(TONIGHT)
    await rows(engine, "update allocation set firm_from = now() + interval '1 minute'")
    assert say("console.waiting.none", "en") in (await browser.read(TONIGHT)).words
    await run_out_of_time(engine, allocation)
    await rows(engine, FIRM)
    assert say("console.waiting.none", "en") in (await browser.read(TONIGHT)).words
    late = await browser.send(shown, path, status=409, answer="yes", sure="1")
    assert say("problem.no-longer-held.detail", "en") in late.words
    await browser.send(shown, path, status=409, answer="yes")
    await browser.send(shown, path, status=422, answer="because", sure="1")


async def test_those_that_run_out_first_stand_at_the_top(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    first = await waiting(engine, coordination, municipality, people={"adults": 3, "minors": 0})
    second = await waiting(engine, coordination, municipality, people={"adults": 2, "minors": 0})
    browser = await enter(municipality.key)
    for soon in (first, second):
        await rows(engine, "update allocation set held_until = now() + interval '50 minutes'")
        await rows(engine, "update allocation set held_until = now() + interval '9 minutes' where id = :id", id=soon)
        shown = await browser.read(TONIGHT)
        answers = [form.action for form in shown.forms if form.action.endswith("/answer")]
        assert len(answers) == 2
        assert str(soon) in answers[0]
        assert "in 9 minutes" in shown.words


async def test_a_key_that_only_confirms_answers_and_posts_nothing(
    enter: Enter, coordination: Organization, client: JoinNetwork, engine: AsyncEngine
) -> None:
    hall = await client(OrganizationKind.MUNICIPALITY)
    allocation = await waiting(engine, coordination, hall)
    await rows(
        engine,
        "update api_key set scopes = :scopes where organization_id = :id",
        scopes=sorted(ONLY_CONFIRMS),
        id=hall.id,
    )
    browser = await enter(hall.key)
    shown = await browser.read(TONIGHT)
    assert "/console/needs/new" not in shown.answer.text
    await browser.read("/console", 403)
    await browser.send(shown, f"/console/allocations/{allocation}/answer", answer="yes", sure="1")
    assert await state_of(engine, allocation) == ("confirmed", None)


async def test_who_comes_and_how_full_it_is(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    allocation = await waiting(engine, coordination, municipality)
    await answer(engine, allocation, municipality.id, AllocationState.CONFIRMED)
    await starts_in(engine, 1)
    browser = await enter(municipality.key)
    shown = await browser.read(TONIGHT)
    assert say("console.room", "en", used=4, capacity=10) in shown.words
    done = await browser.send(shown, f"/console/allocations/{allocation}/arrive")
    assert (await state_of(engine, allocation))[0] == "arrived"
    assert done.answer.url.path == TONIGHT
    assert say("console.is_there", "en") in done.words


@pytest.mark.parametrize("page", ["/console", TONIGHT])
async def test_either_side_gives_a_place_back_once_it_is_said_for_sure(
    page: str,
    enter: Enter,
    coordination: Organization,
    municipality: Organization,
    association: Organization,
    engine: AsyncEngine,
) -> None:
    allocation = await waiting(engine, coordination, municipality)
    await answer(engine, allocation, municipality.id, AllocationState.CONFIRMED)
    await starts_in(engine, 1)
    act = f"/console/allocations/{allocation}/release"
    other = await enter(association.key)
    token = dict((await other.read("/console/sessions")).form("/console/sign-out").fields)["token"]
    for more in ({}, {"sure": "1"}):
        assert (await other.http.post(act, data={"token": token, **more})).status_code == 404
    browser = await enter((coordination if page == "/console" else municipality).key)
    asked = await browser.send(await browser.read(page), act)
    assert say("console.release.sure", "en") in asked.words
    assert (await state_of(engine, allocation))[0] == "confirmed", "not yet"
    done = await browser.send(asked, act)
    assert done.answer.url.path == page
    assert await state_of(engine, allocation) == ("released", "other")


async def test_nobody_sees_or_answers_for_somebody_elses_house(
    enter: Enter, coordination: Organization, municipality: Organization, association: Organization, engine: AsyncEngine
) -> None:
    allocation = await waiting(engine, coordination, municipality)
    poster, other = await enter(coordination.key), await enter(association.key)

    async def told(browser: Browser, allocation_id: str) -> list[tuple[int, str]]:
        token = dict((await browser.read("/console/sessions")).form("/console/sign-out").fields)["token"]
        asked = [
            await browser.http.post(f"/console/allocations/{allocation_id}/{act}", data={"token": token, **more})
            for act in ("answer", "arrive")
            for more in ({"answer": "yes"}, {"answer": "yes", "sure": "1"}, {"answer": "full", "sure": "1"})
        ]
        return [(each.status_code, each.text.replace(allocation_id, "")) for each in asked]

    assert "Gymnase" not in (await other.read(TONIGHT)).answer.text
    assert await told(other, str(allocation)) == await told(other, "7b1f8a52-7f83-4a53-9d4b-1f0e2a5c9d10")
    await told(poster, str(allocation))
    assert await state_of(engine, allocation) == ("held", None)


async def test_whoever_is_signed_in_hears_that_something_changed_and_never_what(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    """And no more once the session is over, which listening does not keep alive."""
    browser = await enter(coordination.key)
    await settled(engine)
    await rows(engine, "update session set last_used_at = now() - interval '20 minutes'")
    async with asyncio.timeout(60):
        heard = asyncio.create_task(browser.http.get("/console/changes"))
        while not (await one(engine, "select count(*) as n from event")).n:
            await post_need(coordination)
        await rows(engine, "delete from session")
        await post_need(coordination)
        told = (await heard).text
    words = {line for line in told.splitlines() if line and not line.startswith(":")}
    assert words == {"data: changed"}
