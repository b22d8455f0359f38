"""Pathways and projects on pages: posted step by step, followed, withdrawn, and answered by nobody but their people."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.console import together
from api.needs import MOST_PEOPLE
from api.pathways import PathwayIn
from api.projects import ProjectIn
from api.wire import Wire
from api.wording import LANGUAGES, catalogue, say
from db.bell import Bell
from db.keys import Scope
from db.roles import Role
from db.settings import Settings
from matching.bounds import MOVERS
from matching.pathways import PathwayState
from matching.projects import MOST_PARTIES, ProjectState
from matching.vocabulary import RefuseReason
from tests.acting import in_role
from tests.api.bodies import pathway_body, project_body
from tests.api.conftest import Organization
from tests.api.scenes import Json, open_offer
from tests.api.stored import everything_stored, holds
from tests.builders import TONIGHT
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import one, rows
from tests.places import BRIANCON
from worker.projects import look_after_projects

PATHWAY, PROJECT, TOGETHER = "/console/pathways/new", "/console/projects/new", "/console/together"
PARIS = ZoneInfo("Europe/Paris")
FIRST, LAST = TONIGHT.isoformat(), (TONIGHT + timedelta(days=60)).isoformat()
Fields = dict[str, str | list[str]]
STEPS: list[Fields] = [
    {"adults": "2", "minors": "1", "audience": ["families"]},
    {"first_day": FIRST, "last_day": LAST, "wish": ["kitchen", "lift", "lgbtq_safe"]},
    {"beside": ["language_class", "respite"], "teaches": "fr", "level": "A1"},
    {"near_km": "10", "max_km": "40"},
]
RESPITE = "A place to rest (one time within these days)"
TOGETHER_STEPS: list[Fields] = [
    {"first_day": FIRST, "last_day": LAST},
    {"adults": ["2", "", "1", "0"], "minors": ["3", "", "0", "2"], "step_free": ["2"]},
    {"together_km": "5", "minimum": "6", "answer_hours": "50"},
]


def told(shown: Shown, *words: str) -> None:
    for each in words:
        assert each in shown.words, each


def at(day: str, hour: int) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=PARIS)


async def walked(browser: Browser, path: str, steps: list[Fields]) -> list[Shown]:
    """The pages of all steps, each as it is shown once those before were sent."""
    pages = [await browser.read(path)]
    for said in steps:
        pages.append(await browser.send(pages[-1], path, 200, **said))
    return pages


async def answered(who: Organization, path: str) -> dict[str, Any]:
    answer = await who.http.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_pathway_is_posted_step_by_step_followed_and_withdrawn(
    enter: Enter, coordination: Organization, engine: AsyncEngine
) -> None:
    browser = await enter(coordination.key)
    assert TOGETHER in (await browser.read("/console")).answer.text
    told(await browser.read(TOGETHER), say("console.together.none", "en"))
    _, bed, beside, _, whole = await walked(browser, PATHWAY, STEPS)
    told(bed, say("console.pathway.along", "en"))
    told(beside, RESPITE, "A meal (one time within these days)")
    assert "class (one time" not in beside.words
    told(whole, "Step 5 of 5", "Adults: 2", "Kitchen", "French", "10 km", "40 km")
    told(whole, say("console.together.term.along", "en"), "Safe for LGBTQ+ · No steps", RESPITE)
    assert await rows(engine, "select 1 from need") == []
    shown = await browser.send(whole, PATHWAY)
    again = await browser.send(whole, PATHWAY)
    (pathway,) = (await answered(coordination, "pathways"))["items"]
    path = f"/console/pathways/{pathway['id']}"
    assert shown.answer.url.path == again.answer.url.path == path
    assert (pathway["people"], pathway["near_km"], pathway["town"]) == ({"adults": 2, "minors": 1}, 10, BRIANCON.id)
    steps = [step["need"] for step in pathway["steps"]]
    assert [step["category"] for step in steps] == ["shelter", "language_class", "respite"]
    along = ["lgbtq_safe", "step_free"]
    assert [step["requires"] for step in steps] == [["kitchen", "lgbtq_safe", "lift"], along, along]
    assert {step["audience"][0] for step in steps} == {"families"}
    assert [step["countries"] for step in steps] == [["FR"]] * 3
    assert (steps[0]["max_km"], steps[1]["language"]) == (40, {"teaches": "fr", "level": "A1"})
    assert [datetime.fromisoformat(steps[0][name]) for name in ("from", "until")] == [at(FIRST, 18), at(LAST, 9)]
    assert [datetime.fromisoformat(steps[1][name]) for name in ("from", "until")] == [at(FIRST, 8), at(LAST, 20)]
    told(shown, say("console.pathway.open", "en"), say("console.slip.title", "en"), RESPITE)
    told(await browser.read(TOGETHER), say("console.pathway.open", "en"))
    sure = await browser.send(shown, f"{path}/withdraw")
    told(sure, say("console.pathway.sure", "en"))
    assert [row.state for row in await rows(engine, "select distinct state from need")] == ["open"]
    await browser.send(sure, f"{path}/withdraw")
    assert [row.state for row in await rows(engine, "select distinct state from need")] == ["withdrawn"]
    over = await browser.read(path)
    told(over, say("console.pathway.withdrawn", "en"))
    assert say("console.slip.title", "en") not in over.words
    acts = [row.act for row in await rows(engine, "select act from audit_pending")]
    assert acts.count(f"POST {PATHWAY}") == 1
    assert acts.count("POST /console/pathways/{pathway_id}/withdraw") == 1


async def test_a_project_is_posted_step_by_step_and_only_its_people_answer(
    enter: Enter, coordination: Organization, municipality: Organization, engine: AsyncEngine, settings: Settings
) -> None:
    browser = await enter(coordination.key)
    pages = await walked(browser, PROJECT, TOGETHER_STEPS)
    told(pages[-1], "Step 4 of 4", say("console.project.people_answer", "en"))
    more = await browser.send(pages[1], PROJECT, 200, **TOGETHER_STEPS[1], more="1")
    told(more, "Step 2 of 4")
    assert [value for name, value in more.form(PROJECT).fields if name == "adults"][:4] == ["2", "1", "", ""]
    assert ("step_free", "1") in more.form(PROJECT).fields, "it is the second row now"
    shown = await browser.send(pages[-1], PROJECT)
    (project,) = (await answered(coordination, "projects"))["items"]
    path = f"/console/projects/{project['id']}"
    assert shown.answer.url.path == path
    assert {name: project[name] for name in ("together_km", "minimum", "answer_hours", "people")} == {
        "together_km": 5,
        "minimum": 6,
        "answer_hours": 50,
        "people": 8,
    }
    parties = [(party["people"], party["requires"]) for party in project["parties"]]
    assert parties == [
        ({"adults": 2, "minors": 3}, []),
        ({"adults": 1, "minors": 0}, ["step_free"]),
        ({"adults": 0, "minors": 2}, []),
    ]
    told(shown, say("console.project.stands.open", "en"), say("console.slip.title", "en"))
    await open_offer(municipality, last_day=LAST, provides=["step_free"])
    assert await look_after_projects(in_role(engine, Role.MATCHER), Bell(settings), None)
    waits = await browser.read(path)
    told(waits, say("console.project.stands.proposed", "en"), "It has places for 8 of 8 people.", "They may answer")
    assert f"{path}/answer" not in [form.action for form in waits.forms]
    token = dict(waits.form(f"{path}/withdraw").fields)["token"]
    for said in ("yes", "too_far", "moved_on"):
        sent = {"token": token, "said": said, "plan": "1", "sure": "1"}
        refused = await browser.http.post(f"{path}/answer", data=sent)
        assert refused.status_code == 409
        assert say("problem.conflict.only_the_people.detail", "en") in refused.text
    assert (await one(engine, "select state from project")).state == "proposed"
    # Who may not hand out the code does not read what it opens.
    only = "update api_key set scopes = :scopes where organization_id = :id"
    await rows(engine, only, id=coordination.id, scopes=[Scope.NEEDS_READ.value])
    reads = await browser.read(path)
    told(reads, say("console.project.stands.proposed", "en"))
    assert "It has places for" not in reads.words
    await rows(engine, only, id=coordination.id, scopes=sorted([Scope.NEEDS_READ.value, Scope.NEEDS_WRITE.value]))
    sure = await browser.send(waits, f"{path}/withdraw")
    told(sure, say("console.project.sure", "en"))
    await browser.send(sure, f"{path}/withdraw")
    assert (await one(engine, "select state from project")).state == "withdrawn"
    assert (await one(engine, "select count(*) as n from allocation where state = 'held'")).n == 0


@pytest.fixture
async def proposed(
    coordination: Organization, municipality: Organization, engine: AsyncEngine, settings: Settings
) -> Json:
    """A project of an organization of the people's own, for which a plan waits."""
    await rows(engine, "update organization set self_organized = true where id = :id", id=coordination.id)
    posted = await coordination.http.post("/v1/projects", json=project_body())
    assert posted.status_code == 201, posted.text
    await open_offer(municipality)
    assert await look_after_projects(in_role(engine, Role.MATCHER), Bell(settings), None)
    project: Json = posted.json()
    return project


async def test_an_organization_of_the_people_says_yes_to_the_plan_that_it_was_shown(
    enter: Enter, coordination: Organization, engine: AsyncEngine, proposed: Json
) -> None:
    browser, path = await enter(coordination.key), f"/console/projects/{proposed['id']}"
    shown = await browser.read(path)
    yes, _ = [form for form in shown.forms if form.action == f"{path}/answer"]
    fields = dict(yes.fields)
    sent = {"token": fields["token"], "plan": fields["plan"], "said": "yes"}
    asked = Shown(await browser.http.post(f"{path}/answer", data=sent))
    told(asked, say("console.project.yes.sure", "en"))
    assert (await one(engine, "select state from project")).state == "proposed"
    other = await browser.http.post(f"{path}/answer", data=sent | {"plan": "2", "sure": "1"})
    assert other.status_code == 409, "it is not the plan that is there"
    done = await browser.send(asked, f"{path}/answer")
    told(done, say("console.project.stands.accepted", "en"))
    assert (await one(engine, "select state from project")).state == "accepted"


async def test_or_no_to_some_of_its_houses(
    enter: Enter, coordination: Organization, engine: AsyncEngine, proposed: Json
) -> None:
    browser, path = await enter(coordination.key), f"/console/projects/{proposed['id']}"
    shown = await browser.read(path)
    _, no = [form for form in shown.forms if form.action == f"{path}/answer"]
    house = str((await one(engine, "select id from offer")).id)
    assert house in shown.answer.text
    sent = {"token": dict(no.fields)["token"], "plan": "1", "house": house}
    offered = {held["value"] for tag, held in shown.elements if tag == "input" and held.get("type") == "radio"}
    assert offered == {reason for reason in RefuseReason if not reason.ends_the_need}
    for ends in ("because", "moved_on", "found_elsewhere"):
        assert (await browser.http.post(f"{path}/answer", data=sent | {"said": ends, "sure": "1"})).status_code == 422
    assert (await one(engine, "select state from project")).state == "proposed"
    asked = Shown(await browser.http.post(f"{path}/answer", data=sent | {"said": "too_far"}))
    every = Shown(await browser.http.post(f"{path}/answer", data=sent | {"said": "too_far", "house": ""}))
    for each in (asked, every):
        told(each, say("console.project.no.sure", "en"), say("slip.reason.too_far", "en"), f"{BRIANCON.name} · 0 km")
    assert ("houses", house) in asked.form(f"{path}/answer").fields
    done = await browser.send(asked, f"{path}/answer")
    told(done, say("console.project.stands.open", "en"))
    assert (await one(engine, "select count(*) as n from allocation where state = 'held'")).n == 0


WRONG: dict[str, list[tuple[int, str, Fields]]] = {
    PATHWAY: [
        (0, "people", {"adults": "0", "minors": "0"}),
        (0, "people", {"adults": "x"}),
        (0, "audience", {"audience": ["unaccompanied_minors"]}),
        (1, "last_day", {"last_day": ""}),
        (1, "last_day", {"last_day": (TONIGHT - timedelta(days=9)).isoformat()}),
        (1, "last_day", {"last_day": (TONIGHT + timedelta(days=400)).isoformat()}),
        (1, "first_day", {"first_day": "2026-13-40"}),
        (2, "beside", {"beside": []}),
        (2, "beside", {"beside": ["language_class", "respite", "sanitation", "meal", "transport"]}),
        (2, "teaches", {"teaches": ""}),
        (3, "near_km", {"near_km": "0"}),
        (3, "max_km", {"max_km": "1001"}),
    ],
    PROJECT: [
        (0, "last_day", {"last_day": ""}),
        (0, "first_day", {"first_day": (TONIGHT - timedelta(days=9)).isoformat()}),
        (1, "parties", {"adults": ["2"], "minors": ["3"]}),
        (1, "parties", {"adults": ["2", "x"], "minors": ["3", "1"]}),
        (2, "together_km", {"together_km": ""}),
        (2, "together_km", {"together_km": "201"}),
        (2, "minimum", {"minimum": "9"}),
        (2, "answer_hours", {"answer_hours": "0"}),
    ],
}


@pytest.mark.parametrize(("path", "steps"), [(PATHWAY, STEPS), (PROJECT, TOGETHER_STEPS)], ids=["pathway", "project"])
async def test_what_is_wrong_is_said_at_its_field_in_its_step_and_nothing_is_posted(
    enter: Enter, coordination: Organization, engine: AsyncEngine, path: str, steps: list[Fields]
) -> None:
    browser = await enter(coordination.key)
    pages = await walked(browser, path, steps)
    for number, field, changes in WRONG[path]:
        refused = await browser.send(pages[number], path, 422, **steps[number] | changes)
        told(refused, f"Step {number + 1} of {len(steps) + 1}")
        assert refused.answer.text.count(f'id="wrong-{field}"') == 1, changes
    back = await browser.send(pages[-1], path, 200, back="1")
    told(back, f"Step {len(steps)} of {len(steps) + 1}")
    assert await rows(engine, "select 1 from need") == []
    # The control: nothing else was wrong.
    await browser.send(pages[-1], path)
    assert len(await rows(engine, "select 1 from need")) == 3


async def test_what_lives_is_listed_newest_first_however_much_newer_is_over(
    enter: Enter, coordination: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_MOST_OVER", 3)
    browser = await enter(coordination.key)

    async def posted(kind: str, *, over: bool = False) -> str:
        body = pathway_body() if kind == "pathways" else project_body()
        answer = await coordination.http.post(f"/v1/{kind}", json=body)
        path = f"{kind}/{answer.json()['id']}"
        if over:
            assert (await coordination.http.post(f"/v1/{path}/withdraw")).status_code == 200
        return f"/console/{path}"

    async def listed() -> list[str]:
        shown = await browser.read(TOGETHER)
        more = say("console.list.more", "en") in shown.words
        links = [held.get("href", "") for tag, held in shown.elements if tag == "a"]
        return [each for each in links if re.fullmatch(r"/console/p\w+/[0-9a-f-]{36}", each)] + ["more"] * more

    live = [await posted(kind) for kind in ("projects", "pathways", "projects", "pathways")]
    over = [await posted(kind, over=True) for kind in ("projects", "pathways", "projects")]
    assert await listed() == [*reversed(live), *reversed(over)]
    over += [await posted(kind, over=True) for kind in ("pathways", "projects", "pathways", "projects", "pathways")]
    assert await listed() == [*reversed(live), *reversed(over[-3:]), "more"]


async def test_forms_allow_what_the_api_does(enter: Enter, coordination: Organization) -> None:
    browser = await enter(coordination.key)
    *_, reach, _ = await walked(browser, PATHWAY, STEPS)
    *_, together_, _ = await walked(browser, PROJECT, TOGETHER_STEPS)
    asked: list[tuple[Shown, type[Wire], tuple[str, ...]]] = [
        (reach, PathwayIn, ("near_km", "max_km")),
        (together_, ProjectIn, ("together_km", "minimum", "answer_hours", "max_km")),
    ]
    for shown, body, names in asked:
        fields = {held.get("name"): held for tag, held in shown.elements if tag == "input"}
        properties = body.model_json_schema()["properties"]
        for name in names:
            bounds = properties[name].get("anyOf", [properties[name]])[0]
            assert (fields[name]["min"], fields[name]["max"]) == (str(bounds["minimum"]), str(bounds["maximum"])), name
            assert fields[name]["value"] == str(properties[name].get("default") or ""), name
    assert MOVERS.most == MOST_PARTIES * MOST_PEOPLE


async def test_of_many_rows_it_is_said_which_are_wrong(enter: Enter, coordination: Organization) -> None:
    browser = await enter(coordination.key)
    _, who, *_ = await walked(browser, PROJECT, TOGETHER_STEPS[:1])
    counts: Fields = {"adults": ["2", "", "x", "1", "501"], "minors": ["0", "", "1", "1", "1"]}
    refused = await browser.send(who, PROJECT, 422, **counts)
    told(refused, "Row 2: ", "Row 4: ")
    assert not any(f"Row {row}: " in refused.words for row in (1, 3, 5, 6))
    fields = [held for tag, held in refused.elements if tag == "input" and held.get("name") in ("adults", "minors")]
    marked = [held["aria-labelledby"] for held in fields if held.get("aria-invalid") == "true"]
    assert marked == [f"party-{row} {name}" for row in (2, 4) for name in ("adults", "minors")]
    assert {held["aria-describedby"] for held in fields if "aria-invalid" in held} == {"wrong-parties"}
    assert [held["value"] for held in fields[:8]] == ["2", "", "", "1", "1", "1", "501", "1"]
    assert ["required" in held for held in fields[:8]] == [False, False, True, *[False] * 5], "the row is not let go"


async def test_to_everybody_else_they_are_missing_and_a_key_does_what_the_api_lets_it(
    enter: Enter, coordination: Organization, association: Organization, engine: AsyncEngine
) -> None:
    pathway = (await coordination.http.post("/v1/pathways", json=pathway_body())).json()["id"]
    project = (await coordination.http.post("/v1/projects", json=project_body())).json()["id"]
    stranger, own = await enter(association.key), await enter(coordination.key)
    token = dict((await stranger.read("/console/sessions")).form("/console/sign-out").fields)["token"]

    async def answers(one_id: str, other_id: str) -> list[tuple[int, str]]:
        there = (f"/console/pathways/{one_id}", f"/console/projects/{other_id}")
        sent = {"token": token, "said": "yes", "plan": "1"}
        asked = [await stranger.http.get(each) for each in there]
        for each in (f"{there[0]}/withdraw", f"{there[1]}/withdraw", f"{there[1]}/answer"):
            asked += [await stranger.http.post(each, data=sent | sure) for sure in ({}, {"sure": "1"})]
        assert {each.status_code for each in asked} == {404}
        return [(each.status_code, each.text.replace(one_id, "").replace(other_id, "")) for each in asked]

    assert await answers(pathway, project) == await answers(str(uuid4()), str(uuid4()))
    assert pathway not in (await stranger.read(TOGETHER)).answer.text
    pages = {path: await own.read(path) for path in (f"/console/pathways/{pathway}", f"/console/projects/{project}")}
    new = {path: await own.read(path) for path in (PATHWAY, PROJECT)}
    only = "update api_key set scopes = :scopes where organization_id = :id"
    await rows(engine, only, id=coordination.id, scopes=[Scope.NEEDS_READ.value])
    for path, whole in pages.items():
        shown = await own.read(path)
        assert f"{path}/withdraw" not in [form.action for form in shown.forms]
        assert say("console.slip.title", "en") not in shown.words
        await own.send(whole, f"{path}/withdraw", 403)
    for path, whole in new.items():
        await own.send(whole, path, 403)
        await own.read(path, 403)
        assert path not in (await own.read(TOGETHER)).answer.text
    await rows(engine, only, id=coordination.id, scopes=[Scope.OFFERS_READ.value])
    await own.read(TOGETHER, 403)
    assert [row.state for row in await rows(engine, "select distinct state from need")] == ["open"]


async def test_whatever_is_written_about_a_person_is_kept_nowhere_and_not_repeated(
    enter: Enter,
    coordination: Organization,
    engine: AsyncEngine,
    capsys: pytest.CaptureFixture[str],
    *,
    long: bool,
) -> None:
    """In each step all fields at once; with `--long` each field alone too."""
    project = (await coordination.http.post("/v1/projects", json=project_body())).json()["id"]
    browser, planted = await enter(coordination.key), "Mariam-Haidari"
    token = dict((await browser.read(PATHWAY)).form(PATHWAY).fields)["token"]
    tried: dict[str, tuple[list[Fields], tuple[str, ...]]] = {
        PATHWAY: (STEPS, ("party", "bed", "beside", "reach", "whole")),
        PROJECT: (TOGETHER_STEPS, ("when", "who", "together", "whole")),
        f"/console/projects/{project}/answer": ([{"said": "yes", "plan": "1", "house": "", "houses": ""}], ("",)),
    }
    for path, (steps, names) in tried.items():
        whole: Fields = {"token": token}
        for said in steps:
            whole |= said
        del whole["token"]
        fields = [*whole, "form", "step", "q", "town", "country", planted]
        every = [dict.fromkeys(fields, planted) | {"step": step} for step in names]
        every += [{"find": planted}, {"back": planted}, {"more": planted}, {"sure": planted}, {}]
        if long:
            every += [{"step": step, name: planted} for step in names for name in fields]
        for each in every:
            answer = await browser.http.post(path, data={"token": token, **whole, **each})
            assert planted not in answer.text, f"{path} {each}"
    assert holds(await everything_stored(engine), planted) == []
    assert planted not in "".join(capsys.readouterr())
    # The controls: there was something to keep it in, and what is looked for is found where it is.
    for path, (steps, names) in list(tried.items())[:2]:
        good = {name: value for said in steps for name, value in said.items()}
        await browser.http.post(path, data={"token": token, **good, "step": names[-1]})
    assert len(await rows(engine, "select 1 from pathway")) == 1
    assert "need" in holds(await everything_stored(engine), str(UUID(project)))


def test_each_state_has_its_words_in_every_language() -> None:
    keys = {f"console.pathway.{each}" for each in PathwayState}
    keys |= {f"console.project.stands.{each}" for each in ProjectState}
    for language in LANGUAGES:
        assert catalogue(language).keys() >= keys, language
