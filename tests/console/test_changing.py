"""A need changed on its page: the place kept or nothing changed, and nothing of somebody else's change undone."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import say
from db.keys import Scope
from tests.api.bodies import pathway_body, project_body
from tests.api.conftest import Organization
from tests.api.scenes import assert_every_place_is_counted_once, open_offer, place, post_need, read_need
from tests.api.stored import everything_stored, holds
from tests.builders import TONIGHT, tonight
from tests.console.conftest import Enter
from tests.db.acts import one, rows

ANY = {"If-Match": "*"}


def path_of(need: dict[str, object]) -> str:
    return f"/console/needs/{need['id']}/change"


def at(day: int, clock: str) -> str:
    """So many days after tonight."""
    return f"{(TONIGHT + timedelta(days=day)).isoformat()}T{clock}"


async def test_what_is_said_otherwise_is_changed_and_all_else_stays(enter: Enter, coordination: Organization) -> None:
    need = await post_need(
        coordination, requires=["interpreter:fa", "quiet"], countries=["FR", "IT"], stay="transit", max_km=30
    )
    browser, path = await enter(coordination.key), path_of(need)
    board = await browser.read("/console")
    assert path in [held.get("href") for tag, held in board.elements if tag == "a"]
    shown = await browser.read(path)
    same = await browser.send(shown, path)
    assert same.answer.url.path == f"/console/needs/{need['id']}"
    before = await read_need(coordination, need["id"])
    ignored = {"version", "code", "deadline"}
    assert {k: v for k, v in before.items() if k not in ignored} == {k: v for k, v in need.items() if k not in ignored}
    changed = {
        "adults": "3",
        "minors": "1",
        "from": at(0, "18:00"),
        "until": at(2, "09:30"),
        "urgency": "high",
        "party": ["families"],
        "wish": ["pets", "step_free"],
        "country": [],
        "max_km": "",
        "divisible": "1",
    }
    await browser.send(await browser.read(path), path, 200, **changed)  # type: ignore[arg-type]
    now = await read_need(coordination, need["id"])
    assert (now["people"], now["urgency"], now["audience"]) == ({"adults": 3, "minors": 1}, "high", ["families"])
    assert now["requires"] == ["interpreter:fa", "pets", "step_free"]
    assert (now["countries"], now["max_km"], now["divisible"], now["stay"]) == (["FR"], None, True, "transit")
    assert datetime.fromisoformat(now["until"]) == tonight()[1].replace(minute=30) + timedelta(days=1)


async def test_the_place_is_kept_or_nothing_is_changed(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine
) -> None:
    await open_offer(municipality, capacity=6)
    need = await place(engine, coordination)
    browser, path = await enter(coordination.key), path_of(need)
    shown = await browser.read(path)
    longer = await browser.send(shown, path, until=at(3, "09:00"))
    assert longer.answer.url.path == f"/console/needs/{need['id']}"
    assert (await one(engine, "select count(*) as n from slot where used = 4")).n == 3
    shown = await browser.read(path)
    before = await read_need(coordination, need["id"])
    refused = await browser.send(shown, path, 409, adults="9")
    assert say("problem.conflict.cannot_keep_place.detail", "en") in refused.words
    assert ("adults", "9") in refused.form(path).fields
    assert await read_need(coordination, need["id"]) == before
    await assert_every_place_is_counted_once(engine)
    # The control: what fits is taken, by the very form that was refused.
    await browser.send(refused, path, adults="3")
    assert (await one(engine, "select people from allocation")).people == 5
    await assert_every_place_is_counted_once(engine)


async def test_what_somebody_else_changed_meanwhile_is_told_and_not_overwritten(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    need = await post_need(coordination)
    browser, path = await enter(coordination.key), path_of(need)
    shown = await browser.read(path)
    other = await coordination.http.patch(f"/v1/needs/{need['id']}", json={"requires": ["lift"]}, headers=ANY)
    assert other.status_code == 200, other.text
    late = await browser.send(shown, path, 412, adults="4")
    assert say("console.change.meanwhile", "en") in late.words
    assert {("adults", "2"), ("wish", "lift")} <= {*late.form(path).fields}
    row = await one(engine, "select adults, requires from need")
    assert (row.adults, row.requires) == (2, ["lift"])
    # Two at once from the same page: one is told.
    fields = dict(late.form(path).fields)
    both = await asyncio.gather(
        *(browser.http.post(path, data=fields | {"form": each, "adults": each}) for each in ("5", "6"))
    )
    assert sorted(each.status_code for each in both) == [200, 412]
    # Two taps of the same form are one change.
    again = await browser.read(path)
    taps = await asyncio.gather(*(browser.send(again, path, minors="3") for _ in range(2)))
    assert [each.answer.url.path for each in taps] == [f"/console/needs/{need['id']}"] * 2
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert acts.count("POST /console/needs/{need_id}/change") == 2


async def test_what_is_wrong_is_said_at_its_field(enter: Enter, coordination: Organization) -> None:
    need = await post_need(coordination)
    browser, path = await enter(coordination.key), path_of(need)
    shown, before = await browser.read(path), await read_need(coordination, need["id"])
    wrong: list[tuple[str, dict[str, str]]] = [
        ("people", {"adults": "0", "minors": "0"}),
        ("people", {"adults": "x"}),
        ("until", {"until": at(-1, "09:00")}),
        ("until", {"until": "soon"}),
        ("from", {"from": ""}),
        ("max_km", {"max_km": "0"}),
        ("max_km", {"max_km": "1001"}),
    ]
    for field, changes in wrong:
        refused = await browser.send(shown, path, 422, **changes)
        assert f'id="wrong-{field}"' in refused.answer.text, changes
    assert await read_need(coordination, need["id"]) == before


async def test_a_step_of_a_pathway_stays_its_partys_and_a_project_is_not_changed_here(
    enter: Enter, coordination: Organization
) -> None:
    pathway = await coordination.http.post("/v1/pathways", json=pathway_body())
    assert pathway.status_code == 201, pathway.text
    step = (await coordination.http.get("/v1/needs")).json()["items"][0]
    assert step["pathway_id"] is not None
    browser, path = await enter(coordination.key), f"/console/needs/{step['id']}/change"
    shown = await browser.read(path)
    assert "adults" not in dict(shown.form(path).fields)
    await browser.send(shown, path, wish=["quiet"], adults="7")
    now = await read_need(coordination, step["id"])
    assert (now["requires"], now["people"]) == (["quiet"], {"adults": 2, "minors": 2})
    project = await coordination.http.post("/v1/projects", json=project_body())
    assert project.status_code == 201, project.text
    party = (await coordination.http.get("/v1/needs")).json()["items"][0]
    assert party["project_id"] is not None
    there = path_of(party)
    assert there not in (await browser.read("/console")).answer.text
    refused = await browser.send(await browser.read(there), there, 409, wish=["quiet"])
    assert say("problem.conflict.part_of_project.detail", "en") in refused.words


async def test_somebody_elses_need_is_told_of_as_what_never_was(
    enter: Enter, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    need, stranger = await post_need(coordination), await enter(association.key)
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]

    async def answers(need_id: str) -> list[tuple[int, str]]:
        path = f"/console/needs/{need_id}/change"
        sent = {"token": token, "version": "1", "adults": "9"}
        asked = [await stranger.http.get(path), await stranger.http.post(path, data=sent)]
        assert {each.status_code for each in asked} == {404}
        return [(each.status_code, each.text.replace(need_id, "")) for each in asked]

    assert await answers(need["id"]) == await answers(str(uuid4()))
    browser = await enter(coordination.key)
    whole = await browser.read(path_of(need))
    await rows(
        engine,
        "update api_key set scopes = :scopes where organization_id = :id",
        scopes=[Scope.NEEDS_READ.value],
        id=coordination.id,
    )
    await browser.send(whole, path_of(need), 403, adults="9")
    assert path_of(need) not in (await browser.read("/console")).answer.text
    assert (await one(engine, "select adults from need where id = :id", id=UUID(need["id"]))).adults == 2


async def test_whatever_is_written_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter, coordination: Organization, engine: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    need, planted = await post_need(coordination), "Mariam-Haidari"
    browser, path = await enter(coordination.key), path_of(need)
    names = "form version adults minors from until urgency party wish country max_km divisible"
    for name in (*names.split(), planted):
        fields = dict((await browser.read(path)).form(path).fields)
        answered = await browser.http.post(path, data=fields | {name: planted})
        assert planted not in answered.text, name
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The control: what is looked for is found where it is.
    assert "need" in holds(await everything_stored(engine), need["id"])
